//! Debian's syslog-ng as a receiver. It cannot be installed beside rsyslog, so
//! `tests/tools/install-syslog-ng.sh` unpacks it below `target/syslog-ng`.

use super::program::{ProgramReceiver, TlsFiles, find, free_port, installed};
use crate::results::target_dir;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let root = root();
    let program = installed("syslog-ng", &[program(&root)]);
    let port = free_port();
    let configuration = folder.join("syslog-ng.conf");
    std::fs::write(&configuration, text(folder, input, port)).expect("the folder is writable");
    let mut receiver = ProgramReceiver::new("syslog-ng", program, folder, port, matches!(input, Input::Udp))
        .variable("LD_LIBRARY_PATH", libraries(&root));
    for argument in arguments(folder, &root, &configuration) {
        receiver = receiver.argument(argument);
    }
    receiver.start();
    receiver
}

/// The command that runs syslog-ng in the foreground with a configuration of the caller, which begins with
/// [`preamble`], its own files in `folder`; none where syslog-ng is missing.
#[must_use]
pub fn command(folder: &Path, configuration: &Path) -> Option<Command> {
    let root = root();
    let mut command = Command::new(find(&[program(&root)])?);
    command.args(arguments(folder, &root, configuration)).env("LD_LIBRARY_PATH", libraries(&root));
    Some(command)
}

/// First lines of every configuration: its version, and where the program finds its own files.
#[must_use]
pub fn preamble() -> String {
    format!("@version: 3.38\n@define syslog-ng-data \"{}/usr/share/syslog-ng\"\n", root().display())
}

/// Where it was unpacked.
fn root() -> PathBuf {
    target_dir().join("syslog-ng")
}

fn program(root: &Path) -> PathBuf {
    root.join("usr/sbin/syslog-ng")
}

fn arguments(folder: &Path, root: &Path, configuration: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut arguments: Vec<String> = ["-F", "--no-caps", "--stderr", "-f"].map(str::to_owned).to_vec();
    arguments.push(configuration.to_string_lossy().into_owned());
    for (option, name) in [("-R", "syslog-ng.persist"), ("-p", "syslog-ng.pid"), ("-c", "syslog-ng.ctl")] {
        arguments.extend([option.to_owned(), file(name)]);
    }
    arguments.push(format!("--module-path={}", modules(root).display()));
    arguments
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

fn text(folder: &Path, input: &Input, port: u16) -> String {
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
        "{preamble}options {{ stats-freq(0); log-msg-size(65536); flush-lines(1); }};\n\
         source received {{ {listen}; }};\n\
         destination kept {{ file(\"{out}/received.log\" template(\"$MSG\\n\")); }};\n\
         log {{ source(received); destination(kept); }};\n",
        preamble = preamble(),
        out = folder.display()
    )
}
