//! Everything in `deploy/` that people copy can be used as it is.

use muster_agent::config::ConfigFile;
use muster_shared::policy::{parse_document, parse_spec, validate_document, validate_spec};
use std::path::{Path, PathBuf};
use std::process::Command;

fn deploy(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    files
}

fn is_local(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".local.yaml")
}

#[test]
fn every_policy_is_valid() {
    let mut all = deploy("examples/policies", "yaml");
    all.extend(deploy("demo", "yaml"));
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let problems = if is_local(&path) {
            validate_spec(&parse_spec(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        } else {
            let document =
                parse_document(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            validate_document(&document)
        };
        let faults: Vec<_> = problems.iter().filter(|problem| problem.is_error()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    }
}

#[test]
fn every_agent_configuration_is_understood() {
    for path in deploy("examples/agents", "toml") {
        let text = std::fs::read_to_string(&path).unwrap();
        let config: ConfigFile =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let partition = &config.partition;
        assert!(partition.ca_file.is_some() != partition.pin_sha256.is_some(), "{}", path.display());
        assert!(config.state_dir.starts_with("/var/lib/muster-agent"), "as the systemd unit has it");
    }
}

#[test]
fn systemd_understands_the_units() {
    if !Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success())
    {
        eprintln!("systemd-analyze is not installed: the units were not checked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for path in deploy("systemd", "service") {
        // The programs are not installed where the test runs.
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("ExecStart=/usr/bin/muster", "ExecStart=/bin/true muster");
        let name = path.file_name().unwrap().to_string_lossy().replace("@.", "@prod01.");
        let copy = folder.path().join(name);
        std::fs::write(&copy, text).unwrap();
        let output =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<_> = said.lines().filter(|line| line.contains("muster")).collect();
        assert!(output.status.success() && ours.is_empty(), "{}: {said}", path.display());
    }
}
