//! The TCP receiver of all runs: this process, counting line ends.
//!
//! The rate is that of the part after the first tenth, when all connections are made and the batches are
//! large.

use anyhow::{Context as _, ensure};
use muster_tests::process::Process;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the sender is looked at while messages are awaited.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What has arrived so far.
#[derive(Debug, Default)]
struct Counted {
    events: u64,
    bytes: u64,
    /// When each tenth was full.
    tenths: Vec<Instant>,
    /// Why receiving ended early.
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    counted: Mutex<Counted>,
    changed: Condvar,
}

/// A TCP receiver that counts line ends.
pub struct Receiver {
    /// Where it listens.
    pub address: String,
    expected: u64,
    shared: Arc<Shared>,
}

/// All that was expected.
#[derive(Debug)]
pub struct Received {
    events: u64,
    /// Bytes of all messages with their line ends.
    pub bytes: u64,
    first_tenth: Instant,
    last_tenth: Instant,
}

impl Received {
    /// Events a second from `start` to the end.
    pub fn overall(&self, start: Instant) -> f64 {
        self.events as f64 / (self.last_tenth - start).as_secs_f64()
    }

    /// Events a second after the first tenth.
    pub fn steady(&self) -> f64 {
        self.events as f64 * 0.9 / (self.last_tenth - self.first_tenth).as_secs_f64()
    }
}

impl Receiver {
    /// Listens; ends with the process.
    pub fn start(expected: u64) -> anyhow::Result<Self> {
        Self::listen(expected, None)
    }

    /// The same, writing all bytes into a file.
    pub fn keeping(expected: u64, file: &Path) -> anyhow::Result<Self> {
        let kept = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        Self::listen(expected, Some(kept))
    }

    fn listen(expected: u64, mut kept: Option<File>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared::default());
        let counting = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if let Err(error) = count(stream, expected, &counting, kept.as_mut()) {
                    let mut counted = counting.counted.lock().unwrap_or_else(PoisonError::into_inner);
                    counted.failure = Some(format!("{error:#}"));
                    counting.changed.notify_all();
                    return;
                }
            }
        });
        Ok(Self { address, expected, shared })
    }

    /// Waits for as many events as are expected, as long as `sender` runs.
    pub fn await_all(&self, sender: &mut Process, limit: Duration) -> anyhow::Result<Received> {
        let end = Instant::now() + limit;
        let mut counted = self.shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
        while counted.tenths.len() < 10 {
            if let Some(failure) = &counted.failure {
                anyhow::bail!("the receiver failed: {failure}");
            }
            let waiting = format!("{} of {} events arrived", counted.events, self.expected);
            ensure!(sender.is_running(), "the sender has ended when {waiting}; its log: {}", sender.log());
            ensure!(Instant::now() < end, "only {waiting} within {limit:?}; sender's log: {}", sender.log());
            let woken = self.shared.changed.wait_timeout(counted, LOOK_EVERY);
            counted = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        ensure!(
            counted.events == self.expected,
            "{} events arrived where {} were expected",
            counted.events,
            self.expected
        );
        let (events, bytes) = (counted.events, counted.bytes);
        Ok(Received { events, bytes, first_tenth: counted.tenths[0], last_tenth: counted.tenths[9] })
    }
}

/// Counts one connection to its end.
fn count(
    mut stream: TcpStream,
    expected: u64,
    shared: &Shared,
    mut kept: Option<&mut File>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    // How a connection ends is the sender's affair.
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        let lines = buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(file) = kept.as_mut() {
            file.write_all(&buffer[..read]).context("cannot keep what arrived")?;
        }
        let mut counted = shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.events += lines;
        counted.bytes += read as u64;
        while counted.tenths.len() < 10 && counted.events >= threshold(expected, counted.tenths.len() as u64)
        {
            counted.tenths.push(Instant::now());
            shared.changed.notify_all();
        }
    }
    Ok(())
}

/// How many events fill a tenth; the last one takes what the division left.
fn threshold(expected: u64, tenth: u64) -> u64 {
    if tenth == 9 { expected } else { expected / 10 * (tenth + 1) }
}
