//! `agents`: the list, and one agent in detail.

mod upgrade;

pub(super) use upgrade::{pin, unpin};

use super::Context;
use crate::args::{AgentsListArgs, LabelChange, MaintenanceArgs};
use crate::error::CliError;
use crate::output::{
    Style, Tone, ago, cell, count, labels, lag, or_dash, plain, print_json, print_table, rate,
};
use comfy_table::Table;
use jiff::Timestamp;
use muster_proto::api::{
    AgentKind, AgentLife, AgentState, AgentSummary, AgentView, ComponentKind, Labels, MaintenanceRequest,
    PolicyState, PolicyStatusView,
};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Attributes that say which system an agent reads, the best first.
const SYSTEM: &[&str] = &["ibmi.system_name", "host.name"];

pub(super) async fn list(args: AgentsListArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let upgrade = args.upgrade.map(|step| step.words().replace(' ', "_"));
    let chosen = [("version", &args.version), ("upgrade", &upgrade)];
    let query: Vec<(&str, &str)> =
        chosen.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let agents: Vec<AgentSummary> = context.client()?.list_with(&["agents"], &query).await?;
    if context.style.json {
        return Ok(print_json(context.out, &agents)?);
    }
    print_table(context.out, &list_table(&agents, Timestamp::now(), context.style))?;
    if agents.is_empty() && query.is_empty() {
        writeln!(
            context.err,
            "no agents yet: `muster token create`, then `muster-agent enrol` on their hosts"
        )?;
    }
    Ok(())
}

pub(super) async fn show(agent: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let view: AgentView = context.client()?.get(&["agents", agent], &[]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    Ok(print_view(context.out, &view, Timestamp::now(), context.style)?)
}

/// Changes some labels and keeps the others.
pub(super) async fn label(
    agent: &str,
    changes: Vec<LabelChange>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let client = context.client()?;
    let (present, tag) = client.get_tagged::<AgentView>(&["agents", agent]).await?;
    let wanted = relabelled(present.summary.labels, changes);
    let id = present.summary.id.to_string();
    let view: AgentView = client.put_in_place(&["agents", &id, "labels"], &wanted, tag).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let (name, now) = (crate::output::clean(&view.summary.name), labels(&view.summary.labels));
    Ok(writeln!(context.out, "{name}: {}", crate::output::clean(&now))?)
}

/// Announces a planned outage, or ends it.
pub(super) async fn maintenance(args: MaintenanceArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let path = ["agents", args.agent.as_str(), "maintenance"];
    let Some(duration) = args.duration else {
        client.delete(&path).await?;
        return Ok(writeln!(context.err, "the planned outage is over")?);
    };
    let request = MaintenanceRequest { for_seconds: duration.as_secs(), reason: args.reason };
    let view: AgentView = client.put(&path, &request).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    let until = view.summary.planned_outage.map_or_else(|| "-".to_owned(), |outage| outage.until.to_string());
    Ok(writeln!(context.out, "{}: planned outage until {until}", crate::output::clean(&view.summary.name))?)
}

/// Has an agent restart.
pub(super) async fn restart(agent: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let none = serde_json::Map::new();
    context.client()?.post_unanswered(&["agents", agent, "restart"], &none).await?;
    Ok(writeln!(context.err, "{} is told to restart", crate::output::clean(agent))?)
}

/// Removes an agent by name or id.
pub(super) async fn remove(agent: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let view: AgentView = client.get(&["agents", agent], &[]).await?;
    let id = view.summary.id.to_string();
    client.delete(&["agents", &id]).await?;
    let name = crate::output::clean(&view.summary.name);
    Ok(writeln!(
        context.err,
        "{name} ({id}) is removed and its certificate refused. Stop its agent; to have it back, enrol it with a new \
         token (`muster-agent enrol --replace`)"
    )?)
}

/// Labels after the changes, in their order.
fn relabelled(mut labels: Labels, changes: Vec<LabelChange>) -> Labels {
    for change in changes {
        match change {
            LabelChange::Set(key, value) => {
                labels.insert(key, value);
            }
            LabelChange::Unset(key) => {
                labels.remove(&key);
            }
        }
    }
    labels
}

fn list_table(agents: &[AgentSummary], now: Timestamp, style: Style) -> Table {
    let mut table = style.table(&[
        "NAME",
        "KIND",
        "HEALTH",
        "LABELS",
        "RELEASE",
        "VERSION",
        "EVENTS/S",
        "LAG",
        "POLICY",
        "LAST SEEN",
        "REASON",
    ]);
    for agent in agents {
        let (word, tone, reason) = health(agent);
        let (policy, policy_tone) = policy(&agent.policy);
        let (version, version_tone) = upgrade::version(agent);
        table.add_row([
            plain(&agent.name),
            plain(kind(agent.kind)),
            cell(word, tone),
            plain(labels(&agent.labels)),
            plain(or_dash(&agent.os_release)),
            cell(version, version_tone),
            plain(rate(agent.rates.now.received)),
            plain(lag(agent.lag_ms)),
            cell(policy, policy_tone),
            plain(ago(agent.last_seen, now)),
            plain(or_dash(&reason)),
        ]);
    }
    table
}

/// Whose agent it is.
fn kind(kind: AgentKind) -> &'static str {
    match kind {
        AgentKind::Muster => "muster",
        AgentKind::Foreign => "foreign",
    }
}

/// One word for an agent, and the reason.
fn health(agent: &AgentSummary) -> (&'static str, Tone, String) {
    if agent.life == AgentLife::Revoked {
        return ("revoked", Tone::Bad, agent.reason.clone());
    }
    let reason = || agent.reason.clone();
    let planned = || match &agent.planned_outage {
        Some(outage) => format!("until {}: {}", outage.until.strftime("%F %H:%M UTC"), outage.reason),
        None => reason(),
    };
    match agent.state {
        AgentState::Offline => ("offline", Tone::Bad, reason()),
        AgentState::PlannedOutage => ("planned outage", Tone::Warn, planned()),
        AgentState::NeverConnected => ("never seen", Tone::Warn, reason()),
        AgentState::Quarantined => ("quarantined", Tone::Bad, reason()),
        AgentState::Reconnecting => ("reconnecting", Tone::Warn, reason()),
        AgentState::Failed => ("failed", Tone::Bad, reason()),
        AgentState::Degraded => ("degraded", Tone::Warn, reason()),
        AgentState::Healthy if agent.policy.state == PolicyState::Failed => {
            ("healthy", Tone::Warn, format!("policy refused: {}", agent.policy.reason))
        }
        AgentState::Healthy => match agent.flags.first() {
            Some(flag) => ("healthy", Tone::Warn, flag.reason.clone()),
            None => ("healthy", Tone::Good, String::new()),
        },
    }
}

/// `7`, or `6 → 7 applying`: which revision runs and which should.
fn policy(status: &PolicyStatusView) -> (String, Tone) {
    let running = status.running.map_or_else(|| "none".to_owned(), |r| r.to_string());
    match status.state {
        PolicyState::Applied => (running, Tone::Plain),
        PolicyState::Applying => (format!("{running} → {} applying", status.wanted), Tone::Warn),
        PolicyState::Waiting => (format!("{running} → {} waiting", status.wanted), Tone::Warn),
        PolicyState::Failed => (format!("{running} → {} failed", status.wanted), Tone::Bad),
    }
}

fn print_view(out: &mut dyn Write, view: &AgentView, now: Timestamp, style: Style) -> io::Result<()> {
    print_table(out, &facts(view, now, style))?;
    for flag in &view.summary.flags {
        let since = ago(Some(flag.since), now);
        writeln!(out, " flagged: {} (since {since})", crate::output::clean(&flag.reason))?;
    }
    for warning in &view.warnings {
        writeln!(out, " warning: {}", crate::output::clean(warning))?;
    }
    writeln!(out)?;
    print_table(out, &components(view, now, style))?;
    if !view.rate_detail.sources.is_empty() || !view.rate_detail.destinations.is_empty() {
        writeln!(out)?;
        print_table(out, &rates(view, style))?;
    }
    for table in [drops(view, style), counters(view, style)] {
        if table.row_count() > 0 {
            writeln!(out)?;
            print_table(out, &table)?;
        }
    }
    Ok(())
}

/// The limits of an agent's own configuration, one line each.
fn limits(view: &AgentView) -> Vec<(&'static str, String)> {
    let Some(limits) = &view.limits else { return Vec::new() };
    let some = |list: &Option<Vec<String>>| {
        list.as_ref().map(|l| if l.is_empty() { "(none allowed)".to_owned() } else { l.join(" ") })
    };
    let never_drop = (!limits.never_drop.is_empty()).then(|| limits.never_drop.join(" "));
    [
        ("destinations", some(&limits.destinations)),
        ("journals", some(&limits.journals)),
        ("queues", some(&limits.queues)),
        ("never_drop", never_drop),
    ]
    .into_iter()
    .filter_map(|(name, patterns)| Some((name, patterns?)))
    .collect()
}

fn facts(view: &AgentView, now: Timestamp, style: Style) -> Table {
    let agent = &view.summary;
    let (word, tone, reason) = health(agent);
    let (policy, policy_tone) = policy(&agent.policy);
    let mut table = style.table(&[]);
    let system = SYSTEM.iter().find_map(|key| view.attributes.get(*key));
    table.add_row([plain("name"), plain(&agent.name)]);
    table.add_row([plain("id"), plain(agent.id.to_string())]);
    table.add_row([plain("kind"), plain(kind(agent.kind))]);
    table.add_row([plain("system"), plain(system.map_or("-", String::as_str))]);
    table.add_row([plain("health"), cell(word, tone)]);
    if let Some(since) = agent.since {
        table.add_row([plain("since"), plain(format!("{since} ({})", ago(Some(since), now)))]);
    }
    if !reason.is_empty() {
        table.add_row([plain("reason"), cell(reason, tone)]);
    }
    table.add_row([plain("last seen"), plain(ago(agent.last_seen, now))]);
    table.add_row([plain("enrolled"), plain(view.enrolled_at.to_string())]);
    table.add_row([plain("labels"), plain(labels(&agent.labels))]);
    table.add_row([plain("release"), plain(or_dash(&agent.os_release))]);
    table.add_row([plain("version"), plain(or_dash(&agent.version))]);
    for (name, text) in upgrade::upgrade(agent, now) {
        table.add_row([plain(name), plain(text)]);
    }
    table.add_row([plain("policy revision"), cell(policy, policy_tone)]);
    if !agent.policy.reason.is_empty() {
        table.add_row([plain("policy reason"), cell(&agent.policy.reason, policy_tone)]);
    }
    for (limit, patterns) in limits(view) {
        table.add_row([plain(format!("limit {limit}")), plain(patterns)]);
    }
    if !view.secrets.is_empty() {
        table.add_row([plain("secrets"), plain(view.secrets.join(" "))]);
    }
    if let Some(certificate) = &view.certificate {
        table.add_row([
            plain("certificate"),
            plain(format!("{} until {}", certificate.serial, certificate.expires_at)),
        ]);
        table.add_row([plain("key (SHA-256)"), plain(&certificate.key_sha256)]);
    }
    if let Some(partition) = &view.partition {
        table.add_row([plain("partition"), plain(partition.to_string())]);
    }
    told(view, &mut table);
    table
}

/// What it tells of itself.
fn told(view: &AgentView, table: &mut Table) {
    if let Some(skew) = view.clock_skew_ms {
        table.add_row([
            plain("clock"),
            plain(format!("{:+.1} s against the controller's", skew as f64 / 1_000.0)),
        ]);
    }
    for (key, value) in &view.attributes {
        if !SYSTEM.contains(&key.as_str()) {
            table.add_row([plain(key), plain(value)]);
        }
    }
}

fn components(view: &AgentView, now: Timestamp, style: Style) -> Table {
    let mut table = style.table(&["COMPONENT", "KIND", "HEALTH", "STATE", "SINCE", "REASON"]);
    for component in &view.components {
        let kind = match component.kind {
            ComponentKind::Source => "source",
            ComponentKind::Destination => "destination",
            ComponentKind::Other => "-",
        };
        let (word, tone) = if component.healthy { ("healthy", Tone::Good) } else { ("unhealthy", Tone::Bad) };
        table.add_row([
            plain(&component.name),
            plain(kind),
            cell(word, tone),
            plain(or_dash(&component.status)),
            plain(component.since.map_or_else(|| "-".to_owned(), |at| ago(Some(at), now))),
            plain(or_dash(&component.reason)),
        ]);
    }
    table
}

fn rates(view: &AgentView, style: Style) -> Table {
    let mut table = style.table(&[
        "FLOW",
        "NAME",
        "RECEIVED",
        "KEPT",
        "DROPPED",
        "DELIVERED",
        "NOW/S",
        "MINUTE/S",
        "HOUR/S",
        "LAG",
    ]);
    for source in &view.rate_detail.sources {
        let window = &source.window;
        table.add_row([
            plain("source"),
            plain(&source.name),
            plain(count(window.total.received)),
            plain(count(window.total.kept)),
            plain(count(window.total.dropped)),
            plain("-"),
            plain(rate(window.now.received)),
            plain(rate(window.minute.received)),
            plain(rate(window.hour.received)),
            plain(lag(source.lag_ms)),
        ]);
    }
    for destination in &view.rate_detail.destinations {
        table.add_row([
            plain("destination"),
            plain(&destination.name),
            plain("-"),
            plain("-"),
            plain("-"),
            plain(count(destination.delivered)),
            plain(rate(destination.delivered_now)),
            plain(rate(destination.delivered_minute)),
            plain(rate(destination.delivered_hour)),
            plain(lag(destination.lag_ms)),
        ]);
    }
    table
}

fn drops(view: &AgentView, style: Style) -> Table {
    let mut table = style.table(&["RULE", "SOURCE", "KEPT", "DROPPED", "HELD BACK"]);
    for source in &view.rate_detail.sources {
        let lists = [&source.kept_by_rule, &source.dropped_by_rule, &source.throttled_by_rule];
        let rules: BTreeSet<&String> = lists.iter().flat_map(|counts| counts.keys()).collect();
        for rule in rules {
            let [kept, dropped, held] =
                lists.map(|counts| plain(counts.get(rule).map_or("-".to_owned(), |n| count(*n))));
            table.add_row([plain(rule), plain(&source.name), kept, dropped, held]);
        }
    }
    table
}

/// Counters that tell of trouble, where they are not 0.
fn counters(view: &AgentView, style: Style) -> Table {
    let mut table = style.table(&["COUNTED", "AT", "NUMBER", "MEANING"]);
    let mut add = |name: &str, at: &str, number: u64, meaning: &str| {
        if number > 0 {
            table.add_row([plain(name), plain(at), cell(count(number), Tone::Warn), plain(meaning)]);
        }
    };
    for source in &view.rate_detail.sources {
        let (at, c) = (&source.name, &source.counters);
        add("bad rows", at, c.bad_rows, "read only in part");
        add("unknown types", at, c.unknown_types, "kept as hexadecimal digits");
        add("short entries", at, c.short_entries, "shorter than their layout");
        for (place, failed) in &source.expression_faults {
            add(place, at, *failed, "an expression of the policy failed");
        }
    }
    for destination in &view.rate_detail.destinations {
        let (at, c) = (&destination.name, &destination.counters);
        add("sent again", at, c.replayed, "after a break: possible duplicates");
        add("reconnects", at, c.reconnects, "connections after the first");
        add("truncated", at, c.truncated, "cut to the length of a datagram");
        add("lost datagrams", at, c.lost_datagrams, "refused by the network");
    }
    table
}

#[cfg(test)]
mod tests;
