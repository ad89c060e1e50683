//! The command line as clap reads it. Help texts are the reference for people.

use crate::admin_args::{
    ApiTokenCommand, AuditLogCommand, LeaseCommand, LicenceCommand, ProposalsCommand, SessionsCommand,
    SettingsCommand, UsersCommand,
};
use crate::backup_args::BackupCommand;
use crate::package_args::PackageCommand;
use crate::rollout_args::RolloutCommand;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use muster_proto::api::UpgradeStep;
use muster_shared::partition::PartitionKey;
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  it failed for another reason than those below
  2  the command line is wrong
  3  the agent, policy, revision or token does not exist
  4  refused by the controller, or a policy, audit log or backup is not valid; nothing was changed
  5  the controller cannot be reached or is not trusted, or the login is missing or over
  6  nothing was done because of --dry-run, and without it something would change
  7  nothing was done yet: a second person must approve it (muster proposals)

Environment:
  MUSTER_PROFILE   the profile to use, as --profile
  NO_COLOR         no colour, as --color never
  XDG_CONFIG_HOME  profiles are kept in its folder muster/profiles (default ~/.config)

With --output json each command prints the body of the HTTP interface that it is made from
(docs/command-line.md); fields are only ever added.";

/// Manage a fleet of Muster agents through their controller.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Which stored login to use
    #[arg(long, global = true, env = "MUSTER_PROFILE", default_value = "default", value_name = "NAME")]
    pub profile: String,
    /// Tables for people or JSON for programs
    #[arg(long, short, global = true, value_enum, default_value_t = OutputKind::Table)]
    pub output: OutputKind,
    /// Colour in tables
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum OutputKind {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// When tables have colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to a controller and remember it
    Login(LoginArgs),
    /// End the session and forget it
    Logout,
    /// Change your own password
    #[command(visible_alias = "passwd")]
    Password(PasswordArgs),
    /// Enrolment tokens, with which agents join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Agents: the list, or one in detail
    Agents(AgentsArgs),
    /// The controller's certification authority
    #[command(subcommand)]
    Ca(CaCommand),
    /// Policies: what is collected, filtered and delivered
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Which agent collects, where a partition has several
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// The licence: where it stands, what happens next and when
    #[command(subcommand)]
    Licence(LicenceCommand),
    /// Backups of the controller: make, list, fetch, verify; and what a restore left to do
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Packages that agents are upgraded with: upload, list, retire
    #[command(subcommand)]
    Package(PackageCommand),
    /// Rollouts: policies that reach the partitions wave by wave
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Event rates and lag of the fleet
    Rates(RatesArgs),
    /// Users of the controller and what they may do
    #[command(subcommand)]
    Users(UsersCommand),
    /// Tokens with which programs use the controller's interface
    #[command(subcommand)]
    ApiToken(ApiTokenCommand),
    /// Open sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// What was done at the controller, by whom and from where
    #[command(subcommand)]
    AuditLog(AuditLogCommand),
    /// Proposals that wait for a second person
    #[command(subcommand)]
    Proposals(ProposalsCommand),
    /// Settings of the controller
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Events that agents have seen: the recent ones, or as they come
    #[command(subcommand)]
    Events(EventsCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Address of the controller, such as https://controller.example.com:4320 (default: the profile's)
    pub url: Option<String>,
    /// User name (default: the profile's, else `admin`)
    #[arg(long, short)]
    pub user: Option<String>,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// PEM file of the authority that signed the controller's certificate (the controller keeps its own
    /// as ca.crt in its data folder)
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub ca: Option<PathBuf>,
    /// Trust the authority with this SHA-256 fingerprint (of the certificate or of its public key)
    #[arg(long, visible_alias = "trust-fingerprint", value_name = "SHA256")]
    pub fingerprint: Option<String>,
}

/// `password`.
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// Read the present password from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub current_file: Option<PathBuf>,
    /// Read the new password from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub new_file: Option<PathBuf>,
}

/// `token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; its text is shown this one time
    Create(TokenCreateArgs),
    /// List tokens (never their text)
    List,
    /// Delete a token, so that nobody can enrol with it any more
    Delete {
        /// Id of the token
        id: String,
    },
}

/// `token create`.
#[derive(Debug, Args)]
pub struct TokenCreateArgs {
    /// How long it may be used: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    pub expires: Duration,
    /// How many agents may enrol with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub uses: u32,
    /// Label that its agents get; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// Controller address that its agents shall use; may be repeated (default: the controller's own names)
    #[arg(long = "url", value_name = "URL")]
    pub urls: Vec<String>,
    /// Have each agent wait for approval (`muster agents approve`)
    #[arg(long, overrides_with = "no_approve")]
    pub approve: bool,
    /// Let agents in without approval (default)
    #[arg(long, overrides_with = "approve")]
    pub no_approve: bool,
    /// Only for the agent of this partition, which may be known already: serial number and partition number,
    /// such as 78A1B2C-3
    #[arg(long = "for", value_name = "SERIAL-PARTITION")]
    pub partition: Option<PartitionKey>,
    /// One line for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    /// A token for another OpAMP agent than Muster's own: its credential for good, for one agent
    #[arg(long, conflicts_with_all = ["uses", "urls"])]
    pub foreign: bool,
    /// Write the token's text to this new file, readable by you only, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
}

/// `agents`.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// What to do (default: list)
    #[command(subcommand)]
    pub command: Option<AgentsCommand>,
    /// Which are listed
    #[command(flatten)]
    pub list: AgentsListArgs,
}

/// `agents list`.
#[derive(Debug, Default, Args)]
pub struct AgentsListArgs {
    /// Only agents whose version fulfils this: `<0.4`, `>=0.2, <0.4`
    #[arg(long, value_name = "REQUIREMENT")]
    pub version: Option<String>,
    /// Only agents whose upgrade stands here: offered, waiting, downloading, verified, staged, switching, confirming,
    /// done, rolled_back, failed, away, pinned or blocked
    #[arg(long, value_name = "STEP", value_parser = parse_step)]
    pub upgrade: Option<UpgradeStep>,
}

impl AgentsListArgs {
    /// These, or those where nothing is said here.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { version: self.version.or(other.version), upgrade: self.upgrade.or(other.upgrade) }
    }
}

fn parse_step(text: &str) -> Result<UpgradeStep, String> {
    let step = UpgradeStep::ALL.into_iter().find(|step| step.words().replace(' ', "_") == text);
    step.ok_or_else(|| format!("`{text}` is no step of an upgrade, such as failed or downloading"))
}

impl Default for AgentsCommand {
    fn default() -> Self {
        Self::List(AgentsListArgs::default())
    }
}

/// Subcommands of `agents`.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// One line an agent
    List(AgentsListArgs),
    /// One agent with its sources, destinations, policy and certificate
    Show {
        /// Name or id of the agent
        agent: String,
    },
    /// Set labels (KEY=VALUE) or take them away (KEY-); policies select agents by their labels
    Label {
        /// Name or id of the agent
        agent: String,
        /// KEY=VALUE sets, KEY- takes away
        #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = parse_label_change)]
        changes: Vec<LabelChange>,
    },
    /// The policy that an agent should run: each value with the document that set it and what it overrode
    Policy {
        /// Name or id of the agent
        agent: String,
    },
    /// Announce a planned outage of the partition, such as an IPL: meanwhile it is neither offline nor silent
    Maintenance(MaintenanceArgs),
    /// Fetch what is needed to find out what is wrong with an agent: no passwords, no keys, no content of events
    Diagnostics(DiagnosticsArgs),
    /// Have an agent restart; it loses nothing by that
    Restart {
        /// Name or id of the agent
        agent: String,
    },
    /// Configuration files of other OpAMP agents than Muster's own: show, set or remove
    Config(ConfigArgs),
    /// Remove an agent: it is disconnected and its certificate refused; to come back it must enrol anew
    Remove {
        /// Name or id of the agent
        agent: String,
    },
    /// Pin an agent to the version that it runs: it gets no packages until it is unpinned
    Pin {
        /// Name or id of the agent
        agent: String,
        /// The version that it must run now (default: whatever it runs)
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// Why, one line; shown and kept in the audit log
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let an agent get packages again
    Unpin {
        /// Name or id of the agent
        agent: String,
    },
    /// Enrolments that wait for approval, with the key fingerprint that each agent prints
    Pending,
    /// Let an agent in that waits for approval
    Approve(DecisionArgs),
    /// Turn an agent away that waits for approval; it is told the reason
    Deny(DecisionArgs),
    /// Refuse an agent's certificates for good and close its connection; it comes back only by a new enrolment
    Revoke(DecisionArgs),
    /// Give an agent nothing more: it stays connected and goes on collecting with the policy that it has
    Quarantine(DecisionArgs),
    /// End an agent's quarantine
    Release(DecisionArgs),
    /// Remove an agent whose partition is gone; its keys are refused for good, its history stays in the audit log
    Decommission(DecisionArgs),
}

/// On whom, and why.
#[derive(Debug, Args)]
pub struct DecisionArgs {
    /// Name or id of the agent; of one that waits also its key fingerprint or the beginning of it
    pub agent: String,
    /// Why, one line; shown and kept in the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `ca`.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// The authority, and how far a roll-over has got
    Show,
    /// Replace the authority: first a new one beside the old one, to which all agents move by themselves; then, with
    /// --finish, without the old one
    RollOver {
        /// Drop the old authority; refused while agents still need it
        #[arg(long)]
        finish: bool,
        /// With --finish: leave agents behind, which then have to enrol anew
        #[arg(long, requires = "finish")]
        force: bool,
    },
}

/// `agents config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Name or id of the agent (default: list what is set for whom)
    #[arg(conflicts_with = "selector")]
    pub agent: Option<String>,
    /// For all foreign agents with this label instead; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub selector: Vec<(String, String)>,
    /// For all foreign agents instead
    #[arg(long, conflicts_with_all = ["agent", "selector"])]
    pub all: bool,
    /// Set this file, or NAME=FILE to choose its name in the configuration; may be repeated. All files together
    /// are the configuration
    #[arg(long = "file", short, value_name = "FILE|NAME=FILE", conflicts_with = "remove")]
    pub files: Vec<String>,
    /// MIME type of the files (default: by their ending)
    #[arg(long, value_name = "TYPE", requires = "files")]
    pub content_type: Option<String>,
    /// Remove the configuration; agents go on with it until they are given another
    #[arg(long)]
    pub remove: bool,
}

/// One change to an agent's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    /// Sets it.
    Set(String, String),
    /// Takes it away.
    Unset(String),
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check policy files: here, and at the controller when logged in; changes nothing
    Validate {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Do not ask the controller
        #[arg(long)]
        offline: bool,
    },
    /// Publish a policy file, or a directory of them all at once, and push them to the agents that they select
    Apply(ApplyArgs),
    /// What publishing would mean: which agents would run something else, and what; changes nothing
    Preview {
        /// A policy file, or a directory of *.yaml and *.yml files
        #[arg(long = "file", short = 'f', value_name = "PATH")]
        path: PathBuf,
        /// As if every policy that is not among the files were removed
        #[arg(long)]
        prune: bool,
        /// Ask some of the agents what it would do to their recent events
        #[arg(long)]
        events: bool,
    },
    /// What a policy makes of recorded events: what is kept, dropped or held back, where it goes, by which rule
    Test(TestArgs),
    /// Publish the text of an older revision again
    Revert {
        /// Name of the policy
        policy: String,
        /// Number of the revision that comes back
        #[arg(long, value_name = "REVISION")]
        to: u64,
        /// Why: one line, kept with the new revision
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Remove a policy; its revisions stay in the history
    Remove {
        /// Name of the policy
        policy: String,
        /// Why: one line, kept with the removing revision
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Drafts: policies that are being written and are not in force
    #[command(subcommand)]
    Draft(DraftCommand),
    /// Print the JSON Schema of policy files, for editors
    Schema,
    /// List the policies, or print one as it was published
    Show {
        /// Name of the policy, or NAME@REVISION
        policy: Option<String>,
    },
    /// How far a policy has got: which agents run it
    Status {
        /// Name of the policy
        policy: String,
    },
    /// All revisions of a policy (default: of every policy), newest first
    History {
        /// Name of the policy
        policy: Option<String>,
    },
    /// What differs between two policies
    Diff {
        /// The older: NAME, NAME@REVISION or a file
        a: String,
        /// The newer: NAME, NAME@REVISION or a file
        b: String,
    },
}

/// `policy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Recorded events as `muster events recent` and `muster events tail` print them with --output json; - reads
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// Policy files, or directories of them, merged whatever partitions they select
    #[arg(long, short = 'f', value_name = "PATH", num_args = 1.., required_unless_present = "effective")]
    pub policy: Vec<PathBuf>,
    /// The policy that an agent should run, as its controller has it
    #[arg(long, value_name = "AGENT", conflicts_with = "policy")]
    pub effective: Option<String>,
    /// How far the partition's clock is ahead of UTC, such as +01:00; for conditions on weekday and time
    #[arg(long, value_name = "OFFSET", value_parser = parse_utc_offset, allow_hyphen_values = true)]
    pub utc_offset: Option<i32>,
    /// Only the counts, without a line for each event
    #[arg(long)]
    pub summary: bool,
}

/// `policy apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// One policy file
    #[arg(required_unless_present = "path")]
    pub file: Option<PathBuf>,
    /// A policy file, or a directory of *.yaml and *.yml files, published all together or not at all
    #[arg(long = "file", short = 'f', value_name = "PATH", conflicts_with = "file")]
    pub path: Option<PathBuf>,
    /// Remove every policy that is not among the files
    #[arg(long)]
    pub prune: bool,
    /// Only say what would be done; exit code 6 if something would
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until every connected agent has applied or refused it, at most this long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "dry_run")]
    pub wait: Option<Duration>,
    /// Why: one line, kept with the new revisions
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
}

/// `policy draft`.
#[derive(Debug, Subcommand)]
pub enum DraftCommand {
    /// List drafts
    List,
    /// Print a draft as it was saved; its ETag goes to standard error
    Show {
        /// Name of the draft
        draft: String,
    },
    /// Save a file as a draft; faults are shown and do not keep it from being saved
    Save {
        /// Name of the draft
        draft: String,
        /// The file
        file: PathBuf,
        /// ETag of the draft that the file was made from; without it the draft must be new
        #[arg(long)]
        etag: Option<String>,
        /// Revision of the policy that the file was made from (default: as the draft has it, else the present one)
        #[arg(long, value_name = "REVISION")]
        base: Option<u64>,
    },
    /// Publish a draft as a new revision; the draft is gone then
    Publish {
        /// Name of the draft
        draft: String,
        /// Only if the draft still has this ETag
        #[arg(long)]
        etag: Option<String>,
    },
    /// Delete a draft
    Delete {
        /// Name of the draft
        draft: String,
        /// Only if the draft still has this ETag
        #[arg(long)]
        etag: Option<String>,
    },
}

/// `rates`.
#[derive(Debug, Args)]
pub struct RatesArgs {
    /// Go on and refresh every second until Ctrl-C; agents then report every second
    #[arg(long, short)]
    pub watch: bool,
    /// Only this agent (name or id)
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// The past instead, at most 24h: a number and s, m, h or d
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "watch")]
    pub history: Option<Duration>,
    /// With --history: of what
    #[arg(long, value_enum, default_value_t = HistoryMetricArg::Received, requires = "history")]
    pub metric: HistoryMetricArg,
    /// With --watch: stop after so many
    #[arg(long, value_name = "N", requires = "watch")]
    pub count: Option<u64>,
}

/// What history is shown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryMetricArg {
    /// Events read, per second.
    Received,
    /// Events kept by the filter, per second.
    Kept,
    /// Events dropped by the filter, per second.
    Dropped,
    /// Events handed over to destinations, per second.
    Delivered,
    /// Greatest lag.
    Lag,
}

/// `events`.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// The last events that an agent has seen (at most 1,000 for each of its sources), those that policy drops too
    Recent(RecentArgs),
    /// One recent event with all its values, and as each destination has it
    Show {
        /// Name or id of the agent
        agent: String,
        /// Id of the event
        id: String,
    },
    /// Events as they come, until Ctrl-C: of one agent, or of those with the labels (at most 50)
    Tail(TailArgs),
}

/// `events recent`.
#[derive(Debug, Args)]
pub struct RecentArgs {
    /// Name or id of the agent
    pub agent: String,
    /// Only such events: `type=AF,PW user=PAY* severity>=7 verdict=dropped word`; all terms must hold
    #[arg(long, short, value_name = "EXPR", default_value = "")]
    pub filter: String,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// `events tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// Name or id of the agent (default: all, or those that --selector selects)
    #[arg(conflicts_with = "selector")]
    pub agent: Option<String>,
    /// Label of the agents; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub selector: Vec<(String, String)>,
    /// Only such events, as of `events recent`
    #[arg(long, short, value_name = "EXPR", default_value = "")]
    pub filter: String,
    /// Stop after so many events
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// `agents maintenance`.
#[derive(Debug, Args)]
pub struct MaintenanceArgs {
    /// Name or id of the agent
    pub agent: String,
    /// How long it lasts, at most 7d: a number and s, m, h or d; it ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, required_unless_present = "end")]
    pub duration: Option<Duration>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// End it now
    #[arg(long, conflicts_with = "duration")]
    pub end: bool,
}

/// `agents diagnostics`.
#[derive(Debug, Args)]
pub struct DiagnosticsArgs {
    /// Name or id of the agent
    pub agent: String,
    /// Write the bundle to this file, readable by you only (default: standard output)
    #[arg(long, short = 'O', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Put the content of recent events in
    #[arg(long)]
    pub with_events: bool,
}

/// `+01:00`, `-05:30`, `Z`; in seconds.
fn parse_utc_offset(text: &str) -> Result<i32, String> {
    let wrong =
        || format!("`{text}` is no offset; write hours and minutes with their sign, such as +01:00, or Z");
    if text.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1).ok_or_else(wrong)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, most: i32| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok()).flatten().filter(|n| *n <= most).ok_or_else(wrong)
    };
    Ok(sign * (number(hours, 14)? * 3_600 + number(minutes, 59)? * 60))
}

/// `90s`, `15m`, `24h`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write a number and s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).filter(|t| *t > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(total))
}

/// `env=prod`.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label; write KEY=VALUE, such as env=prod")),
    }
}

/// `env=prod` or `env-`.
fn parse_label_change(text: &str) -> Result<LabelChange, String> {
    if text.contains('=') {
        return parse_label(text).map(|(key, value)| LabelChange::Set(key, value));
    }
    match text.strip_suffix('-') {
        Some(key) if !key.is_empty() => Ok(LabelChange::Unset(key.to_owned())),
        _ => Err(format!("`{text}` is no change: write KEY=VALUE to set a label, KEY- to take it away")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        for (text, seconds) in [("1s", 1), ("15m", 900), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in
            ["", "h", "24", "1w", "-1h", "0s", "1.5h", "99999999999999999999d", "213503982334602d", "5µ"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn offsets() {
        for (text, seconds) in [("Z", 0), ("+01:00", 3_600), ("-05:30", -19_800), ("+14:00", 50_400)] {
            assert_eq!(parse_utc_offset(text), Ok(seconds), "{text}");
        }
        for bad in ["", "1", "+1:00", "+01:60", "+15:00", "01:00", "+0100", "é1:00", "+01:00:00"] {
            assert!(parse_utc_offset(bad).is_err(), "{bad}");
        }
        let cli = Cli::try_parse_from([
            "muster",
            "policy",
            "test",
            "--events",
            "-",
            "-f",
            "a.yaml",
            "b.yaml",
            "--utc-offset",
            "-05:00",
        ]);
        let Ok(Cli { command: Command::Policy(PolicyCommand::Test(args)), .. }) = cli else {
            panic!("{cli:?}")
        };
        assert_eq!((args.policy.len(), args.utc_offset), (2, Some(-18_000)));
        assert!(Cli::try_parse_from(["muster", "policy", "test", "--events", "e"]).is_err());
    }

    #[test]
    fn labels() {
        assert_eq!(parse_label("env=prod"), Ok(("env".into(), "prod".into())));
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_label("env="), Ok(("env".into(), String::new())));
        assert!(parse_label("env").is_err());
        assert!(parse_label("=x").is_err());
        assert_eq!(parse_label_change("a=b-"), Ok(LabelChange::Set("a".into(), "b-".into())));
        assert_eq!(parse_label_change("a-b-"), Ok(LabelChange::Unset("a-b".into())));
        for bad in ["-", "a", "=b", ""] {
            assert!(parse_label_change(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn agents_without_a_subcommand_is_the_list() {
        let cli = Cli::try_parse_from(["muster", "agents", "-o", "json"]).unwrap();
        assert_eq!(cli.output, OutputKind::Json);
        assert!(matches!(cli.command, Command::Agents(AgentsArgs { command: None, .. })));
    }
}
