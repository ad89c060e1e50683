//! The command line of packages.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `package`.
#[derive(Debug, Subcommand)]
pub enum PackageCommand {
    /// Upload signed packages; one that broke off goes on where it was
    Upload {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the packages
    List,
    /// One package in detail, for each of its platforms
    Show(PackageArgs),
    /// Offer a package to nobody new; agents that go back to it still get it
    Retire {
        /// Which
        #[command(flatten)]
        package: PackageArgs,
        /// Why, one line; shown and kept in the audit log
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// Which package.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Name and version, such as muster-agent@0.2.0
    #[arg(value_name = "NAME@VERSION", value_parser = parse_package)]
    pub package: (String, String),
    /// Only for this platform, such as x86_64-linux (default: all that there are)
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
}

/// `muster-agent@0.2.0`.
pub(crate) fn parse_package(text: &str) -> Result<(String, String), String> {
    match text.split_once('@') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok((name.to_owned(), version.to_owned()))
        }
        _ => Err(format!("`{text}` is no package; write NAME@VERSION, such as muster-agent@0.2.0")),
    }
}
