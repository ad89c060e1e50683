//! Arguments of what administers users, sessions, tokens of programs, the audit log and settings.

use crate::args::parse_duration;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use muster_proto::api::{Role, Scope};
use muster_shared::partition::PartitionKey;
use std::path::PathBuf;
use std::time::Duration;

/// `users`.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List users
    List,
    /// Make a user; a one-time password is made and printed unless one is given
    Create {
        /// Name
        name: String,
        /// viewer, operator, approver or admin
        #[arg(long)]
        role: Role,
        /// Read the first password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Change what a user may do, from now on, in open sessions too
    Role {
        /// Name
        name: String,
        /// viewer, operator, approver or admin
        role: Role,
    },
    /// Keep a user out: sessions end, API tokens stop working
    Disable {
        /// Name
        name: String,
    },
    /// Let a disabled user in again
    Enable {
        /// Name
        name: String,
    },
    /// Delete a user with sessions and API tokens
    Delete {
        /// Name
        name: String,
    },
    /// Give a user another password; a one-time password is made and printed unless one is given
    ResetPassword {
        /// Name
        name: String,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// `api-token`.
#[derive(Debug, Subcommand)]
pub enum ApiTokenCommand {
    /// Make an API token that acts as you; its text is shown this one time
    Create {
        /// metrics, read, operate, approve or admin; never more than you may do
        #[arg(long)]
        scope: Scope,
        /// How long it works: a number and s, m, h or d
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_duration)]
        expires: Duration,
        /// One line for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Write the token's text to this new file, readable by you only, instead of printing it
        #[arg(long, value_name = "FILE")]
        output_file: Option<PathBuf>,
    },
    /// List API tokens (never their text): your own, an admin's of all
    List,
    /// Revoke an API token
    Revoke {
        /// Id of the token
        id: String,
    },
}

/// `sessions`.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List open sessions: your own, an admin's of all
    List,
    /// End a session
    End {
        /// Id of the session
        id: String,
    },
}

/// `audit-log`.
#[derive(Debug, Subcommand)]
pub enum AuditLogCommand {
    /// List entries, newest first
    List(AuditListArgs),
    /// Check that no entry was changed or removed: at the controller, or of exported files
    Verify {
        /// Exports, or the controller's own files, in order; a folder stands for all files in it
        files: Vec<PathBuf>,
    },
    /// Write the whole log as JSON lines
    Export {
        /// Only entries after this sequence
        #[arg(long, value_name = "N")]
        after: Option<u64>,
        /// Write to this new file instead of standard output
        #[arg(long, value_name = "FILE")]
        output_file: Option<PathBuf>,
    },
}

/// `audit-log list`.
#[derive(Debug, Args)]
pub struct AuditListArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// Only by this user
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only by the API token with this id
    #[arg(long, value_name = "ID")]
    pub token: Option<String>,
    /// Only this action, or all of a kind: `token` finds `token.create`
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only on this object; a policy's name finds all its revisions
    #[arg(long, value_name = "OBJECT")]
    pub object: Option<String>,
    /// Only with all of these words somewhere in them
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Not before this time, such as 2026-11-22T04:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
}

/// `licence`.
#[derive(Debug, Subcommand)]
pub enum LicenceCommand {
    /// Where the licence stands, and what happens next and when
    Show,
    /// Install a licence file; it counts at once
    Install {
        /// The file
        file: PathBuf,
    },
    /// Declare two partitions a high-availability pair, which takes one seat
    Pair {
        /// The one, SERIAL-PARTITION such as 78A1B2C-3, as `muster agents show` tells it
        a: PartitionKey,
        /// The other
        b: PartitionKey,
    },
    /// Take a pair back
    Unpair {
        /// The one
        a: PartitionKey,
        /// The other
        b: PartitionKey,
    },
}

/// `lease`.
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// Which agent collects what, and who stands by
    List {
        /// Only this partition, SERIAL-PARTITION such as 78A1B2C-3, as `muster agents show` tells it
        partition: Option<PartitionKey>,
    },
    /// Have another agent of a partition collect; what is under way is delivered first
    Move {
        /// The partition, SERIAL-PARTITION
        partition: PartitionKey,
        /// The agent: its id or how that begins; not needed where only one stands by
        #[arg(long, value_name = "AGENT")]
        to: Option<String>,
        /// Only this source, as `muster lease list` tells it (default: all)
        #[arg(long)]
        source: Option<String>,
        /// Do not wait until it is done
        #[arg(long)]
        no_wait: bool,
    },
}

/// `settings`.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Show the settings
    Show,
    /// Whether what is published needs the approval of a second person
    FourEyes {
        /// on or off
        state: Switch,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// `proposals`.
#[derive(Debug, Subcommand)]
pub enum ProposalsCommand {
    /// List proposals, newest first
    List {
        /// Decided ones too
        #[arg(long)]
        all: bool,
    },
    /// One proposal with what it would do
    Show {
        /// Id of the proposal
        id: String,
    },
    /// Approve what somebody else proposed: it is done now
    Approve {
        /// Id of the proposal
        id: String,
        /// One line for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Reject a proposal, or take back your own
    Reject {
        /// Id of the proposal
        id: String,
        /// One line for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
}
