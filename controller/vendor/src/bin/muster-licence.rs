//! `muster-licence`: makes keys, signs licences and shows what a licence says. For the vendor only: the secret key never
//! comes near a controller.
#![forbid(unsafe_code)]

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use muster_shared::licence;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
        Command::Keygen { secret, public, unlocked } => keygen(&secret, &public, unlocked),
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

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes a file that must not exist.
fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

fn keygen(secret: &Path, public: &Path, unlocked: bool) -> anyhow::Result<()> {
    ensure!(!public.exists(), "{} exists already", public.display());
    let (pair, locked) = if unlocked {
        let pair = KeyPair::generate_unencrypted_keypair()?;
        let text = pair.sk.to_box(Some("muster-licence secret key, NOT locked"))?.into_string();
        (pair, text)
    } else {
        let password = rpassword::prompt_password("Password of the new key: ")?;
        ensure!(!password.is_empty(), "a key without a password is made by --unlocked only");
        ensure!(password == rpassword::prompt_password("Again: ")?, "the passwords differ; nothing was made");
        let pair = KeyPair::generate_encrypted_keypair(Some(password))?;
        let text = pair.sk.to_box(Some("muster-licence secret key"))?.into_string();
        (pair, text)
    };
    write(secret, 0o600, &format!("{}\n", locked.trim_end()))?;
    write(public, 0o644, &format!("{}\n", pair.pk.to_base64()))?;
    println!("{}", pair.pk.to_base64());
    Ok(())
}

fn secret_key(path: &Path) -> anyhow::Result<SecretKey> {
    let text = read(path)?;
    let wrong = || format!("{} is no secret key", path.display());
    let locked = SecretKeyBox::from_string(&text).with_context(wrong)?;
    if let Ok(key) = SecretKeyBox::from_string(&text).with_context(wrong)?.into_unencrypted_secret_key() {
        return Ok(key);
    }
    let password = rpassword::prompt_password(format!("Password of {}: ", path.display()))?;
    locked
        .into_secret_key(Some(password))
        .with_context(|| format!("{}: the password is wrong", path.display()))
}

fn sign(key: &Path, out: Option<&Path>, file: &Path) -> anyhow::Result<()> {
    let body = licence::signed_part(&read(file)?);
    let says = licence::parse(&body).with_context(|| format!("{} is no licence", file.display()))?;
    let key = secret_key(key)?;
    let comment = format!("licence {} for {}", says.id, says.customer);
    let signature = minisign::sign(None, &key, Cursor::new(&body), Some(&comment), None)?;
    let text = licence::file(&body, &signature.into_string());
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
