//! Strangers prove the simulator: the published Python and Node clients connect to every generation of the
//! server, page, write, run commands and meet errors.

use std::path::{Path, PathBuf};

use ibmi_sim::{Generation, Options, Scenario, Simulator};
use serde_json::Value;
use tokio::process::Command;

fn installed(variable: &str, default: &str, probe: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = std::env::var_os(variable).map_or_else(|| root.join(default), PathBuf::from);
    assert!(
        path.join(probe).exists() || (probe.is_empty() && path.exists()),
        "{} is not there: run `make foreign-clients` first (or set {variable})",
        path.join(probe).display()
    );
    // The program runs elsewhere; links are kept, since a virtual environment's python is one.
    std::path::absolute(path).expect("a path")
}

async fn run(mut command: Command, generation: Generation) -> Value {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut scenario = Scenario::default();
    scenario.server.generation = generation;
    let password = match generation {
        Generation::G1 | Generation::G1b => "muster1",
        // Only this one takes a colon.
        Generation::G2 => "mus:ter1",
    };
    scenario.users[0].password = password.to_owned();
    let sim = Simulator::start(scenario, Options::default()).await.expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &sim.ca_pem).expect("written");
    let bytes = match generation {
        Generation::G1 | Generation::G1b => "00FBFF",
        Generation::G2 => "APv/",
    };
    command
        .args(["localhost", &sim.addr.port().to_string(), "MUSTER", password])
        .arg(&ca)
        .arg(bytes)
        .kill_on_drop(true);
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), command.output());
    let output = done.await.expect("in time").expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sim.profile("MUSTER"), (1, false), "one wrong password was counted");
    sim.stop().await;
    serde_json::from_str(text.trim()).expect("JSON")
}

fn check(result: &Value, generation: Generation) {
    assert_eq!(result["pages"], serde_json::json!([10, 10, 10, 10, 2]), "{result}");
    assert_eq!(result["first"]["EMPNO"], "000010");
    assert_eq!(result["first"]["FIRSTNME"], "ADA");
    assert_eq!(result["first"]["HIREDATE"], "1995-01-01");
    assert_eq!(result["bonus"], 21);
    assert_eq!(result["job_name"], result["job"]);
    assert!(result["job"].as_str().expect("text").ends_with("/QUSER/QZDASOINIT"));
    // Neither client knows bytes that are kept beside a reply: it hands on the object as it is.
    match generation {
        Generation::G1 | Generation::G1b => assert_eq!(result["bytes"], "C1C2"),
        Generation::G2 => {
            assert_eq!(result["bytes"]["size"], 2, "{result}");
            assert!(result["bytes"]["blob_url"].as_str().expect("a path").starts_with("/blob/"));
        }
    }
    assert_eq!((&result["inserted"], &result["written"]), (&3.into(), &"00FBFF".into()), "{result}");
    // Two of the columns come twice, which an object holds once.
    let columns = if generation == Generation::G1 { 25 } else { 24 };
    assert_eq!(result["command"], serde_json::json!({"success": true, "columns": columns}), "{result}");
    assert_eq!(result["failed_command"], "CPF0006");
    assert!(
        result["error"].as_str().expect("text").contains("NOTAB in NOLIB type *FILE not found."),
        "{result}"
    );
    let wrong = result["wrong_password"].as_str().expect("text");
    assert!(wrong.contains("The application server rejected the connection."), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_works_with_every_generation() {
    let python = installed("MUSTER_FOREIGN_PYTHON", "target/foreign/venv/bin/python", "");
    for (_, generation) in Generation::ALL {
        let mut command = Command::new(&python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/python/client.py"));
        check(&run(command, generation).await, generation);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_works_with_every_generation() {
    let node =
        installed("MUSTER_FOREIGN_NODE", "target/foreign/node", "node_modules/@ibm/mapepire-js/package.json");
    for (_, generation) in Generation::ALL {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/node/client.mjs"));
        command.env("MUSTER_FOREIGN_NODE", &node);
        check(&run(command, generation).await, generation);
    }
}
