//! Who may import whom, and what is pure, as the manifests and sources say it.
//!
//! `shared` ← `muster-ibmi` ← `agent`; `muster-package` ← `agent`, `muster-launcher`, `controller`, `muster-vendor`;
//! `shared` ← `proto` ← `agent`, `controller`, `muster-cli`, `ibmi-sim`;
//! `shared` ← `muster-backup` ← `controller`, `muster-cli`; everything ← `muster-tests`. Agent and controller never
//! import each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folder, crate, and which of our crates it may name in its manifest.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("shared", "muster-shared", &[]),
    ("shared/ibmi", "muster-ibmi", &["muster-shared"]),
    ("proto", "muster-proto", &["muster-shared"]),
    ("shared/package", "muster-package", &[]),
    ("agent", "muster-agent", &["muster-shared", "muster-ibmi", "muster-proto", "muster-package"]),
    // Small and stable: what it starts may be any version of the agent.
    ("agent/launcher", "muster-launcher", &["muster-package"]),
    ("tests/next-agent", "muster-next-agent", &["muster-agent"]),
    (
        "controller",
        "muster-controller",
        &["muster-shared", "muster-proto", "muster-planner", "muster-backup", "muster-package"],
    ),
    ("controller/backup", "muster-backup", &["muster-shared"]),
    ("controller/vendor", "muster-vendor", &["muster-shared", "muster-package"]),
    ("controller/planner", "muster-planner", &["muster-shared", "muster-proto"]),
    ("controller/cli", "muster-cli", &["muster-shared", "muster-proto", "muster-backup"]),
    ("tests/ibmi-sim", "ibmi-sim", &["muster-proto"]),
    (
        "tests",
        "muster-tests",
        &[
            "muster-shared",
            "muster-ibmi",
            "muster-proto",
            "muster-agent",
            "muster-controller",
            "muster-planner",
            "muster-cli",
            "ibmi-sim",
        ],
    ),
];

/// Crates without runtime, socket, file or clock.
const PURE: &[&str] = &["shared", "shared/ibmi", "shared/package", "controller/planner"];

/// What would make them impure, and why it is looked for as text: a lint sees only what is compiled on this
/// machine, and these words have no other meaning.
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "env::var",
    "env::args",
    "env::current_",
    "std::process",
    "std::thread",
    "std::os",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio::",
    "actix",
];

/// Runtimes, sockets and stores that neither pure crates nor the wire types may depend on.
const RUNTIMES: &[&str] = &[
    "actix",
    "actix-rt",
    "actix-web",
    "tokio",
    "tokio-rustls",
    "tokio-tungstenite",
    "reqwest",
    "rustls",
    "sled",
    "socket2",
    "tracing-subscriber",
];

const FOLDERS: &[&str] = &["agent", "controller", "deploy", "docs", "proto", "shared", "tests"];
const FILES: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn manifest(folder: &str) -> toml::Table {
    let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{folder}/Cargo.toml: {error}"))
}

/// All that a manifest depends on; `dev` adds what only its tests use.
fn dependencies(manifest: &toml::Table, dev: bool) -> BTreeSet<String> {
    let kinds: &[&str] = if dev {
        &["dependencies", "build-dependencies", "dev-dependencies"]
    } else {
        &["dependencies", "build-dependencies"]
    };
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)).filter_map(toml::Value::as_table);
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Sources below a folder, without those of crates nested in it.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a file is compiled for tests only: the module that holds it says so.
fn is_test_module(file: &Path) -> bool {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = file.parent().unwrap();
    let declared = format!("#[cfg(test)]\nmod {name};");
    ["mod.rs", "lib.rs"]
        .iter()
        .filter_map(|parent| std::fs::read_to_string(folder.join(parent)).ok())
        .any(|text| text.contains(&declared))
}

#[test]
fn crates_depend_only_on_those_below_them() {
    let ours: BTreeSet<&str> = CRATES.iter().map(|(_, name, _)| *name).collect();
    for (folder, name, allowed) in CRATES {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name), "{folder}");
        for dependency in dependencies(&manifest, true).iter().filter(|d| ours.contains(d.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_member_of_the_workspace_is_known_here() {
    let members: BTreeSet<String> = manifest(".")["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect();
    let known: BTreeSet<String> = CRATES.iter().map(|(folder, _, _)| (*folder).to_owned()).collect();
    assert_eq!(members, known);
}

#[test]
fn neither_pure_crates_nor_wire_types_bring_a_runtime() {
    for folder in PURE.iter().chain(&["proto"]) {
        for dependency in dependencies(&manifest(folder), false) {
            assert!(!RUNTIMES.contains(&dependency.as_str()), "{folder} must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_sources_touch_no_file_socket_clock_or_environment() {
    let mut looked_at = 0;
    for folder in PURE {
        let mut files = Vec::new();
        sources(&root().join(folder).join("src"), &mut files);
        for file in files {
            looked_at += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            // Tests of pure code may read what it is compared with.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            if is_test_module(&file) {
                continue;
            }
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap_or_default();
                for word in IMPURE {
                    assert!(
                        !line.contains(word),
                        "{}:{}: {word} in a pure crate",
                        file.display(),
                        number + 1
                    );
                }
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} files were looked at");
}

#[test]
fn no_crate_has_unsafe_code() {
    for (folder, name, _) in CRATES {
        let manifest = manifest(folder);
        assert_eq!(
            manifest["lints"]["workspace"].as_bool(),
            Some(true),
            "{name} takes the workspace's lints"
        );
        let source = root().join(folder).join("src");
        let mut roots = vec![source.join("lib.rs"), source.join("main.rs")];
        sources(&source.join("bin"), &mut roots);
        for path in roots.iter().filter(|path| path.exists()) {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "{} forbids unsafe code", path.display());
        }
    }
    assert_eq!(manifest(".")["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn the_top_level_is_as_agreed() {
    // What git does not track (target, a running demo) is nobody's concern here.
    let output = std::process::Command::new("git").args(["ls-files"]).current_dir(root()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        eprintln!("no git repository: not looked at");
        return;
    };
    let listed = String::from_utf8(output.stdout).unwrap();
    let (mut folders, mut files) = (BTreeSet::new(), BTreeSet::new());
    for path in listed.lines().filter(|path| !path.starts_with('.')) {
        match path.split_once('/') {
            Some((folder, _)) => folders.insert(folder),
            None => files.insert(path),
        };
    }
    assert_eq!(folders, FOLDERS.iter().copied().collect());
    let unknown: Vec<_> = files.iter().filter(|file| !FILES.contains(file)).collect();
    assert!(unknown.is_empty(), "unexpected at the top level: {unknown:?}");
}
