//! `policy draft`: documents that are being written.

use super::check::check;
use super::{error_line, read, tell_published, warning_line};
use crate::args::DraftCommand;
use crate::client::Known;
use crate::command::Context;
use crate::error::CliError;
use crate::output::{Tone, ago, cell, clean, or_dash, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::{DraftText, DraftView, PolicyPublished};
use reqwest::Method;
use std::path::Path;

/// Runs `policy draft`.
pub(in crate::command) async fn run(
    command: DraftCommand,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    match command {
        DraftCommand::List => list(context).await,
        DraftCommand::Show { draft } => show(&draft, context).await,
        DraftCommand::Save { draft, file, etag, base } => {
            save(&draft, &file, etag.as_deref(), base, context).await
        }
        DraftCommand::Publish { draft, etag } => publish(&draft, etag, context).await,
        DraftCommand::Delete { draft, etag } => delete(&draft, etag, context).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let drafts: Vec<DraftView> = context.client()?.list(&["drafts"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &drafts)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&["DRAFT", "POLICY", "BASE", "STATE", "SAVED", "BY"]);
    for draft in &drafts {
        let (word, tone) = match (draft.valid, draft.outdated) {
            (false, _) => (format!("{} fault(s)", draft.faults.len()), Tone::Bad),
            (true, true) => ("outdated".to_owned(), Tone::Warn),
            (true, false) => ("valid".to_owned(), Tone::Good),
        };
        table.add_row([
            plain(&draft.name),
            plain(or_dash(&draft.policy)),
            plain(draft.base.to_string()),
            cell(word, tone),
            plain(ago(Some(draft.updated_at), now)),
            plain(&draft.updated_by),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

async fn show(name: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let found: DraftText = context.client()?.get(&["drafts", name], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &found)?);
    }
    let shown: String = found.text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let line_feed = if shown.ends_with('\n') { "" } else { "\n" };
    write!(context.out, "{shown}{line_feed}")?;
    tell(name, &found.draft, context)
}

/// Tag, base and faults of a draft, to standard error.
fn tell(place: &str, draft: &DraftView, context: &mut Context<'_>) -> Result<(), CliError> {
    for fault in &draft.faults {
        writeln!(context.err, "{}:{}", clean(place), clean(&error_line(fault)))?;
    }
    for warning in &draft.warnings {
        writeln!(context.err, "{}:{}", clean(place), clean(&warning_line(warning)))?;
    }
    let outdated = if draft.outdated { ", which is not the present one any more" } else { "" };
    writeln!(
        context.err,
        "# draft {}, etag {}, made from revision {}{outdated}, saved {} by {}",
        clean(&draft.name),
        clean(&draft.etag),
        draft.base,
        draft.updated_at,
        clean(&draft.updated_by)
    )?;
    Ok(())
}

async fn save(
    name: &str,
    file: &Path,
    etag: Option<&str>,
    base: Option<u64>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = context.client()?;
    let text = read(file)?;
    let known = etag.map_or(Known::Absent, Known::Tag);
    let base = base.map(|number| number.to_string());
    let query: Vec<(&str, &str)> = base.iter().map(|number| ("base", number.as_str())).collect();
    let mut draft: DraftView =
        client.conditional_json(Method::PUT, &["drafts", name], &query, known, Some(text.clone())).await?;
    let places = check(&text);
    draft.faults = places.placed(draft.faults);
    draft.warnings = places.placed(draft.warnings);
    if context.style.json {
        return Ok(print_json(context.out, &draft)?);
    }
    writeln!(context.out, "{}", clean(&draft.etag))?;
    tell(&file.display().to_string(), &draft, context)
}

/// The tag given, or that of the draft as it is now.
async fn tag(name: &str, given: Option<String>, context: &Context<'_>) -> Result<String, CliError> {
    match given {
        Some(tag) => Ok(tag),
        None => Ok(context.client()?.get::<DraftText>(&["drafts", name], &[]).await?.draft.etag),
    }
}

async fn publish(name: &str, etag: Option<String>, context: &mut Context<'_>) -> Result<(), CliError> {
    let tag = tag(name, etag, context).await?;
    let path = ["drafts", name, "publish"];
    let client = context.client()?;
    let published: PolicyPublished =
        client.conditional_json(Method::POST, &path, &[], Known::Tag(&tag), None).await?;
    tell_published(&published, context)
}

async fn delete(name: &str, etag: Option<String>, context: &mut Context<'_>) -> Result<(), CliError> {
    let tag = tag(name, etag, context).await?;
    context.client()?.conditional(Method::DELETE, &["drafts", name], &[], Known::Tag(&tag), None).await?;
    Ok(writeln!(context.err, "draft {} deleted", clean(name))?)
}
