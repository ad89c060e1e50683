//! The command line of rollouts.

use crate::args::{parse_duration, parse_label};
use crate::package_args::parse_package;
use clap::{Args, Subcommand};
use muster_proto::api::{Amount, MaintenanceWindow, OnFailure, RolloutStrategy};
use std::path::PathBuf;
use std::time::Duration;

/// `rollout`.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Say what a rollout would do: policies or package, partitions, waves; changes nothing
    Plan(StartArgs),
    /// Bring policies or a package to the partitions wave by wave; goes back by itself where too many fail
    Start(StartArgs),
    /// List rollouts, newest first
    List,
    /// Where a rollout stands, what it waits for and what happened (default: the newest)
    Show {
        /// Its number
        rollout: Option<u64>,
        /// Every partition too
        #[arg(long)]
        partitions: bool,
    },
    /// Follow a rollout until it is over (default: the newest); exit code 1 if it went back
    Watch {
        /// Its number
        rollout: Option<u64>,
        /// Give up after this time; exit code 1
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        timeout: Option<Duration>,
    },
    /// Tell nobody further for a while; those that have the change are followed
    Pause(OrderArgs),
    /// Let a paused or halted rollout go on; partitions that failed are left alone
    Resume(OrderArgs),
    /// End a rollout: everybody goes back
    Abort(OrderArgs),
}

/// `rollout pause|resume|abort`.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// Its number
    pub rollout: u64,
    /// Why, for the others
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `rollout plan|start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// A policy file, or a directory of *.yaml and *.yml files; what is unchanged is left out
    #[arg(long = "file", short = 'f', value_name = "PATH", required_unless_present_any = ["remove", "to", "package"])]
    pub path: Option<PathBuf>,
    /// Remove this policy; may be repeated
    #[arg(long, value_name = "POLICY")]
    pub remove: Vec<String>,
    /// Roll out an older revision again: NAME@REVISION; may be repeated
    #[arg(long, value_name = "NAME@REVISION", value_parser = parse_revision)]
    pub to: Vec<(String, u64)>,
    /// Upgrade agents with this package instead: NAME@VERSION, such as muster-agent@0.2.0. A partition then has an hour
    /// by default until it is well with it
    #[arg(long, value_name = "NAME@VERSION", value_parser = parse_package, conflicts_with_all = ["path", "remove", "to"])]
    pub package: Option<(String, String)>,
    /// With --package: only agents with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label, requires = "package", conflicts_with_all = ["path", "remove", "to"])]
    pub labels: Vec<(String, String)>,
    /// What it is for, in one line
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
    /// A YAML file with the strategy, as the field `strategy` of the HTTP interface; the options below change it
    #[arg(long, value_name = "FILE")]
    pub strategy: Option<PathBuf>,
    /// Partitions that go first; 0 for none (default 1)
    #[arg(long, value_name = "N")]
    pub canaries: Option<u32>,
    /// Label that canaries must have; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub canary_label: Vec<(String, String)>,
    /// Share of the partitions that have the change after each wave, in percent (default 10,50,100)
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    pub waves: Option<Vec<u8>>,
    /// How many partitions may be changing over or unwell at a time: 5 or 10% (default 10%)
    #[arg(long, value_name = "AMOUNT")]
    pub max_unavailable: Option<Amount>,
    /// How many partitions may fail, canaries apart: 2 or 5% (default 0)
    #[arg(long, value_name = "AMOUNT")]
    pub max_failures: Option<Amount>,
    /// How long partitions must be well before the next wave (default 10m)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub soak: Option<Duration>,
    /// How long a partition may take until it is well with the change (default 5m; 1h with --package)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub deadline: Option<Duration>,
    /// How long a partition may be unwell afterwards (default 60s)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub recovery: Option<Duration>,
    /// Only then: `22:00-04:00 Europe/Berlin`, or `site=east 22:00-04:00 Europe/Berlin` for partitions with that label;
    /// may be repeated
    #[arg(long, value_name = "WINDOW", value_parser = parse_window)]
    pub window: Vec<MaintenanceWindow>,
    /// Where too many fail, stop and leave it to a person instead of going back
    #[arg(long)]
    pub halt: bool,
    /// With `start`: follow it until it is over
    #[arg(long)]
    pub watch: bool,
}

/// An upgrade waits for its turn, downloads, and then has to show that all works: minutes each.
const PACKAGE_DEADLINE: Duration = Duration::from_secs(3_600);

impl StartArgs {
    /// The strategy: the file's, or the default one, changed by what the options say.
    pub(crate) fn change(&self, mut strategy: RolloutStrategy) -> RolloutStrategy {
        let seconds = |time: Option<Duration>, before: u64| time.map_or(before, |time| time.as_secs());
        strategy.canaries = self.canaries.unwrap_or(strategy.canaries);
        strategy.canary_labels.extend(self.canary_label.iter().cloned());
        if let Some(waves) = &self.waves {
            strategy.waves.clone_from(waves);
        }
        strategy.max_unavailable = self.max_unavailable.unwrap_or(strategy.max_unavailable);
        strategy.max_failures = self.max_failures.unwrap_or(strategy.max_failures);
        strategy.soak_seconds = seconds(self.soak, strategy.soak_seconds);
        // A strategy of a file is meant as it stands there.
        let own = self.package.is_some() && self.strategy.is_none();
        let deadline = self.deadline.or(own.then_some(PACKAGE_DEADLINE));
        strategy.deadline_seconds = seconds(deadline, strategy.deadline_seconds);
        strategy.recovery_seconds = seconds(self.recovery, strategy.recovery_seconds);
        strategy.windows.extend(self.window.iter().cloned());
        if self.halt {
            strategy.on_failure = OnFailure::Halt;
        }
        strategy
    }
}

/// `base@7`.
fn parse_revision(text: &str) -> Result<(String, u64), String> {
    let parts = text.split_once('@').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    match parts {
        Some((name, number)) if !name.is_empty() => Ok((name.to_owned(), number)),
        _ => Err(format!("`{text}` is no revision; write NAME@REVISION, such as base@7")),
    }
}

/// `site=east 22:00-04:00 Europe/Berlin`.
fn parse_window(text: &str) -> Result<MaintenanceWindow, String> {
    let wrong = || {
        format!("`{text}` is no window; write [KEY=VALUE …] FROM-TO ZONE, such as 22:00-04:00 Europe/Berlin")
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [labels @ .., times, zone] = &words[..] else { return Err(wrong()) };
    let (from, to) = times.split_once('-').ok_or_else(wrong)?;
    let labels = labels.iter().map(|label| parse_label(label)).collect::<Result<_, _>>()?;
    Ok(MaintenanceWindow {
        labels,
        days: Vec::new(),
        from: from.to_owned(),
        to: to.to_owned(),
        time_zone: (*zone).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn start(arguments: &[&str]) -> StartArgs {
        let words = ["muster", "rollout", "start"].iter().chain(arguments);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Rollout(RolloutCommand::Start(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_change_the_strategy() {
        let window = "site=east 22:00-04:00 Europe/Berlin";
        let args = start(&[
            "-f",
            "p",
            "--waves",
            "5,100",
            "--soak",
            "90s",
            "--max-failures",
            "5%",
            "--window",
            window,
            "--halt",
        ]);
        let strategy = args.change(RolloutStrategy::default());
        assert_eq!((strategy.waves, strategy.soak_seconds), (vec![5, 100], 90));
        assert_eq!((strategy.max_failures, strategy.canaries), (Amount::Percent(5), 1));
        assert_eq!(strategy.on_failure, OnFailure::Halt);
        assert_eq!(
            (strategy.windows[0].from.as_str(), strategy.windows[0].labels["site"].as_str()),
            ("22:00", "east")
        );
        assert_eq!(start(&["--to", "base@7"]).to, [("base".to_owned(), 7)]);
        let upgrade = ["--package", "muster-agent@0.2.0", "--label", "site=zrh"];
        let args = start(&upgrade);
        assert_eq!(args.package, Some(("muster-agent".to_owned(), "0.2.0".to_owned())));
        assert_eq!(args.change(RolloutStrategy::default()).deadline_seconds, 3_600);
        let args = start(&[&upgrade[..], &["--deadline", "10m"]].concat());
        assert_eq!(args.change(RolloutStrategy::default()).deadline_seconds, 600);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (arguments, why) in [
            (&["--to", "base"][..], "NAME@REVISION"),
            (&["--package", "muster-agent"], "NAME@VERSION, such as muster-agent@0.2.0"),
            (&["--package", "muster-agent@0.2.0", "-f", "p"], "cannot be used with"),
            (&["-f", "p", "--label", "a=b"], "cannot be used with"),
            (&["--label", "a=b"], "--package"),
            (&["-f", "p", "--window", "22:00"], "such as 22:00-04:00 Europe/Berlin"),
            (&["-f", "p", "--max-unavailable", "200%"], "share such as 10%"),
            (&[], "--file"),
        ] {
            let words = ["muster", "rollout", "start"].iter().chain(arguments);
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
