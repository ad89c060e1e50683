//! Throttles: of many alike events the first ones pass, and one summary tells how many more there were.
//!
//! Pure: what time it is comes with the events. Windows lie side by side on the clock of the events, so that a
//! stream that is read again has the same windows, and a summary the same id. A window ends when an event behind it
//! is read, or when nothing was read for as long as it is wide.
//!
//! Promises: the first event of a key in a window always passes; never more than the limit of them do; what passed
//! and what the summaries count is everything, as long as the stream goes on. Memory is bounded: keys beyond it pass
//! unthrottled. Refuses: to hold a window open for an event that is late: it counts into the window of its time
//! that is open.

use super::compile::{CompiledPolicy, RuleIndex};
use super::model::{Action, Rule};
use crate::event::{AgentEvent, Event, EventKind, FieldId, dictionary, field};
use crate::severity::Severity;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// Width of a window in seconds where a rule gives none.
const DEFAULT_SECONDS: u32 = 60;
/// Widest window: a day.
pub const MAX_SECONDS: u32 = 86_400;
/// Most words of a key.
pub const MAX_KEY: usize = 8;
/// Most throttles of one policy.
pub const MAX_THROTTLES: usize = 64;
/// The word of a key that stands for the event id.
const EVENT: &str = "event";
/// Between the parts of a key; in a value it becomes a blank.
const SEPARATOR: char = '\u{1f}';
/// Longest key in bytes; events with a longer one pass.
const MAX_KEY_BYTES: usize = 2_048;
/// What a key costs beside its text.
const KEY_OVERHEAD: usize = 96;
/// Longest part of an id that is the key as text; a longer one ends with its hash.
const MAX_ID_KEY: usize = 120;

/// One word of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Event,
    Field(FieldId),
}

/// The throttle of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleRule {
    name: Arc<str>,
    limit: u32,
    seconds: u32,
    key: Vec<Word>,
}

/// Why a rule cannot throttle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThrottleError {
    /// No limit, or none at all would pass.
    #[error("action: throttle needs `limit`, how many events of one key pass in a window, 1 or more")]
    Limit,
    /// A window of another width.
    #[error("seconds: {0} is outside 1 to {MAX_SECONDS}")]
    Seconds(u32),
    /// A word that no event has.
    #[error("key[{position}]: `{word}` is no field; write event or keywords of docs/fields.md such as user")]
    Word {
        /// Where.
        position: usize,
        /// The word.
        word: String,
    },
    /// Too many words.
    #[error("key has {0} words, at most {MAX_KEY} are possible")]
    Words(usize),
    /// Settings of a throttle at a rule that does something else.
    #[error("`{0}` belongs to action: throttle")]
    Other(&'static str),
}

impl ThrottleRule {
    /// Reads the throttle of a rule.
    ///
    /// # Errors
    /// [`ThrottleError`] for the first setting without meaning.
    pub fn compile(rule: &Rule) -> Result<Self, ThrottleError> {
        let limit = rule.limit.filter(|limit| *limit > 0).ok_or(ThrottleError::Limit)?;
        let seconds = rule.seconds.unwrap_or(DEFAULT_SECONDS);
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(ThrottleError::Seconds(seconds));
        }
        if rule.key.len() > MAX_KEY {
            return Err(ThrottleError::Words(rule.key.len()));
        }
        let word = |(position, text): (usize, &String)| match text.as_str() {
            EVENT => Ok(Word::Event),
            keyword => dictionary()
                .find(keyword)
                .map(Word::Field)
                .ok_or_else(|| ThrottleError::Word { position, word: keyword.to_owned() }),
        };
        let mut key = rule.key.iter().enumerate().map(word).collect::<Result<Vec<_>, _>>()?;
        if key.is_empty() {
            key = vec![Word::Event, Word::Field(field::USER)];
        }
        Ok(Self { name: rule.name.as_str().into(), limit, seconds, key })
    }

    /// Refuses settings of a throttle at a rule that does something else.
    ///
    /// # Errors
    /// [`ThrottleError::Other`] names the first such setting.
    pub fn none(rule: &Rule) -> Result<(), ThrottleError> {
        match rule {
            Rule { action: Action::Throttle, .. } => Ok(()),
            Rule { limit: Some(_), .. } => Err(ThrottleError::Other("limit")),
            Rule { seconds: Some(_), .. } => Err(ThrottleError::Other("seconds")),
            Rule { key, .. } if !key.is_empty() => Err(ThrottleError::Other("key")),
            Rule { .. } => Ok(()),
        }
    }

    /// Writes the key of an event into `out`.
    pub fn write_key(&self, event: &Event, out: &mut String) {
        out.clear();
        for (position, word) in self.key.iter().enumerate() {
            if position > 0 {
                out.push(SEPARATOR);
            }
            match word {
                Word::Event => {
                    let mut id = Vec::with_capacity(32);
                    event.kind.write_event_id(&mut id);
                    out.push_str(&String::from_utf8_lossy(&id));
                }
                Word::Field(id) => match event.get(*id).unwrap_or_default() {
                    odd if odd.contains(SEPARATOR) => out.push_str(&odd.replace(SEPARATOR, " ")),
                    value => out.push_str(value),
                },
            }
        }
    }

    fn width_us(&self) -> i64 {
        i64::from(self.seconds) * 1_000_000
    }

    fn start_of_window(&self, time_us: i64) -> i64 {
        time_us.saturating_sub(time_us.rem_euclid(self.width_us()))
    }
}

/// What is counted of one key in the open window.
#[derive(Debug, Clone, Copy)]
struct Count {
    passed: u32,
    held_back: u64,
    /// Time of the newest event that was held back.
    newest_us: i64,
    /// The gravest severity of those.
    severity: Severity,
}

/// The open window of one rule.
#[derive(Debug, Clone)]
struct Window {
    rule: ThrottleRule,
    /// Microseconds since 1970 UTC.
    start_us: i64,
    keys: HashMap<Box<str>, Count>,
    /// When, by the agent's clock, the source was first seen idle in this window.
    idle_since_us: Option<i64>,
}

/// A window that ended, with what was held back of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    rule: ThrottleRule,
    key: Box<str>,
    start_us: i64,
    held_back: u64,
    newest_us: i64,
    severity: Severity,
}

/// The throttles of one stream of events, in the order in which they are read.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    windows: Vec<Window>,
    /// Position in `windows` by number of the rule.
    by_rule: HashMap<RuleIndex, usize>,
    /// Bytes that keys take.
    bytes: usize,
    max_bytes: usize,
    due: Vec<Summary>,
}

impl Throttle {
    /// Nothing was seen yet. Keys take `max_bytes` at most.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// Goes on with another policy: windows of rules that are the same stay open, those of others end.
    pub fn adopt(&mut self, policy: &CompiledPolicy) {
        let mut before = std::mem::take(&mut self.windows);
        self.by_rule.clear();
        for (index, rule) in policy.throttles() {
            let same = before.iter().position(|window| window.rule == *rule);
            let window = same.map_or_else(
                || Window {
                    rule: rule.clone(),
                    start_us: i64::MIN,
                    keys: HashMap::new(),
                    idle_since_us: None,
                },
                |position| before.swap_remove(position),
            );
            self.by_rule.insert(index, self.windows.len());
            self.windows.push(window);
        }
        for window in &mut before {
            end(window, &mut self.bytes, &mut self.due);
        }
    }

    /// Forgets what was counted, and passes the first ones again: the stream is read again from an earlier place.
    pub fn clear(&mut self) {
        for window in &mut self.windows {
            window.keys.clear();
            window.start_us = i64::MIN;
            window.idle_since_us = None;
        }
        self.bytes = 0;
        self.due.clear();
    }

    /// Whether an event of this key, which met the conditions of the rule, passes.
    pub fn admit(&mut self, rule: RuleIndex, key: &str, time_us: i64, severity: Severity) -> bool {
        // A rule of a policy that was not adopted: nothing is counted, so nothing is held back.
        let Some(position) = self.by_rule.get(&rule) else { return true };
        let Some(window) = self.windows.get_mut(*position) else { return true };
        let start_us = window.rule.start_of_window(time_us);
        // A little late is late; much earlier is a clock that was set back.
        let late =
            start_us < window.start_us && start_us >= window.start_us.saturating_sub(window.rule.width_us());
        if start_us != window.start_us && !late {
            end(window, &mut self.bytes, &mut self.due);
            window.start_us = start_us;
        }
        if let Some(count) = window.keys.get_mut(key) {
            if count.passed < window.rule.limit {
                count.passed += 1;
                return true;
            }
            count.held_back += 1;
            count.newest_us = count.newest_us.max(time_us);
            count.severity = count.severity.max(severity);
            return false;
        }
        let cost = key.len() + KEY_OVERHEAD;
        if key.len() <= MAX_KEY_BYTES && self.bytes + cost <= self.max_bytes {
            self.bytes += cost;
            let first = Count { passed: 1, held_back: 0, newest_us: i64::MIN, severity: Severity::LOWEST };
            window.keys.insert(key.into(), first);
        }
        true
    }

    /// Everything up to this time was read: windows before it end.
    pub fn advance(&mut self, newest_us: i64) {
        for window in &mut self.windows {
            if window.start_us.saturating_add(window.rule.width_us()) <= newest_us {
                end(window, &mut self.bytes, &mut self.due);
            }
        }
    }

    /// There is nothing more to read at `now_us` by the agent's clock. A window ends when that was first so as long
    /// ago as it is wide: the partition's clock may go otherwise.
    pub fn idle(&mut self, now_us: i64) {
        for window in self.windows.iter_mut().filter(|window| !window.keys.is_empty()) {
            let since_us = *window.idle_since_us.get_or_insert(now_us);
            if now_us.saturating_sub(since_us) >= window.rule.width_us() {
                end(window, &mut self.bytes, &mut self.due);
            }
        }
    }

    /// Summaries of windows that have ended, oldest first.
    pub fn take_due(&mut self) -> Vec<Summary> {
        std::mem::take(&mut self.due)
    }
}

/// Ends a window.
fn end(window: &mut Window, bytes: &mut usize, due: &mut Vec<Summary>) {
    let from = due.len();
    for (key, count) in window.keys.drain() {
        *bytes = bytes.saturating_sub(key.len() + KEY_OVERHEAD);
        if count.held_back > 0 {
            due.push(Summary {
                rule: window.rule.clone(),
                key,
                start_us: window.start_us,
                held_back: count.held_back,
                newest_us: count.newest_us,
                severity: count.severity,
            });
        }
    }
    due[from..].sort_by(|a, b| (a.newest_us, &a.key).cmp(&(b.newest_us, &b.key)));
    window.idle_since_us = None;
}

/// Fields of a summary that no other event has.
struct SummaryFields {
    event: Option<FieldId>,
    count: Option<FieldId>,
    seconds: Option<FieldId>,
    rule: Option<FieldId>,
    key: Option<FieldId>,
}

static FIELDS: LazyLock<SummaryFields> = LazyLock::new(|| {
    let find = |keyword| dictionary().find(keyword);
    SummaryFields {
        event: find("throttled_event"),
        count: find("throttled_count"),
        seconds: find("throttle_seconds"),
        rule: find("throttle_rule"),
        key: find("throttle_key"),
    }
});

impl Summary {
    /// How many events were held back.
    #[must_use]
    pub const fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Name of the rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule.name
    }

    /// Start of the window, microseconds since 1970 UTC.
    #[must_use]
    pub const fn start_us(&self) -> i64 {
        self.start_us
    }

    /// The words of the key with their values.
    fn words(&self) -> impl Iterator<Item = (Word, &str)> {
        self.rule.key.iter().copied().zip(self.key.split(SEPARATOR))
    }

    /// `4,211 more AF_A by X in 60 s`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} more ", thousands(self.held_back));
        let id = self.words().find(|(word, _)| *word == Word::Event).map(|(_, value)| value);
        text.push_str(id.unwrap_or("events"));
        for (word, value) in self.words().filter(|(_, value)| !value.is_empty()) {
            // Writing to a String cannot fail.
            let _ = match word {
                Word::Event => Ok(()),
                Word::Field(field::USER) => write!(text, " by {value}"),
                Word::Field(id) => write!(text, " with {} {value}", dictionary().get(id).keyword),
            };
        }
        let _ = write!(text, " in {} s", self.rule.seconds);
        text
    }

    /// The summary as an event. `id_front` is the front part of its id: partition and source. The rest of the id is
    /// rule, key and start of the window, so that a summary that is made again has the same.
    pub fn fill(&self, event: &mut Event, id_front: &str) {
        event.clear();
        event.kind = EventKind::Agent(AgentEvent::Throttled);
        event.name = AgentEvent::Throttled.text();
        event.time_us = self.newest_us;
        event.severity = self.severity;
        event.id_prefix = Arc::from(format!("{id_front}/throttle/{}/{}/", self.rule.name, self.id_key()));
        event.sequence = self.start_us.div_euclid(1_000_000).unsigned_abs();
        event.push(field::MESSAGE, &self.text());
        for (word, value) in self.words() {
            match word {
                Word::Event => push(event, FIELDS.event, value),
                Word::Field(id) => event.push(id, value),
            }
        }
        push(event, FIELDS.count, &self.held_back.to_string());
        push(event, FIELDS.seconds, &self.rule.seconds.to_string());
        push(event, FIELDS.rule, &self.rule.name);
        push(event, FIELDS.key, &self.key.replace(SEPARATOR, ","));
    }

    fn id_key(&self) -> String {
        let key = self.key.replace(SEPARATOR, ",");
        if key.len() <= MAX_ID_KEY {
            return key;
        }
        let hash = faster_hex::hex_string(&Sha256::digest(key.as_bytes()));
        format!("{}#{}", &key[..key.floor_char_boundary(MAX_ID_KEY)], &hash[..16])
    }
}

/// A dictionary without the field is one of another build.
fn push(event: &mut Event, id: Option<FieldId>, value: &str) {
    if let Some(id) = id {
        event.push(id, value);
    }
}

/// `4,211`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
