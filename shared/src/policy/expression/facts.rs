//! What an evaluation asks of an event, made when it is asked for.

use crate::event::{Dictionary, Event, EventKind, FieldId, dictionary};
use crate::policy::filter::EventSource;
use crate::severity::Severity;
use cel::ExecutionError;
use cel::common::traits::Container;
use cel::common::types::{CelBool, CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use jiff::civil::DateTime;
use std::any::Any;
use std::fmt;

/// Most values of one field that an expression sees.
pub(super) const MAX_VALUES: usize = 64;

/// Why an expression is neither true nor false of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionFault(String);

impl ExpressionFault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ExpressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that an expression asks of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// First value of a field as text; empty where the event lacks it.
    Text(FieldId),
    /// First value of a field as number; a fault where the event lacks it.
    Integer(FieldId),
    /// Whether the event has a field.
    Has(FieldId),
    /// Every value of a field.
    All(FieldId),
    /// What an event is, apart from its fields.
    Fact(Fact),
    /// When it happened, microseconds since 1970 by the clock that is meant.
    Time(Clock),
    /// A part of that.
    Part(Clock, TimePart),
    /// A regular expression, by number.
    Pattern(u8),
}

/// What an event is, apart from its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Its severity at this point of the policy.
    Severity,
    /// Event id as a SIEM sees it.
    Id,
    /// Entry type of an audit entry; the event id of anything else.
    Type,
    /// Subtype of an audit entry.
    Subtype,
    /// Journal code of a journal entry.
    Code,
    /// Name of the source in the policy.
    Source,
    /// Kind of source.
    Kind,
    /// Fixed English text of the type.
    Name,
}

impl Fact {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "severity" => Self::Severity,
            "id" => Self::Id,
            "type" => Self::Type,
            "subtype" => Self::Subtype,
            "code" => Self::Code,
            "source" => Self::Source,
            "kind" => Self::Kind,
            "name" => Self::Name,
            _ => return None,
        })
    }
}

/// Which clock a time is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// UTC.
    Utc,
    /// The partition's.
    Local,
}

impl Clock {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "time" => Some(Self::Utc),
            "local_time" => Some(Self::Local),
            _ => None,
        }
    }
}

/// A part of a time, counted as CEL counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePart {
    /// The year.
    Year,
    /// Month, January is 0.
    Month,
    /// Day of the month, the first is 1.
    Date,
    /// Day of the month, the first is 0.
    DayOfMonth,
    /// Day of the week, Sunday is 0.
    DayOfWeek,
    /// Day of the year, the first is 0.
    DayOfYear,
    /// Hour.
    Hours,
    /// Minute.
    Minutes,
    /// Second.
    Seconds,
}

impl TimePart {
    pub(super) fn named(function: &str) -> Option<Self> {
        Some(match function {
            "getFullYear" => Self::Year,
            "getMonth" => Self::Month,
            "getDate" => Self::Date,
            "getDayOfMonth" => Self::DayOfMonth,
            "getDayOfWeek" => Self::DayOfWeek,
            "getDayOfYear" => Self::DayOfYear,
            "getHours" => Self::Hours,
            "getMinutes" => Self::Minutes,
            "getSeconds" => Self::Seconds,
            _ => return None,
        })
    }

    fn of(self, time: DateTime) -> i64 {
        match self {
            Self::Year => time.year().into(),
            Self::Month => i64::from(time.month()) - 1,
            Self::Date => time.day().into(),
            Self::DayOfMonth => i64::from(time.day()) - 1,
            Self::DayOfWeek => time.weekday().to_sunday_zero_offset().into(),
            Self::DayOfYear => i64::from(time.day_of_year()) - 1,
            Self::Hours => time.hour().into(),
            Self::Minutes => time.minute().into(),
            Self::Seconds => time.second().into(),
        }
    }
}

/// An event as an expression sees it. Names are single characters, the number of the variable plus one.
pub(super) struct Facts<'e> {
    pub(super) variables: &'e [Variable],
    pub(super) patterns: &'e [Pattern],
    pub(super) event: &'e Event,
    pub(super) source: EventSource<'e>,
    pub(super) severity: Severity,
}

impl Facts<'_> {
    fn variable(&self, name: &str) -> Option<Variable> {
        let [number] = name.as_bytes() else { return None };
        self.variables.get(usize::from(*number).checked_sub(1)?).copied()
    }

    /// An error of the evaluator in our words.
    pub(super) fn fault(&self, error: &ExecutionError) -> ExpressionFault {
        let missing = match error {
            ExecutionError::UndeclaredReference(name) => self.variable(name),
            _ => None,
        };
        ExpressionFault::new(match missing {
            Some(Variable::Integer(field)) => {
                let keyword = &dictionary().get(field).keyword;
                match self.event.get(field) {
                    None => format!("the event has no {keyword}; ask has(event.{keyword}) first"),
                    Some(_) => format!("the event's {keyword} is no whole number"),
                }
            }
            Some(Variable::Time(_) | Variable::Part(..)) => "the event's time is out of range".to_owned(),
            Some(_) | None => error.to_string(),
        })
    }

    fn fact(&self, fact: Fact) -> CowVal<'_, '_> {
        let byte = |byte: u8| if byte == 0 { String::new() } else { char::from(byte).to_string() };
        let id = || {
            let mut id = Vec::with_capacity(32);
            self.event.kind.write_event_id(&mut id);
            String::from_utf8_lossy(&id).into_owned()
        };
        let text = match (fact, self.event.kind) {
            (Fact::Severity, _) => return CowVal::owned(CelInt::from(i64::from(self.severity.get()))),
            (Fact::Source, _) => return text(self.source.name),
            (Fact::Kind, _) => return text(self.event.kind.source().as_str()),
            (Fact::Name, _) => return text(self.event.name),
            (Fact::Type, EventKind::Audit { entry_type, .. }) => {
                entry_type.iter().map(|b| char::from(*b)).collect()
            }
            (Fact::Subtype, EventKind::Audit { subtype, .. }) => byte(subtype),
            (Fact::Code, EventKind::Audit { code, .. }) => byte(code),
            (Fact::Subtype | Fact::Code, _) => String::new(),
            (Fact::Id | Fact::Type, _) => id(),
        };
        CowVal::owned(CelString::from(text))
    }

    fn local(&self, clock: Clock) -> Option<DateTime> {
        let time = jiff::Timestamp::from_microsecond(self.event.time_us).ok()?;
        let offset = match clock {
            Clock::Utc => jiff::tz::Offset::UTC,
            Clock::Local => jiff::tz::Offset::from_seconds(self.source.utc_offset_seconds).ok()?,
        };
        Some(offset.to_datetime(time))
    }
}

fn text<'b, 'v>(text: &'v str) -> CowVal<'b, 'v> {
    CowVal::owned(CelString::from(text))
}

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let event = self.event;
        Some(match self.variable(name)? {
            Variable::Text(field) => text(event.get(field).unwrap_or_default()),
            Variable::Integer(field) => CowVal::owned(CelInt::from(event.get(field)?.parse::<i64>().ok()?)),
            Variable::Has(field) => CowVal::owned(CelBool::from(event.get(field).is_some())),
            Variable::All(field) => {
                let of = event.fields().iter().filter(|f| f.id == field).take(MAX_VALUES);
                let values: Vec<Box<dyn Val + 'b>> =
                    of.map(|f| Box::new(CelString::from(event.text(f))) as Box<dyn Val + 'b>).collect();
                CowVal::owned(CelList::from(values))
            }
            Variable::Fact(fact) => self.fact(fact),
            Variable::Time(clock) => {
                let ahead = match clock {
                    Clock::Utc => 0,
                    Clock::Local => i64::from(self.source.utc_offset_seconds) * 1_000_000,
                };
                CowVal::owned(CelInt::from(event.time_us.checked_add(ahead)?))
            }
            Variable::Part(clock, part) => CowVal::owned(CelInt::from(part.of(self.local(clock)?))),
            Variable::Pattern(number) => CowVal::Borrowed(self.patterns.get(usize::from(number))?),
        })
    }
}

/// Field of a keyword, with whether its values are numbers.
pub(super) fn field_of(dictionary: &Dictionary, keyword: &str) -> Option<(FieldId, bool)> {
    let id = dictionary.find(keyword)?;
    Some((id, dictionary.get(id).field_type == crate::event::FieldType::Integer))
}

/// A regular expression: `text in pattern` is what `text.matches(…)` becomes.
#[derive(Debug, Clone)]
pub(super) struct Pattern(regex::Regex);

static PATTERN: Type = Type::new_unspecified_type("pattern");

/// Most memory that one compiled regular expression may take, and again as its cache.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, regex::Error> {
        let mut builder = regex::RegexBuilder::new(text);
        builder.size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        builder.build().map(Self)
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

impl Container for Pattern {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        match value.downcast_ref::<CelString<'_>>() {
            Some(text) => Ok(self.0.is_match(text.inner())),
            None => {
                Err(ExecutionError::no_such_overload("matches", vec![value.get_type().name().to_owned()]))
            }
        }
    }
}
