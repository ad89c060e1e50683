//! `policy preview`: what publishing would mean for the agents.

use super::apply::{print_plan, tell};
use super::{error_line, files, print_changes, warning_line};
use crate::command::Context;
use crate::error::CliError;
use crate::output::{clean, count, print_json};
use muster_proto::api::{PolicyPreview, PolicySetRequest, PreviewEvents, PreviewGroup};
use std::io::{self, Write};
use std::path::Path;

/// Names of agents shown of one group.
const MAX_SHOWN: usize = 8;

/// Runs `policy preview`.
pub(in crate::command) async fn run(
    path: &Path,
    prune: bool,
    events: bool,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let files = files::read_set(path)?;
    let client = context.client()?;
    let preview: PolicyPreview = client
        .post(&["policies", "preview"], &PolicySetRequest { events, ..files::request(&files, prune) })
        .await?;
    let plan = &preview.plan;
    tell(plan, &files, context.err, |policy| &policy.warnings, &[], warning_line)?;
    if context.style.json {
        print_json(context.out, &preview)?;
    }
    if !plan.valid {
        tell(plan, &files, context.err, |policy| &policy.faults, &plan.faults, error_line)?;
        let wrong = plan.policies.iter().filter(|p| !p.faults.is_empty()).count();
        return Err(CliError::Invalid { wrong: wrong.max(1), all: plan.policies.len() });
    }
    if !context.style.json {
        print_plan(context.out, plan)?;
        print_preview(context.out, &preview)?;
    }
    Ok(())
}

/// The groups for people.
fn print_preview(out: &mut dyn Write, preview: &PolicyPreview) -> io::Result<()> {
    writeln!(
        out,
        "\n{} agent(s) would run another policy, {} would go on as they are",
        preview.changed, preview.unchanged
    )?;
    for group in &preview.groups {
        writeln!(out)?;
        print_group(out, group)?;
    }
    Ok(())
}

fn print_group(out: &mut dyn Write, group: &PreviewGroup) -> io::Result<()> {
    writeln!(out, "{}", clean(&listed(&group.agents, group.count)))?;
    writeln!(out, "  made of {} ({} bytes)", clean(&group.documents.join(", ")), group.bytes)?;
    let mut changes = Vec::new();
    print_changes(&mut changes, &group.changes)?;
    for line in String::from_utf8_lossy(&changes).lines() {
        writeln!(out, "  {line}")?;
    }
    for reason in &group.narrows {
        writeln!(out, "  ! SIEMs may see less: {}", clean(reason))?;
    }
    for refusal in &group.refusals {
        let who = listed(&refusal.agents, refusal.count);
        writeln!(out, "  ! {} would refuse it: {}", clean(&who), clean(&refusal.reason))?;
    }
    for events in &group.events {
        print_events(out, events)?;
    }
    Ok(())
}

/// What an agent says about its recent events.
fn print_events(out: &mut dyn Write, events: &PreviewEvents) -> io::Result<()> {
    let name = clean(&events.agent);
    let Some(report) = &events.report else {
        return writeln!(out, "  recent events of {name}: {}", clean(&events.problem));
    };
    writeln!(
        out,
        "  of the last {} events of {name} it would drop {} that are kept now, keep {} that are dropped now, and send {} \
         elsewhere",
        count(report.events),
        count(report.newly_dropped),
        count(report.newly_kept),
        count(report.rerouted)
    )?;
    for (rule, number) in &report.dropped_by_rule {
        writeln!(out, "    - {} by {}", count(*number), clean(rule))?;
    }
    for (rule, number) in &report.kept_from_rule {
        writeln!(out, "    + {} that {} drops now", count(*number), clean(rule))?;
    }
    for sample in &report.samples {
        let event = serde_json::to_string(&sample.event).unwrap_or_default();
        writeln!(out, "    {} ({}): {}", clean(&sample.change), clean(&sample.rule), clean(&event))?;
    }
    Ok(())
}

fn listed(names: &[String], count: u64) -> String {
    let shown = names.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(names.len().min(MAX_SHOWN) as u64) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{ChangeKind, PolicyChange, PreviewRefusal};

    #[test]
    fn a_group_for_people() {
        let group = PreviewGroup {
            count: 12,
            agents: (1..=12).map(|n| format!("P{n:02}")).collect(),
            ids: vec![],
            documents: vec!["east@new".to_owned(), "base@3".to_owned()],
            changes: vec![PolicyChange {
                path: "spec.rules[r]".to_owned(),
                kind: ChangeKind::Added,
                before: None,
                after: Some("x".into()),
            }],
            narrows: vec!["rule r drops and is new or changed".to_owned()],
            bytes: 812,
            events: vec![PreviewEvents {
                agent: "P01".to_owned(),
                report: None,
                problem: "it is switched off there".to_owned(),
            }],
            refusals: vec![PreviewRefusal {
                count: 1,
                agents: vec!["P02".to_owned()],
                reason: "limits".to_owned(),
            }],
        };
        let mut out = Vec::new();
        print_group(&mut out, &group).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "P01, P02, P03, P04, P05, P06, P07, P08 and 4 more
  made of east@new, base@3 (812 bytes)
  + spec.rules[r]: \"x\"
  ! SIEMs may see less: rule r drops and is new or changed
  ! P02 would refuse it: limits
  recent events of P01: it is switched off there
"
        );
    }
}
