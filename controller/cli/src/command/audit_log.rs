//! `audit-log`.

use super::Context;
use crate::admin_args::{AuditListArgs, AuditLogCommand};
use crate::error::CliError;
use crate::output::{or_dash, plain, print_json, print_table};
use muster_proto::api::{AuditEntry, Page};
use muster_shared::audit_chain::{Verified, Verifier};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) async fn audit_log(command: AuditLogCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        AuditLogCommand::List(args) => list(&args, context).await,
        AuditLogCommand::Verify { files } if files.is_empty() => verify_controller(context).await,
        AuditLogCommand::Verify { files } => {
            let verified = verify_files(&files)?;
            tell(&verified, context)
        }
        AuditLogCommand::Export { after, output_file } => {
            export(after, output_file.as_deref(), context).await
        }
    }
}

async fn list(args: &AuditListArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let mut query = vec![("limit", args.limit.to_string())];
    let text = |value: &Option<String>| value.clone();
    let given = [
        ("actor", text(&args.actor)),
        ("token", text(&args.token)),
        ("action", text(&args.action)),
        ("object", text(&args.object)),
        ("search", text(&args.search)),
        ("since", args.since.map(|t| t.to_string())),
        ("until", args.until.map(|t| t.to_string())),
    ];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page: Page<AuditEntry> = context.client()?.get(&["audit"], &query).await?;
    if context.style.json {
        return Ok(print_json(context.out, &page.items)?);
    }
    let mut table = context.style.table(&["SEQ", "TIME", "ACTOR", "FROM", "ACTION", "OBJECT", "DETAIL"]);
    for entry in &page.items {
        table.add_row([
            plain(entry.sequence.to_string()),
            plain(entry.at.to_string()),
            plain(actor(entry)),
            plain(or_dash(&entry.from)),
            plain(&entry.action),
            plain(or_dash(&entry.object)),
            plain(detail(entry)),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

/// Who, and by which API token.
fn actor(entry: &AuditEntry) -> String {
    match &entry.token {
        Some(token) => format!("{} by token {token}", entry.actor),
        None => entry.actor.clone(),
    }
}

/// The detail, or what the change was.
fn detail(entry: &AuditEntry) -> String {
    let value =
        |v: &Option<serde_json::Value>| v.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    match (&entry.before, &entry.after) {
        _ if !entry.detail.is_empty() => entry.detail.clone(),
        (None, None) => "-".to_owned(),
        (before, after) => format!("{} -> {}", value(before), value(after)),
    }
}

fn broken(error: &muster_shared::audit_chain::Broken, what: &str) -> CliError {
    CliError::Broken(format!("{what}: {error}"))
}

fn tell(verified: &Verified, context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        let told = serde_json::json!({
            "entries": verified.entries, "first": verified.first, "last": verified.last, "hash": verified.hash,
        });
        return Ok(print_json(context.out, &told)?);
    }
    writeln!(context.out, "whole: {verified}")?;
    if verified.first > 1 {
        writeln!(
            context.err,
            "entries before {} are not there, so what they said is not checked",
            verified.first
        )?;
    }
    Ok(())
}

async fn verify_controller(context: &mut Context<'_>) -> Result<(), CliError> {
    let mut verifier = Verifier::default();
    let client = context.client()?;
    let check = |line: &[u8]| verifier.next(line).map_err(|e| broken(&e, "the controller's audit log"));
    client.lines(&["audit", "export"], &[], check).await?;
    tell(verifier.verified(), context)
}

/// The files of a folder in the order of their names, which is that of their entries.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(CliError::file("read", path))? {
            let file = entry.map_err(CliError::file("read", path))?.path();
            if file.extension().is_some_and(|e| e == "jsonl") {
                inside.push(file);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn verify_files(paths: &[PathBuf]) -> Result<Verified, CliError> {
    let mut verifier = Verifier::default();
    for path in expand(paths)? {
        let file = File::open(&path).map_err(CliError::file("read", &path))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(CliError::file("read", &path))?;
            verifier.next(&line).map_err(|e| broken(&e, &path.display().to_string()))?;
        }
    }
    Ok(verifier.verified().clone())
}

async fn export(after: Option<u64>, file: Option<&Path>, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let after = after.map(|n| n.to_string());
    let query: Vec<(&str, &str)> = after.iter().map(|n| ("after", n.as_str())).collect();
    let mut count = 0_u64;
    match file {
        None => {
            let out = &mut *context.out;
            let write = |line: &[u8]| {
                count += 1;
                Ok(out.write_all(line).and_then(|()| out.write_all(b"\n"))?)
            };
            client.lines(&["audit", "export"], &query, write).await?;
        }
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let mut file = BufWriter::new(file.map_err(CliError::file("write", path))?);
            let write = |line: &[u8]| {
                count += 1;
                let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
                written.map_err(CliError::file("write", path))
            };
            client.lines(&["audit", "export"], &query, write).await?;
            let written = file.into_inner().map_err(|e| e.into_error()).and_then(|f| f.sync_all());
            written.map_err(CliError::file("write", path))?;
        }
    }
    writeln!(context.err, "{count} entries exported")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::audit_chain::{GENESIS, line};

    fn write(folder: &Path, name: &str, lines: &[Vec<u8>]) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, [lines.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
        path
    }

    fn log(n: u64) -> Vec<Vec<u8>> {
        let mut hash = GENESIS.to_owned();
        let mut lines = Vec::new();
        for i in 1..=n {
            let (next, text) = line(&hash, format!("{{\"sequence\":{i}}}").as_bytes());
            hash = next;
            lines.push(text);
        }
        lines
    }

    #[test]
    fn segments_are_checked_as_one_log() {
        let folder = tempfile::tempdir().unwrap();
        let lines = log(6);
        write(folder.path(), "00000000000000000005.jsonl", &lines[4..]);
        write(folder.path(), "00000000000000000001.jsonl", &lines[..4]);
        std::fs::write(folder.path().join("notes.txt"), "no log").unwrap();
        let verified = verify_files(&[folder.path().to_owned()]).unwrap();
        assert_eq!((verified.entries, verified.first, verified.last), (6, 1, 6));
        let part = folder.path().join("00000000000000000005.jsonl");
        assert_eq!(verify_files(std::slice::from_ref(&part)).unwrap().first, 5);
        let mut changed = lines[4..].to_vec();
        changed.remove(0);
        write(folder.path(), "00000000000000000005.jsonl", &changed);
        let error = verify_files(&[folder.path().to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: sequence 5 is missing before 6 (line 5): entries were removed or reordered",
                part.display()
            )
        );
        assert_eq!(error.exit().code(), 4);
    }
}
