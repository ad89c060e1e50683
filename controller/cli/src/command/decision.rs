//! `agents pending|approve|deny|revoke|quarantine|release|decommission`: who may take part.

use super::Context;
use crate::args::DecisionArgs;
use crate::error::CliError;
use crate::output::{Style, Tone, ago, cell, clean, or_dash, plain, print_json, print_table};
use comfy_table::Table;
use jiff::Timestamp;
use muster_proto::api::{AgentView, Decision, EnrolmentState, EnrolmentView};

pub(super) async fn pending(context: &mut Context<'_>) -> Result<(), CliError> {
    let waiting: Vec<EnrolmentView> = context.client()?.list(&["enrolments"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &waiting)?);
    }
    print_table(context.out, &table(&waiting, Timestamp::now(), context.style))?;
    if waiting.is_empty() {
        writeln!(context.err, "no enrolment waits for approval")?;
    }
    Ok(())
}

fn table(waiting: &[EnrolmentView], now: Timestamp, style: Style) -> Table {
    let mut table =
        style.table(&["KEY FINGERPRINT", "STATE", "NAME", "PARTITION", "FROM", "SINCE", "ASKED", "WHY"]);
    for one in waiting {
        let (word, tone) = match one.state {
            EnrolmentState::Waiting => ("waiting", Tone::Warn),
            EnrolmentState::Approved => ("approved", Tone::Good),
            EnrolmentState::Denied => ("denied", Tone::Bad),
        };
        let partition = one.partition.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = if one.note.is_empty() { one.reasons.join("; ") } else { one.note.clone() };
        table.add_row([
            plain(&one.fingerprint),
            cell(word, tone),
            plain(&one.name),
            plain(or_dash(&partition)),
            plain(&one.from),
            plain(ago(Some(one.since), now)),
            plain(ago(Some(one.last_asked), now)),
            plain(or_dash(&why)),
        ]);
    }
    table
}

/// `approve` and `deny`.
pub(super) async fn enrolment(
    word: &str,
    args: DecisionArgs,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let body = Decision { reason: args.reason };
    let view: EnrolmentView = context.client()?.post(&["enrolments", &args.agent, word], &body).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let told = match view.state {
        EnrolmentState::Approved => {
            "is approved: it gets its certificate when it asks again, within a minute"
        }
        EnrolmentState::Denied => "is denied; it is told when it asks again",
        EnrolmentState::Waiting => "waits",
    };
    Ok(writeln!(context.err, "{} with key {} {told}", clean(&view.name), view.fingerprint)?)
}

/// `revoke`, `quarantine` and `release`.
pub(super) async fn agent(word: &str, args: DecisionArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let body = Decision { reason: args.reason };
    let view: AgentView = context.client()?.post(&["agents", &args.agent, word], &body).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let told = match word {
        "revoke" => "is revoked: its connection is closed and its certificates are refused",
        "quarantine" => "is quarantined: it goes on with the policy that it has and gets nothing new",
        _ => "takes part again",
    };
    Ok(writeln!(context.err, "{} ({}) {told}", clean(&view.summary.name), view.summary.id)?)
}

pub(super) async fn decommission(args: DecisionArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let view: AgentView = client.get(&["agents", &args.agent], &[]).await?;
    let id = view.summary.id.to_string();
    client.post_unanswered(&["agents", &id, "decommission"], &Decision { reason: args.reason }).await?;
    let name = clean(&view.summary.name);
    Ok(writeln!(
        context.err,
        "{name} ({id}) is decommissioned: it is gone from the list, its keys are refused for good, and the audit \
         log tells what it was"
    )?)
}
