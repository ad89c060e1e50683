//! Uploads of packages in pieces: where one stands is the length of its file, so it goes on after any break.
//!
//! A piece is written by a thread of its own and flushed to the disk before it is answered. When the client goes away
//! in the middle, what came is kept. There is one writer of an upload: who comes second, because the connection of the
//! first is dead without the controller knowing, takes over.

use super::files::{Begun, FileFault};
use super::verify::{self, Refused};
use super::{PackageRecord, Packages};
use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::store::{Batch, Condition, StoreError};
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use muster_package::archive::Verified;
use muster_package::keys::MAX_SIGNATURE;
use muster_package::manifest::{MAX_MANIFEST, MAX_SIZE};
use muster_package::statement::MAX_STATEMENT;
use muster_proto::api::PackageUpload;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

/// Largest file: the largest payload, what stands before it, and the archive's own headers.
pub const MAX_FILE: u64 = MAX_SIZE + (MAX_MANIFEST + MAX_STATEMENT + 3 * MAX_SIGNATURE + 64 * 1024) as u64;
/// Uploads that are open at a time.
const MAX_OPEN: usize = 8;
/// A piece of which nothing comes for so long is given up; what came is kept.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a writer may take to end that another takes over from.
const HAND_OVER: Duration = Duration::from_secs(10);
/// Parts of a piece between the connection and the disk.
const QUEUE: usize = 4;

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// What is announced is no digest.
    #[error("`{0}` is no SHA-256 in lower-case hexadecimal")]
    NoDigest(String),
    /// Too large or empty.
    #[error("a package has 1 to {MAX_FILE} bytes, and {0} were announced")]
    Size(u64),
    /// Too many are open.
    #[error(
        "{MAX_OPEN} uploads are open; finish one of them, or wait: one that nobody goes on with is removed after a day"
    )]
    TooMany,
    /// The repository is full.
    #[error(
        "the repository holds {packages} packages and {bytes} bytes, uploads included, and takes {most_packages} and \
         {most_bytes}; start the controller with higher --packages or --packages-total-megabytes"
    )]
    Full {
        /// How many there are.
        packages: usize,
        /// What they take.
        bytes: u64,
        /// Most of them.
        most_packages: usize,
        /// Most bytes.
        most_bytes: u64,
    },
    /// None was begun.
    #[error("no upload of {0} was begun, or it was refused or given up; begin it again with PUT")]
    NotBegun(String),
    /// The piece begins elsewhere.
    #[error("the next piece begins at {wanted}, not at {told}")]
    Offset {
        /// Where it has to begin.
        wanted: u64,
        /// Where it begins.
        told: u64,
    },
    /// More came than was announced.
    #[error("more than the announced {0} bytes came; the upload stands as before the surplus")]
    TooMuch(u64),
    /// Nothing came any more.
    #[error("nothing came for {} s; what came is kept, go on where it broke off", SILENCE.as_secs())]
    Silence,
    /// The connection broke.
    #[error("the piece broke off ({0}); what came is kept, go on where it broke off")]
    Broken(PayloadError),
    /// Somebody else goes on with it.
    #[error("somebody else goes on with this upload")]
    TakenOver,
    /// The file.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It is whole and not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread panicked.
    #[error("the package was not written, which is a fault of Muster; its log tells more")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// Who writes which upload.
#[derive(Debug, Default)]
pub(super) struct Writers(Mutex<BTreeMap<String, Writer>>);

#[derive(Debug)]
struct Writer {
    turn: Arc<tokio::sync::Mutex<()>>,
    stop: CancellationToken,
}

/// The right to write an upload.
#[derive(Debug)]
struct Claim {
    turn: OwnedMutexGuard<()>,
    stop: CancellationToken,
}

impl Writers {
    /// Ends the writer of an upload, if there is one, and takes its place.
    async fn claim(&self, sha256: &str) -> Result<Claim, UploadError> {
        let (turn, stop) = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody writes or waits for.
            all.retain(|_, writer| Arc::strong_count(&writer.turn) > 1);
            let stop = CancellationToken::new();
            let before = all.remove(sha256);
            let turn = before.map_or_else(Arc::default, |before| {
                before.stop.cancel();
                before.turn
            });
            all.insert(sha256.to_owned(), Writer { turn: Arc::clone(&turn), stop: stop.clone() });
            (turn, stop)
        };
        let turn = tokio::time::timeout(HAND_OVER, turn.lock_owned()).await;
        Ok(Claim { turn: turn.map_err(|_| UploadError::TakenOver)?, stop })
    }
}

/// An upload, and whether it is new.
pub struct Found {
    /// Where it stands.
    pub upload: PackageUpload,
    /// It was begun just now.
    pub new: bool,
}

/// What a piece led to.
pub struct Appended {
    sha256: String,
    size: u64,
    length: u64,
    /// Held until a whole file was looked at.
    _turn: OwnedMutexGuard<()>,
}

impl Packages {
    fn complete(&self, sha256: &str) -> Option<PackageUpload> {
        let package = self.find_file(sha256)?;
        let view = self.view(&package);
        let (sha256, size) = (package.sha256, package.size);
        view.present.then_some(PackageUpload { sha256, size, offset: size, package: Some(view) })
    }

    /// Begins an upload, or finds the one that was begun; one of a package that is there is over at once.
    ///
    /// # Errors
    /// If it may not be begun.
    pub async fn begin(&self, sha256: &str, size: u64) -> Result<Found, UploadError> {
        if !muster_package::is_sha256(sha256) {
            return Err(UploadError::NoDigest(crate::fleet::bounded(sha256, 80)));
        }
        if !(1..=MAX_FILE).contains(&size) {
            return Err(UploadError::Size(size));
        }
        let _changing = self.changing().await;
        if let Some(upload) = self.complete(sha256) {
            return Ok(Found { upload, new: false });
        }
        let at = |offset| PackageUpload { sha256: sha256.to_owned(), size, offset, package: None };
        let (own, others): (Vec<Begun>, Vec<Begun>) =
            self.files.begun()?.into_iter().partition(|begun| begun.sha256 == sha256);
        for begun in own {
            if begun.size == size {
                return Ok(Found { upload: at(length(&begun)), new: false });
            }
            // Whoever announced another size was wrong, or this one is: its digest will tell.
            self.files.drop_upload(sha256, begun.size)?;
        }
        self.check_limits(sha256, size, &others)?;
        let missing = others.iter().map(|begun| begun.size.saturating_sub(length(begun))).sum::<u64>();
        self.files.check_room(missing.saturating_add(size))?;
        self.files.append(sha256, size)?;
        Ok(Found { upload: at(0), new: true })
    }

    fn check_limits(&self, sha256: &str, size: u64, open: &[Begun]) -> Result<(), UploadError> {
        if open.len() >= MAX_OPEN {
            return Err(UploadError::TooMany);
        }
        let all = self.all();
        let others = || all.iter().filter(|package| package.sha256 != sha256);
        let packages = others().count() + open.len();
        let stored: u64 = others().map(|package| package.size).sum();
        let bytes = stored + open.iter().map(|begun| begun.size).sum::<u64>();
        if packages >= self.limits.packages || bytes.saturating_add(size) > self.limits.bytes {
            let (most_packages, most_bytes) = (self.limits.packages, self.limits.bytes);
            return Err(UploadError::Full { packages, bytes, most_packages, most_bytes });
        }
        Ok(())
    }

    /// Adds a piece that begins at `offset`.
    ///
    /// # Errors
    /// If it does not fit, or broke off; what came of it is kept.
    pub async fn append(
        &self,
        sha256: &str,
        offset: u64,
        piece: impl Stream<Item = Result<Bytes, PayloadError>>,
    ) -> Result<Appended, UploadError> {
        let not_begun = || UploadError::NotBegun(crate::fleet::bounded(sha256, 80));
        let find = || Ok::<_, UploadError>(self.files.begun()?.into_iter().find(|b| b.sha256 == sha256));
        find()?.ok_or_else(not_begun)?;
        let Claim { turn, stop } = self.writers.claim(sha256).await?;
        // The writer before may have come to the end.
        let size = find()?.ok_or_else(not_begun)?.size;
        let file = self.files.append(sha256, size)?;
        let begin = file.metadata().map_err(|e| self.files.write_fault(sha256, size, e))?.len();
        if offset != begin {
            return Err(UploadError::Offset { wanted: begin, told: offset });
        }
        let (parts, received) = mpsc::channel(QUEUE);
        // It holds the turn until all that came is on the disk, whatever becomes of the request.
        let writer = tokio::task::spawn_blocking(move || (write(file, received), turn));
        let sent = send(piece, &parts, &stop, begin, size).await;
        drop(parts);
        let (written, turn) = writer.await?;
        let written = written.map_err(|error| self.files.write_fault(sha256, size, error))?;
        sent?;
        let length = begin + written;
        Ok(Appended { sha256: sha256.to_owned(), size, length, _turn: turn })
    }
}

fn length(begun: &Begun) -> u64 {
    // One that is gone meanwhile begins anew.
    std::fs::metadata(&begun.path).map_or(0, |metadata| metadata.len())
}

/// Hands the parts of a piece to the writer as they come.
async fn send(
    piece: impl Stream<Item = Result<Bytes, PayloadError>>,
    parts: &mpsc::Sender<Bytes>,
    stop: &CancellationToken,
    begin: u64,
    size: u64,
) -> Result<(), UploadError> {
    let mut piece = std::pin::pin!(piece);
    let mut length = begin;
    loop {
        let next = stop.run_until_cancelled(tokio::time::timeout(SILENCE, piece.next())).await;
        let part = match next {
            None => return Err(UploadError::TakenOver),
            Some(Err(_)) => return Err(UploadError::Silence),
            Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(part))) => part.map_err(UploadError::Broken)?,
        };
        length += part.len() as u64;
        if length > size {
            return Err(UploadError::TooMuch(size));
        }
        if parts.send(part).await.is_err() {
            // The writer failed, and says why.
            return Ok(());
        }
    }
}

/// Writes what comes and flushes it to the disk; how much it was.
fn write(mut file: File, mut parts: mpsc::Receiver<Bytes>) -> io::Result<u64> {
    let mut written = 0;
    while let Some(part) = parts.blocking_recv() {
        file.write_all(&part)?;
        written += part.len() as u64;
    }
    file.sync_all()?;
    Ok(written)
}

/// Who uploads.
#[derive(Debug, Clone)]
pub struct Uploader {
    /// Name of the user.
    pub user: String,
    /// From where.
    pub from: IpAddr,
    /// Id of the API token, if one let the user in.
    pub token: Option<String>,
}

impl Uploader {
    fn actor(&self) -> Actor<'_> {
        Actor { name: &self.user, from: self.from, token: self.token.as_deref() }
    }
}

/// Where the upload stands after a piece. A file that is whole is verified and becomes a package, or is deleted.
///
/// # Errors
/// Why it is not taken.
pub async fn settle(app: &App, appended: Appended, by: &Uploader) -> Result<PackageUpload, UploadError> {
    let Appended { sha256, size, length, _turn } = appended;
    if length < size {
        return Ok(PackageUpload { sha256, size, offset: length, package: None });
    }
    let taken = match look(app, &sha256, size).await {
        Ok(verified) => store(app, &verified, &sha256, size, by).await,
        Err(error) => Err(error),
    };
    let package = match taken {
        Ok(package) => package,
        Err(error) => {
            if let UploadError::Refused(refused) = &error {
                app.packages.files.drop_upload(&sha256, size)?;
                let action = Outgoing::by_user(by.actor(), "package.refuse", sha256.as_str());
                app.commit(Batch::new(), action.detail(refused.to_string())).await?;
                tracing::warn!(sha256, user = by.user, reason = %refused, "an uploaded package was refused");
            }
            return Err(error);
        }
    };
    let view = app.packages.view(&package);
    Ok(PackageUpload { sha256, size, offset: size, package: Some(view) })
}

async fn look(app: &App, sha256: &str, size: u64) -> Result<Verified, UploadError> {
    let (path, mut trust) = (app.packages.files.upload(sha256, size), app.packages.trust());
    let announced = sha256.to_owned();
    let work = tokio::task::spawn_blocking(move || verify::verify(&path, &announced, &mut trust));
    Ok(work.await??)
}

/// Stores a package that was verified: file first, for a record without one would offer nothing.
async fn store(
    app: &App,
    verified: &Verified,
    sha256: &str,
    size: u64,
    by: &Uploader,
) -> Result<PackageRecord, UploadError> {
    let packages = &app.packages;
    let _changing = packages.changing().await;
    let record = verify::record(verified, sha256, size, &by.user, Timestamp::now());
    let manifest = &record.manifest;
    let present = packages.find(&manifest.name, &manifest.version, &manifest.platform);
    if let Some(other) = present.as_ref().filter(|present| present.sha256 != sha256) {
        let (title, present) = (other.title(), other.sha256.clone());
        return Err(Refused::Other { title, present }.into());
    }
    packages.files.keep(sha256, size)?;
    let mut batch = Batch::new();
    let trust = packages.with_statement(verified, &mut batch);
    // Where only its file was lost, the record stays as it is.
    let again = present.is_some();
    let record = present.unwrap_or(record);
    if !again {
        batch.put_json(record.key(), Condition::Absent, &record);
    }
    let action = Outgoing::by_user(by.actor(), "package.upload", record.title());
    let detail =
        format!("{size} bytes, SHA-256 {sha256}{}", if again { ", whose file was lost" } else { "" });
    if let Err(error) = app.commit(batch, action.detail(detail)).await {
        packages.files.drop_package(sha256)?;
        return Err(error.into());
    }
    tracing::info!(package = record.title(), user = by.user, "package uploaded");
    packages.take(record.clone());
    if let Some(trust) = trust {
        packages.state().trust = trust;
    }
    Ok(record)
}
