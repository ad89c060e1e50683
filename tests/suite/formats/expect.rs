//! What a message of each format must say about an event, from the formats' documented rules.

use super::facts::Fact;
use ibmi_sim::{PutEntry, Scenario};
use muster_shared::event::{FieldDef, FieldType, dictionary};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The five formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    Rfc5424,
    Rfc3164,
    Cef,
    Leef1,
    Leef2,
}

pub(super) const FORMATS: [Format; 5] =
    [Format::Rfc5424, Format::Rfc3164, Format::Cef, Format::Leef1, Format::Leef2];

/// Predefined LEEF keys that the dictionary uses for text: they hold 255 characters.
const LEEF_TEXTS: [&str; 8] =
    ["usrName", "accountName", "role", "realm", "policy", "resource", "url", "domain"];
/// Predefined keys that hold addresses or numbers only, in LEEF and in CEF.
const TYPED: [&str; 12] =
    ["src", "dst", "srcPort", "dstPort", "srcBytes", "dstBytes", "dvc", "spt", "dpt", "cnt", "in", "out"];

/// Facts about an event that stand in the head of its message.
pub(super) struct Head<'a> {
    pub(super) entry: &'a PutEntry,
    pub(super) event_id: &'a str,
    pub(super) name: &'a str,
    pub(super) severity: u8,
    pub(super) scenario: &'a Scenario,
}

impl Head<'_> {
    fn prefix(&self) -> String {
        let (system, entry) = (&self.scenario.system, self.entry);
        format!(
            "{}-{}/audit_journal:QSYS/QAUDJRN/{}/{}@{}/",
            system.serial, system.partition_id, entry.receiver_library, entry.receiver, entry.attached_us
        )
    }

    /// The stable id.
    pub(super) fn id(&self) -> String {
        format!("{}{}", self.prefix(), self.entry.sequence)
    }

    fn pairs(&self, format: Format) -> Vec<(&'static str, String)> {
        let system = &self.scenario.system;
        let milliseconds = self.entry.utc_us.div_euclid(1_000).to_string();
        let sequence = self.entry.sequence.to_string();
        let (name, id, severity) = (self.name.to_owned(), self.id(), self.severity.to_string());
        let release = format!("V{}M0", system.release.replace('.', "R"));
        let (host, serial) = (system.host_name.clone(), system.serial.clone());
        let number = system.partition_id.to_string();
        let category = "audit_journal".to_owned();
        match format {
            Format::Rfc5424 | Format::Rfc3164 => vec![
                ("event", self.event_id.to_owned()),
                ("event_name", name),
                ("event_id", id),
                ("category", category),
                ("severity", severity),
                ("sequence", sequence),
                ("system_name", host),
                ("serial_number", serial),
                ("partition_id", number),
                ("os_release", release),
            ],
            Format::Leef1 | Format::Leef2 => vec![
                ("cat", category),
                ("sev", severity),
                ("eventName", name),
                ("devTime", milliseconds),
                ("eventId", id),
                ("sequence", sequence),
                ("systemName", host),
                ("serialNumber", serial),
                ("partitionId", number),
                ("osRelease", release),
            ],
            Format::Cef => {
                let digest = Sha256::digest(self.prefix().as_bytes());
                let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(id.len() > 40, "a short id stands under externalId itself");
                vec![
                    ("cat", category),
                    ("rt", milliseconds),
                    ("externalId", format!("{digits}-{sequence}")),
                    ("musterEventId", id),
                    ("sequence", sequence),
                    ("dvchost", host.clone()),
                    ("deviceExternalId", format!("{serial}-{number}")),
                    ("systemName", host),
                    ("serialNumber", serial),
                    ("partitionId", number),
                    ("osRelease", release),
                ]
            }
        }
    }
}

/// All keys and values that a message must have, and none besides.
pub(super) struct Expected {
    format: Format,
    reserved: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl Expected {
    pub(super) fn of(format: Format, head: &Head<'_>) -> Self {
        let reserved: BTreeSet<String> =
            head.pairs(format).into_iter().map(|(key, _)| key.to_owned()).collect();
        let mut known = reserved.clone();
        let this = Self { format, reserved, known: BTreeSet::new() };
        for row in dictionary().rows() {
            known.extend([this.key(row), this.meaning_key(row), this.own_key(row)]);
        }
        known.extend(["c6a1", "c6a2", "c6a3"].map(str::to_owned));
        Self { known, ..this }
    }

    pub(super) fn values(&self, head: &Head<'_>, facts: &[Fact]) -> BTreeMap<String, String> {
        let pairs = head.pairs(self.format).into_iter();
        let mut values: BTreeMap<String, String> =
            pairs.map(|(key, value)| (key.to_owned(), value)).collect();
        for fact in facts {
            let id = dictionary().find(&fact.keyword).unwrap_or_else(|| panic!("field {}", fact.keyword));
            let row = dictionary().get(id);
            if row.keyword == "app_field" {
                let (name, value) = fact.value.split_once('=').expect("a pair");
                if let Some(value) = self.value(row, value) {
                    self.add_with(&mut values, &self.application_key(name), value, true);
                }
                continue;
            }
            let Some(value) = self.value(row, &fact.value) else { continue };
            let (key, label) = self.place(row, &value, &values);
            self.add(&mut values, &key, value);
            if let Some((key, label)) = label {
                values.insert(key, label);
            }
            if let Some(meaning) = &fact.meaning {
                self.add(&mut values, &self.meaning_key(row), meaning.clone());
            }
        }
        values
    }

    /// The key that is made of an application's own: `order-no` becomes `appOrderNo` or `app_order_no`.
    fn application_key(&self, name: &str) -> String {
        match self.format {
            Format::Rfc5424 | Format::Rfc3164 => {
                let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
                format!("app_{}", name.chars().map(word).collect::<String>())
            }
            Format::Cef | Format::Leef1 | Format::Leef2 => {
                let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
                let upper = words.map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]));
                format!("app{}", upper.collect::<String>())
            }
        }
    }

    /// A key that is taken gets the next number that no other key has.
    fn add(&self, values: &mut BTreeMap<String, String>, key: &str, value: String) {
        self.add_with(values, key, value, false);
    }

    /// The same; a key that an application gave (`theirs`) never is one of ours.
    fn add_with(&self, values: &mut BTreeMap<String, String>, key: &str, value: String, theirs: bool) {
        let mut name = key.to_owned();
        let mut number = 1;
        while values.contains_key(&name) || ((number > 1 || theirs) && self.known.contains(&name)) {
            number += 1;
            name = format!("{key}{number}");
        }
        values.insert(name, value);
    }

    fn place(
        &self,
        row: &FieldDef,
        value: &str,
        values: &BTreeMap<String, String>,
    ) -> (String, Option<(String, String)>) {
        let key = self.key(row);
        let fits = !TYPED.contains(&key.as_str())
            || match row.field_type {
                FieldType::Address if self.format == Format::Cef => value.parse::<Ipv4Addr>().is_ok(),
                FieldType::Address => value.parse::<IpAddr>().is_ok(),
                FieldType::Integer => value.parse::<i64>().is_ok(),
                FieldType::Text | FieldType::Hex => true,
            };
        let pairs = matches!(self.format, Format::Rfc5424 | Format::Rfc3164);
        if !fits && !pairs {
            let ipv6 = self.format == Format::Cef && value.parse::<IpAddr>().is_ok();
            if ipv6 && key == "src" && !values.contains_key("c6a2") {
                return ("c6a2".to_owned(), Some(("c6a2Label".to_owned(), "Source IPv6 Address".to_owned())));
            }
            return (self.own_key(row), None);
        }
        if self.format == Format::Cef && !row.cef_label.is_empty() {
            if values.contains_key(&key) {
                return (self.own_key(row), None);
            }
            let label = (format!("{key}Label"), row.cef_label.clone());
            return (key, Some(label));
        }
        (key, None)
    }

    /// The value as the format can hold it; none where nothing is left of it.
    fn value(&self, row: &FieldDef, value: &str) -> Option<String> {
        let plain = |c: char| if c.is_ascii_control() { ' ' } else { c };
        let cut = |text: &str, limit: usize| -> String { text.chars().take(limit).map(plain).collect() };
        let text = match self.format {
            Format::Rfc5424 | Format::Rfc3164 => cut(value, usize::MAX),
            Format::Leef1 | Format::Leef2 => {
                let text_key = LEEF_TEXTS.contains(&row.leef.as_str());
                let text = cut(value, if text_key { 255 } else { usize::MAX });
                if self.format == Format::Leef2 { text.replace('^', " ") } else { text }
            }
            Format::Cef => {
                let limit = if row.cef_max == 0 { usize::MAX } else { row.cef_max };
                let value: String = value.chars().map(plain).collect();
                cut(value.trim_matches(' '), limit).trim_end().to_owned()
            }
        };
        (!text.is_empty()).then_some(text)
    }

    fn key(&self, row: &FieldDef) -> String {
        self.free(match self.format {
            Format::Rfc5424 | Format::Rfc3164 => short(&row.keyword, 30),
            Format::Cef => row.cef.clone(),
            Format::Leef1 | Format::Leef2 => row.leef.clone(),
        })
    }

    fn meaning_key(&self, row: &FieldDef) -> String {
        self.free(match self.format {
            Format::Rfc5424 | Format::Rfc3164 => format!("{}_text", short(&row.keyword, 25)),
            Format::Cef if row.cef_label.is_empty() => format!("{}Text", row.cef),
            Format::Cef => format!("{}Text", row.cef_label),
            Format::Leef1 | Format::Leef2 => format!("{}Text", row.leef),
        })
    }

    fn own_key(&self, row: &FieldDef) -> String {
        self.free(match self.format {
            Format::Rfc5424 | Format::Rfc3164 => short(&row.keyword, 30),
            Format::Cef if !row.cef_label.is_empty() => row.cef_label.clone(),
            Format::Cef | Format::Leef1 | Format::Leef2 => camel(&row.keyword),
        })
    }

    /// Keys of the head are never taken by a field.
    fn free(&self, mut key: String) -> String {
        while self.reserved.contains(&key) {
            key.push('2');
        }
        key
    }
}

/// Long keywords lose vowels from the end, then their end.
fn short(keyword: &str, limit: usize) -> String {
    let mut letters: Vec<char> = keyword.chars().collect();
    while letters.len() > limit {
        match letters.iter().rposition(|letter| "aeiou".contains(*letter)) {
            Some(position) if position > 0 => drop(letters.remove(position)),
            Some(_) | None => letters.truncate(limit),
        }
    }
    letters.into_iter().collect()
}

/// `remote_address` → `remoteAddress`.
fn camel(keyword: &str) -> String {
    let mut words = keyword.split('_');
    let mut key = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        key.push_str(&first.to_ascii_uppercase());
        key.push_str(rest);
    }
    key
}
