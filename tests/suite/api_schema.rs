//! The interface does what its OpenAPI document says, whatever is sent to it.

use muster_tests::sandbox::{Controller, Sandbox};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// schemathesis, as `tests/schemathesis/install.sh` (`make foreign-clients`) put it.
fn schemathesis() -> PathBuf {
    let path = std::env::var_os("MUSTER_SCHEMATHESIS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemathesis/venv/bin/schemathesis"),
        PathBuf::from,
    );
    assert!(path.exists(), "{} is not there: run `make foreign-clients` first", path.display());
    path
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,unsupported_method";

/// The stream of events has no end; the others would end the session that the run stands on, for ids and names are
/// taken from the answers before. They have a run of their own.
const EXCLUDED: &str = r"^/api/v1/(events|logout|sessions/\{id\}|users/\{user\}.*)$";

/// What was left out, with the lists that ids and names come from.
const OWN_RUN: &str = r"^/api/v1/(users.*|sessions.*)$";

fn fuzz(controller: &Controller, token: &str, folder: &Path, examples: &str, paths: [&str; 2]) {
    let run = Command::new(schemathesis())
        .args(["run", &format!("{}/api/v1/openapi.json", controller.url)])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg("--tls-verify")
        .arg(controller.ca_file())
        .args(["--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", examples, "--seed", "4320"])
        .args(paths)
        .args(["--request-timeout", "20", "--no-color", "--workers", "1"])
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis starts");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(text.contains("Tested:"), "it looked at something: {text}");
}

#[test]
fn whatever_is_sent_the_interface_answers_as_its_document_says() {
    // given a controller with an admin's session
    let sandbox = Sandbox::new("api-schema");
    let mut controller = sandbox.controller();
    controller.login();
    let profile = controller.profile();
    // when every operation gets good and bad requests
    let examples = if std::env::var_os("MUSTER_PROVE").is_some() { "100" } else { "3" };
    fuzz(&controller, &profile, sandbox.path(), examples, ["--exclude-path-regex", EXCLUDED]);
    // then there was no server error and no break of the schema, nothing in the log says that something failed,
    // and the audit log of all that is whole, before and after a crash
    let log = std::fs::read_to_string(sandbox.path().join("controller/controller.log")).expect("the log");
    assert!(!log.contains("request failed") && !log.contains("panicked"), "{log}");
    let before = controller.muster_json(&["audit-log", "verify"]);
    assert!(before["entries"].as_u64() > Some(10), "{before}");
    controller.crash_and_restart();
    let after = controller.muster_json(&["audit-log", "verify"]);
    assert!(after["entries"].as_u64() >= before["entries"].as_u64(), "{before} {after}");
    let files = sandbox.path().join("controller/data/audit");
    let offline = controller.muster_json(&["audit-log", "verify", &files.display().to_string()]);
    assert_eq!(offline, after);
}

#[test]
fn users_and_sessions_answer_as_the_document_says_also_when_the_own_one_ends() {
    // given a controller with an admin whose session nothing else stands on
    let sandbox = Sandbox::new("api-schema-users");
    let controller = sandbox.controller();
    controller.login();
    let examples = if std::env::var_os("MUSTER_PROVE").is_some() { "100" } else { "3" };
    // when that session is ended, and with another one users and sessions are made, changed and ended at will, this
    // admin and this session among them
    let logout = ["--include-path-regex", r"^/api/v1/logout$"];
    fuzz(&controller, &controller.profile(), sandbox.path(), examples, logout);
    assert!(!controller.muster(&["sessions", "list"]).status.success(), "the session goes on");
    controller.login();
    fuzz(&controller, &controller.profile(), sandbox.path(), examples, ["--include-path-regex", OWN_RUN]);
    // then there was no server error and no break of the schema, it was not refused from the start, and nothing in the
    // log says that something failed
    let folder = std::fs::read_dir(sandbox.path().join("controller/data/audit")).expect("the audit log");
    let segments =
        folder.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a segment"));
    assert!(segments.collect::<String>().contains("\"action\":\"user.create\""), "no user was made");
    let log = std::fs::read_to_string(sandbox.path().join("controller/controller.log")).expect("the log");
    assert!(!log.contains("request failed") && !log.contains("panicked"), "{log}");
    let files = sandbox.path().join("controller/data/audit");
    let whole = controller.muster_json(&["audit-log", "verify", &files.display().to_string()]);
    assert!(whole["entries"].as_u64() > Some(1), "{whole}");
}
