//! `policy apply`: one file, or a set of files in one transaction.

use super::check::check;
use super::files::{self, PolicyFile};
use super::{error_line, print_changes, read, status_table, warning_line, why};
use crate::args::ApplyArgs;
use crate::client::{Client, Known};
use crate::command::Context;
use crate::error::CliError;
use crate::output::{clean, print_json, print_table};
use muster_proto::api::{
    PlanAction, PlannedPolicy, PolicyFault, PolicyPlan, PolicyPreview, PolicyPublished, PolicySetRequest,
    PolicyStatus,
};
use reqwest::Method;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between looks at the fleet while `--wait` waits.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Runs `policy apply`.
pub(in crate::command) async fn run(args: ApplyArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let ApplyArgs { file, path, prune, dry_run, wait, comment } = args;
    match (file, path) {
        // A signature travels with sets only.
        (Some(file), None) if !prune && !dry_run && files::signature_of(&file)?.is_none() => {
            one(&file, wait, &comment, context).await
        }
        (Some(path), _) | (None, Some(path)) => {
            let files = files::read_set(&path)?;
            set(&files, Wanted { prune, dry_run, wait, comment }, context).await
        }
        (None, None) => Err(CliError::Usage("name a policy file, or a directory with -f".to_owned())),
    }
}

/// What is wanted of a set.
struct Wanted {
    prune: bool,
    dry_run: bool,
    wait: Option<Duration>,
    comment: String,
}

/// Plans, shows the plan, and carries out just that.
async fn set(files: &[PolicyFile], wanted: Wanted, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let request = files::request(files, wanted.prune);
    // Whoever may look may plan: a pipeline for proposals needs no right to publish.
    let PolicyPreview { plan, .. } = client.post(&["policies", "preview"], &request).await?;
    if !plan.valid {
        return refused(&plan, files, context);
    }
    let changes = plan.changes_something();
    if wanted.dry_run {
        show(&plan, files, context)?;
        return if changes { Err(CliError::WouldChange) } else { Ok(()) };
    }
    // Not more than what was planned: whoever published meanwhile is not overwritten.
    let expected = plan.policies.iter().map(|p| (p.name.clone(), p.from.0)).collect();
    let comment = wanted.comment;
    let plan: PolicyPlan =
        client.post(&["policies", "apply"], &PolicySetRequest { expected, comment, ..request }).await?;
    if wanted.wait.is_none() || !context.style.json {
        show(&plan, files, context)?;
    }
    match wanted.wait {
        Some(patience) => settled(&client, &plan, patience, context).await,
        None => Ok(()),
    }
}

/// Shows a plan that cannot be carried out.
fn refused(plan: &PolicyPlan, files: &[PolicyFile], context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        print_json(context.out, plan)?;
    }
    faults(plan, files, context.err)
}

/// Tells why a plan cannot be carried out.
pub(in crate::command) fn faults(
    plan: &PolicyPlan,
    files: &[PolicyFile],
    err: &mut dyn Write,
) -> Result<(), CliError> {
    let wrong = plan.policies.iter().filter(|p| !p.faults.is_empty()).count();
    tell(plan, files, err, |policy| &policy.faults, &plan.faults, error_line)?;
    Err(CliError::Invalid {
        wrong: wrong.max(usize::from(!plan.faults.is_empty())),
        all: plan.policies.len(),
    })
}

/// Faults or warnings with their places: those of each file, then those of the whole.
pub(super) fn tell(
    plan: &PolicyPlan,
    files: &[PolicyFile],
    out: &mut dyn Write,
    of: impl Fn(&PlannedPolicy) -> &Vec<PolicyFault>,
    whole: &[PolicyFault],
    line: impl Fn(&PolicyFault) -> String,
) -> io::Result<()> {
    for policy in &plan.policies {
        for fault in files::placed(files, &policy.file, of(policy).clone()) {
            writeln!(out, "{}:{}", clean(&policy.file), clean(&line(&fault)))?;
        }
    }
    for fault in whole {
        writeln!(out, "{}", clean(line(fault).trim_start()))?;
    }
    Ok(())
}

/// Shows a plan: warnings to standard error, the rest to standard output.
fn show(plan: &PolicyPlan, files: &[PolicyFile], context: &mut Context<'_>) -> Result<(), CliError> {
    warnings(plan, files, context.err)?;
    if context.style.json {
        return Ok(print_json(context.out, plan)?);
    }
    print_plan(context.out, plan)?;
    Ok(())
}

/// Tells what is allowed but probably not meant.
pub(in crate::command) fn warnings(
    plan: &PolicyPlan,
    files: &[PolicyFile],
    err: &mut dyn Write,
) -> io::Result<()> {
    tell(plan, files, err, |policy| &policy.warnings, &plan.warnings, warning_line)
}

/// The plan for people.
pub(in crate::command) fn print_plan(out: &mut dyn Write, plan: &PolicyPlan) -> io::Result<()> {
    for policy in &plan.policies {
        let name = clean(&policy.name);
        let revisions = match (policy.from.0, policy.revision) {
            (from, Some(to)) if to.0 != from => format!(" as revision {to}"),
            (0, _) => String::new(),
            (from, _) => format!(" (revision {from})"),
        };
        let file =
            if policy.file.is_empty() { String::new() } else { format!(" from {}", clean(&policy.file)) };
        let (sign, word) = match policy.action {
            PlanAction::Create => ("+", "create"),
            PlanAction::Update => ("~", "update"),
            PlanAction::Remove => ("-", "remove"),
            PlanAction::Unchanged => ("=", "unchanged"),
        };
        writeln!(out, "{sign} {word} {name}{revisions}{file}; selects {} agent(s)", policy.agents)?;
        if policy.action == PlanAction::Update {
            let mut changes = Vec::new();
            print_changes(&mut changes, &policy.changes)?;
            for line in String::from_utf8_lossy(&changes).lines() {
                writeln!(out, "    {line}")?;
            }
        }
    }
    if !plan.changes_something() {
        writeln!(out, "nothing to change")?;
    }
    Ok(())
}

/// Waits for every policy that was published.
async fn settled(
    client: &Client,
    plan: &PolicyPlan,
    patience: Duration,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let end = Instant::now() + patience;
    let mut all = Vec::new();
    for policy in plan.policies.iter().filter(|p| p.action != PlanAction::Remove) {
        let left = end.saturating_duration_since(Instant::now());
        all.push(settle(client, &policy.name, left).await?);
    }
    if context.style.json {
        print_json(context.out, &all)?;
    } else {
        for status in &all {
            writeln!(context.out)?;
            print_table(context.out, &status_table(status, context.style))?;
        }
    }
    let sum = |of: fn(&PolicyStatus) -> u64| all.iter().map(of).sum();
    outcome(sum(|s| s.failed), sum(|s| s.applying))
}

fn outcome(failed: u64, applying: u64) -> Result<(), CliError> {
    match (failed, applying) {
        (0, 0) => Ok(()),
        (0, applying) => Err(CliError::Local(format!("{applying} agent(s) have not answered in time"))),
        (failed, _) => {
            Err(CliError::Local(format!("{failed} agent(s) refused it and run on with the one before")))
        }
    }
}

/// One file, as it always was.
async fn one(
    file: &Path,
    wait: Option<Duration>,
    comment: &str,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = context.client()?;
    let text = read(file)?;
    let checked = check(&text);
    if !checked.result.valid {
        for fault in &checked.result.faults {
            writeln!(context.err, "{}:{}", file.display(), clean(&error_line(fault)))?;
        }
        return Err(CliError::Invalid { wrong: 1, all: 1 });
    }
    let published: PolicyPublished = client
        .conditional_json(Method::POST, &["policies"], &why(comment), Known::Nothing, Some(text))
        .await?;
    for warning in checked.placed(published.warnings.clone()) {
        writeln!(context.err, "{}:{}", file.display(), clean(&warning_line(&warning)))?;
    }
    if context.style.json && wait.is_none() {
        return Ok(print_json(context.out, &published)?);
    }
    if !context.style.json {
        let PolicyPublished { revision, changed, agents, .. } = &published;
        let what = if *changed { "published as revision" } else { "unchanged, already revision" };
        writeln!(context.out, "{}: {what} {}; selects {agents} agent(s)", revision.name, revision.revision)?;
    }
    let Some(patience) = wait else { return Ok(()) };
    let status = settle(&client, &published.revision.name, patience).await?;
    if context.style.json {
        print_json(context.out, &status)?;
    } else {
        print_table(context.out, &status_table(&status, context.style))?;
    }
    outcome(status.failed, status.applying)
}

/// Waits until no connected agent is changing over any more, at most `patience`.
async fn settle(client: &Client, name: &str, patience: Duration) -> Result<PolicyStatus, CliError> {
    let begin = Instant::now();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    loop {
        looks.tick().await;
        let status: PolicyStatus = client.get(&["policies", name, "status"], &[]).await?;
        if status.applying == 0 || begin.elapsed() >= patience {
            return Ok(status);
        }
    }
}
