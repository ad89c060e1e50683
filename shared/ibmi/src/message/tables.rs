//! Reads the checked-in tables. A mistake in them is a mistake in the build, found by the first test that decodes a
//! message, hence the panics.

use muster_shared::event::{FieldId, MessageId, dictionary};
use muster_shared::severity::Severity;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// What is known of a message identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownMessage {
    /// Identifier.
    pub id: MessageId,
    /// Fixed English text.
    pub name: &'static str,
    /// Severity of its events.
    pub severity: Severity,
}

/// What the text of a message tells, whatever its language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Nothing but words.
    Words,
    /// A job.
    Job,
    /// A job, its processor time and its completion code.
    JobEnd,
    /// A job and the address of a client.
    Client,
    /// The address of a remote system.
    Address,
    /// One name: the profile that it is about.
    Profile,
    /// Three names: a subsystem, a device and the profile that was used there.
    Device,
}

/// A field of the replacement data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) field: FieldId,
    pub(super) keyword: &'static str,
    pub(super) place: Range<usize>,
}

/// Everything about one identifier.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) info: KnownMessage,
    pub(super) reads: Reads,
    /// By rising place.
    pub(super) tokens: Vec<Token>,
}

/// What a completion code of a job means.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndCode {
    /// None where it is not documented.
    pub(super) meaning: Option<&'static str>,
    pub(super) severity: Severity,
}

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) known: HashMap<MessageId, Known>,
    order: Vec<MessageId>,
    pub(super) end_codes: HashMap<u16, EndCode>,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut known = HashMap::new();
    let mut order = Vec::new();
    for row in rows(include_str!("../../data/message-ids.csv")) {
        let id = identifier(&row[0]);
        assert!(trusted(&row[4]), "message-ids.csv: only what is documented of {} has a meaning", &row[0]);
        let info = KnownMessage { id, name: keep(&row[1]), severity: severity(&row[2]) };
        let reads = match &row[3] {
            "" => Reads::Words,
            "job" => Reads::Job,
            "job_end" => Reads::JobEnd,
            "client" => Reads::Client,
            "address" => Reads::Address,
            "profile" => Reads::Profile,
            "device" => Reads::Device,
            other => panic!("message-ids.csv: {other} can be read from no text"),
        };
        order.push(id);
        let twice = known.insert(id, Known { info, reads, tokens: Vec::new() }).is_some();
        assert!(!twice, "message-ids.csv: {} stands twice", &row[0]);
    }
    for row in rows(include_str!("../../data/message-tokens.csv")) {
        let of = known.get_mut(&identifier(&row[0])).expect("message-tokens.csv names a known message");
        assert!(trusted(&row[4]), "message-tokens.csv: only documented places are read");
        let (offset, length): (usize, usize) = (number(&row[1]), number(&row[2]));
        assert!(
            of.tokens.last().is_none_or(|last| last.place.end <= offset),
            "message-tokens.csv is in order"
        );
        let keyword = keep(&row[3]);
        let field =
            dictionary().find(keyword).unwrap_or_else(|| panic!("message-tokens.csv: no field {keyword}"));
        of.tokens.push(Token { field, keyword, place: offset..offset + length });
    }
    let end_codes = rows(include_str!("../../data/job-end-codes.csv")).into_iter().map(|row| {
        let meaning = trusted(&row[3]).then(|| keep(&row[1]));
        (number(&row[0]), EndCode { meaning, severity: severity(&row[2]) })
    });
    Tables { known, order, end_codes: end_codes.collect() }
});

/// Every identifier that is known, in the order of the table.
#[must_use]
pub fn known_messages() -> Vec<KnownMessage> {
    TABLES.order.iter().filter_map(|id| TABLES.known.get(id)).map(|known| known.info).collect()
}

fn rows(text: &str) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("a table is well-formed")).collect()
}

fn identifier(text: &str) -> MessageId {
    let id = MessageId::parse(text);
    assert!(!id.is_impromptu(), "{text} is no message identifier");
    id
}

fn trusted(source: &str) -> bool {
    match source {
        "documented" => true,
        "unverified" => false,
        other => panic!("source {other} is unknown"),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn severity(text: &str) -> Severity {
    Severity::try_from(number::<u8>(text)).expect("a severity")
}

/// Texts of the tables live as long as the program, see the audit tables.
fn keep(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
