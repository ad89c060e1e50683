//! Everything that an upgrade changes on disk goes through here, so that a test can play a power cut after each change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Changes of files and folders.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it, readable by the agent only.
    ///
    /// # Errors
    /// As the system says.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for writing, readable by the agent only: at its end, or emptied.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DiskFile>>;

    /// Lets a file be run by the agent.
    ///
    /// # Errors
    /// As the system says.
    fn make_executable(&self, path: &Path) -> io::Result<()>;

    /// Makes sure that the names in a folder outlive a power cut.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or folder, replacing a file.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with all in it; one that is not there is as well.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Makes sure that what was written outlives a power cut.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// Before each change.
    fn about_to_change(self) {
        #[cfg(feature = "bad-build")]
        crate::bad_build::count_change();
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        RealDisk.about_to_change();
        self.sync_all()
    }
}

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.about_to_change();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DiskFile>> {
        self.about_to_change();
        let mut options = OpenOptions::new();
        options.create(true).append(append).write(true).truncate(!append).mode(0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn make_executable(&self, path: &Path) -> io::Result<()> {
        self.about_to_change();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.about_to_change();
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.about_to_change();
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.about_to_change();
        let gone = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match gone {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Bytes that an upgrade leaves free: cursors, policies and spools are on the same disk.
pub const RESERVE: u64 = 64 * 1024 * 1024;

/// Bytes that the agent may still write on the disk of a file or folder; none where that cannot be told.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Replaces a file: what is read after a power cut is the old content or the new one.
///
/// # Errors
/// As the system says; the old content is there then.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = disk.open(beside, false)?;
    file.write_all(content)?;
    file.sync()?;
    drop(file);
    disk.rename(beside, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}
