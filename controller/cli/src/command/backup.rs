//! `backup`: backups of the controller, and what a restored one has to tell.

use super::Context;
use crate::backup_args::BackupCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{clean, plain, print_json, print_table};
use muster_backup::{BackupError, Passphrase, Summary};
use muster_proto::api::{BackupList, BackupView, RestoreView};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) async fn backup(command: BackupCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        BackupCommand::Create { file } => create(file.as_deref(), context).await,
        BackupCommand::List => list(context).await,
        BackupCommand::Download { name, file } => {
            let bytes = fetch(&context.client()?, &name, &file).await?;
            writeln!(context.err, "{bytes} bytes written to {}", file.display())?;
            Ok(())
        }
        BackupCommand::Verify { backup, passphrase_file } => verify(&backup, &passphrase_file, context),
        BackupCommand::Restored => restored(context).await,
    }
}

async fn create(file: Option<&Path>, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let made: BackupView = client.post(&["backups"], &serde_json::json!({})).await?;
    if let Some(file) = file {
        fetch(&client, &made.name, file).await?;
    }
    if context.style.json {
        return Ok(print_json(context.out, &made)?);
    }
    writeln!(context.out, "{}: {} bytes, read back and good", clean(&made.name), made.bytes)?;
    if let Some(file) = file {
        writeln!(context.out, "fetched into {}", file.display())?;
    }
    Ok(())
}

/// Fetches a backup into a new file; what was written of it goes if it does not come whole.
async fn fetch(client: &Client, name: &str, path: &Path) -> Result<u64, CliError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut out = BufWriter::new(file.map_err(CliError::file("write", path))?);
    let write = |chunk: &[u8]| out.write_all(chunk).map_err(CliError::file("write", path));
    let result = match client.download(&["backups", name], write).await {
        Ok(bytes) => {
            let synced = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|f| f.sync_all());
            synced.map(|()| bytes).map_err(CliError::file("write", path))
        }
        Err(error) => Err(error),
    };
    if result.is_err() {
        // It was made here, and half a backup is none.
        let _ = std::fs::remove_file(path);
    }
    result
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let list: BackupList = context.client()?.get(&["backups"], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &list)?);
    }
    let mut table = context.style.table(&["NAME", "TAKEN AT", "BYTES", "READ BACK"]);
    for backup in &list.backups {
        let verified = backup.verified_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        table.add_row([
            plain(&backup.name),
            plain(backup.taken_at.to_string()),
            plain(backup.bytes.to_string()),
            plain(verified),
        ]);
    }
    print_table(context.out, &table)?;
    Ok(show_schedule(context.out, &list)?)
}

fn show_schedule(out: &mut dyn Write, list: &BackupList) -> io::Result<()> {
    let Some(folder) = &list.folder else {
        return writeln!(
            out,
            "this controller makes no backups: start it with --backup-dir and --backup-passphrase-file"
        );
    };
    writeln!(out, "every {} h into {}, {} are kept", list.every_hours, clean(folder), list.keep)?;
    match list.last_success {
        Some(at) => writeln!(out, "last good one: {at}")?,
        None => writeln!(out, "none was good yet")?,
    }
    if let Some(failure) = &list.last_failure {
        writeln!(out, "FAILED at {}: {}", failure.at, clean(&failure.reason))?;
    }
    match list.next_due {
        Some(due) => writeln!(out, "next one: {due}"),
        None => Ok(()),
    }
}

fn verify(path: &Path, passphrase_file: &Path, context: &mut Context<'_>) -> Result<(), CliError> {
    let passphrase = Passphrase::from_file(passphrase_file).map_err(|error| CliError::Local(told(&error)))?;
    let file = File::open(path).map_err(CliError::file("read", path))?;
    let summary = muster_backup::verify(file, &passphrase).map_err(|error| match error {
        BackupError::Io(error) => CliError::file("read", path)(error),
        error => CliError::Broken(format!("{}: {error}", path.display())),
    })?;
    if context.style.json {
        let chain = match &summary.chain {
            Ok(verified) => serde_json::json!({
                "whole": true, "entries": verified.entries, "first": verified.first, "last": verified.last,
                "hash": verified.hash,
            }),
            Err(broken) => serde_json::json!({ "whole": false, "reason": broken.to_string() }),
        };
        let told = serde_json::json!({ "manifest": summary.manifest, "audit_log": chain });
        print_json(context.out, &told)?;
    } else {
        show(context.out, &summary)?;
    }
    match &summary.chain {
        Ok(_) => Ok(()),
        Err(broken) => Err(CliError::Broken(format!(
            "the backup itself is whole, but the audit log in it was broken when it was made: {broken}"
        ))),
    }
}

fn show(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let manifest = &summary.manifest;
    writeln!(out, "whole: taken at {} by {}", manifest.taken_at, clean(&manifest.product))?;
    writeln!(out, "format {}, incarnation {}", manifest.format, manifest.incarnation)?;
    for (kind, count) in &manifest.counts {
        writeln!(out, "  {count} {}", clean(kind))?;
    }
    let bytes: u64 = manifest.entries.iter().map(|entry| entry.bytes).sum();
    writeln!(
        out,
        "{} pairs of the store and {} other entries, {bytes} bytes",
        manifest.pairs,
        manifest.entries.len() - 1
    )?;
    match &summary.chain {
        Ok(verified) => writeln!(out, "audit log whole: {verified}"),
        Err(broken) => writeln!(out, "audit log NOT whole: {broken}"),
    }
}

/// An error with its reasons.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

async fn restored(context: &mut Context<'_>) -> Result<(), CliError> {
    let view: RestoreView = context.client()?.get(&["restore"], &[]).await?;
    if view.superseded.is_some() {
        // All of it is told here.
        let _ = context.notice.take();
    }
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    Ok(show_restored(context.out, &view)?)
}

fn show_restored(out: &mut dyn Write, view: &RestoreView) -> io::Result<()> {
    writeln!(out, "incarnation {} ({})", view.incarnation, clean(&view.id))?;
    if let Some(superseded) = &view.superseded {
        writeln!(out, "{}", clean(&superseded.says))?;
    }
    let Some(restored) = &view.restored else {
        return writeln!(out, "this controller was never restored from a backup");
    };
    writeln!(out, "restored at {} from the backup of {}", restored.at, restored.taken_at)?;
    for lost in &restored.lost_revisions {
        writeln!(
            out,
            "seen from agents: revision {} ran on {} agent(s), the newest in the backup is {}; publish it again",
            lost.revision, lost.agents, restored.last_revision
        )?;
    }
    if restored.renewed_agents > 0 {
        writeln!(
            out,
            "{} agent(s) came back with a certificate of after the backup",
            restored.renewed_agents
        )?;
    }
    for agent in &restored.unknown_agents {
        writeln!(out, "agent {} enrolled after the backup: enrol it again with a new token", clean(agent))?;
    }
    if !restored.redo.is_empty() {
        writeln!(out, "done after the backup:")?;
        for line in &restored.redo {
            writeln!(out, "  {}", clean(line))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{BackupFailure, LostRevision, RestoredView, SupersededView};

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_failure_is_shown_with_its_reason() {
        let at = "2026-11-26T04:00:00Z".parse().unwrap();
        let none = BackupList {
            backups: Vec::new(),
            folder: None,
            every_hours: 0,
            keep: 0,
            next_due: None,
            last_success: None,
            last_failure: None,
        };
        assert!(text(|out| show_schedule(out, &none)).contains("--backup-dir"));
        let failed = BackupList {
            folder: Some("/backups".to_owned()),
            every_hours: 24,
            keep: 7,
            next_due: Some(at),
            last_failure: Some(BackupFailure { at, reason: "no space left".to_owned() }),
            ..none
        };
        let shown = text(|out| show_schedule(out, &failed));
        for part in ["every 24 h into /backups", "none was good yet", "FAILED at 2026", "no space left"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn what_a_restore_left_is_told() {
        let at = "2026-11-26T04:00:00Z".parse().unwrap();
        let view = RestoreView {
            incarnation: 2,
            id: "x".to_owned(),
            restored: Some(RestoredView {
                at,
                taken_at: at,
                last_revision: 5,
                redo: vec!["publish it again".to_owned()],
                lost_revisions: vec![LostRevision { revision: 7, agents: 12 }],
                unknown_agents: vec!["a".to_owned()],
                renewed_agents: 3,
            }),
            superseded: Some(SupersededView { since: at, by: 3, says: "replaced by 3".to_owned() }),
        };
        let shown = text(|out| show_restored(out, &view));
        for part in [
            "incarnation 2",
            "replaced by 3",
            "revision 7 ran on 12 agent(s), the newest in the backup is 5",
            "3 agent(s) came back",
            "agent a enrolled after the backup",
            "  publish it again",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let never = RestoreView { restored: None, superseded: None, ..view };
        assert!(text(|out| show_restored(out, &never)).contains("was never restored"));
    }

    #[test]
    fn a_passphrase_file_and_a_backup_that_are_none_are_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (backup, passphrase) = (folder.path().join("b"), folder.path().join("p"));
        std::fs::write(&backup, "no backup").unwrap();
        std::fs::write(&passphrase, "correct horse battery\n").unwrap();
        let environment = crate::Environment::default();
        let run = || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let words = ["muster", "backup", "verify", "--passphrase-file"];
            let paths = [passphrase.as_os_str().to_owned(), backup.as_os_str().to_owned()];
            let args = words.map(std::ffi::OsString::from).into_iter().chain(paths);
            let exit = crate::run(args, &environment, &mut out, &mut err);
            (exit.code(), String::from_utf8(err).unwrap())
        };
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (code, told) = run();
        assert!(code == 1 && told.contains("can be read by others"), "{code} {told}");
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (code, told) = run();
        assert!(code == 4 && told.contains("is no backup of a Muster controller"), "{code} {told}");
    }
}
