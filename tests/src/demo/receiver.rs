//! What plays the SIEM: rsyslog where it is installed, otherwise a small receiver of our own. Both take
//! lines over TCP on a free port of the loopback address.

use super::process::{Children, LOOK_EVERY, await_file};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Longest line that our own receiver takes; events are far shorter.
const LONGEST_LINE: u64 = 64 * 1024;
/// Lines that wait for the terminal; then the receiver stops reading, and TCP slows the agents down.
const QUEUE: usize = 1_024;

/// A receiver and its lines.
pub(super) struct Receiver {
    /// Its port.
    pub(super) port: u16,
    /// For people.
    pub(super) description: String,
    lines: mpsc::Receiver<String>,
}

impl Receiver {
    /// Starts it.
    pub(super) async fn start(children: &mut Children) -> anyhow::Result<Self> {
        match rsyslogd() {
            Some(program) => Self::start_rsyslog(&program, children).await,
            None => Self::start_own().await,
        }
    }

    /// The next line.
    pub(super) async fn next(&mut self) -> anyhow::Result<String> {
        self.lines.recv().await.context("the receiver has ended")
    }

    async fn start_rsyslog(program: &Path, children: &mut Children) -> anyhow::Result<Self> {
        let folder = children.folder().join("rsyslog");
        std::fs::create_dir_all(&folder)?;
        let (port_file, received) = (folder.join("port"), folder.join("received.log"));
        let config = folder.join("rsyslog.conf");
        std::fs::write(&config, rsyslog_config(&folder, &port_file, &received))?;
        std::fs::write(&received, "")?;
        let (config, pid) = (config.display().to_string(), folder.join("pid").display().to_string());
        children.start("rsyslog", program, &["-n", "-f", &config, "-i", &pid])?;
        let port = await_file(&port_file, children).await?.parse().context("rsyslog's port")?;
        let (sender, lines) = mpsc::channel(QUEUE);
        let path = received.clone();
        tokio::spawn(async move {
            if let Err(error) = follow(&path, &sender).await {
                eprintln!("cannot follow {}: {error}", path.display());
            }
        });
        Ok(Self {
            port,
            description: format!("rsyslog on 127.0.0.1:{port}, TCP; keeps {}", received.display()),
            lines,
        })
    }

    async fn start_own() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (sender, lines) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut reader = BufReader::new(stream);
                    let mut line = Vec::new();
                    while (&mut reader)
                        .take(LONGEST_LINE)
                        .read_until(b'\n', &mut line)
                        .await
                        .is_ok_and(|n| n > 0)
                    {
                        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                        line.clear();
                        if sender.send(text).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self {
            port,
            description: format!("our own on 127.0.0.1:{port}, TCP (rsyslog is not installed)"),
            lines,
        })
    }
}

fn rsyslogd() -> Option<PathBuf> {
    ["/usr/sbin/rsyslogd", "/sbin/rsyslogd", "/usr/local/sbin/rsyslogd"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

fn rsyslog_config(folder: &Path, port_file: &Path, received: &Path) -> String {
    format!(
        "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n\
         module(load=\"imtcp\")\n\
         template(name=\"asItCame\" type=\"string\" string=\"%rawmsg%\\n\")\n\
         ruleset(name=\"siem\") {{\n  action(type=\"omfile\" file=\"{}\" template=\"asItCame\")\n}}\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{}\" ruleset=\"siem\")\n",
        folder.display(),
        received.display(),
        port_file.display()
    )
}

/// Sends each line that is added to a file, as `tail -f`.
async fn follow(path: &Path, sender: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(tokio::fs::File::open(path).await?);
    let mut line = String::new();
    loop {
        let begin = reader.stream_position().await?;
        reader.read_line(&mut line).await?;
        if line.ends_with('\n') {
            if sender.send(line.trim_end().to_owned()).await.is_err() {
                return Ok(());
            }
        } else {
            // Nothing yet, or half a line: again from its begin. Files do not announce that they grew.
            reader.seek(std::io::SeekFrom::Start(begin)).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        line.clear();
    }
}
