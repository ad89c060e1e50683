//! A question to events that a person types: `type=AF,PW user=PAY* severity>=7 denied`.
//!
//! Terms stand between blanks, and all of them must hold. A term is `key=value`, `key!=value`, `severity>=N`,
//! `severity<=N`, or a word that some value must contain. Values may list several with commas and use `*` for any
//! text; quotes keep blanks and commas. Keys are `type`, `source`, `verdict` (`kept`, `dropped`) and every keyword
//! of the dictionary. Case does not matter.

use super::{Dictionary, Event, EventKind, FieldId, dictionary};
use crate::policy::filter::EntryType;

/// Longest question, in bytes.
pub const MAX_LENGTH: usize = 1_024;
/// Most terms of one question.
pub const MAX_TERMS: usize = 32;

/// Why a text is no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too long.
    #[error("the filter is longer than {MAX_LENGTH} bytes or has more than {MAX_TERMS} terms; ask for less")]
    Length,
    /// A quote without its second one.
    #[error("the filter has a quote (\") without its second one")]
    Quote,
    /// A key that nothing has.
    #[error(
        "`{0}` is no field; use type, source, verdict, severity or a keyword of docs/fields.md such as user"
    )]
    Key(String),
    /// A value that the key cannot have.
    #[error("`{value}` cannot stand after `{key}`: {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
}

/// A text with stars, in lower case, cut at the stars.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob(Vec<String>);

impl Glob {
    fn new(text: &str) -> Self {
        Self(text.to_lowercase().split('*').map(str::to_owned).collect())
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|only| *only == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Type(Vec<EntryType>),
    Source(Vec<Glob>),
    Dropped(bool),
    AtLeast(u8),
    AtMost(u8),
    Field(FieldId, Vec<Glob>),
    Contains(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    not: bool,
    what: What,
}

/// A question, read. The empty one is met by every event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventQuery {
    terms: Vec<Term>,
}

impl EventQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// [`QueryError`] says which term has no meaning.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_LENGTH {
            return Err(QueryError::Length);
        }
        let terms = words(text)?;
        if terms.len() > MAX_TERMS {
            return Err(QueryError::Length);
        }
        let terms = terms.iter().map(|word| term(word, dictionary())).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }

    /// Whether an event of the source `source_name` meets all terms. `dropped`: policy drops it.
    #[must_use]
    pub fn matches(&self, event: &Event, source_name: &str, dropped: bool) -> bool {
        self.terms.iter().all(|term| term.what.holds(event, source_name, dropped) != term.not)
    }
}

impl What {
    fn holds(&self, event: &Event, source_name: &str, dropped: bool) -> bool {
        let any = |globs: &[Glob], text: &str| globs.iter().any(|glob| glob.matches(text));
        match self {
            Self::Type(types) => types.iter().any(|wanted| is_type(event.kind, wanted)),
            Self::Source(globs) => any(globs, source_name),
            Self::Dropped(wanted) => *wanted == dropped,
            Self::AtLeast(severity) => event.severity.get() >= *severity,
            Self::AtMost(severity) => event.severity.get() <= *severity,
            Self::Field(id, globs) => {
                event.fields().iter().filter(|f| f.id == *id).any(|f| any(globs, event.text(f)))
            }
            Self::Contains(text) => {
                event.name.to_lowercase().contains(text.as_str())
                    || event.fields().iter().any(|f| event.text(f).to_lowercase().contains(text.as_str()))
            }
        }
    }
}

fn is_type(kind: EventKind, wanted: &EntryType) -> bool {
    match kind {
        EventKind::Audit { code, entry_type, subtype } => wanted.covers(code, entry_type, subtype),
        EventKind::Message { .. }
        | EventKind::Queued(_)
        | EventKind::Exit(_)
        | EventKind::Controller(_)
        | EventKind::Agent(_) => false,
    }
}

/// Cuts at blanks outside of quotes. Quotes stay, so that commas in them can be told later.
fn words(text: &str) -> Result<Vec<String>, QueryError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if quoted {
        return Err(QueryError::Quote);
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Cuts at commas outside of quotes, and takes the quotes away.
fn values(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(String::new()),
            c => values.last_mut().expect("there is one from the start").push(c),
        }
    }
    values.retain(|value| !value.is_empty());
    values
}

fn term(word: &str, dictionary: &Dictionary) -> Result<Term, QueryError> {
    let Some((at, operator)) = operator(word) else {
        let text = word.replace('"', "").to_lowercase();
        return Ok(Term { not: false, what: What::Contains(text) });
    };
    let key = word[..at].to_lowercase();
    let value = &word[at + operator.len()..];
    let wrong =
        |expected| QueryError::Value { key: word[..at].to_owned(), value: value.to_owned(), expected };
    let globs = || values(value).iter().map(|v| Glob::new(v)).collect::<Vec<_>>();
    let equal = matches!(operator, "=" | "!=");
    let what = match key.as_str() {
        "severity" => {
            let number =
                value.parse::<u8>().ok().filter(|n| *n <= 10).ok_or(wrong("a number from 0 to 10"))?;
            match operator {
                ">=" => What::AtLeast(number),
                "<=" => What::AtMost(number),
                _ => return Err(wrong("severity is asked for with >= or <=")),
            }
        }
        _ if !equal => return Err(wrong("only severity is compared with >= and <=")),
        _ if values(value).is_empty() => return Err(wrong("a value")),
        "type" => {
            let types = values(value).iter().map(|v| EntryType::parse(v)).collect::<Result<Vec<_>, _>>();
            What::Type(types.map_err(|_| wrong("entry types such as AF, AF_A or U_00"))?)
        }
        "source" => What::Source(globs()),
        "verdict" => match values(value).join(",").to_lowercase().as_str() {
            "kept" => What::Dropped(false),
            "dropped" => What::Dropped(true),
            _ => return Err(wrong("kept or dropped")),
        },
        keyword => {
            What::Field(dictionary.find(keyword).ok_or_else(|| QueryError::Key(key.clone()))?, globs())
        }
    };
    Ok(Term { not: operator == "!=", what })
}

/// The first operator outside of quotes, behind a key.
fn operator(word: &str) -> Option<(usize, &'static str)> {
    let end = word.find('"').unwrap_or(word.len());
    let key = &word[..end];
    let at = key.find(['=', '!', '<', '>'])?;
    let operator = ["!=", ">=", "<=", "="].into_iter().find(|operator| word[at..].starts_with(operator))?;
    (at > 0).then_some((at, operator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::field;
    use crate::severity::Severity;
    use proptest::prelude::*;

    fn event() -> Event {
        let mut event = Event::new();
        event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
        event.name = "Authority failure";
        event.severity = Severity::clamped(7);
        event.push(field::USER, "PAYADMIN");
        event.push(field::OBJECT_LIBRARY, "PAYROLL");
        event.push(field::REMOTE_ADDRESS, "10.1.2.3");
        event.push(field::PATH, "/home/my file, old");
        event
    }

    #[test]
    fn each_term() {
        let cases = [
            ("", true),
            ("type=AF", true),
            ("type=pw,af_a", true),
            ("type=AF_B", false),
            ("type!=PW", true),
            ("user=PAY*", true),
            ("user=payadmin", true),
            ("user=*ADMIN", true),
            ("user=*YADM*", true),
            ("user=PAY", false),
            ("user!=PAY*", false),
            ("user=BOB,PAY*", true),
            ("severity>=7", true),
            ("severity>=8", false),
            ("severity<=7", true),
            ("source=aud*", true),
            ("source=messages", false),
            ("verdict=kept", true),
            ("verdict=dropped", false),
            ("remote_address=10.*", true),
            ("path=\"/home/my file, old\"", true),
            ("path=\"/home/my file\"", false),
            ("failure", true),
            ("10.1", true),
            ("denied", false),
            ("\"my file\"", true),
            ("type=AF user=PAY* severity>=7 failure", true),
            ("type=AF user=BOB", false),
            ("command=*", false),
            ("command!=x", true),
        ];
        for (text, expected) in cases {
            let query = EventQuery::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(query.matches(&event(), "audit", false), expected, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let cases = [
            ("nofield=1", "`nofield` is no field"),
            ("type=ABC", "`ABC` cannot stand after `type`"),
            ("severity=7", "severity is asked for with >= or <="),
            ("severity>=11", "a number from 0 to 10"),
            ("user>=7", "only severity"),
            ("user=", "a value"),
            ("verdict=maybe", "kept or dropped"),
            ("a \"b", "without its second one"),
        ];
        for (text, expected) in cases {
            let error = EventQuery::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(EventQuery::parse(&"a ".repeat(33)), Err(QueryError::Length));
        assert_eq!(EventQuery::parse(&"a".repeat(1_025)), Err(QueryError::Length));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z=!<>,*\" ]{0,40}") {
            if let Ok(query) = EventQuery::parse(&text) {
                let _ = query.matches(&event(), "audit", true);
            }
        }
    }
}
