//! A network namespace for stories: a program in it reaches ports of the host by the same addresses, until the network
//! is cut. Then nothing is closed: what is open hangs, and new connections fail, as when an interface goes down.

use crate::eventually::eventually;
use crate::process::Process;
use crate::results::not_run;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A namespace; gone when dropped.
pub struct Namespace {
    /// Keeps it alive.
    holder: Process,
    stops: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Namespace {
    /// Whether one can be made and used here; says why where not.
    ///
    /// # Panics
    /// Where it cannot and the full size is asked for: a story that does not run proves nothing.
    #[must_use]
    pub fn possible() -> bool {
        let tried = Command::new("unshare")
            .args(["--net", "sh", "-c", "exec nsenter --net --target $$ ip link set lo up"])
            .stdin(Stdio::null())
            .output();
        let why = match tried {
            Ok(output) if output.status.success() => return true,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        not_run(&format!("a network namespace takes root and the programs unshare, nsenter and ip: {why}"));
        false
    }

    /// Makes one in which these ports of 127.0.0.1 lead to those of the host. `folder` takes a log.
    ///
    /// # Panics
    /// When it cannot be made: it takes root and the programs `unshare`, `nsenter` and `ip`.
    #[must_use]
    pub fn new(folder: &Path, ports: &[u16]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]);
        let holder = Process::start("namespace", &mut command, &folder.join("namespace.log"));
        let mut namespace = Self { holder, stops: Arc::default(), threads: Vec::new() };
        let ours = std::fs::read_link("/proc/self/ns/net").expect("this process has a namespace");
        let theirs = format!("/proc/{}/ns/net", namespace.holder.id());
        eventually("there is another network namespace", LIMIT, || match std::fs::read_link(&theirs) {
            Ok(link) if link != ours => Ok(()),
            other => Err(format!("{other:?}: {}", namespace.holder.log())),
        });
        namespace.connect();
        for port in ports {
            namespace.forward(*port);
        }
        namespace
    }

    /// The command, run in the namespace: the process that is started is the program itself.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string()]).arg(program);
        command
    }

    /// The network works.
    ///
    /// # Panics
    /// When the namespace cannot be changed.
    pub fn connect(&self) {
        self.link("up");
    }

    /// Nothing gets through from now on.
    ///
    /// # Panics
    /// When the namespace cannot be changed.
    pub fn cut(&self) {
        self.link("down");
    }

    fn link(&self, state: &str) {
        let mut command = self.command(Path::new("ip"));
        let status = command.args(["link", "set", "lo", state]).stdin(Stdio::null()).status();
        assert!(status.expect("nsenter and ip start").success(), "the network cannot be set {state}");
    }

    /// Listens in the namespace and connects to the host.
    fn forward(&mut self, port: u16) {
        let path = format!("/proc/{}/ns/net", self.holder.id());
        let inside = std::thread::spawn(move || {
            // A socket belongs to where it was made, whoever uses it.
            let namespace = File::open(path)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        });
        let listener = inside.join().expect("no panic").expect("the namespace is entered");
        let stops = Arc::clone(&self.stops);
        self.threads.push(std::thread::spawn(move || {
            rustix::net::sockopt::set_socket_timeout(
                &listener,
                rustix::net::sockopt::Timeout::Recv,
                Some(Duration::from_millis(200)),
            )
            .expect("a socket");
            while !stops.load(Ordering::Relaxed) {
                let Ok((client, _)) = listener.accept() else { continue };
                // Taken over from the listener, where it lets the thread end.
                client.set_read_timeout(None).expect("a socket");
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                pass(&client, &server);
                pass(&server, &client);
            }
        }));
    }
}

/// Passes on what comes, to the end of either.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // Either may be closed already.
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    });
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
