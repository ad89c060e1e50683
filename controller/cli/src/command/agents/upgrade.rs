//! Where an agent stands with its version: on its way to another one, or pinned.

use super::Context;
use crate::error::CliError;
use crate::output::{Tone, ago, clean, or_dash, print_json};
use jiff::Timestamp;
use muster_proto::api::{AgentSummary, AgentView, PinRequest, UpgradeStep};

/// Pins an agent to the version that it runs.
pub(in crate::command) async fn pin(
    agent: &str,
    request: PinRequest,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let view: AgentView = context.client()?.put(&["agents", agent, "pin"], &request).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let version = view.summary.pin.map(|pin| pin.version).unwrap_or_default();
    let (name, version) = (clean(&view.summary.name), clean(&version));
    Ok(writeln!(context.out, "{name}: pinned to {}", or_dash(&version))?)
}

/// Lets it get packages again.
pub(in crate::command) async fn unpin(agent: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    context.client()?.delete(&["agents", agent, "pin"]).await?;
    Ok(writeln!(context.err, "{agent} gets packages again")?)
}

/// `0.2.0`, or `0.1.0 → 0.2.0 downloading 41 %`: what runs and what it is on its way to.
pub(super) fn version(agent: &AgentSummary) -> (String, Tone) {
    use UpgradeStep as S;
    let running = or_dash(&agent.version);
    let pinned = if agent.pin.is_some() { " pinned" } else { "" };
    let Some(upgrade) = &agent.upgrade else { return (format!("{running}{pinned}"), Tone::Plain) };
    let percent = upgrade.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
    let late = if upgrade.overdue { ", overdue" } else { "" };
    let way = format!("{running} → {} {}{percent}{late}", upgrade.version, upgrade.step.words());
    match upgrade.step {
        S::Done => (format!("{running}{pinned}"), Tone::Plain),
        S::RolledBack | S::Failed | S::Blocked => (way, Tone::Bad),
        S::Pinned | S::Away => (way, Tone::Warn),
        S::Offered | S::Waiting | S::Downloading | S::Verified | S::Staged | S::Switching | S::Confirming => {
            (way, if upgrade.overdue { Tone::Bad } else { Tone::Warn })
        }
    }
}

/// Where its upgrade stands, one line each.
pub(super) fn upgrade(agent: &AgentSummary, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(pin) = &agent.pin {
        let why = or_dash(&pin.reason);
        lines.push((
            "pinned",
            format!("to {} by {}, {}: {why}", or_dash(&pin.version), pin.by, ago(Some(pin.since), now)),
        ));
    }
    if let Some(upgrade) = &agent.upgrade {
        let percent = upgrade.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
        let since = upgrade.since.map(|since| format!(", since {since}")).unwrap_or_default();
        let late = if upgrade.overdue { " (overdue)" } else { "" };
        let until = upgrade.deadline.map(|until| format!(", until {until}{late}")).unwrap_or_default();
        let (step, version) = (upgrade.step.words(), &upgrade.version);
        lines.push(("upgrade", format!("{version} {step}{percent}{since}{until}")));
        if upgrade.version != upgrade.target {
            lines.push(("upgrade target", upgrade.target.clone()));
        }
        if !upgrade.reason.is_empty() {
            lines.push(("upgrade reason", upgrade.reason.clone()));
        }
        lines.push(("upgrade by", format!("rollout {}", upgrade.rollout)));
    }
    lines
}
