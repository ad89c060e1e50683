//! Recorded events: what `muster events recent`, `muster events tail` and the interface print as JSON.

use crate::error::CliError;
use muster_proto::api::EventView;
use muster_shared::event::{Event, EventKind, SourceKind, dictionary};
use muster_shared::policy::filter::source_kind;
use muster_shared::severity::Severity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Most events of one recording.
const MAX_EVENTS: usize = 1_000_000;
/// Most bytes of one recording.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most different names of types that are remembered.
const MAX_NAMES: usize = 10_000;

/// Events in their order, as they were recorded and as the policy sees them.
pub(super) struct Recording {
    pub(super) events: Vec<(EventView, Event)>,
    /// Keywords that this release does not know, and how many values they had.
    unknown: BTreeMap<String, u64>,
    /// Values that were cut when they were recorded.
    cut: u64,
    /// Events without their severity before the policy.
    judged: u64,
}

impl Recording {
    /// Reads a file, or standard input where its name is `-`.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            return Self::parse(io::stdin().lock(), "standard input");
        }
        let file = File::open(path).map_err(CliError::file("read", path))?;
        Self::parse(file, &path.display().to_string())
    }

    /// Reads JSON: one value behind the other, in lines or indented.
    pub(super) fn parse(input: impl Read, name: &str) -> Result<Self, CliError> {
        let mut views = Vec::new();
        let reader = BufReader::new(input.take(MAX_BYTES));
        for value in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
            let value = value.map_err(|error| {
                CliError::Local(format!(
                    "{name} holds no recorded events: {error}; record them with `muster events recent AGENT --output json` \
                     or `muster events tail --output json`"
                ))
            })?;
            collect(value, &mut views).map_err(|problem| {
                CliError::Local(format!("{name}: event {}: {problem}", views.len() + 1))
            })?;
        }
        let mut recording = Self { events: Vec::new(), unknown: BTreeMap::new(), cut: 0, judged: 0 };
        let mut names = Names::default();
        for (number, view) in views.into_iter().enumerate() {
            let event = recording
                .event(&view, &mut names)
                .map_err(|problem| CliError::Local(format!("{name}: event {}: {problem}", number + 1)))?;
            recording.events.push((view, event));
        }
        Ok(recording)
    }

    fn event(&mut self, view: &EventView, names: &mut Names) -> Result<Event, String> {
        let mut event = Event::new();
        event.kind = kind(view).ok_or_else(|| {
            format!("`{}` is no event id that this release knows of source `{}`", view.event, view.source)
        })?;
        event.time_us = view.time.as_microsecond();
        event.severity = Severity::clamped(view.decoded_severity.unwrap_or(view.severity));
        self.judged += u64::from(view.decoded_severity.is_none());
        event.name = names.lasting(&view.name);
        for (keyword, value) in &view.fields {
            self.cut += u64::from(value.ends_with('…'));
            match dictionary().find(keyword) {
                Some(field) => event.push(field, value),
                None => *self.unknown.entry(keyword.clone()).or_default() += 1,
            }
        }
        Ok(event)
    }

    /// What limits what a test can say.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.events.is_empty() {
            notes.push("the recording holds no event".to_owned());
        }
        for (keyword, values) in &self.unknown {
            notes.push(format!(
                "{values} value(s) of `{keyword}`, a field that this release does not know, are left out"
            ));
        }
        if self.cut > 0 {
            notes.push(format!(
                "{} value(s) were cut when they were recorded; conditions see what is left",
                self.cut
            ));
        }
        if self.judged > 0 {
            notes.push(format!(
                "{} event(s) were recorded without the severity they had before the policy of then; the one after it is taken",
                self.judged
            ));
        }
        notes
    }
}

/// Whether an event is a report of the agent itself.
pub(super) fn is_agents_own(event: &Event) -> bool {
    event.kind.source() == SourceKind::Agent
}

/// The kind of an event, by its kind of source; older agents did not record that.
fn kind(view: &EventView) -> Option<EventKind> {
    let agent = SourceKind::Agent;
    if view.source_kind == agent.as_str() {
        return EventKind::recorded(agent, &view.event);
    }
    if let Some(source) = source_kind(&view.source_kind) {
        return EventKind::recorded(source, &view.event);
    }
    let guesses = [agent, SourceKind::ControllerAudit, SourceKind::AuditJournal];
    guesses.into_iter().find_map(|source| EventKind::recorded(source, &view.event))
}

/// The events in a value: one, a list, an answer of the interface, an item of a tail, or a sample of a preview.
fn collect(value: Value, views: &mut Vec<EventView>) -> Result<(), String> {
    match value {
        Value::Array(values) => values.into_iter().try_for_each(|value| collect(value, views)),
        Value::Object(mut object) => {
            if let Some(list @ Value::Array(_)) = object.get_mut("events") {
                return collect(list.take(), views);
            }
            if let Some(event @ Value::Object(_)) = object.get_mut("event") {
                return collect(event.take(), views);
            }
            // What a tail tells beside events.
            let kind = object.get("kind").and_then(Value::as_str);
            if matches!(kind, Some("skipped" | "started" | "ended")) && !object.contains_key("fields") {
                return Ok(());
            }
            if views.len() == MAX_EVENTS {
                return Err(format!("a recording holds {MAX_EVENTS} events at most"));
            }
            views.push(serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?);
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("is no event; an event is an object with time, source, event and fields".to_owned())
        }
    }
}

/// Names of types as events hold them: for as long as the program runs. There are few.
#[derive(Default)]
struct Names(BTreeSet<&'static str>);

impl Names {
    fn lasting(&mut self, name: &str) -> &'static str {
        if let Some(known) = self.0.get(name) {
            return known;
        }
        if self.0.len() == MAX_NAMES {
            return "";
        }
        let lasting: &'static str = Box::leak(name.to_owned().into_boxed_str());
        self.0.insert(lasting);
        lasting
    }
}
