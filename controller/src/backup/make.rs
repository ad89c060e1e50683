//! Makes one backup: what it holds is gathered in a moment, then written, read back and only then given its name.

use super::BackupConfig;
use super::schedule::file_name;
use crate::app::App;
use crate::audit_log::AuditLog;
use crate::identity::authority;
use crate::identity::file::{FileError, failed};
use crate::incarnation;
use crate::store::{Pair, StoreError};
use jiff::Timestamp;
use muster_backup::{BackupError, Content, Facts, verify, write};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// End of the name while a backup is written.
const PARTIAL: &str = "partial";

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// None is wanted.
    #[error(
        "this controller makes no backups: start it with --backup-dir DIR and --backup-passphrase-file FILE \
         (docs/operating/backup.md)"
    )]
    NotSet,
    /// Another one is in charge.
    #[error("a controller that was replaced by a restored one makes no backups")]
    Superseded,
    /// A file of the controller's own.
    #[error(transparent)]
    Source(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of backups.
    #[error(
        "the backup cannot be written to {folder}; check that it is there, its permissions and its space"
    )]
    Write {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was written cannot be read.
    #[error("the backup was written and could not be read back; is the disk good?")]
    ReadBack(#[source] BackupError),
    /// The thread that did it panicked.
    #[error("the backup was not finished, which is a fault of Muster; its log tells more")]
    Unfinished,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) taken_at: Timestamp,
    pub(super) bytes: u64,
}

/// What a backup is of: all of one moment.
struct Moment {
    taken_at: Timestamp,
    pairs: Vec<Pair>,
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
    audit: AuditLog,
    /// The audit log up to here.
    until: u64,
    facts: Facts,
}

/// Makes a backup.
pub(super) async fn make(app: &App, config: &BackupConfig, now: Timestamp) -> Result<Made, MakeError> {
    let moment = gather(app, now).await?;
    let config = config.clone();
    let work = tokio::task::spawn_blocking(move || store(&config, &moment));
    work.await.map_err(|_| MakeError::Unfinished)?
}

async fn gather(app: &App, now: Timestamp) -> Result<Moment, MakeError> {
    app.audit.drain().await;
    // Store and files of the authority change together in a roll-over.
    let _authority = app.authority.turn.lock().await;
    // What stands in the log by now was done before the snapshot; what comes in between is cut off again.
    let logged = app.audit.last();
    let store = std::sync::Arc::clone(&app.store);
    let pairs = tokio::task::spawn_blocking(move || store.snapshot()).await;
    let pairs = pairs.map_err(|_| MakeError::Unfinished)??;
    let until = logged.max(AuditLog::stored_head(&pairs)?);
    let mut files = Vec::new();
    for name in authority::FILES {
        let path = app.config.data_dir.join(name);
        match std::fs::read(&path) {
            Ok(content) => files.push((name.to_owned(), Zeroizing::new(content))),
            // There is a next one during a roll-over only.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name != authority::FILES[0] => {}
            Err(error) => return Err(failed("read", &path)(error).into()),
        }
    }
    let facts = Facts {
        product: concat!("muster-controller ", env!("CARGO_PKG_VERSION")).to_owned(),
        taken_at: now,
        incarnation: app.incarnation.present(),
        counts: counts(&pairs),
    };
    Ok(Moment { taken_at: now, pairs, files, audit: app.audit.clone(), until, facts })
}

/// How many there are of what, for people.
fn counts(pairs: &[Pair]) -> BTreeMap<String, u64> {
    let kinds = [
        ("agents", crate::fleet::record::PREFIX),
        ("policy revisions", crate::policy::REVISIONS),
        ("users", crate::user::USERS),
        ("enrolment tokens", crate::identity::token::PREFIX),
        ("rollouts", crate::rollout::HEADS),
        ("blocked keys", crate::fleet::record::BLOCKED_PREFIX),
    ];
    let count = |prefix: &str| pairs.iter().filter(|(key, _)| key.starts_with(prefix)).count() as u64;
    kinds.into_iter().map(|(kind, prefix)| (kind.to_owned(), count(prefix))).collect()
}

/// Writes, reads back, and gives the file its name: whatever is cut off before leaves no file that counts.
fn store(config: &BackupConfig, moment: &Moment) -> Result<Made, MakeError> {
    let refused = |source| MakeError::Write { folder: config.folder.clone(), source };
    make_folder(&config.folder).map_err(refused)?;
    let name = file_name(moment.taken_at);
    let partial = config.folder.join(format!(".{name}.{PARTIAL}"));
    let result = write_partial(config, moment, &partial).and_then(|bytes| {
        let path = config.folder.join(&name);
        std::fs::rename(&partial, &path).map_err(refused)?;
        File::open(&config.folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
        Ok(Made { name, taken_at: moment.taken_at, bytes })
    });
    if result.is_err() {
        // Where it was not made there is nothing to remove.
        let _ = std::fs::remove_file(&partial);
    }
    result
}

/// Makes the folder, but not what it is in: where that is a file system that is not mounted, backups would fill the
/// place below it.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
            error.kind(),
            "the folder that it is in is missing; is its file system mounted?",
        )),
        other => other,
    }
}

fn write_partial(config: &BackupConfig, moment: &Moment, partial: &Path) -> Result<u64, MakeError> {
    let refused = |source| MakeError::Write { folder: config.folder.clone(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(refused)?;
    let mut out = BufWriter::new(file);
    let content = Content {
        pairs: &moment.pairs,
        files: &moment.files,
        audit: &|each| moment.audit.each_segment(moment.until, each),
    };
    write(&mut out, &config.passphrase, config.work_factor, moment.facts.clone(), &content)
        .map_err(refused)?;
    out.flush().map_err(refused)?;
    let file = out.into_inner().map_err(|error| refused(error.into_error()))?;
    file.sync_all().map_err(refused)?;
    let bytes = file.metadata().map_err(refused)?.len();
    let written = File::open(partial).map_err(refused)?;
    let summary = verify(written, &config.passphrase).map_err(MakeError::ReadBack)?;
    if let Err(broken) = summary.chain {
        tracing::error!(
            error = &broken as &dyn std::error::Error,
            "the audit log in the backup is not whole"
        );
    }
    Ok(bytes)
}

/// Removes what a crash left half written.
pub(super) fn remove_partial(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".muster-") && name.ends_with(&format!(".{PARTIAL}")) {
            tracing::info!(file = name, "a backup that a crash cut off is removed");
            // The next start tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// What a backup holds of how backups are made says nothing at the place where it is restored.
pub(crate) const OWN_KEYS: [&str; 2] = [super::STATE, incarnation::SUPERSEDED];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_folder_itself_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("backups");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let below = dir.path().join("mnt/backups");
        let error = make_folder(&below).unwrap_err().to_string();
        assert!(error.contains("is its file system mounted"), "{error}");
        assert!(!dir.path().join("mnt").exists());
    }
}
