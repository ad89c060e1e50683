//! Strangers prove the simulator: the published Python and Node clients connect, page and meet errors.

use std::path::{Path, PathBuf};

use ibmi_sim::{Options, Scenario, Simulator};
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

async fn run(mut command: Command) -> Value {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sim = Simulator::start(Scenario::default(), Options::default()).await.expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &sim.ca_pem).expect("written");
    command
        .args(["localhost", &sim.addr.port().to_string(), "MUSTER", "muster1"])
        .arg(&ca)
        .kill_on_drop(true);
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), command.output());
    let output = done.await.expect("in time").expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sim.profile("MUSTER"), (1, false), "one wrong password was counted");
    sim.stop().await;
    serde_json::from_str(text.trim()).expect("JSON")
}

fn check(result: &Value) {
    assert_eq!(result["pages"], serde_json::json!([10, 10, 10, 10, 2]), "{result}");
    assert_eq!(result["first"]["EMPNO"], "000010");
    assert_eq!(result["first"]["FIRSTNME"], "ADA");
    assert_eq!(result["first"]["HIREDATE"], "1995-01-01");
    assert_eq!(result["bonus"], 21);
    assert_eq!(result["job_name"], result["job"]);
    assert!(result["job"].as_str().expect("text").ends_with("/QUSER/QZDASOINIT"));
    assert!(
        result["error"].as_str().expect("text").contains("NOTAB in NOLIB type *FILE not found."),
        "{result}"
    );
    let wrong = result["wrong_password"].as_str().expect("text");
    assert!(wrong.contains("The application server rejected the connection."), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_reads_pages_and_meets_errors() {
    let python = installed("MUSTER_FOREIGN_PYTHON", "target/foreign/venv/bin/python", "");
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/python/client.py"));
    check(&run(command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_reads_pages_and_meets_errors() {
    let node =
        installed("MUSTER_FOREIGN_NODE", "target/foreign/node", "node_modules/@ibm/mapepire-js/package.json");
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/node/client.mjs"));
    command.env("MUSTER_FOREIGN_NODE", node);
    check(&run(command).await);
}
