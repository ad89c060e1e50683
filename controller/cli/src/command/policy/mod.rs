//! `policy`: check, publish, look, compare. Checking and comparing run the same code as the controller, here.

pub(super) mod apply;
mod check;
pub(super) mod draft;
pub(super) mod effective;
pub(super) mod files;
pub(super) mod preview;
pub(super) mod trial;

use super::Context;
use crate::client::{Client, Known};
use crate::error::CliError;
use crate::output::{Style, Tone, ago, cell, clean, labels, or_dash, plain, print_json, print_table};
use check::{Checked, check};
use comfy_table::Table;
use jiff::Timestamp;
use muster_proto::api::{
    ChangeKind, PolicyChange, PolicyCheck, PolicyPublished, PolicyRevert, PolicyRevisionText,
    PolicyRevisionView, PolicyState, PolicyStatus, RevisionStanding,
};
use muster_shared::policy::diff::{self, diff_documents};
use muster_shared::policy::model::PolicyDocument;
use muster_shared::policy::parse_document;
use reqwest::Method;
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One file in the JSON output of `policy validate`.
#[derive(Serialize)]
struct ValidatedFile<'a> {
    file: &'a Path,
    #[serde(flatten)]
    check: PolicyCheck,
    /// Whether the controller was asked as well; if not, `changes` and `agents` are empty.
    asked_controller: bool,
}

pub(super) async fn validate(
    files: &[PathBuf],
    offline: bool,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = match context.logged_in()? {
        Some(profile) if !offline => Some(super::client_of(&profile)?),
        _ => None,
    };
    let mut told = Vec::new();
    let mut wrong = 0;
    for file in files {
        let text = read(file)?;
        let mut checked = check(&text);
        let asked = match &client {
            Some(client) if checked.result.valid => {
                let answer: PolicyCheck = client.post_yaml(&["policies", "validate"], text).await?;
                checked.take_over(answer);
                true
            }
            _ => false,
        };
        wrong += usize::from(!checked.result.valid);
        if context.style.json {
            told.push(ValidatedFile { file, check: checked.result, asked_controller: asked });
        } else {
            report(context, file, &checked, asked)?;
        }
    }
    if context.style.json {
        print_json(context.out, &told)?;
    }
    if wrong > 0 { Err(CliError::Invalid { wrong, all: files.len() }) } else { Ok(()) }
}

fn report(context: &mut Context<'_>, file: &Path, checked: &Checked, asked: bool) -> io::Result<()> {
    let name = file.display();
    for fault in &checked.result.faults {
        writeln!(context.out, "{name}:{}", clean(&error_line(fault)))?;
    }
    for warning in &checked.result.warnings {
        writeln!(context.out, "{name}:{}", clean(&warning_line(warning)))?;
    }
    if !checked.result.valid {
        return Ok(());
    }
    let result = &checked.result;
    if asked {
        writeln!(context.out, "{name}: valid; selects {} agent(s) now", result.agents)?;
        print_changes(context.out, &result.changes)
    } else {
        writeln!(context.out, "{name}: valid")
    }
}

/// `12:5: error: …`, as compilers write it, so that editors can jump there.
fn error_line(fault: &muster_proto::api::PolicyFault) -> String {
    placed(fault, "error")
}

fn warning_line(fault: &muster_proto::api::PolicyFault) -> String {
    placed(fault, "warning")
}

fn placed(fault: &muster_proto::api::PolicyFault, level: &str) -> String {
    let place = if fault.line > 0 { format!("{}:{}:", fault.line, fault.column) } else { String::new() };
    let path = if fault.path.is_empty() { String::new() } else { format!("{}: ", fault.path) };
    format!("{place} {level}: {path}{}", fault.message)
}

/// Publishes the text of an older revision again.
pub(super) async fn revert(
    policy: &str,
    to: u64,
    comment: String,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = context.client()?;
    let published: PolicyPublished =
        client.post(&["policies", policy, "revert"], &PolicyRevert { to, comment }).await?;
    tell_published(&published, context)
}

/// The query that tells why, if something was said.
fn why(comment: &str) -> Vec<(&'static str, &str)> {
    if comment.is_empty() { Vec::new() } else { vec![("comment", comment)] }
}

/// Removes a policy.
pub(super) async fn remove(policy: &str, comment: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let path = ["policies", policy];
    let removed: PolicyPublished =
        client.conditional_json(Method::DELETE, &path, &why(comment), Known::Nothing, None).await?;
    if context.style.json {
        return Ok(print_json(context.out, &removed)?);
    }
    let PolicyPublished { revision, agents, .. } = &removed;
    let name = clean(&revision.name);
    Ok(writeln!(
        context.out,
        "{name}: removed by revision {}; it selected {agents} agent(s)",
        revision.revision
    )?)
}

/// One line about a published revision, its warnings to standard error; or JSON.
fn tell_published(published: &PolicyPublished, context: &mut Context<'_>) -> Result<(), CliError> {
    for warning in &published.warnings {
        writeln!(context.err, "{}", clean(warning_line(warning).trim_start()))?;
    }
    if context.style.json {
        return Ok(print_json(context.out, published)?);
    }
    let PolicyPublished { revision, changed, agents, .. } = published;
    let what = if *changed { "published as revision" } else { "unchanged, already revision" };
    let name = clean(&revision.name);
    Ok(writeln!(context.out, "{name}: {what} {}; selects {agents} agent(s)", revision.revision)?)
}

/// Prints the schema that this program checks by.
pub(super) fn schema(context: &mut Context<'_>) -> Result<(), CliError> {
    Ok(print_json(context.out, muster_shared::policy::schema::document_schema())?)
}

pub(super) async fn show(policy: Option<&str>, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let Some(policy) = policy else {
        let policies: Vec<PolicyRevisionView> = client.list(&["policies"]).await?;
        return print_revisions(&policies, context);
    };
    let text = fetch(&client, policy).await?;
    if context.style.json {
        return Ok(print_json(context.out, &text)?);
    }
    // As it was published, so that it can be saved and applied again: only escape sequences are taken out.
    let line_feed = if text.text.ends_with('\n') { "" } else { "\n" };
    let shown: String = text.text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    write!(context.out, "{shown}{line_feed}")?;
    let revision = &text.revision;
    let removed = if revision.removed { "; this revision removed it" } else { "" };
    writeln!(
        context.err,
        "# revision {}, published {} by {}{removed}",
        revision.revision,
        revision.published_at,
        clean(&revision.published_by)
    )?;
    Ok(())
}

pub(super) async fn status(policy: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let status: PolicyStatus = context.client()?.get(&["policies", policy, "status"], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &status)?);
    }
    writeln!(
        context.out,
        "{} revision {}: {} applied, {} applying, {} failed, {} waiting",
        clean(&status.name),
        status.revision,
        status.applied,
        status.applying,
        status.failed,
        status.waiting
    )?;
    Ok(print_table(context.out, &status_table(&status, context.style))?)
}

fn status_table(status: &PolicyStatus, style: Style) -> Table {
    let mut table = style.table(&["AGENT", "STATE", "REASON"]);
    for agent in &status.agents {
        let (word, tone) = match agent.state {
            PolicyState::Applied => ("applied", Tone::Good),
            PolicyState::Applying => ("applying", Tone::Warn),
            PolicyState::Waiting => ("waiting", Tone::Warn),
            PolicyState::Failed => ("failed", Tone::Bad),
        };
        table.add_row([plain(&agent.name), cell(word, tone), plain(or_dash(&agent.reason))]);
    }
    table
}

pub(super) async fn history(policy: Option<&str>, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let mut revisions: Vec<PolicyRevisionView> = match policy {
        Some(name) => client.list(&["policies", name, "revisions"]).await?,
        None => {
            let mut all = Vec::new();
            for current in client.list::<PolicyRevisionView>(&["policies"]).await? {
                all.extend(client.list(&["policies", &current.name, "revisions"]).await?);
            }
            all
        }
    };
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    print_revisions(&revisions, context)
}

fn print_revisions(revisions: &[PolicyRevisionView], context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        return Ok(print_json(context.out, &revisions)?);
    }
    let now = Timestamp::now();
    let mut table =
        context.style.table(&["NAME", "REVISION", "PUBLISHED", "BY", "PRIORITY", "SELECTOR", "DESCRIPTION"]);
    for revision in revisions {
        let standing = match (revision.standing, revision.rollout) {
            (RevisionStanding::InForce, _) => String::new(),
            (RevisionStanding::Staged, rollout) => format!("(rollout {}) ", rollout.unwrap_or_default()),
            (RevisionStanding::Withdrawn, _) => "(withdrawn) ".to_owned(),
        };
        let text = if revision.removed { "(removed)" } else { or_dash(&revision.description) };
        let comment =
            if revision.comment.is_empty() { String::new() } else { format!(" — {}", revision.comment) };
        let description = format!("{standing}{text}{comment}");
        table.add_row([
            plain(&revision.name),
            plain(revision.revision.to_string()),
            plain(ago(Some(revision.published_at), now)),
            plain(&revision.published_by),
            plain(revision.priority.to_string()),
            plain(labels(&revision.selector)),
            plain(description),
        ]);
    }
    print_table(context.out, &table)?;
    if revisions.is_empty() {
        writeln!(context.err, "no policies yet: `muster policy apply FILE`")?;
    }
    Ok(())
}

pub(super) async fn diff(a: &str, b: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let old = document(a, context).await?;
    let new = document(b, context).await?;
    let changes: Vec<PolicyChange> = diff_documents(&old, &new).into_iter().map(wire_change).collect();
    if context.style.json {
        return Ok(print_json(context.out, &changes)?);
    }
    print_changes(context.out, &changes)?;
    if changes.is_empty() {
        writeln!(context.err, "no difference")?;
    }
    Ok(())
}

/// A file if there is one of that name, else a policy of the controller.
async fn document(name: &str, context: &Context<'_>) -> Result<PolicyDocument, CliError> {
    let path = Path::new(name);
    if path.exists() || name.contains('/') {
        let text = read(path)?;
        return parse_document(&text).map_err(|fault| CliError::Local(format!("{name}: {fault}")));
    }
    let text = fetch(&context.client()?, name).await?;
    parse_document(&text.text).map_err(|fault| CliError::Local(format!("{name}: {fault}")))
}

/// `NAME` or `NAME@REVISION` from the controller.
async fn fetch(client: &Client, policy: &str) -> Result<PolicyRevisionText, CliError> {
    match policy.split_once('@') {
        None => client.get(&["policies", policy], &[]).await,
        Some((name, revision)) => {
            if revision.parse::<u64>().is_err() {
                return Err(CliError::Usage(format!(
                    "`{policy}`: after the @ belongs the number of a revision"
                )));
            }
            client.get(&["policies", name, "revisions", revision], &[]).await
        }
    }
}

fn wire_change(change: diff::Change) -> PolicyChange {
    let (kind, before, after) = match change.kind {
        diff::ChangeKind::Added(value) => (ChangeKind::Added, None, Some(value)),
        diff::ChangeKind::Removed(value) => (ChangeKind::Removed, Some(value), None),
        diff::ChangeKind::Changed { old, new } => (ChangeKind::Changed, Some(old), Some(new)),
        diff::ChangeKind::Moved { old, new } => {
            (ChangeKind::Changed, Some(position(old)), Some(position(new)))
        }
    };
    PolicyChange { path: change.path, kind, before, after }
}

fn position(index: usize) -> serde_json::Value {
    serde_json::json!({ "position": index })
}

fn print_changes(out: &mut dyn Write, changes: &[PolicyChange]) -> io::Result<()> {
    for change in changes {
        let text =
            |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let path = clean(&change.path);
        match change.kind {
            ChangeKind::Added => writeln!(out, "+ {path}: {}", clean(&text(&change.after)))?,
            ChangeKind::Removed => writeln!(out, "- {path}: {}", clean(&text(&change.before)))?,
            ChangeKind::Changed => {
                writeln!(
                    out,
                    "~ {path}: {} -> {}",
                    clean(&text(&change.before)),
                    clean(&text(&change.after))
                )?;
            }
        }
    }
    Ok(())
}

pub(super) fn read(file: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(file).map_err(CliError::file("read", file))?;
    String::from_utf8(bytes).map_err(|_| CliError::Local(format!("{} is not UTF-8 text", file.display())))
}
