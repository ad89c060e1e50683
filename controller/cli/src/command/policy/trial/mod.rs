//! `policy test`: recorded events through a policy, here and without a controller: what is kept, dropped or held
//! back, where each event goes, and by which rule.

mod recorded;
mod report;

use super::check::check;
use super::{error_line, files};
use crate::args::TestArgs;
use crate::command::Context;
use crate::error::CliError;
use crate::output::clean;
use muster_proto::api::AgentPolicyView;
use muster_shared::policy::merge::merge_documents;
use muster_shared::policy::model::{EffectivePolicy, PolicyDocument};
use muster_shared::policy::replay::{Fate, Replay};
use muster_shared::policy::{CompiledPolicy, EventSource, parse_document, parse_spec, validate_effective};
use recorded::Recording;
use report::{Report, Told};
use std::path::PathBuf;

/// Runs `policy test`.
pub(in crate::command) async fn run(args: TestArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let TestArgs { events, policy, effective, utc_offset, summary } = args;
    let policy = match effective {
        Some(agent) => of_agent(&agent, context).await?,
        None => of_files(&policy, context)?,
    };
    let compiled = CompiledPolicy::compile(&policy).map_err(|error| CliError::Local(error.to_string()))?;
    let recording = Recording::read(&events)?;
    for note in recording.notes() {
        writeln!(context.err, "note: {note}")?;
    }
    if utc_offset.is_none() && asks_local_time(&policy) {
        writeln!(
            context.err,
            "note: the policy asks for the partition's local time, which is taken to be UTC; give --utc-offset"
        )?;
    }
    let report = test(&policy, &compiled, recording, utc_offset.unwrap_or(0));
    report.print(summary, context)?;
    match report.faults() {
        0 => Ok(()),
        faults => Err(CliError::Local(format!(
            "expressions failed {faults} time(s): what they are part of passed such events by, so that nothing was hidden"
        ))),
    }
}

/// Lets every event pass.
fn test(
    policy: &EffectivePolicy,
    compiled: &CompiledPolicy,
    recording: Recording,
    utc_offset_seconds: i32,
) -> Report {
    let mut report = Report::new(compiled);
    let mut replay = Replay::default();
    let sources = &policy.spec.sources;
    for (view, mut event) in recording.events {
        let source = EventSource::new(&view.source, utc_offset_seconds);
        // A policy without any source is a part of one.
        if !sources.is_empty() && !sources.contains_key(&view.source) && !recorded::is_agents_own(&event) {
            report.add(&view, Told::not_collected(&event));
            continue;
        }
        let before = event.severity;
        let (severity, routes) = compiled.explain(&event, source);
        let routes = routes.into_iter().map(str::to_owned).collect();
        let mut faults = Vec::new();
        let fate = replay.take(compiled, &mut event, source, &mut faults);
        report.note(compiled, &faults);
        let set_by = severity.map(|(position, _)| format!("severities[{position}]"));
        let goes = match fate {
            Fate::Kept { destinations, .. } => {
                compiled.destination_names(destinations).map(str::to_owned).collect()
            }
            Fate::Dropped { .. } | Fate::HeldBack { .. } => Vec::new(),
        };
        report.add(&view, Told::new(compiled, fate, (before, event.severity), set_by, goes, routes));
    }
    report.finish(replay.finish());
    report
}

fn asks_local_time(policy: &EffectivePolicy) -> bool {
    let mut all = policy.spec.conditions();
    all.any(|when| when.asks_time() || when.expressions().any(|text| text.contains("local_time")))
}

/// What an agent should run.
async fn of_agent(agent: &str, context: &mut Context<'_>) -> Result<EffectivePolicy, CliError> {
    let view: AgentPolicyView = context.client()?.get(&["agents", agent, "policy"], &[]).await?;
    Ok(view.wanted)
}

/// Policy files, merged whatever their selectors say; or one file with the bare content of a policy, as a
/// stand-alone agent reads it.
fn of_files(paths: &[PathBuf], context: &mut Context<'_>) -> Result<EffectivePolicy, CliError> {
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(files::read_set(path)?);
    }
    if let [file] = texts.as_slice()
        && parse_document(&file.text).is_err()
    {
        match parse_spec(&file.text) {
            Ok(spec) => return valid(EffectivePolicy { spec, ..EffectivePolicy::default() }, context),
            // Meant as a bare content: what is wrong in it is told, not that it is no document.
            Err(fault) if !file.text.contains("api_version") => {
                writeln!(context.err, "{}: {}", clean(&file.path), clean(&fault.to_string()))?;
                return Err(CliError::Invalid { wrong: 1, all: 1 });
            }
            Err(_) => {}
        }
    }
    let mut documents: Vec<PolicyDocument> = Vec::with_capacity(texts.len());
    let mut wrong = 0;
    for file in &texts {
        let checked = check(&file.text);
        for fault in &checked.result.faults {
            writeln!(context.err, "{}:{}", clean(&file.path), clean(&error_line(fault)))?;
        }
        match parse_document(&file.text) {
            Ok(document) if checked.result.valid => documents.push(document),
            Ok(_) | Err(_) => wrong += 1,
        }
    }
    if wrong > 0 {
        return Err(CliError::Invalid { wrong, all: texts.len() });
    }
    let merged = merge_documents(&documents, 0).map_err(|conflict| CliError::Local(conflict.to_string()))?;
    valid(merged.policy, context)
}

/// Refuses a policy that no agent would run.
fn valid(policy: EffectivePolicy, context: &mut Context<'_>) -> Result<EffectivePolicy, CliError> {
    let problems = validate_effective(&policy);
    let errors: Vec<_> = problems.iter().filter(|problem| problem.is_error()).collect();
    for error in &errors {
        writeln!(context.err, "{}", clean(&error.to_string()))?;
    }
    if errors.is_empty() { Ok(policy) } else { Err(CliError::Invalid { wrong: 1, all: 1 }) }
}

#[cfg(test)]
mod tests;
