//! Receivers of syslog: a small one in the test's own process, and Debian's rsyslog and syslog-ng.

mod frames;
pub mod pki;
mod program;
pub mod rsyslog;
pub mod syslog_ng;

pub use program::{ProgramReceiver, TlsFiles, free_port};

use crate::eventually::eventually;
use frames::Frames;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Receive buffer of a connection: small, so that what a killed receiver had not read is little.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// Most bytes that the kernel keeps unread for a connection: Linux doubles what is asked for.
pub const UNREAD_BYTES: u64 = 2 * RECEIVE_BUFFER as u64;

/// How soon a thread notices that it is to end.
const TICK: Duration = Duration::from_millis(20);

/// What is spoken at the port.
#[derive(Clone)]
pub enum Port {
    /// One message a datagram.
    Udp,
    /// Newline or octet counting, told apart message by message.
    Tcp,
    /// The same in TLS.
    Tls(Arc<ServerConfig>),
}

/// How fast connections are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pace {
    /// As fast as possible.
    Full = 0,
    /// A few KiB every 20 ms.
    Slow = 1,
    /// Not at all; connections stay open.
    Stalled = 2,
}

#[derive(Default)]
struct Inbox {
    messages: Mutex<Vec<(Instant, Vec<u8>)>>,
    connections: AtomicUsize,
    pace: AtomicU8,
}

impl Inbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Vec<u8>)>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: &[u8]) {
        self.lock().push((Instant::now(), message.to_vec()));
    }
}

struct Running {
    alive: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

/// A receiver in this process. What it has received survives its own kill and restart, as a SIEM's
/// storage would.
pub struct Receiver {
    port: Port,
    address: SocketAddr,
    inbox: Arc<Inbox>,
    running: Option<Running>,
}

impl Receiver {
    /// Starts on a free port of the loopback.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start(port: Port) -> Self {
        let mut receiver =
            Self { port, address: ([127, 0, 0, 1], 0).into(), inbox: Arc::default(), running: None };
        receiver.restart();
        receiver
    }

    /// `127.0.0.1:port`, the same after a restart.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Kills it: what its kernel buffers hold is lost, connections break.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.alive.store(false, Ordering::Release);
            let _ = running.accepting.join();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When the port was taken meanwhile.
    pub fn restart(&mut self) {
        self.kill();
        let alive = Arc::new(AtomicBool::new(true));
        let (inbox, flag) = (Arc::clone(&self.inbox), Arc::clone(&alive));
        let accepting = match &self.port {
            Port::Udp => {
                let socket = UdpSocket::bind(self.address).expect("the port is free");
                self.address = socket.local_addr().expect("a bound socket has an address");
                std::thread::spawn(move || receive_datagrams(&socket, &inbox, &flag))
            }
            Port::Tcp | Port::Tls(_) => {
                let listener = listen(self.address).expect("the port is free");
                self.address = listener.local_addr().expect("a bound socket has an address");
                let port = self.port.clone();
                std::thread::spawn(move || accept(&listener, &port, &inbox, &flag))
            }
        };
        self.running = Some(Running { alive, accepting });
    }

    /// Sets how fast it reads from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.inbox.pace.store(pace as u8, Ordering::Release);
    }

    /// How many messages it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inbox.lock().len()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inbox.connections.load(Ordering::Acquire)
    }

    /// The messages in order of arrival, without frames.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.inbox.lock().iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// The messages with the moments of their arrival.
    #[must_use]
    pub fn arrivals(&self) -> Vec<(Instant, String)> {
        let text = |(at, bytes): &(Instant, Vec<u8>)| (*at, String::from_utf8_lossy(bytes).into_owned());
        self.inbox.lock().iter().map(text).collect()
    }

    /// Hands each message out once and forgets it.
    #[must_use]
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.inbox.lock()).into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The same with the moments of their arrival, as text.
    #[must_use]
    pub fn take_arrivals(&self) -> Vec<(Instant, String)> {
        let text = |(at, bytes): (Instant, Vec<u8>)| (at, String::from_utf8_lossy(&bytes).into_owned());
        std::mem::take(&mut *self.inbox.lock()).into_iter().map(text).collect()
    }

    /// Waits until it has at least `count` messages.
    ///
    /// # Panics
    /// After `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) {
        eventually(&format!("{count} messages"), limit, || match self.count() {
            got if got >= count => Ok(()),
            got => Err(format!("{got} messages")),
        });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener, port: &Port, inbox: &Arc<Inbox>, alive: &Arc<AtomicBool>) {
    let mut connections = Vec::new();
    while alive.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                inbox.connections.fetch_add(1, Ordering::AcqRel);
                let (port, inbox, alive) = (port.clone(), Arc::clone(inbox), Arc::clone(alive));
                connections.push(std::thread::spawn(move || {
                    // How a connection ends is the sender's affair.
                    let _ = serve(stream, &port, &inbox, &alive);
                }));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(stream: TcpStream, port: &Port, inbox: &Inbox, alive: &AtomicBool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    match port {
        Port::Udp => Ok(()),
        Port::Tcp => read_frames(stream, inbox, alive),
        Port::Tls(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            read_frames(StreamOwned::new(connection, stream), inbox, alive)
        }
    }
}

fn read_frames(mut stream: impl Read, inbox: &Inbox, alive: &AtomicBool) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 64 * 1024];
    while alive.load(Ordering::Acquire) {
        let pace = inbox.pace.load(Ordering::Acquire);
        if pace == Pace::Stalled as u8 {
            std::thread::sleep(TICK);
            continue;
        }
        let length = if pace == Pace::Slow as u8 {
            std::thread::sleep(TICK);
            4 * 1024
        } else {
            buffer.len()
        };
        match stream.read(&mut buffer[..length]) {
            Ok(0) => return Ok(()),
            Ok(count) => frames.push(&buffer[..count], |message| inbox.push(message)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive_datagrams(socket: &UdpSocket, inbox: &Inbox, alive: &AtomicBool) {
    // Without a time-out the thread could not be told to end.
    socket.set_read_timeout(Some(TICK)).expect("a time-out can be set");
    let mut buffer = vec![0; 65_536];
    while alive.load(Ordering::Acquire) {
        if let Ok(count) = socket.recv(&mut buffer) {
            inbox.push(&buffer[..count]);
        }
    }
}
