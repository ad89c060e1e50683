//! `rollout`: policies and packages that reach the partitions wave by wave.

use super::Context;
use super::policy::{apply, files};
use crate::client::Client;
use crate::error::CliError;
use crate::output::{Style, Tone, ago, cell, clean, plain, print_json, print_table};
use crate::rollout_args::{OrderArgs, RolloutCommand, StartArgs};
use jiff::Timestamp;
use muster_proto::api::{
    PolicyRevisionText, PolicyText, RolloutChange, RolloutNote, RolloutOrder, RolloutPackage,
    RolloutPartition, RolloutPartitionState, RolloutPlan, RolloutRequest, RolloutState, RolloutStrategy,
    RolloutSummary, RolloutView,
};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between looks while a rollout is watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(command: RolloutCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        RolloutCommand::Plan(args) => plan(&args, context).await,
        RolloutCommand::Start(args) => start(&args, context).await,
        RolloutCommand::List => list(context).await,
        RolloutCommand::Show { rollout, partitions } => show(rollout, partitions, context).await,
        RolloutCommand::Watch { rollout, timeout } => {
            let client = context.client()?;
            let id = number(&client, rollout).await?;
            watch(&client, id, timeout, context).await
        }
        RolloutCommand::Pause(args) => order("pause", args, context).await,
        RolloutCommand::Resume(args) => order("resume", args, context).await,
        RolloutCommand::Abort(args) => order("abort", args, context).await,
    }
}

fn strategy(args: &StartArgs) -> Result<RolloutStrategy, CliError> {
    let Some(path) = &args.strategy else { return Ok(args.change(RolloutStrategy::default())) };
    let text = super::policy::read(path)?;
    let read = serde_saphyr::from_str(&text);
    let strategy = read.map_err(|e| CliError::Local(format!("{} is no strategy: {e}", path.display())))?;
    Ok(args.change(strategy))
}

/// What is asked for, with the files that it comes from.
async fn request(
    client: &Client,
    args: &StartArgs,
) -> Result<(RolloutRequest, Vec<files::PolicyFile>), CliError> {
    let files = match &args.path {
        Some(path) => files::read_set(Path::new(path))?,
        None => Vec::new(),
    };
    let mut documents = files::request(&files, false).documents;
    for (name, revision) in &args.to {
        let number = revision.to_string();
        let old: PolicyRevisionText = client.get(&["policies", name, "revisions", &number], &[]).await?;
        documents.push(PolicyText { text: old.text, signature: old.signature, ..PolicyText::default() });
    }
    let request = RolloutRequest {
        documents,
        removals: args.remove.clone(),
        package: args.package.clone().map(|(name, version)| RolloutPackage { name, version }),
        labels: args.labels.iter().cloned().collect(),
        strategy: strategy(args)?,
        description: args.description.clone(),
        ..RolloutRequest::default()
    };
    Ok((request, files))
}

/// Shows why a plan cannot be carried out.
fn refuse(
    plan: &RolloutPlan,
    files: &[files::PolicyFile],
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    if context.style.json {
        print_json(context.out, plan)?;
    }
    apply::faults(&plan.policies, files, context.err)
}

async fn plan(args: &StartArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let (request, files) = request(&client, args).await?;
    let plan: RolloutPlan = client.post(&["rollouts", "plan"], &request).await?;
    if !plan.policies.valid {
        return refuse(&plan, &files, context);
    }
    if context.style.json {
        return Ok(print_json(context.out, &plan)?);
    }
    apply::warnings(&plan.policies, &files, context.err)?;
    print_plan(context.out, &plan, context.style)?;
    Ok(())
}

fn print_plan(out: &mut dyn Write, plan: &RolloutPlan, style: Style) -> io::Result<()> {
    match &plan.package {
        Some(package) => writeln!(out, "upgrade to {}", package_text(package))?,
        None => apply::print_plan(out, &plan.policies)?,
    }
    writeln!(out, "\n{} partition(s) would change:", plan.partitions)?;
    let mut table = style.table(&["WAVE", "PARTITIONS", "WHICH"]);
    for wave in &plan.waves {
        let more = wave.partitions.saturating_sub(wave.names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = format!("{}{more}", wave.names.join(", "));
        table.add_row([plain(&wave.name), plain(wave.partitions.to_string()), plain(names)]);
    }
    print_table(out, &table)?;
    for reason in &plan.reasons {
        writeln!(out, "{}", clean(reason))?;
    }
    Ok(())
}

async fn start(args: &StartArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let (request, files) = request(&client, args).await?;
    // What is told of files with their places; and not more is started than what was planned.
    let plan: RolloutPlan = client.post(&["rollouts", "plan"], &request).await?;
    if !plan.policies.valid {
        return refuse(&plan, &files, context);
    }
    apply::warnings(&plan.policies, &files, context.err)?;
    let expected = plan.policies.policies.iter().map(|p| (p.name.clone(), p.from.0)).collect();
    let started: RolloutView = client.post(&["rollouts"], &RolloutRequest { expected, ..request }).await?;
    if args.watch {
        return watch(&client, started.id, None, context).await;
    }
    if context.style.json {
        return Ok(print_json(context.out, &started)?);
    }
    let count: u64 = started.waves.iter().map(|w| w.partitions).sum();
    writeln!(
        context.out,
        "rollout {} started: {} to {count} partition(s) in {} wave(s); follow it with `muster rollout watch {}`",
        started.id,
        changes(&started.changes, started.package.as_ref()),
        started.waves.len(),
        started.id
    )?;
    Ok(())
}

fn package_text(package: &RolloutPackage) -> String {
    clean(&format!("{}@{}", package.name, package.version))
}

/// What a rollout changes: policies, or what a package upgrades.
fn changes(changes: &[RolloutChange], package: Option<&RolloutPackage>) -> String {
    if let Some(package) = package {
        return package_text(package);
    }
    let word = |change: &RolloutChange| match change.removed {
        true => format!("removal of {}", change.name),
        false => format!("{}@{}", change.name, change.to),
    };
    clean(&changes.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// The number that was given, or that of the newest rollout.
async fn number(client: &Client, given: Option<u64>) -> Result<u64, CliError> {
    if let Some(id) = given {
        return Ok(id);
    }
    let all: Vec<RolloutSummary> = client.list(&["rollouts"]).await?;
    let newest = all.into_iter().map(|r| r.id).max();
    newest.ok_or_else(|| {
        CliError::Local("there is no rollout yet; `muster rollout start` starts one".to_owned())
    })
}

fn state(state: RolloutState) -> (&'static str, Tone) {
    match state {
        RolloutState::Running => ("running", Tone::Plain),
        RolloutState::Paused => ("paused", Tone::Warn),
        RolloutState::Halted => ("halted", Tone::Bad),
        RolloutState::RollingBack => ("rolling back", Tone::Bad),
        RolloutState::Done => ("done", Tone::Good),
        RolloutState::RolledBack => ("rolled back", Tone::Warn),
    }
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let all: Vec<RolloutSummary> = context.client()?.list(&["rollouts"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &all)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&[
        "ROLLOUT",
        "STATE",
        "CHANGES",
        "PARTITIONS",
        "PROVEN",
        "FAILED",
        "STARTED",
        "BY",
        "FOR",
    ]);
    for rollout in &all {
        let (word, tone) = state(rollout.state);
        let failed = if rollout.failed > 0 { Tone::Bad } else { Tone::Plain };
        table.add_row([
            plain(rollout.id.to_string()),
            cell(word, tone),
            plain(changes(&rollout.changes, rollout.package.as_ref())),
            plain(rollout.partitions.to_string()),
            plain(rollout.proven.to_string()),
            cell(rollout.failed.to_string(), failed),
            plain(ago(Some(rollout.started_at), now)),
            plain(&rollout.started_by),
            plain(&rollout.description),
        ]);
    }
    print_table(context.out, &table)?;
    Ok(())
}

async fn show(given: Option<u64>, partitions: bool, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let id = number(&client, given).await?.to_string();
    let view: RolloutView = client.get(&["rollouts", &id], &[]).await?;
    let all: Vec<RolloutPartition> = match partitions {
        true => client.list(&["rollouts", &id, "partitions"]).await?,
        false => Vec::new(),
    };
    if context.style.json {
        return match partitions {
            true => Ok(print_json(context.out, &all)?),
            false => Ok(print_json(context.out, &view)?),
        };
    }
    print_head(context.out, &view)?;
    print_waves(context.out, &view, context.style)?;
    print_waiting(context.out, &view)?;
    writeln!(context.out)?;
    for note in &view.log {
        print_note(context.out, note)?;
    }
    if partitions {
        writeln!(context.out)?;
        print_table(context.out, &partition_table(&view, &all, context.style))?;
    }
    Ok(())
}

fn print_head(out: &mut dyn Write, view: &RolloutView) -> io::Result<()> {
    let (word, _) = state(view.state);
    let why = if view.reason.is_empty() { String::new() } else { format!(": {}", clean(&view.reason)) };
    writeln!(
        out,
        "rollout {} of {}, started by {}: {word}{why}",
        view.id,
        changes(&view.changes, view.package.as_ref()),
        clean(&view.started_by)
    )?;
    if !view.labels.is_empty() {
        writeln!(out, "for agents with {}", clean(&crate::output::labels(&view.labels)))?;
    }
    if !view.description.is_empty() {
        writeln!(out, "{}", clean(&view.description))?;
    }
    Ok(())
}

fn print_waves(out: &mut dyn Write, view: &RolloutView, style: Style) -> io::Result<()> {
    let mut table = style.table(&[
        "WAVE",
        "PARTITIONS",
        "PLANNED",
        "CHANGING",
        "WELL",
        "PROVEN",
        "UNWELL",
        "FAILED",
        "BACK",
    ]);
    for (position, wave) in view.waves.iter().enumerate() {
        let here = position as u64 == view.wave && !view.state.is_over();
        let name = if here { format!("> {}", wave.name) } else { format!("  {}", wave.name) };
        let bad = |count: u64| cell(count.to_string(), if count > 0 { Tone::Bad } else { Tone::Plain });
        let number = |count: u64| plain(count.to_string());
        table.add_row([
            plain(name),
            number(wave.partitions),
            number(wave.planned),
            number(wave.changing),
            number(wave.proving),
            number(wave.proven),
            bad(wave.unwell),
            bad(wave.failed),
            number(wave.back),
        ]);
    }
    print_table(out, &table)
}

fn print_waiting(out: &mut dyn Write, view: &RolloutView) -> io::Result<()> {
    for line in &view.waiting {
        writeln!(out, "waits: {}", clean(line))?;
    }
    Ok(())
}

fn print_note(out: &mut dyn Write, note: &RolloutNote) -> io::Result<()> {
    writeln!(out, "{} {}", note.at.strftime("%Y-%m-%d %H:%M:%SZ"), clean(&note.text))
}

fn partition_table(view: &RolloutView, all: &[RolloutPartition], style: Style) -> comfy_table::Table {
    let now = Timestamp::now();
    let mut table = style.table(&["PARTITION", "WAVE", "STATE", "SINCE", "REASON"]);
    for partition in all {
        use RolloutPartitionState as S;
        let (word, tone) = match partition.state {
            S::Planned => ("planned", Tone::Plain),
            S::Changing => ("changing", Tone::Plain),
            S::Proving => ("well", Tone::Good),
            S::Unwell => ("unwell", Tone::Bad),
            S::Proven => ("proven", Tone::Good),
            S::Failed => ("failed", Tone::Bad),
            S::Accepted => ("failed, let be", Tone::Warn),
            S::GoingBack => ("going back", Tone::Warn),
            S::Back => ("back", Tone::Plain),
            S::Gone => ("gone", Tone::Plain),
        };
        let wave = usize::try_from(partition.wave).ok().and_then(|n| view.waves.get(n));
        table.add_row([
            plain(&partition.name),
            plain(wave.map_or("-", |wave| wave.name.as_str())),
            cell(word, tone),
            plain(partition.since.map_or("-".to_owned(), |since| ago(Some(since), now))),
            plain(&partition.reason),
        ]);
    }
    table
}

/// Tells what happens, as it happens, until it is over.
async fn watch(
    client: &Client,
    id: u64,
    timeout: Option<Duration>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let number = id.to_string();
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    let mut last: Option<RolloutNote> = None;
    let mut waiting: Vec<String> = Vec::new();
    loop {
        looks.tick().await;
        let view: RolloutView = client.get(&["rollouts", &number], &[]).await?;
        if !context.style.json {
            if last.is_none() {
                print_head(context.out, &view)?;
            }
            // The log may have been cut meanwhile: what comes after the last line that was told is new.
            let known = last.as_ref().and_then(|last| view.log.iter().rposition(|note| note == last));
            for note in view.log.iter().skip(known.map_or(0, |at| at + 1)) {
                print_note(context.out, note)?;
            }
            // Spans in it change with every look: told again when something else did.
            if waiting.len() != view.waiting.len() || known.is_none_or(|at| at + 1 < view.log.len()) {
                print_waiting(context.out, &view)?;
                waiting.clone_from(&view.waiting);
            }
            context.out.flush()?;
        }
        last = view.log.last().cloned();
        if view.state.is_over() {
            if context.style.json {
                print_json(context.out, &view)?;
            }
            return match view.state {
                RolloutState::RolledBack => {
                    Err(CliError::Local(format!("rollout {id} went back: {}", clean(&view.reason))))
                }
                _ => Ok(()),
            };
        }
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            return Err(CliError::Local(format!(
                "rollout {id} is not over yet: {}",
                clean(&view.waiting.join("; "))
            )));
        }
    }
}

async fn order(what: &str, args: OrderArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let id = args.rollout.to_string();
    let body = RolloutOrder { reason: args.reason };
    let view: RolloutView = context.client()?.post(&["rollouts", &id, what], &body).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    print_head(context.out, &view)?;
    print_waiting(context.out, &view)?;
    Ok(())
}
