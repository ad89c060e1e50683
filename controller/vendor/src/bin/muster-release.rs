//! `muster-release`: builds, signs and checks release packages. For the vendor only: the secret keys never come near a
//! controller.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use muster_package::statement::{FORMAT, Statement};
use muster_package::{Version, VersionReq};
use muster_vendor::release::{self, About, Recipe};
use muster_vendor::{keygen, read, secret_key};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds, signs and checks Muster's release packages; see docs/operating/upgrades.md.
#[derive(Parser)]
#[command(version, name = "muster-release")]
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
    /// Make a package of a program; it is not signed yet
    Build(Build),
    /// Sign a package in place
    Sign {
        /// File of the secret key
        #[arg(long, required_unless_present = "signature", conflicts_with = "signature")]
        key: Option<PathBuf>,
        /// Take this minisign signature of the package's manifest, made elsewhere (see `muster-release manifest`)
        #[arg(long)]
        signature: Option<PathBuf>,
        /// The packages
        #[arg(required = true)]
        packages: Vec<PathBuf>,
    },
    /// Print the manifest of a package as it is to be signed
    Manifest {
        /// The package
        package: PathBuf,
    },
    /// Check signature and digests of packages, and say what they are
    Verify {
        /// Public key to check against, as minisign prints it; without any those that this build ships
        #[arg(long = "public", value_name = "KEY")]
        keys: Vec<String>,
        /// The packages
        #[arg(required = true)]
        packages: Vec<PathBuf>,
    },
    /// Say which keys count from now on, signed by two of the shipped keys; `build --statement` takes it along
    Statement(State),
}

#[derive(clap::Args)]
struct Build {
    /// The program, `muster-agent`
    #[arg(long)]
    program: PathBuf,
    /// Output of `muster-agent about` where the program does not run here
    #[arg(long)]
    about: Option<PathBuf>,
    /// Versions that may be upgraded to it directly
    #[arg(long, default_value = ">=0.1.0")]
    upgrade_from: VersionReq,
    /// Once it was accepted, no version below this one is; default: its own
    #[arg(long)]
    floor: Option<Version>,
    /// One line for people
    #[arg(long, default_value = "")]
    notes: String,
    /// It mends a hole: controllers bring it to their agents whatever their licence says
    #[arg(long)]
    security: bool,
    /// Further file, PATH_IN_PACKAGE=FILE
    #[arg(long = "file", value_name = "PATH=FILE", value_parser = pair)]
    files: Vec<(String, PathBuf)>,
    /// Folder of a statement about keys that goes with it
    #[arg(long)]
    statement: Option<PathBuf>,
    /// Folder of the package
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct State {
    /// Its number: higher than any before
    #[arg(long)]
    number: u64,
    /// Public key that signs packages beside the shipped ones
    #[arg(long)]
    add: Vec<String>,
    /// Public key that counts no more
    #[arg(long)]
    retire: Vec<String>,
    /// Version below the floor that may be installed all the same
    #[arg(long)]
    allow: Vec<Version>,
    /// One line for people
    #[arg(long, default_value = "")]
    note: String,
    /// Files of two secret keys whose public halves are shipped
    #[arg(long = "key", required = true)]
    keys: Vec<PathBuf>,
    /// Folder of the statement
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

fn pair(text: &str) -> Result<(String, PathBuf), String> {
    let (path, file) = text.split_once('=').ok_or("it is not PATH_IN_PACKAGE=FILE")?;
    Ok((path.to_owned(), PathBuf::from(file)))
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Keygen { secret, public, unlocked } => keygen("muster-release", &secret, &public, unlocked),
        Command::Build(build) => make(build),
        Command::Sign { key, signature, packages } => sign(key.as_deref(), signature.as_deref(), &packages),
        Command::Manifest { package } => Ok(std::io::stdout().write_all(&release::manifest(&package)?)?),
        Command::Verify { keys, packages } => verify(&keys, &packages),
        Command::Statement(state) => state_keys(state),
    }
}

fn make(build: Build) -> anyhow::Result<()> {
    let about = match &build.about {
        Some(file) => serde_json::from_str(&read(file)?)
            .with_context(|| format!("{} cannot be read", file.display()))?,
        None => About::ask(&build.program)?,
    };
    let floor = build.floor.unwrap_or_else(|| about.version.clone());
    let statement = build.statement.as_deref().map(release::read_statement).transpose()?;
    let recipe = Recipe {
        program: build.program,
        about,
        upgrade_from: build.upgrade_from,
        floor,
        notes: build.notes,
        security: build.security,
        files: build.files,
        statement,
    };
    let path = release::build(&recipe, &build.out)?;
    println!("{} made; sign it: muster-release sign --key KEY {0}", path.display());
    Ok(())
}

fn sign(key: Option<&Path>, signature: Option<&Path>, packages: &[PathBuf]) -> anyhow::Result<()> {
    let key = key.map(secret_key).transpose()?;
    let signature = signature.map(read).transpose()?;
    for package in packages {
        match (&key, &signature) {
            (Some(key), _) => {
                let manifest = release::sign(package, key)?;
                println!("{} {} for {} signed", manifest.name, manifest.version, manifest.platform);
            }
            (None, Some(signature)) => {
                release::attach(package, signature)?;
                println!("{} took the signature; check it by `muster-release verify`", package.display());
            }
            (None, None) => {}
        }
    }
    Ok(())
}

fn verify(keys: &[String], packages: &[PathBuf]) -> anyhow::Result<()> {
    for package in packages {
        let verified = release::verify(package, keys)?;
        let manifest = verified.manifest;
        println!(
            "{} {} for {}: signature and digests are right; upgrades from {}, floor {}, {} file(s), {} bytes",
            manifest.name,
            manifest.version,
            manifest.platform,
            manifest.upgrade_from,
            manifest.floor,
            manifest.files.len(),
            manifest.unpacked_size()
        );
        if verified.statement_taken {
            println!("it brings a statement about keys");
        }
    }
    Ok(())
}

fn state_keys(state: State) -> anyhow::Result<()> {
    let statement = Statement {
        format: FORMAT.to_owned(),
        number: state.number,
        add: state.add.into_iter().collect(),
        retire: state.retire.into_iter().collect(),
        allow: state.allow.into_iter().collect(),
        note: state.note,
    };
    let keys = state.keys.iter().map(|path| secret_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    release::make_statement(&statement, &keys, &state.out)?;
    println!("statement {} made in {}", statement.number, state.out.display());
    Ok(())
}
