//! `package`: the controller's repository of signed packages.

use super::Context;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{Style, Tone, cell, clean, count, plain, print_json, print_table};
use crate::package_args::{PackageArgs, PackageCommand};
use comfy_table::Table;
use muster_proto::api::{PackageRetire, PackageUpload, PackageUploadRequest, PackageView};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// Bytes of a piece: each is flushed to the controller's disk, and repeated as a whole where it is cut off.
const PIECE: u64 = 4 * 1024 * 1024;
/// Attempts in a row that may fail.
const ATTEMPTS: u32 = 5;

pub(super) async fn package(command: PackageCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        PackageCommand::Upload { files } => {
            let mut packages = Vec::new();
            for file in &files {
                packages.push(upload(file, context).await?);
            }
            show(&packages, "uploaded and verified", context)
        }
        PackageCommand::List => list(context).await,
        PackageCommand::Show(args) => {
            let packages = find(&context.client()?, &args).await?;
            if context.style.json {
                return Ok(print_json(context.out, &packages)?);
            }
            packages.iter().try_for_each(|package| print_package(context.out, package))?;
            Ok(())
        }
        PackageCommand::Retire { package, reason } => {
            let client = context.client()?;
            let mut retired = Vec::new();
            for view in find(&client, &package).await? {
                let path = ["packages", &view.name, &view.version, &view.platform, "retire"];
                let request = PackageRetire { reason: reason.clone() };
                retired.push(client.post::<PackageView>(&path, &request).await?);
            }
            show(&retired, "retired", context)
        }
    }
}

/// How long to wait before the next attempt; none after too many that failed in a row.
fn pause(failed: u32) -> Option<Duration> {
    (failed < ATTEMPTS).then(|| Duration::from_secs(1 << failed))
}

/// Whether it helps to try again: the connection broke, or what is there was not what was thought.
fn is_passing(error: &CliError) -> bool {
    match error {
        CliError::Unreachable { .. } => true,
        CliError::Controller(problem) => {
            matches!(problem.code(), "upload-offset" | "upload-broken" | "unavailable")
        }
        _ => false, // whatever else it is, it stays so
    }
}

async fn upload(path: &Path, context: &mut Context<'_>) -> Result<PackageView, CliError> {
    let client = context.client()?;
    let mut file = File::open(path).map_err(CliError::file("read", path))?;
    let (sha256, size) = digest(&mut file).map_err(CliError::file("read", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut failed = 0;
    loop {
        let each = &mut |offset| {
            failed = 0;
            progress(context, &name, offset, size)
        };
        let error = match attempt(&client, &mut file, path, &sha256, size, each).await {
            Ok(package) => return Ok(package),
            Err(error) => error,
        };
        let Some(pause) = pause(failed).filter(|_| is_passing(&error)) else { return Err(error) };
        failed += 1;
        writeln!(context.err, "{}: {error}; it goes on in {} s", clean(&name), pause.as_secs())?;
        tokio::time::sleep(pause).await;
    }
}

/// Uploads what is not there yet; `each` hears how much is.
async fn attempt(
    client: &Client,
    file: &mut File,
    path: &Path,
    sha256: &str,
    size: u64,
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<PackageView, CliError> {
    let url = ["packages", "uploads", sha256];
    let mut upload: PackageUpload = client.put(&url, &PackageUploadRequest { size }).await?;
    loop {
        if let Some(package) = upload.package {
            each(size)?;
            return Ok(package);
        }
        let offset = upload.offset;
        let piece = read(file, offset, PIECE.min(size.saturating_sub(offset)));
        let piece = piece.map_err(CliError::file("read", path))?;
        upload = client.patch_piece(&url, offset, piece).await?;
        if upload.package.is_none() && upload.offset <= offset {
            return Err(client.odd("the upload does not get on"));
        }
        each(upload.offset)?;
    }
}

fn read(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = Vec::new();
    file.take(length).read_to_end(&mut piece)?;
    if piece.len() as u64 == length { Ok(piece) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// SHA-256 and size.
fn digest(file: &mut File) -> io::Result<(String, u64)> {
    let (mut hasher, mut buffer, mut size) = (Sha256::new(), vec![0; 64 * 1024], 0);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    let hex = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hex, size))
}

fn progress(context: &mut Context<'_>, name: &str, offset: u64, size: u64) -> io::Result<()> {
    if !context.environment.stderr_terminal {
        return Ok(());
    }
    let percent = offset.saturating_mul(100) / size.max(1);
    let end = if offset == size { "\n" } else { "" };
    write!(context.err, "\r{}: {percent} % of {} bytes{end}", clean(name), count(size))?;
    context.err.flush()
}

/// The packages with this name and version.
async fn find(client: &Client, args: &PackageArgs) -> Result<Vec<PackageView>, CliError> {
    let (name, version) = &args.package;
    let all: Vec<PackageView> = client.list(&["packages"]).await?;
    let wanted = |package: &PackageView| {
        package.name == *name
            && package.version == *version
            && args.platform.as_ref().is_none_or(|platform| package.platform == *platform)
    };
    let found: Vec<PackageView> = all.into_iter().filter(wanted).collect();
    if found.is_empty() {
        let platform = args.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
        let told = format!("there is no package {name}@{version}{platform}; see `muster package list`");
        return Err(CliError::NotFound(told));
    }
    Ok(found)
}

fn show(packages: &[PackageView], done: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        return Ok(print_json(context.out, &packages)?);
    }
    for PackageView { name, version, platform, .. } in packages {
        writeln!(context.out, "{}@{} for {}: {done}", clean(name), clean(version), clean(platform))?;
    }
    Ok(())
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let packages: Vec<PackageView> = context.client()?.list(&["packages"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &packages)?);
    }
    print_table(context.out, &table(&packages, context.style))?;
    if packages.is_empty() {
        writeln!(context.err, "no packages yet: `muster package upload FILE`")?;
    }
    Ok(())
}

/// One word for a package.
fn state(package: &PackageView) -> (&'static str, Tone) {
    match (package.present, &package.retired) {
        (false, _) => ("file lost", Tone::Bad),
        (true, Some(_)) => ("retired", Tone::Warn),
        (true, None) => ("offered", Tone::Good),
    }
}

fn table(packages: &[PackageView], style: Style) -> Table {
    let header = ["NAME", "VERSION", "PLATFORM", "STATE", "UPGRADES FROM", "BYTES", "UPLOADED AT", "BY"];
    let mut table = style.table(&header);
    for package in packages {
        let (word, tone) = state(package);
        table.add_row([
            plain(&package.name),
            plain(&package.version),
            plain(&package.platform),
            cell(word, tone),
            plain(&package.upgrade_from),
            plain(count(package.size)),
            plain(package.uploaded_at.to_string()),
            plain(&package.uploaded_by),
        ]);
    }
    table
}

fn print_package(out: &mut dyn Write, package: &PackageView) -> io::Result<()> {
    let PackageView { name, version, platform, .. } = package;
    writeln!(out, "{}@{} for {}: {}", clean(name), clean(version), clean(platform), state(package).0)?;
    writeln!(out, "  upgrades from  {}", clean(&package.upgrade_from))?;
    writeln!(out, "  floor          {}", clean(&package.floor))?;
    writeln!(out, "  file           {} bytes, SHA-256 {}", count(package.size), clean(&package.sha256))?;
    writeln!(out, "  uploaded       {} by {}", package.uploaded_at, clean(&package.uploaded_by))?;
    if package.security {
        writeln!(out, "  security fix   its rollout waits for no licence")?;
    }
    if !package.notes.is_empty() {
        writeln!(out, "  notes          {}", clean(&package.notes))?;
    }
    if let Some(retired) = &package.retired {
        let (by, reason) = (clean(&retired.by), clean(&retired.reason));
        writeln!(out, "  retired        {} by {by}: {}", retired.since, crate::output::or_dash(&reason))?;
    }
    if !package.present {
        writeln!(out, "  its file is lost, as after a restore: upload it again")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{HoldView, Problem};

    fn view() -> PackageView {
        PackageView {
            name: "muster-agent".to_owned(),
            version: "0.2.0".to_owned(),
            platform: "x86_64-linux".to_owned(),
            sha256: "ab".repeat(32),
            size: 20_000_000,
            upgrade_from: ">=0.1.0".to_owned(),
            floor: "0.1.0".to_owned(),
            notes: String::new(),
            security: false,
            uploaded_by: "admin".to_owned(),
            uploaded_at: "2026-11-26T04:00:00Z".parse().unwrap(),
            present: true,
            retired: None,
        }
    }

    #[test]
    fn a_package_is_shown_with_what_became_of_it() {
        let style = Style { json: false, colour: false, terminal: false };
        let text = table(&[view()], style).to_string();
        for part in ["muster-agent", "offered", "20,000,000", ">=0.1.0"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let at = "2026-11-26T05:00:00Z".parse().unwrap();
        let hold = HoldView { since: at, by: "vera".to_owned(), reason: "loses\nevents".to_owned() };
        let retired = PackageView { retired: Some(hold), present: false, ..view() };
        let mut out = Vec::new();
        print_package(&mut out, &retired).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["file lost", "by vera: loses events", "upload it again"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_not_for_ever() {
        let problem = |code| CliError::Controller(Box::new(Problem::new(code, "X", 409, "why")));
        let unreachable = CliError::Unreachable { url: String::new(), reason: String::new() };
        assert!(is_passing(&unreachable) && is_passing(&problem("upload-offset")));
        assert!(!is_passing(&problem("package-unsigned")) && !is_passing(&problem("upload-taken-over")));
        let pauses: Vec<_> = (0..=ATTEMPTS).map(|failed| pause(failed).map(|p| p.as_secs())).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(4), Some(8), Some(16), None]);
    }

    #[test]
    fn a_file_is_read_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        std::fs::write(&path, "0123456789").unwrap();
        let mut file = File::open(&path).unwrap();
        let (sha256, size) = digest(&mut file).unwrap();
        assert_eq!((&sha256[..8], size), ("84d89877", 10));
        assert_eq!(read(&mut file, 3, 4).unwrap(), b"3456");
        assert_eq!(read(&mut file, 10, 0).unwrap(), b"");
        assert!(read(&mut file, 8, 4).is_err(), "it got shorter");
    }
}
