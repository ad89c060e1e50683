//! Rows of both services, read from the terse JSON of a reply: pure.

use super::window::RowKey;
use crate::host::Rows;
use crate::host::rows::{Cell, Cells};
use muster_ibmi::timestamp;
use sha2::{Digest, Sha256};

/// Columns that both services have, in the order in which they are asked for: time, identifier, type, subtype, severity,
/// user, job, program, library and name of the message file, tokens, text, second-level text. A queue adds key and
/// associated key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Local time of the partition, microseconds since 1970.
    pub at_us: i64,
    /// Hash of what tells it from others, 48 bits.
    pub hash: u64,
    /// Identifier; empty where it has none.
    pub id: String,
    /// Type.
    pub kind: String,
    /// Subtype.
    pub subtype: String,
    /// Severity, 0 to 99.
    pub severity: Option<u8>,
    /// Sending user.
    pub user: String,
    /// Sending job.
    pub job: String,
    /// Sending program.
    pub program: String,
    /// Library of the message file.
    pub file_library: String,
    /// Message file.
    pub file: String,
    /// Replacement data.
    pub tokens: Vec<u8>,
    /// Text.
    pub text: String,
    /// Second-level text.
    pub detail: String,
    /// Key in its queue, hexadecimal.
    pub key: String,
    /// Key of the message that it belongs to: of the inquiry that a reply answers.
    pub linked: String,
    /// Its time could not be read; it stands behind the row before it.
    pub bad_time: bool,
    /// A value of it could not be read, and is empty here.
    pub bad_value: bool,
}

impl Row {
    /// What tells it, and where it lies.
    #[must_use]
    pub fn row_key(&self) -> RowKey {
        RowKey { at_us: self.at_us, hash: self.hash }
    }

    /// Bytes that it brought, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len() + self.detail.len() + self.tokens.len()
    }

    fn read(row: &[u8], before_us: i64) -> Self {
        let mut cells = Cells::new(row);
        let mut bad_value = false;
        let mut text = || match cells.next() {
            None | Some(Cell::Null) => String::new(),
            Some(cell) => {
                let text = cell.text();
                bad_value |= text.is_none();
                text.map(|text| text.trim_end().to_owned()).unwrap_or_default()
            }
        };
        let time = text();
        let read_time = timestamp::local_micros(time.as_bytes());
        let mut read = Self { id: text(), kind: text(), subtype: text(), ..Self::default() };
        let severity = text();
        read.severity = severity.parse().ok();
        (read.user, read.job, read.program) = (text(), text(), text());
        (read.file_library, read.file) = (text(), text());
        let tokens = text();
        (read.text, read.detail) = (text(), text());
        (read.key, read.linked) = (text(), text());
        read.tokens = bytes_of(&tokens);
        read.at_us = read_time.unwrap_or(before_us);
        read.bad_time = read_time.is_none();
        read.bad_value = bad_value;
        // A key tells a row of its queue: how its text is worded, or under which CCSID it is shown, may change.
        read.hash = if read.key.is_empty() {
            let Self { id, kind, user, job, program, text, .. } = &read;
            hash(&[&time, id, kind, &severity, user, job, program, &tokens, text, ""])
        } else {
            hash(&[&time, &read.id, &read.key])
        };
        read
    }
}

/// The rows of a reply by rising time; rows of one time stay in their order. `from_us` is the time of a first row
/// whose own cannot be read.
#[must_use]
pub fn read(rows: &Rows, from_us: i64) -> Vec<Row> {
    let mut before_us = from_us;
    let mut read: Vec<Row> = rows
        .iter()
        .map(|row| {
            let row = Row::read(row, before_us);
            before_us = row.at_us;
            row
        })
        .collect();
    read.sort_by_key(|row| row.at_us);
    read
}

/// The first 48 bits of a SHA-256: the same in every release of the agent, since places keep it.
fn hash(parts: &[&str]) -> u64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Bytes of hexadecimal digits; a digit that is none ends them.
fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
    };
    pairs.map_while(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<Row> {
        read(&Rows::from_json(text.as_bytes().to_vec()).unwrap(), 5)
    }

    #[test]
    fn a_row_is_read_cell_by_cell() {
        let text = r#"[["2026-03-01 04:05:06.789012","CPF1124","INFORMATIONAL",null,0,"QSYS","1/A/B","PGM ",
            "QSYS","QCPFMSG","C140FF","caf\u00e9 ","more","00000CB0","00000CA0"]]"#;
        let read = rows(text).remove(0);
        let expected = Row {
            at_us: timestamp::local_micros(b"2026-03-01 04:05:06.789012").unwrap(),
            hash: read.hash,
            id: "CPF1124".into(),
            kind: "INFORMATIONAL".into(),
            severity: Some(0),
            user: "QSYS".into(),
            job: "1/A/B".into(),
            program: "PGM".into(),
            file_library: "QSYS".into(),
            file: "QCPFMSG".into(),
            tokens: vec![0xC1, 0x40, 0xFF],
            text: "café".into(),
            detail: "more".into(),
            key: "00000CB0".into(),
            linked: "00000CA0".into(),
            ..Row::default()
        };
        assert_eq!(read, expected);
        assert!(read.hash > 0 && read.hash < 1 << 48);
        assert_eq!(rows(text)[0].hash, read.hash);
        // What the system may word anew, or show in another way, does not make it another message.
        let without_key = |text: &str| text.replace("\"00000CB0\"", "null");
        for (from, to, keyed, keyless) in [
            ("CPF1124", "CPF1164", true, true),
            ("789012", "789013", true, true),
            ("C140FF", "C140FE", false, true),
            ("caf", "kaf", false, true),
            ("INFO", "info", false, true),
            ("more", "less", false, false),
        ] {
            let other = text.replace(from, to);
            assert_eq!(rows(&other)[0].hash != read.hash, keyed, "{from}");
            let hash = |text: &str| rows(&without_key(text))[0].hash;
            assert_eq!(hash(&other) != hash(text), keyless, "{from}");
        }
        assert_ne!(rows(&text.replace("00000CB0", "00000CB1"))[0].hash, read.hash);
    }

    #[test]
    fn rows_come_by_time_and_one_without_a_time_stays_where_it_stood() {
        let read = rows(
            r#"[["x"],["2026-03-01 00:00:00.000002","B"],[null,"C"],["2026-03-01 00:00:00.000001","A"]]"#,
        );
        let ids: Vec<_> = read.iter().map(|row| (row.id.as_str(), row.bad_time)).collect();
        assert_eq!(ids, [("", true), ("A", false), ("B", false), ("C", true)]);
        assert_eq!((read[0].at_us, read[2].at_us), (5, read[3].at_us));
    }

    #[test]
    fn a_value_that_cannot_be_read_is_told_and_one_that_is_not_there_is_none() {
        for (text, bad) in
            [(r#"[["x",null]]"#, false), (r#"[["x","a\u0041"]]"#, false), (r#"[["x","\ud800"]]"#, true)]
        {
            assert_eq!(rows(text)[0].bad_value, bad, "{text}");
        }
    }

    #[test]
    fn digits_that_are_none_end_the_tokens() {
        for (digits, bytes) in [("", vec![]), ("C1", vec![0xC1]), ("c1d", vec![0xC1]), ("C1x0C2", vec![0xC1])]
        {
            assert_eq!(bytes_of(digits), bytes, "{digits}");
        }
    }

    proptest! {
        #[test]
        fn any_row_is_safe(text in "[\\[\\]\",0-9a-z\\\\é -]{0,80}") {
            if let Ok(rows) = Rows::from_json(format!("[[{text}]]").into_bytes()) {
                let _ = read(&rows, 0);
            }
            let _ = Row::read(text.as_bytes(), 0);
        }
    }
}
