//! OpAMP agents that others wrote on a real controller: shown, given files, told who they are.

use muster_tests::eventually::eventually;
use muster_tests::sandbox::{Controller, Sandbox};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn installed(probe: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("MUSTER_FOREIGN_OPAMP")
        .map_or_else(|| root.join("target/foreign-opamp"), PathBuf::from);
    let path = std::path::absolute(folder.join(probe)).expect("a path");
    assert!(path.exists(), "{} is not there: run `make foreign-clients` first", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// A foreign agent's process; it ends when its standard input is closed.
struct Foreign {
    child: Child,
    stdin: Option<ChildStdin>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Foreign {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                heard.lock().unwrap().push(value);
            }
        });
        Self { child, stdin, told }
    }

    fn python() -> Command {
        Command::new(installed("venv/bin/python"))
    }

    /// Waits until it has told something that `look` is content with.
    fn await_told<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        eventually(what, LIMIT, || {
            let told = self.told.lock().unwrap();
            told.iter().rev().find_map(&look).ok_or_else(|| format!("{told:?}"))
        })
    }

    fn await_config(&self, expected: &Value) {
        self.await_told(&format!("it is given {expected}"), |told| {
            (told["config"] == *expected).then_some(())
        });
    }

    fn stop(mut self) {
        self.stdin = None;
        eventually("the client ends", LIMIT, || match self.child.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Its own process, by its handle; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token(controller: &Controller, sandbox: &Sandbox, name: &str) -> String {
    let file = sandbox.path().join(format!("{name}.token")).display().to_string();
    let _ = controller.muster_ok(&[
        "token",
        "create",
        "--foreign",
        "--label",
        "site=east",
        "--note",
        name,
        "--output-file",
        &file,
    ]);
    file
}

fn url(controller: &Controller, scheme: &str) -> String {
    format!("{scheme}://127.0.0.1:{}/v1/opamp", controller.port)
}

fn await_connected(controller: &Controller, name: &str) -> Value {
    controller.await_agent(name, "is connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then(|| view.clone())
    })
}

fn await_policy(controller: &Controller, name: &str, state: &str) -> Value {
    controller.await_agent(name, state, LIMIT, |view| {
        (view["summary"]["policy"]["state"] == state).then(|| view["summary"]["policy"].clone())
    })
}

#[test]
fn the_opentelemetry_client_for_python_is_steered_over_http() {
    let sandbox = Sandbox::new("foreign-python");
    let controller = sandbox.controller();
    controller.login();
    let token = token(&controller, &sandbox, "python");
    let start = || {
        let mut command = Foreign::python();
        command.arg(script("python/http_client.py")).arg(url(&controller, "https")).arg(controller.ca_file());
        command.arg(&token).arg(sandbox.path().join("uid"));
        Foreign::start(command)
    };
    let client = start();
    let view = await_connected(&controller, "pythonhost");
    assert_eq!(view["summary"]["kind"], "foreign");
    assert_eq!(
        (&view["summary"]["labels"]["site"], &view["summary"]["version"]),
        (&"east".into(), &"9.9".into())
    );
    assert_eq!(view["attributes"]["process.pid"], "42");
    let id = client.await_told("its uid", |told| told["uid"].as_str().map(str::to_owned));
    assert_eq!(view["summary"]["id"], id);

    let file = sandbox.write("main.json", r#"{"level": "debug", "password": "hunter2"}"#);
    let named = format!("main={}", file.display());
    let _ = controller.muster_ok(&["agents", "config", "pythonhost", "-f", &named]);
    client.await_config(&serde_json::json!({"main": {"level": "debug", "password": "hunter2"}}));
    let policy = await_policy(&controller, "pythonhost", "applied");
    assert_eq!(policy["running"], policy["wanted"]);
    // What it says that it runs is shown, without the secret.
    let shown = eventually("its effective configuration is shown", LIMIT, || {
        let text = controller.muster_ok(&["agents", "config", "pythonhost"]);
        if text.contains("debug") { Ok(text) } else { Err(text) }
    });
    assert!(shown.contains("<redacted>") && !shown.contains("hunter2"), "{shown}");
    // It is not asked for its full state again and again, though it leaves parts of it out.
    let sent = client.told.lock().unwrap().len();
    assert!(sent < 10, "{:?}", client.told.lock().unwrap());

    // It comes back with its token and its uid.
    client.stop();
    controller.await_agent("pythonhost", "its goodbye is seen", LIMIT, |view| {
        (view["summary"]["connection"] != "connected").then_some(())
    });
    let client = start();
    await_connected(&controller, "pythonhost");
    assert_eq!(controller.muster_json(&["agents"]).as_array().map(Vec::len), Some(1));
    client.stop();
}

#[test]
fn elastics_client_for_node_takes_over_the_uid_that_it_is_given() {
    let sandbox = Sandbox::new("foreign-node");
    let controller = sandbox.controller();
    controller.login();
    let token = token(&controller, &sandbox, "node");
    let start = || {
        let mut command = Command::new("node");
        command.arg(script("node/client.mjs")).arg(url(&controller, "https")).arg(controller.ca_file());
        command.arg(&token).env("MUSTER_FOREIGN_OPAMP_NODE", installed("node"));
        Foreign::start(command)
    };
    let client = start();
    let id = await_connected(&controller, "nodehost")["summary"]["id"].clone();
    let good = sandbox.write("a.yaml", "level: info\n");
    let _ = controller.muster_ok(&[
        "agents",
        "config",
        "--selector",
        "site=east",
        "-f",
        &good.display().to_string(),
    ]);
    client.await_config(&serde_json::json!({"": "level: info\n"}));
    await_policy(&controller, "nodehost", "applied");
    let uids = || {
        let agents = controller.muster_json(&["agents"]);
        agents.as_array().into_iter().flatten().map(|agent| agent["id"].clone()).collect::<Vec<_>>()
    };
    client.stop();

    // It makes a new uid at each start: the controller tells it the one that its token is bound to.
    let client = start();
    // It says no goodbye, so only what it does shows that it is back.
    // What it refuses is not offered again, and the reason is shown.
    let bad = sandbox.write("b.yaml", "# refuse me\n");
    let _ = controller.muster_ok(&["agents", "config", "nodehost", "-f", &bad.display().to_string()]);
    let policy = await_policy(&controller, "nodehost", "failed");
    assert_eq!(policy["reason"], "line 1: refused");
    assert_eq!(uids(), [id]);
    let given = client.told.lock().unwrap().iter().filter(|t| t["config"][""] == "# refuse me\n").count();
    assert_eq!(given, 1);
    client.stop();
}

#[test]
fn a_client_of_another_hand_is_steered_over_websocket() {
    let sandbox = Sandbox::new("foreign-websocket");
    let controller = sandbox.controller();
    controller.login();
    let token = token(&controller, &sandbox, "websocket");
    let start = || {
        let mut command = Command::new("python3");
        command.arg(script("python/websocket_client.py")).arg(url(&controller, "wss"));
        command.arg(controller.ca_file()).arg(&token);
        Foreign::start(command)
    };
    let client = start();
    let view = await_connected(&controller, "sockethost");
    let component = &view["components"][0];
    assert_eq!((&component["name"], &component["healthy"]), (&"exporter/otlp".into(), &false.into()));
    assert_eq!(component["reason"], "exporter cannot connect");

    // Pushed at once, to this agent and to all with its label.
    let file = sandbox.write("collector.yaml", "receivers: {}\n").display().to_string();
    let _ = controller.muster_ok(&["agents", "config", "sockethost", "-f", &file]);
    client.await_config(&serde_json::json!({"": "receivers: {}\n"}));
    await_policy(&controller, "sockethost", "applied");
    let _ = controller.muster_ok(&["agents", "restart", "sockethost"]);
    client.await_told("the restart command", |told| {
        (told["command"] == 0 && told["alone"] == true).then_some(())
    });

    // A second agent with the same token does not get in while the first is there.
    let thief = start();
    thief.await_told("it is refused", |told| told["refused"].as_str()?.contains("403").then_some(()));
    drop(thief);
    // Deleting the token ends it at once.
    let tokens = controller.muster_json(&["token", "list"]);
    let id = tokens[0]["id"].as_str().expect("an id").to_owned();
    let _ = controller.muster_ok(&["token", "delete", &id]);
    client.await_told("it is cut off", |told| (told["closed"] == 1008).then_some(()));
    assert_eq!(controller.muster_json(&["agents"]).as_array().map(Vec::len), Some(0));
}
