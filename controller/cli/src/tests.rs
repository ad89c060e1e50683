//! Whole command lines, as far as they need no controller.

use super::*;

/// A certificate of an authority of no one (its key was thrown away).
pub(crate) const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUYilLE/F6jvMwP+NtYaMlxZ8lKrgwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOTXVzdGVyIHRlc3QgQ0EwIBcNMjYxMTIyMDQxNjM2WhgPMjEy
NjEwMjkwNDE2MzZaMBkxFzAVBgNVBAMMDk11c3RlciB0ZXN0IENBMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE+C3B9wle8g1YqKrpwzfsYM4op3CVOUEkgMHCBR+H
eRkybW6NMs0q1dWB3B0TkaxJha8RruOvVaZaukZxm4fkXqNTMFEwHQYDVR0OBBYE
FLMJMKf4PVMOTMDeXM/kvJkJLPLfMB8GA1UdIwQYMBaAFLMJMKf4PVMOTMDeXM/k
vJkJLPLfMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhALyR1VQa
F3OHaQfH9gxaOXXV4ZHmkvsWz5oGsfFYACzgAiAJs869s9CT7alAL0xRA+evjbTm
YGQE5m8UnBrPQojRLQ==
-----END CERTIFICATE-----
";

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

fn muster(config: Option<&std::path::Path>, args: &[&str]) -> Ran {
    let environment = Environment { config_dir: config.map(PathBuf::from), ..Environment::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("muster").chain(args.iter().copied()).map(OsString::from);
    let exit = run(args, &environment, &mut out, &mut err);
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn help_documents_the_exit_codes() {
    let ran = muster(None, &["--help"]);
    assert_eq!(ran.exit, Exit::Ok);
    for code in [
        "0  done",
        "1  it failed for another reason",
        "2  the command line is wrong",
        "3  the agent, policy, revision or token does not exist",
        "4  refused by the controller",
        "5  the controller cannot be reached",
        "6  nothing was done because of --dry-run",
        "7  nothing was done yet: a second person must approve it",
    ] {
        assert!(ran.out.contains(code), "{code} is missing in\n{}", ran.out);
    }
    assert!(!ran.out.contains('\x1b'));
}

#[test]
fn a_wrong_command_line_is_usage() {
    for args in [
        &[][..],
        &["agent"],
        &["token", "create", "--expires", "5w"],
        &["token", "create", "--label", "x"],
        &["token", "create", "--uses", "0"],
        &["rates", "--count", "1"],
        &["policy", "validate"],
        &["policy", "apply"],
        &["policy", "apply", "a.yaml", "-f", "b.yaml"],
        &["policy", "apply", "a.yaml", "--dry-run", "--wait", "1s"],
        &["policy", "revert", "a"],
        &["login", "http://c.example"],
        &["login", "c.example", "--ca", "a", "--fingerprint", "b"],
        &["--profile", "../x", "agents"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ran = muster(Some(folder.path()), args);
        assert_eq!(ran.exit, Exit::Usage, "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn without_a_login_it_says_how_to_log_in() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["agents"][..], &["rates"], &["policy", "show"], &["token", "list"], &["login"]] {
        let ran = muster(Some(folder.path()), args);
        assert_eq!(ran.exit, Exit::Unreachable, "{args:?}");
        assert_eq!(
            ran.err,
            "error: not logged in (profile `default`): run `muster login URL`, for example `muster login https://controller.example.com:4320`\n"
        );
    }
}

#[test]
fn a_controller_that_is_not_there() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let password = file(&folder, "password", "secret\n");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ca = file(&folder, "ca.pem", CA);
    let url = format!("https://127.0.0.1:{port}");
    let known = ["login", &url, "--password-file", &password, "--ca", &ca];
    let unknown = ["login", &url, "--password-file", &password];
    for args in [&known[..], &unknown[..]] {
        let ran = muster(Some(folder.path()), args);
        assert_eq!(ran.exit, Exit::Unreachable, "{}", ran.err);
        let begin = format!("error: the controller at https://127.0.0.1:{port}/ cannot be reached: ");
        assert!(ran.err.starts_with(&begin), "{}", ran.err);
        assert!(ran.err.contains("refused"), "{}", ran.err);
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = muster(None, &["completions", shell]);
        assert_eq!(ran.exit, Exit::Ok);
        assert!(ran.out.contains("muster"), "{shell}");
    }
}

const GOOD: &str = "\
api_version: muster/v1
name: base
spec:
  sources:
    audit: { kind: audit_journal }
  rules:
    - name: drop-zr
      match: { entry_types: [ZR] }
      action: drop
  destinations:
    siem:
      transport: { kind: tcp, address: siem.example.com:514 }
";

#[test]
fn a_valid_policy() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "good.yaml", GOOD);
    let ran = muster(Some(folder.path()), &["policy", "validate", &good]);
    assert_eq!(
        (ran.exit, ran.out.as_str(), ran.err.as_str()),
        (Exit::Ok, format!("{good}: valid\n").as_str(), "")
    );
    let ran = muster(Some(folder.path()), &["policy", "validate", "--output", "json", &good]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        told,
        serde_json::json!([{
            "file": good, "valid": true, "name": "base", "faults": [], "warnings": [], "changes": [], "agents": 0,
            "asked_controller": false,
        }])
    );
}

#[test]
fn faults_name_their_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("unknown", GOOD.replace("action: drop", "actoin: drop"), "9:7: error: "),
        ("misspelt", GOOD.replace("action: drop", "action: dorp"), "9:15: error: "),
        (
            "address",
            GOOD.replace("siem.example.com:514", "siem.example.com"),
            "12:40: error: spec.destinations.siem.transport.address: ",
        ),
        ("version", GOOD.replace("muster/v1", "muster/v9"), "1:14: error: api_version: "),
        ("entry", GOOD.replace("[ZR]", "[ZR, zzzz]"), "8:34: error: spec.rules[0].match.entry_types[1]: "),
        ("syntax", GOOD.replace("[ZR]", "[ZR"), "8:29: error: mismatched bracket"),
    ];
    for (name, text, wanted) in cases {
        let bad = file(&folder, name, &text);
        let ran = muster(Some(folder.path()), &["policy", "validate", &bad]);
        assert_eq!(ran.exit, Exit::Refused, "{name}: {}", ran.out);
        assert!(ran.out.starts_with(&format!("{bad}:{wanted}")), "{name}: {}", ran.out);
        assert_eq!(ran.err, "error: 1 of 1 policies cannot be used; nothing was changed\n");
    }
}

#[test]
fn two_files_are_compared_without_a_controller() {
    let folder = tempfile::tempdir().unwrap();
    let a = file(&folder, "a.yaml", GOOD);
    let b = file(&folder, "b.yaml", &GOOD.replace("action: drop", "action: keep"));
    let ran = muster(Some(folder.path()), &["policy", "diff", &a, &b]);
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (Exit::Ok, "~ spec.rules[drop-zr].action: \"drop\" -> \"keep\"\n")
    );
    let ran = muster(Some(folder.path()), &["policy", "diff", &a, &a]);
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Ok, "", "no difference\n"));
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let ran = muster(Some(folder.path()), &["policy", "validate", "/nowhere/p.yaml"]);
    assert_eq!(ran.exit, Exit::Error);
    assert_eq!(ran.err, "error: cannot read /nowhere/p.yaml: No such file or directory (os error 2)\n");
}
