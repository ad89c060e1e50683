//! Fetching from a small server over real TLS that cuts off, is busy, or lies.

use super::Access;
use super::disk::{Disk, DiskFile, RealDisk};
use super::fetch::Fetch;
use super::offer::OfferedFile;
use crate::uplink::endpoint::Endpoint;
use crate::uplink::testing::Authority;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const SIZE: usize = 300_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

/// What the server does with a request; it is given the start that was asked for.
type Answer = fn(usize) -> Vec<u8>;

fn whole(_: usize) -> Vec<u8> {
    let content = content();
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes(), &content].concat()
}

fn cut(_: usize) -> Vec<u8> {
    let mut answer = whole(0);
    answer.truncate(100_000);
    answer
}

fn rest(start: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{SIZE}\r\n\r\n",
        SIZE - start,
        SIZE - 1
    );
    [head.as_bytes(), &content()[start..]].concat()
}

fn busy(_: usize) -> Vec<u8> {
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec()
}

fn gone(_: usize) -> Vec<u8> {
    let body = r#"{"type":"x","title":"no such package","status":404,"detail":"it was removed"}"#;
    format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn huge(_: usize) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n".to_vec()
}

fn elsewhere(_: usize) -> Vec<u8> {
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/300000\r\n\r\n0123456789".to_vec()
}

struct Rig {
    access: Access,
    url: String,
    /// Starts that were asked for, one a request.
    asked: Arc<Mutex<Vec<usize>>>,
    folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rig {
    async fn new(answers: &'static [Answer]) -> Self {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = TlsAcceptor::from(authority.server_tls());
        let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
        let note = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            for answer in answers {
                let Ok((socket, _)) = listener.accept().await else { return };
                let Ok(mut stream) = tls.accept(socket).await else { return };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).await.is_err() {
                        return;
                    }
                    request.extend(byte);
                }
                let request = String::from_utf8(request).unwrap().to_lowercase();
                let start =
                    request.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
                let start = start.map_or(0, |start| start.parse().unwrap());
                note.lock().unwrap().push(start);
                // The client may hang up before it has read all.
                let _ = stream.write_all(&answer(start)).await;
                let _ = stream.shutdown().await;
            }
        });
        let keys = authority.agent_keys(false);
        let access = Access {
            endpoint: Endpoint::parse(&url).unwrap(),
            tls: keys.tls(crate::enrol::keyring::Shown::Current),
            proxy: None,
        };
        Self { access, url, asked, folder: tempfile::tempdir().unwrap(), task }
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("package.part")
    }

    async fn fetch(&self, url: &str, disk: &dyn Disk) -> Result<Vec<u8>, String> {
        let file = OfferedFile { url: url.to_owned(), sha256: "ab".repeat(32) };
        let percent = Mutex::new(0.0);
        let tell = |now: f64, _: f64| *percent.lock().unwrap() = now;
        let (_connected, access) = watch::channel(Some(self.access.clone()));
        let last = RefCell::default();
        let fetch = Fetch { access, file: &file, part: &self.part(), disk, tell: &tell, last };
        fetch.run().await?;
        assert_eq!(*percent.lock().unwrap(), 100.0);
        Ok(std::fs::read(self.part()).unwrap())
    }

    fn package(&self) -> String {
        format!("{}/v1/packages/abc", self.url)
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_broke_off_goes_on_where_it_was() {
    let rig = Rig::new(&[cut, busy, rest]).await;
    assert_eq!(rig.fetch(&rig.package(), &RealDisk).await.unwrap(), content());
    let asked = rig.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[0] == 0 && asked[1] > 90_000 && asked[1] == asked[2], "{asked:?}");
}

#[tokio::test]
async fn a_server_that_does_not_resume_begins_anew() {
    let rig = Rig::new(&[cut, whole]).await;
    assert_eq!(rig.fetch(&rig.package(), &RealDisk).await.unwrap(), content());
}

#[tokio::test]
async fn what_will_not_get_better_ends_with_the_reason() {
    for (answer, expected) in
        [(gone as Answer, "it was removed"), (huge, "more than"), (elsewhere, "from byte 5 instead of 0")]
    {
        let answers: &'static [Answer] = Box::leak(Box::new([answer]));
        let rig = Rig::new(answers).await;
        let why = rig.fetch(&rig.package(), &RealDisk).await.unwrap_err();
        assert!(why.contains(expected), "{expected}: {why}");
    }
}

#[tokio::test]
async fn only_the_connected_controller_is_asked() {
    let rig = Rig::new(&[whole]).await;
    for url in ["https://127.0.0.1:1/elsewhere", "nonsense"] {
        let why = rig.fetch(url, &RealDisk).await.unwrap_err();
        assert!(why.contains("package's address"), "{why}");
    }
    assert!(rig.asked().is_empty());
    // An address of another controller: the connected one has it as well, and nobody else is asked.
    let got = rig.fetch("https://elsewhere.example:4320/v1/packages/abc", &RealDisk).await;
    assert_eq!(got.unwrap(), content());
    assert_eq!(rig.asked(), [0]);
}

/// A disk on which this many bytes fit.
struct Full(usize);

struct FullFile(Box<dyn DiskFile>, usize);

impl Write for FullFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 =
            self.1.checked_sub(bytes.len()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        self.0.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for FullFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for Full {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_dir(path)
    }

    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FullFile(RealDisk.open(path, append)?, self.0)))
    }

    fn make_executable(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_executable(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    let rig = Rig::new(&[whole]).await;
    let why = rig.fetch(&rig.package(), &Full(50_000)).await.unwrap_err();
    assert!(why.contains("cannot be written") && why.contains("make room"), "{why}");
    assert!(!rig.part().exists());
}
