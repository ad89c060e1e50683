//! `events`: recent ones, and those of a live tail.

use super::Context;
use crate::args::{EventsCommand, RecentArgs, TailArgs};
use crate::client::EventLines;
use crate::error::CliError;
use crate::output::{Style, clean, count, print_json, print_json_line};
use muster_proto::api::{EventDetail, EventDetailView, FormattedEvent, RecentEvents, TailItem};
use std::io::{self, Write};

pub(super) async fn run(command: EventsCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        EventsCommand::Recent(args) => recent(args, context).await,
        EventsCommand::Show { agent, id } => one(&agent, &id, context).await,
        EventsCommand::Tail(args) => tail(args, context).await,
    }
}

async fn recent(args: RecentArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let limit = args.limit.to_string();
    let query = [("filter", args.filter.as_str()), ("limit", limit.as_str())];
    let found: RecentEvents =
        context.client()?.get(&["agents", &args.agent, "events", "recent"], &query).await?;
    if context.style.json {
        return Ok(print_json(context.out, &found)?);
    }
    for event in &found.events {
        writeln!(context.out, "{}", clean(&event.line()))?;
    }
    let (matched, held) = (count(found.matched), count(found.held));
    writeln!(context.err, "{} shown, {matched} of {held} recent events match", found.events.len())?;
    Ok(())
}

async fn one(agent: &str, id: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let found: EventDetailView =
        context.client()?.get(&["agents", agent, "events", "one"], &[("id", id)]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &found)?);
    }
    let EventDetail { event, raw, formats } = &found.detail;
    writeln!(context.out, "{}", clean(&event.line()))?;
    if let Some(raw) = raw {
        writeln!(context.out, "\nraw: {}", clean(raw))?;
    }
    for FormattedEvent { format, destination, text } in formats {
        let whose = destination.as_ref().map(|name| format!(" to {name}")).unwrap_or_default();
        writeln!(context.out, "\n{}{}:\n{}", clean(format), clean(&whose), clean(text))?;
    }
    Ok(())
}

async fn tail(args: TailArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let selector =
        args.selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let path: Vec<&str> = match &args.agent {
        Some(agent) => vec!["agents", agent, "events", "tail"],
        None => vec!["events", "tail"],
    };
    let mut query = vec![("filter", args.filter.as_str())];
    if !selector.is_empty() {
        query.push(("selector", &selector));
    }
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut lines: EventLines = client.stream(&path, &query).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let data = tokio::select! {
            data = lines.next() => data?,
            _ = &mut interrupted => return Ok(()),
        };
        let Some(data) = data else { return Ok(()) };
        let item: TailItem = client.item(&data)?;
        if show(&item, context.style, context.out, context.err)? {
            left -= 1;
        }
    }
    Ok(())
}

/// Prints one item; true if it was an event. What is about the tail goes to standard error, so that events can be
/// piped.
fn show(item: &TailItem, style: Style, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<bool> {
    if style.json {
        print_json_line(out, item)?;
        return Ok(matches!(item, TailItem::Event { .. }));
    }
    match item {
        TailItem::Event { event, .. } => {
            writeln!(out, "{}", clean(&event.line()))?;
            out.flush()?;
            return Ok(true);
        }
        TailItem::Skipped { agent_name, events, .. } => {
            writeln!(err, "{}: {} more events, too many to show", clean(agent_name), count(*events))?;
        }
        TailItem::Started { agent_name, .. } => writeln!(err, "{}: watching", clean(agent_name))?,
        TailItem::Ended { agent_name, reason, .. } => {
            writeln!(err, "{}: not watched any more: {}", clean(agent_name), clean(reason))?;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::EventView;

    fn shown(item: &TailItem, json: bool) -> (bool, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let style = Style { json, colour: false, terminal: false };
        let event = show(item, style, &mut out, &mut err).unwrap();
        (event, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn events_go_to_one_stream_and_the_rest_to_the_other() {
        let agent = "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap();
        let event = EventView {
            id: "x".into(),
            time: "2026-11-25T18:00:00Z".parse().unwrap(),
            system: "PROD".into(),
            utc_offset_seconds: Some(7_200),
            source: "audit".into(),
            event: "AF_A".into(),
            name: "Authority failure".into(),
            source_kind: "audit_journal".into(),
            severity: 7,
            decoded_severity: Some(7),
            dropped_by: None,
            destinations: vec!["siem".into()],
            fields: [("user".to_owned(), "BO\x1b[2JB".to_owned())].into(),
        };
        let item = TailItem::Event { agent, agent_name: "PROD".into(), event: Box::new(event) };
        let line = "2026-11-25 18:00:00.000Z PROD audit AF_A sev 7 Authority failure user=BO [2JB\n";
        assert_eq!(shown(&item, false), (true, line.to_owned(), String::new()));
        let (_, json, _) = shown(&item, true);
        assert_eq!(serde_json::from_str::<TailItem>(&json).unwrap(), item);
        let skipped = TailItem::Skipped { agent, agent_name: "PROD".into(), events: 1_200 };
        let told = "PROD: 1,200 more events, too many to show\n";
        assert_eq!(shown(&skipped, false), (false, String::new(), told.to_owned()));
    }
}
