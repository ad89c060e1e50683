//! Debian's syslog-ng as a receiver. It cannot be installed beside rsyslog, so
//! `tests/tools/install-syslog-ng.sh` unpacks it below `target/syslog-ng`.

use super::program::{ProgramReceiver, TlsFiles, free_port, installed};
use crate::results::target_dir;
use std::path::{Path, PathBuf};

/// What it listens to.
#[derive(Debug, Clone)]
pub enum Input {
    /// `network()`: UDP.
    Udp,
    /// `network()`: line feeds only.
    TcpNewline,
    /// `syslog()`: octet counting only.
    TcpCounted,
    /// `syslog()` in TLS: octet counting; clients need a certificate of the authority.
    Tls(TlsFiles),
}

/// Writes a configuration into `folder` and starts syslog-ng with it. Messages are not parsed; each is
/// written as it came.
///
/// # Panics
/// When syslog-ng is missing or does not listen in time.
#[must_use]
pub fn start(folder: &Path, input: &Input) -> ProgramReceiver {
    let root = target_dir().join("syslog-ng");
    let program = installed("syslog-ng", &[root.join("usr/sbin/syslog-ng")]);
    let port = free_port();
    let configuration = folder.join("syslog-ng.conf");
    std::fs::write(&configuration, text(folder, &root, input, port)).expect("the folder is writable");
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut receiver = ProgramReceiver::new("syslog-ng", program, folder, port, matches!(input, Input::Udp))
        .argument("-F")
        .argument("--no-caps")
        .argument("--stderr")
        .argument("-f")
        .argument(configuration.to_string_lossy())
        .argument("-R")
        .argument(file("syslog-ng.persist"))
        .argument("-p")
        .argument(file("syslog-ng.pid"))
        .argument("-c")
        .argument(file("syslog-ng.ctl"))
        .argument(format!("--module-path={}", modules(&root).display()))
        .variable("LD_LIBRARY_PATH", libraries(&root));
    receiver.start();
    receiver
}

/// Folders in `base`.
fn folders(base: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(base).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Folder of the modules: its name holds the version.
fn modules(root: &Path) -> PathBuf {
    let base = root.join("usr/lib/syslog-ng");
    folders(&base).into_iter().next().unwrap_or(base)
}

/// Folders of shared libraries: its own, and that of the machine's architecture.
fn libraries(root: &Path) -> PathBuf {
    let all: Vec<String> =
        folders(&root.join("usr/lib")).iter().map(|path| path.to_string_lossy().into_owned()).collect();
    PathBuf::from(all.join(":"))
}

fn text(folder: &Path, root: &Path, input: &Input, port: u16) -> String {
    let listen = match input {
        Input::Udp => {
            format!(
                "network(ip(\"127.0.0.1\") port({port}) transport(\"udp\") so-rcvbuf(4194304) flags(no-parse))"
            )
        }
        Input::TcpNewline => {
            format!("network(ip(\"127.0.0.1\") port({port}) transport(\"tcp\") flags(no-parse))")
        }
        Input::TcpCounted => {
            format!("syslog(ip(\"127.0.0.1\") port({port}) transport(\"tcp\") flags(no-parse))")
        }
        Input::Tls(files) => format!(
            "syslog(ip(\"127.0.0.1\") port({port}) transport(\"tls\") flags(no-parse) \
             tls(key-file(\"{}\") cert-file(\"{}\") ca-file(\"{}\") peer-verify(required-trusted)))",
            files.key.display(),
            files.certificate.display(),
            files.ca.display()
        ),
    };
    format!(
        "@version: 3.38\n\
         @define syslog-ng-data \"{root}/usr/share/syslog-ng\"\n\
         options {{ stats-freq(0); log-msg-size(65536); flush-lines(1); }};\n\
         source received {{ {listen}; }};\n\
         destination kept {{ file(\"{out}/received.log\" template(\"$MSG\\n\")); }};\n\
         log {{ source(received); destination(kept); }};\n",
        root = root.display(),
        out = folder.display()
    )
}
