//! Release packages for stories, made by the vendor's own program and signed with the development keys.

use crate::process::{program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Secret key number `number`, 1 to 3, whose public half development builds ship.
#[must_use]
pub fn key(number: u8) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(format!("controller/vendor/keys/release-dev-{number}.key"))
}

/// Makes and signs a package of the agent with the higher version; gives its path.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn next(folder: &Path) -> PathBuf {
    let path = build(folder, &program("muster-agent-next"), None);
    sign(&path, &key(1));
    path
}

/// The same of the agent with the highest version.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn later(folder: &Path) -> PathBuf {
    let path = build(folder, &program("muster-agent-later"), None);
    sign(&path, &key(2));
    path
}

/// Makes a package of the agent with the higher version that says it is `version`, and signs it.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn claiming(folder: &Path, version: &str) -> PathBuf {
    let path = build(folder, &program("muster-agent-next"), Some(version));
    sign(&path, &key(1));
    path
}

/// Makes a package of a file that is no agent; not signed.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn build_with(folder: &Path, of: &Path) -> PathBuf {
    let about = serde_json::json!({
        "name": "muster-agent", "version": "9.0.0", "platform": "x86_64-linux", "formats": {}
    });
    let file = folder.join("about.json");
    std::fs::write(&file, about.to_string()).expect("it is written");
    let text = |path: &Path| path.display().to_string();
    let made = run(
        "muster-release",
        &["build", "--program", &text(of), "--about", &text(&file), "--out", &text(folder)],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("muster-agent-9.0.0-x86_64-linux.muster")
}

/// Makes a package that is not signed.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn build(folder: &Path, agent: &Path, version: Option<&str>) -> PathBuf {
    std::fs::create_dir_all(folder).expect("the folder is made");
    let about = Command::new(agent).arg("about").output().expect("the agent starts");
    let mut about: serde_json::Value = serde_json::from_slice(&about.stdout).expect("JSON");
    if let Some(version) = version {
        about["version"] = version.into();
    }
    let file = folder.join("about.json");
    std::fs::write(&file, about.to_string()).expect("it is written");
    let text = |path: &Path| path.display().to_string();
    // The version that the agents of a story begin with may always come back; a lower one cannot ask for more than it is.
    let floor = if version.is_some_and(|version| version < "0.1") { "0.0.1" } else { "0.1.0" };
    // What is shipped has no debug information; without `strip` the package is only larger.
    let stripped = folder.join("muster-agent");
    let small = Command::new("strip").arg("-o").arg(&stripped).arg(agent).status();
    let agent = if small.is_ok_and(|status| status.success()) { stripped } else { agent.to_owned() };
    let made = run(
        "muster-release",
        &[
            "build",
            "--program",
            &text(&agent),
            "--about",
            &text(&file),
            "--floor",
            floor,
            "--out",
            &text(folder),
        ],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (version, platform) =
        (about["version"].as_str().expect("one"), about["platform"].as_str().expect("one"));
    folder.join(format!("muster-agent-{version}-{platform}.muster"))
}

/// Signs a package in place.
///
/// # Panics
/// When it cannot be signed.
pub fn sign(package: &Path, key: &Path) {
    let text = |path: &Path| path.display().to_string();
    let signed = run("muster-release", &["sign", "--key", &text(key), &text(package)]);
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
}
