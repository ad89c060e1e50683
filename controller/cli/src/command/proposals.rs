//! `proposals`.

use super::Context;
use crate::admin_args::ProposalsCommand;
use crate::error::CliError;
use crate::output::{Tone, ago, cell, clean_lines, or_dash, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::{ProposalDecision, ProposalState, ProposalView};

pub(super) async fn proposals(command: ProposalsCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        ProposalsCommand::List { all } => list(all, context).await,
        ProposalsCommand::Show { id } => show(&id, context).await,
        ProposalsCommand::Approve { id, note } => decide(&id, "approve", note, context).await,
        ProposalsCommand::Reject { id, note } => decide(&id, "reject", note, context).await,
    }
}

fn state(proposal: &ProposalView) -> (&'static str, Tone) {
    match proposal.state {
        ProposalState::Pending => ("pending", Tone::Warn),
        ProposalState::Approved => ("approved", Tone::Good),
        ProposalState::Rejected => ("rejected", Tone::Plain),
        ProposalState::Expired => ("expired", Tone::Plain),
    }
}

async fn list(all: bool, context: &mut Context<'_>) -> Result<(), CliError> {
    let mut proposals: Vec<ProposalView> = context.client()?.list(&["proposals"]).await?;
    proposals.retain(|p| all || p.state == ProposalState::Pending);
    if context.style.json {
        return Ok(print_json(context.out, &proposals)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&["ID", "WHAT", "BY", "PROPOSED", "STATE", "DECIDED BY", "NOTE"]);
    for proposal in &proposals {
        let (text, tone) = state(proposal);
        table.add_row([
            plain(&proposal.id),
            plain(&proposal.summary),
            plain(&proposal.proposed_by),
            plain(ago(Some(proposal.proposed_at), now)),
            cell(text, tone),
            plain(or_dash(&proposal.decided_by)),
            plain(or_dash(&proposal.note)),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

async fn show(id: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let proposal: ProposalView = context.client()?.get(&["proposals", id], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &proposal)?);
    }
    writeln!(context.out, "{}: {}", state(&proposal).0, clean_lines(&proposal.summary))?;
    writeln!(context.out, "proposed by {} at {}", proposal.proposed_by, proposal.proposed_at)?;
    let payload = serde_json::to_string_pretty(&proposal.payload).unwrap_or_default();
    writeln!(context.out, "{}", clean_lines(&payload.replace("\\n", "\n")))?;
    Ok(())
}

async fn decide(id: &str, word: &str, note: String, context: &mut Context<'_>) -> Result<(), CliError> {
    let decision = ProposalDecision { note };
    let proposal: ProposalView = context.client()?.post(&["proposals", id, word], &decision).await?;
    if context.style.json {
        return Ok(print_json(context.out, &proposal)?);
    }
    writeln!(context.err, "{}: {}", state(&proposal).0, proposal.summary)?;
    Ok(())
}
