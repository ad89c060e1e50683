//! Debian's rsyslog as a receiver, unprivileged, in a folder of its own.

use super::program::{ProgramReceiver, TlsFiles, find, free_port, installed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it listens to.
#[derive(Debug, Clone)]
pub enum Input {
    /// imudp.
    Udp,
    /// imtcp, both frames.
    Tcp,
    /// imtcp in TLS (GnuTLS driver); clients need a certificate of the authority.
    Tls(TlsFiles),
}

/// Writes a configuration into `folder` and starts rsyslog with it. Each message is written as it came
/// (`rawmsg`); control bytes are left as they are, so that tabs can be compared.
///
/// # Panics
/// When rsyslog is missing or does not listen in time.
#[must_use]
pub fn start(folder: &Path, input: &Input) -> ProgramReceiver {
    let program = installed("rsyslogd", &places());
    let port = free_port();
    let configuration = folder.join("rsyslog.conf");
    std::fs::write(&configuration, text(folder, input, port)).expect("the folder is writable");
    let mut receiver = ProgramReceiver::new("rsyslog", program, folder, port, matches!(input, Input::Udp));
    for argument in arguments(folder, &configuration) {
        receiver = receiver.argument(argument);
    }
    receiver.start();
    receiver
}

/// The command that runs rsyslog in the foreground with a configuration of the caller, its own files in
/// `folder`; none where rsyslog is missing.
#[must_use]
pub fn command(folder: &Path, configuration: &Path) -> Option<Command> {
    let mut command = Command::new(find(&places())?);
    command.args(arguments(folder, configuration));
    Some(command)
}

fn places() -> [PathBuf; 2] {
    ["/usr/sbin/rsyslogd".into(), "/sbin/rsyslogd".into()]
}

fn arguments(folder: &Path, configuration: &Path) -> [String; 5] {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let identity = text(&folder.join("rsyslog.pid"));
    ["-n".to_owned(), "-f".to_owned(), text(configuration), "-i".to_owned(), identity]
}

fn text(folder: &Path, input: &Input, port: u16) -> String {
    let out = folder.display();
    let (tls, listen) = match input {
        Input::Udp => (
            String::new(),
            format!(
                "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" rcvbufSize=\"4m\")"
            ),
        ),
        Input::Tcp => (
            String::new(),
            format!("module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"),
        ),
        Input::Tls(files) => (
            format!(
                " defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
                 defaultNetstreamDriverKeyFile=\"{}\"",
                files.ca.display(),
                files.certificate.display(),
                files.key.display()
            ),
            format!(
                "module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" \
                 streamDriver.authMode=\"x509/certvalid\")\n\
                 input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"
            ),
        ),
    };
    format!(
        "global(workDirectory=\"{out}\" maxMessageSize=\"64k\" \
         parser.escapeControlCharactersOnReceive=\"off\"{tls})\n\
         {listen}\n\
         template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
         action(type=\"omfile\" file=\"{out}/received.log\" template=\"raw\" fileCreateMode=\"0600\")\n"
    )
}
