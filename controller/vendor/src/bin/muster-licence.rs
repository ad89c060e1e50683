//! `muster-licence`: makes keys, signs licences and shows what a licence says. For the vendor only: the secret key never
//! comes near a controller.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use muster_shared::licence;
use muster_vendor::{keygen, read, secret_key, write};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes and signs Muster licences.
#[derive(Parser)]
#[command(version, name = "muster-licence")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key pair; the secret key is locked by a password, which is asked for
    Keygen {
        /// File of the secret key; must not exist
        #[arg(long)]
        secret: PathBuf,
        /// File of the public key; must not exist
        #[arg(long)]
        public: PathBuf,
        /// Without a password: for development only
        #[arg(long)]
        unlocked: bool,
    },
    /// Sign what a licence says (YAML, see docs/operating/licence.md); the licence file goes to --out or standard output
    Sign {
        /// File of the secret key
        #[arg(long)]
        key: PathBuf,
        /// The licence file
        #[arg(long)]
        out: Option<PathBuf>,
        /// What it says
        file: PathBuf,
    },
    /// Check a licence file against a public key, and say what it says
    Show {
        /// File of the public key
        #[arg(long)]
        public: PathBuf,
        /// The licence file
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Keygen { secret, public, unlocked } => keygen("muster-licence", &secret, &public, unlocked),
        Command::Sign { key, out, file } => sign(&key, out.as_deref(), &file),
        Command::Show { public, file } => show(&public, &file),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn sign(key: &Path, out: Option<&Path>, file: &Path) -> anyhow::Result<()> {
    let body = licence::signed_part(&read(file)?);
    let says = licence::parse(&body).with_context(|| format!("{} is no licence", file.display()))?;
    let key = secret_key(key)?;
    let comment = format!("licence {} for {}", says.id, says.customer);
    let signature = muster_vendor::sign(&key, body.as_bytes(), &comment)?;
    let text = licence::file(&body, &signature);
    match out {
        Some(path) => write(path, 0o644, &text),
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
    }
}

fn show(public: &Path, file: &Path) -> anyhow::Result<()> {
    let key = read(public)?;
    let says = licence::read(&read(file)?, &[key.trim()])?;
    println!("licence {} for {}", says.id, says.customer);
    println!(
        "{} seats, {} pairs, {} to {} (UTC)",
        says.seats, says.ha_pairs, says.valid_from, says.valid_until
    );
    for partition in &says.partitions {
        println!("{partition}");
    }
    Ok(())
}
