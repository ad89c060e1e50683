//! What a test found: each event, and counts by rule and destination.

use crate::command::Context;
use crate::error::CliError;
use crate::output::{Style, Tone, cell, clean, count, plain, print_json, print_table};
use comfy_table::Table;
use jiff::Timestamp;
use muster_proto::api::EventView;
use muster_shared::event::Event;
use muster_shared::policy::replay::Fate;
use muster_shared::policy::throttle::Summary;
use muster_shared::policy::{CompiledPolicy, Fault};
use muster_shared::severity::Severity;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    Kept,
    Dropped,
    HeldBack,
    NotCollected,
}

/// What became of an event, and why.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    became: Became,
    /// The rule or exclude that decided; none where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    severity_before: u8,
    severity: u8,
    /// What set the severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_by: Option<String>,
    destinations: Vec<String>,
    routes: Vec<String>,
}

impl Told {
    pub(super) fn new(
        policy: &CompiledPolicy,
        fate: Fate,
        (before, after): (Severity, Severity),
        severity_by: Option<String>,
        destinations: Vec<String>,
        routes: Vec<String>,
    ) -> Self {
        let (became, rule) = match fate {
            Fate::Kept { rule, .. } => (Became::Kept, rule),
            Fate::Dropped { rule } => (Became::Dropped, Some(rule)),
            Fate::HeldBack { rule, .. } => (Became::HeldBack, Some(rule)),
        };
        Self {
            became,
            rule: rule.map(|rule| policy.rule_name(rule).to_owned()),
            severity_before: before.get(),
            severity: after.get(),
            severity_by,
            destinations,
            routes,
        }
    }

    /// An event of a source that the policy does not have.
    pub(super) fn not_collected(event: &Event) -> Self {
        let severity = event.severity.get();
        Self {
            became: Became::NotCollected,
            rule: None,
            severity_before: severity,
            severity,
            severity_by: None,
            destinations: Vec::new(),
            routes: Vec::new(),
        }
    }
}

/// One event in the report.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    time: Timestamp,
    source: String,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(flatten)]
    told: Told,
}

/// What a rule did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
struct RuleCounts {
    name: String,
    kept: u64,
    dropped: u64,
    held_back: u64,
}

impl RuleCounts {
    fn matched(&self) -> bool {
        self.kept + self.dropped + self.held_back > 0
    }
}

/// A summary that a throttle would have sent.
#[derive(Debug, Serialize)]
struct Throttled {
    source: String,
    rule: String,
    window_start: Timestamp,
    held_back: u64,
    text: String,
}

/// An expression that failed.
#[derive(Debug, Default, Serialize)]
struct Failed {
    count: u64,
    last: String,
}

/// How many events became what.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) events: u64,
    kept: u64,
    dropped: u64,
    held_back: u64,
    /// Of sources that the policy does not have.
    not_collected: u64,
    /// Kept, and no route leads anywhere.
    nowhere: u64,
}

/// See the module.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) totals: Totals,
    /// In the order in which they are asked.
    rules: Vec<RuleCounts>,
    never_matched: Vec<String>,
    destinations: BTreeMap<String, u64>,
    summaries: Vec<Throttled>,
    expression_faults: BTreeMap<String, Failed>,
    events: Vec<Line>,
}

impl Report {
    pub(super) fn new(policy: &CompiledPolicy) -> Self {
        let rule = |name: &String| RuleCounts { name: name.clone(), ..RuleCounts::default() };
        Self {
            totals: Totals::default(),
            rules: policy.rule_names().iter().map(rule).collect(),
            never_matched: Vec::new(),
            destinations: policy.destinations().iter().map(|name| (name.clone(), 0)).collect(),
            summaries: Vec::new(),
            expression_faults: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// How often expressions failed.
    pub(super) fn faults(&self) -> u64 {
        self.expression_faults.values().map(|failed| failed.count).sum()
    }

    pub(super) fn note(&mut self, policy: &CompiledPolicy, faults: &[Fault]) {
        for fault in faults {
            let failed = self.expression_faults.entry(policy.place_name(fault.place)).or_default();
            failed.count += 1;
            failed.last = fault.fault.to_string();
        }
    }

    pub(super) fn add(&mut self, view: &EventView, told: Told) {
        let totals = &mut self.totals;
        totals.events += 1;
        let rule = self.rules.iter_mut().find(|rule| Some(&rule.name) == told.rule.as_ref());
        let (total, of_rule): (_, fn(&mut RuleCounts) -> &mut u64) = match told.became {
            Became::Kept => (&mut totals.kept, |rule| &mut rule.kept),
            Became::Dropped => (&mut totals.dropped, |rule| &mut rule.dropped),
            Became::HeldBack => (&mut totals.held_back, |rule| &mut rule.held_back),
            // No rule is asked about it.
            Became::NotCollected => (&mut totals.not_collected, |rule| &mut rule.dropped),
        };
        *total += 1;
        if let Some(rule) = rule {
            *of_rule(rule) += 1;
        }
        totals.nowhere += u64::from(told.became == Became::Kept && told.destinations.is_empty());
        for name in &told.destinations {
            *self.destinations.entry(name.clone()).or_default() += 1;
        }
        self.events.push(Line {
            id: view.id.clone(),
            time: view.time,
            source: view.source.clone(),
            event: view.event.clone(),
            user: view.fields.get("user").cloned(),
            told,
        });
    }

    pub(super) fn finish(&mut self, summaries: Vec<(String, Summary)>) {
        let of = |(source, summary): (String, Summary)| Throttled {
            source,
            rule: summary.rule().to_owned(),
            window_start: Timestamp::from_microsecond(summary.start_us()).unwrap_or(Timestamp::UNIX_EPOCH),
            held_back: summary.held_back(),
            text: summary.text(),
        };
        self.summaries = summaries.into_iter().map(of).collect();
        let never = self.rules.iter().filter(|rule| !rule.matched());
        self.never_matched = never.map(|rule| rule.name.clone()).collect();
    }

    /// Prints it; with `summary` without the single events.
    pub(super) fn print(&self, summary: bool, context: &mut Context<'_>) -> Result<(), CliError> {
        if context.style.json {
            let mut value = serde_json::to_value(self).map_err(io::Error::from)?;
            if let (true, Some(object)) = (summary, value.as_object_mut()) {
                object.remove("events");
            }
            return Ok(print_json(context.out, &value)?);
        }
        if !summary {
            for line in &self.events {
                writeln!(context.out, "{}", clean(&line.text()))?;
            }
            writeln!(context.out)?;
        }
        Ok(self.print_counts(context.style, context.out)?)
    }

    pub(super) fn print_counts(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let Totals { events, kept, dropped, held_back, not_collected, nowhere } = &self.totals;
        write!(
            out,
            "{} events: {} kept, {} dropped, {} held back",
            count(*events),
            count(*kept),
            count(*dropped),
            count(*held_back)
        )?;
        if *not_collected > 0 {
            write!(out, ", {} of sources that the policy does not have", count(*not_collected))?;
        }
        writeln!(out)?;
        for (name, events) in &self.destinations {
            writeln!(out, "  to {}: {}", clean(name), count(*events))?;
        }
        if *nowhere > 0 {
            writeln!(out, "  kept, but no route takes them: {}", count(*nowhere))?;
        }
        for summary in &self.summaries {
            let Throttled { source, rule, window_start, text, .. } = summary;
            writeln!(
                out,
                "  {} would tell from {window_start} ({}): {}",
                clean(rule),
                clean(source),
                clean(text)
            )?;
        }
        if !self.rules.is_empty() {
            print_table(out, &self.table(style))?;
        }
        for (place, Failed { count: times, last }) in &self.expression_faults {
            writeln!(
                out,
                "the expression of {} failed {} time(s): {}",
                clean(place),
                count(*times),
                clean(last)
            )?;
        }
        Ok(())
    }

    fn table(&self, style: Style) -> Table {
        let mut table = style.table(&["RULE", "KEPT", "DROPPED", "HELD BACK", ""]);
        for rule in &self.rules {
            let number = |number: u64| plain(if number == 0 { "-".to_owned() } else { count(number) });
            let note = if rule.matched() { plain("") } else { cell("never matched", Tone::Warn) };
            table.add_row([
                plain(&rule.name),
                number(rule.kept),
                number(rule.dropped),
                number(rule.held_back),
                note,
            ]);
        }
        table
    }
}

impl Line {
    /// One line for people.
    fn text(&self) -> String {
        let Self { time, source, event, user, told, .. } = self;
        let mut text = format!("{} {source} {event}", time.strftime("%F %T%.3fZ"));
        if let Some(user) = user {
            text.push_str(&format!(" {user}"));
        }
        let by = told.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        text.push_str(&match told.became {
            Became::Kept if told.destinations.is_empty() => format!(" kept{by}, no route takes it"),
            Became::Kept => format!(" kept{by} -> {}", told.destinations.join(", ")),
            Became::Dropped => format!(" dropped{by}"),
            Became::HeldBack => format!(" held back{by}"),
            Became::NotCollected => " not collected: the policy has no such source".to_owned(),
        });
        if !told.routes.is_empty() {
            text.push_str(&format!(" (routes {})", told.routes.join(", ")));
        }
        text.push_str(&format!(" sev {}", told.severity_before));
        if let Some(by) = &told.severity_by {
            text.push_str(&format!(" -> {} by {by}", told.severity));
        }
        text
    }
}
