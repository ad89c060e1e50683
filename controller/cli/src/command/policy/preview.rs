//! `policy preview`: what publishing would mean for the agents.

use super::apply::{print_plan, tell};
use super::{error_line, files, print_changes, warning_line};
use crate::command::Context;
use crate::error::CliError;
use crate::output::{clean, print_json};
use muster_proto::api::{PolicyPreview, PreviewGroup};
use std::io::{self, Write};
use std::path::Path;

/// Names of agents shown of one group.
const MAX_SHOWN: usize = 8;

/// Runs `policy preview`.
pub(in crate::command) async fn run(
    path: &Path,
    prune: bool,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let files = files::read_set(path)?;
    let client = context.client()?;
    let preview: PolicyPreview =
        client.post(&["policies", "preview"], &files::request(&files, prune)).await?;
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
            documents: vec!["east@new".to_owned(), "base@3".to_owned()],
            changes: vec![PolicyChange {
                path: "spec.rules[r]".to_owned(),
                kind: ChangeKind::Added,
                before: None,
                after: Some("x".into()),
            }],
            narrows: vec!["rule r drops and is new or changed".to_owned()],
            bytes: 812,
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
"
        );
    }
}
