//! The command line of backups.

use clap::Subcommand;
use std::path::PathBuf;

/// `backup`.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Make a backup of the running controller now, in its folder of backups
    Create {
        /// Fetch it into this new file, too
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List the backups, when the next one is due, and what failed
    List,
    /// Fetch a backup into a new file, readable by you only
    Download {
        /// Name of the backup
        name: String,
        /// The file
        #[arg(long, short = 'f', value_name = "FILE")]
        file: PathBuf,
    },
    /// Read a backup wholly, here and without a controller, and say what it holds
    Verify {
        /// The file
        backup: PathBuf,
        /// File whose first line is the passphrase; only its owner may read it
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Which incarnation the controller is, and what its restore left to do
    Restored,
}
