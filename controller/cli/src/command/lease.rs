//! `lease`: which agent of a partition collects, and moves.

use super::Context;
use crate::admin_args::LeaseCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{clean, print_json, print_table};
use muster_proto::api::{LeaseAgent, LeaseMove, LeaseView};
use muster_shared::partition::PartitionKey;
use std::time::{Duration, Instant};

/// Pause between two looks at a move.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A move that takes longer has been given up by the controller.
const MOVE_LIMIT: Duration = Duration::from_secs(75);

pub(super) async fn lease(command: LeaseCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    match command {
        LeaseCommand::List { partition } => list(&client, partition, context).await,
        LeaseCommand::Move { partition, to, source, no_wait } => {
            let to = target(&client, &partition, to.as_deref()).await?;
            let request = LeaseMove { to: to.id, source };
            let path = ["leases", &partition.to_string(), "move"];
            let moving: Vec<LeaseView> = client.post(&path, &request).await?;
            if !no_wait {
                return wait(&client, &moving, &to, context).await;
            }
            if context.style.json {
                return Ok(print_json(context.out, &moving)?);
            }
            for lease in &moving {
                writeln!(
                    context.out,
                    "{} is asked to give back {}",
                    shown(&lease.holder),
                    clean(&lease.source)
                )?;
            }
            Ok(())
        }
    }
}

async fn leases(client: &Client, partition: Option<&PartitionKey>) -> Result<Vec<LeaseView>, CliError> {
    let mut all: Vec<LeaseView> = client.list(&["leases"]).await?;
    all.retain(|lease| partition.is_none_or(|wanted| lease.partition == *wanted));
    Ok(all)
}

/// The agents of one partition have one name: the beginning of the id tells them apart.
fn shown(agent: &LeaseAgent) -> String {
    let away = if agent.connected { "" } else { ", away" };
    let id = agent.id.to_string();
    if agent.name == id {
        return format!("{id}{away}");
    }
    format!("{} ({id}{away})", clean(&agent.name))
}

async fn list(
    client: &Client,
    partition: Option<PartitionKey>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let all = leases(client, partition.as_ref()).await?;
    if context.style.json {
        return Ok(print_json(context.out, &all)?);
    }
    if all.is_empty() {
        let text = "no leases: no source is read by more than one agent of its partition; enrol a second agent there \
                    to have one stand by";
        return Ok(writeln!(context.out, "{text}")?);
    }
    let mut table =
        context.style.table(&["PARTITION", "SOURCE", "COLLECTS", "EPOCH", "SINCE", "RENEWED", "STANDS BY"]);
    for lease in &all {
        let collects = match &lease.moving_to {
            Some(to) => format!("{}, moving to {}", shown(&lease.holder), shown(to)),
            None => shown(&lease.holder),
        };
        let stand_by: Vec<String> = lease.stand_by.iter().map(shown).collect();
        table.add_row([
            lease.partition.to_string(),
            clean(&lease.source),
            collects,
            lease.epoch.to_string(),
            lease.since.to_string(),
            format!("{:.1} s ago", Duration::from_millis(lease.renewed_ms_ago).as_secs_f64()),
            stand_by.join("\n"),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

/// Whom a move is for.
async fn target(
    client: &Client,
    partition: &PartitionKey,
    wanted: Option<&str>,
) -> Result<LeaseAgent, CliError> {
    let all = leases(client, Some(partition)).await?;
    let mut agents: Vec<LeaseAgent> = Vec::new();
    let known = all.into_iter().flat_map(|lease| {
        let holder = wanted.is_some().then_some(lease.holder);
        lease.stand_by.into_iter().chain(holder)
    });
    for agent in known {
        let fits = wanted.is_none_or(|wanted| agent.id.to_string().starts_with(wanted));
        if fits && !agents.iter().any(|a| a.id == agent.id) {
            agents.push(agent);
        }
    }
    match (agents.len(), agents.pop(), wanted) {
        (1, Some(agent), _) => Ok(agent),
        (0, _, Some(wanted)) => Err(CliError::Local(format!(
            "no agent of partition {partition} has an id that begins with `{wanted}`; see `muster lease list {partition}`"
        ))),
        (0, _, None) => Err(CliError::Local(format!(
            "no agent of partition {partition} stands by; see `muster lease list`"
        ))),
        _ => Err(CliError::Local(format!(
            "several agents of partition {partition} fit: say which with `--to` and its id, see `muster lease list \
             {partition}`"
        ))),
    }
}

/// Waits until what is being moved is held again, and tells by whom.
async fn wait(
    client: &Client,
    moving: &[LeaseView],
    to: &LeaseAgent,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    let ours = |lease: &LeaseView| {
        moving.iter().any(|m| (&m.partition, &m.source) == (&lease.partition, &lease.source))
    };
    loop {
        looks.tick().await;
        let mut now = leases(client, None).await?;
        now.retain(ours);
        if now.iter().any(|lease| lease.moving_to.is_some()) {
            if began.elapsed() < MOVE_LIMIT {
                continue;
            }
            return Err(CliError::Local(
                "the lease is still being moved; look again with `muster lease list`".to_owned(),
            ));
        }
        if context.style.json {
            print_json(context.out, &now)?;
        } else {
            for lease in &now {
                writeln!(
                    context.out,
                    "{} {}: {} collects (epoch {})",
                    lease.partition,
                    clean(&lease.source),
                    shown(&lease.holder),
                    lease.epoch
                )?;
            }
        }
        return match now.iter().find(|lease| lease.holder.id != to.id) {
            None => Ok(()),
            Some(lease) => Err(CliError::Local(format!(
                "{} was not moved to {}: the reason stands in `muster audit-log list`",
                clean(&lease.source),
                shown(to)
            ))),
        };
    }
}
