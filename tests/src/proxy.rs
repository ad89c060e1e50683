//! A small HTTP proxy for stories: it takes CONNECT, asks for a password if it has one, and can be told to
//! refuse.

use base64::Engine as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
struct Shared {
    sign_on: Option<String>,
    refuses: AtomicBool,
    stops: AtomicBool,
    tunnels: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn keep(&self, stream: &TcpStream) {
        if let Ok(stream) = stream.try_clone() {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A running proxy; stopped when dropped.
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ConnectProxy {
    /// Starts it; `sign_on` is `user:password` where it wants one.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start(sign_on: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let encode = |pair: &str| base64::engine::general_purpose::STANDARD.encode(pair);
        let shared = Arc::new(Shared { sign_on: sign_on.map(encode), ..Shared::default() });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ours.stops.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&ours);
                // Ends with its connections.
                std::thread::spawn(move || serve(client, &shared));
            }
        });
        Self { address, shared }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many tunnels it made.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.shared.tunnels.load(Ordering::Relaxed)
    }

    /// From now on it refuses (403), and cuts what is open.
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::Relaxed);
        self.shared.cut();
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Relaxed);
        self.shared.cut();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(client: TcpStream, shared: &Shared) {
    let Ok(reading) = client.try_clone() else { return };
    let mut reader = BufReader::new(reading);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(1..) if line.trim_end().is_empty() => break,
            Ok(1..) => head.push(line.trim_end().to_owned()),
            Ok(0) | Err(_) => return,
        }
    }
    let answer = |text: &str| {
        let _ = (&client).write_all(format!("HTTP/1.1 {text}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    };
    let target = head.first().and_then(|line| line.strip_prefix("CONNECT ")?.split(' ').next());
    let Some(target) = target else { return answer("405 Method Not Allowed") };
    let proven = shared.sign_on.as_ref().is_none_or(|pair| {
        let wanted = format!("basic {pair}");
        head.iter().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("proxy-authorization")
                    && value.trim().len() == wanted.len()
                    && value.trim()[..6].eq_ignore_ascii_case("basic ")
                    && value.trim()[6..] == wanted[6..]
            })
        })
    });
    if !proven {
        return answer("407 Proxy Authentication Required");
    }
    if shared.refuses.load(Ordering::Relaxed) {
        return answer("403 Forbidden");
    }
    let Ok(server) = TcpStream::connect(target) else { return answer("502 Bad Gateway") };
    shared.keep(&client);
    shared.keep(&server);
    shared.tunnels.fetch_add(1, Ordering::Relaxed);
    if (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_err() {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut reader, &mut &server);
            let _ = server.shutdown(std::net::Shutdown::Write);
        });
        let _ = std::io::copy(&mut &server, &mut &client);
        let _ = client.shutdown(std::net::Shutdown::Write);
    });
}
