//! Replies of the catalogue turned into values, and the rows of a reply narrowed to those wanted. Pure.

use super::chain::{Catalogue, Receiver};
use super::{decode, query};
use crate::host::Rows;
use crate::source::SourceError;
use compact_str::CompactString;
use jiff::civil::DateTime;
use muster_ibmi::timestamp::local_micros;
use muster_shared::cursor::ReceiverId;

/// Most receivers of a journal that are looked at. Receivers are kept for days or weeks; at one an hour this is
/// more than a year.
pub(super) const MOST: u32 = 10_000;

/// The catalogue from the replies to [`query::journal`] and [`query::receivers`].
pub(super) fn catalogue(journal: &Rows, receivers: &Rows) -> Result<Catalogue, SourceError> {
    let attached = journal.texts().into_iter().next();
    let exists = attached.is_some();
    let attached = attached.and_then(|row| named(row.into_iter()));
    if receivers.len() as u32 >= MOST {
        return Err(SourceError::Reply(format!(
            "the journal has {MOST} receivers or more, which cannot be right; delete those that are saved (DLTJRNRCV)"
        )));
    }
    let mut list = Vec::with_capacity(receivers.len());
    for row in receivers.texts() {
        let shown = format!("{row:?}");
        let receiver = receiver(row).ok_or_else(|| {
            SourceError::Reply(format!("JOURNAL_RECEIVER_INFO shows a receiver that makes no sense: {shown}"))
        })?;
        // A receiver that was never attached holds nothing.
        list.extend(receiver);
    }
    list.sort_by_key(|receiver| (receiver.id.attached_us, receiver.first));
    Ok(Catalogue { exists, attached, receivers: list })
}

/// Two names, both there and not blank; `*NONE` and blanks mean that there is none.
fn named(mut row: impl Iterator<Item = Option<String>>) -> Option<(CompactString, CompactString)> {
    let mut name = || {
        let name = row.next()??;
        let name = name.trim();
        (!name.is_empty() && !name.starts_with('*')).then(|| CompactString::from(name))
    };
    Some((name()?, name()?))
}

/// A receiver; the inner None is one that was never attached, the outer one a row that makes no sense.
fn receiver(row: Vec<Option<String>>) -> Option<Option<Receiver>> {
    let mut row = row.into_iter();
    let (library, name) = named(row.by_ref().take(2))?;
    let Some(attached) = row.next()? else { return Some(None) };
    let attached_us = local_micros(attached.as_bytes())?;
    let mut number = || row.next()??.parse::<u64>().ok();
    let (first, last) = (number()?, number()?);
    let id = ReceiverId { library, name, attached_us };
    Some(Some(Receiver { id, first, last, next: named(row) }))
}

/// The receiver that was attached at `local` time: the last one attached before it, else the oldest.
pub(super) fn holding(catalogue: &Catalogue, local: DateTime) -> Option<&Receiver> {
    let micros = local_micros(local.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string().as_bytes())?;
    let before = catalogue.receivers.iter().rev().find(|receiver| receiver.id.attached_us <= micros);
    before.or_else(|| catalogue.receivers.first())
}

/// What [`select`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selected {
    /// Sequence of the last row that is left.
    pub(super) last: u64,
    /// Whether rows were left out: those beyond the limit, or after as many long ones as one batch takes.
    pub(super) cut: bool,
    /// Rows whose data is longer than one slice: index of the row, length, sequence.
    pub(super) long: Vec<(usize, u64, u64)>,
}

/// Most long entries in one batch: each takes a call of its own, or several.
const MOST_LONG: usize = 64;

/// Most data of long entries in one batch, in bytes; one entry may be longer.
const MOST_LONG_BYTES: u64 = 8 * 1024 * 1024;

/// Leaves the rows above `after` and not above `limit`; None when the sequences do not grow.
pub(super) fn select(rows: &mut Rows, after: u64, limit: Option<u64>) -> Option<Selected> {
    narrow(rows, after, limit, (usize::MAX, u64::MAX))
}

/// As [`select`], and of long entries only so many that one batch can take them. At least one row is left, if
/// there is one.
pub(super) fn batch(rows: &mut Rows, after: u64, limit: Option<u64>) -> Option<Selected> {
    narrow(rows, after, limit, (MOST_LONG, MOST_LONG_BYTES))
}

fn narrow(rows: &mut Rows, after: u64, limit: Option<u64>, most_long: (usize, u64)) -> Option<Selected> {
    let mut found = Selected { last: after, cut: false, long: Vec::new() };
    let (mut skip, mut keep) = (0, rows.index.len());
    let mut before: Option<u64> = None;
    let mut bytes = 0_u64;
    for (number, row) in rows.iter().enumerate() {
        let tail = decode::tail(row);
        // A row that does not tell its sequence is taken to be the next one.
        let sequence = match tail.map(|tail| tail.sequence).or_else(|| decode::sequence(row)) {
            Some(sequence) => sequence,
            None => before.unwrap_or(after).saturating_add(1),
        };
        if before.is_some_and(|before| sequence <= before) {
            return None;
        }
        before = Some(sequence);
        if sequence <= after {
            skip = number + 1;
            continue;
        }
        if limit.is_some_and(|limit| sequence > limit) {
            (found.cut, keep) = (true, number);
            break;
        }
        if let Some(tail) = tail.filter(|tail| tail.length > query::SLICE as u64) {
            let more = bytes.saturating_add(tail.length);
            if !found.long.is_empty() && (found.long.len() == most_long.0 || more > most_long.1) {
                (found.cut, keep) = (true, number);
                break;
            }
            bytes = more;
            found.long.push((number, tail.length, sequence));
        }
        found.last = sequence;
    }
    rows.index.truncate(keep);
    rows.index.drain(..skip);
    for (number, ..) in &mut found.long {
        *number -= skip;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(json: &str) -> Rows {
        Rows::from_json(json.as_bytes().to_vec()).expect("rows")
    }

    #[test]
    fn the_catalogue_is_read_in_the_order_of_attachment() {
        let list = rows(
            r#"[["QGPL","R2","2026-03-02 00:00:00.000000",101,150,null,null],
                ["QGPL","R1","2026-03-01 00:00:00",1,100,"QGPL","R2"],
                ["QGPL","NEVER",null,0,0,null,null]]"#,
        );
        let catalogue = catalogue(&rows(r#"[["QGPL","R2"]]"#), &list).expect("a catalogue");
        let names: Vec<_> =
            catalogue.receivers.iter().map(|r| (r.id.name.as_str(), r.first, r.last)).collect();
        assert_eq!(names, [("R1", 1, 100), ("R2", 101, 150)]);
        assert_eq!(catalogue.receivers[0].next, Some(("QGPL".into(), "R2".into())));
        assert_eq!(catalogue.current().map(|r| r.id.name.as_str()), Some("R2"));
        assert!(catalogue.exists);
    }

    #[test]
    fn no_journal_no_attached_receiver_and_nonsense_are_three_things() {
        let none = rows("[]");
        assert!(!catalogue(&none, &none).expect("a catalogue").exists);
        let detached = catalogue(&rows(r#"[["*NONE","*NONE"]]"#), &none).expect("a catalogue");
        assert_eq!((detached.exists, detached.attached), (true, None));
        let nonsense = catalogue(&none, &rows(r#"[["QGPL","R1","yesterday",1,2,null,null]]"#));
        assert!(matches!(nonsense, Err(SourceError::Reply(_))));
    }

    #[test]
    fn duplicates_go_and_the_limit_holds() {
        let json = "[[\"a\",5,10],[\"b\",20000,11],[\"c\",5,13],[\"d\",5,14]]";
        let cases: [(u64, Option<u64>, usize, Selected); 5] = [
            (9, None, 4, Selected { last: 14, cut: false, long: vec![(1, 20_000, 11)] }),
            (10, None, 3, Selected { last: 14, cut: false, long: vec![(0, 20_000, 11)] }),
            (10, Some(13), 2, Selected { last: 13, cut: true, long: vec![(0, 20_000, 11)] }),
            (11, Some(12), 0, Selected { last: 11, cut: true, long: vec![] }),
            (14, None, 0, Selected { last: 14, cut: false, long: vec![] }),
        ];
        for (after, limit, left, expected) in cases {
            let mut rows = rows(json);
            assert_eq!(select(&mut rows, after, limit), Some(expected), "after {after}");
            assert_eq!(rows.len(), left, "after {after}");
        }
    }

    #[test]
    fn a_batch_takes_only_so_much_of_long_entries() {
        // Length of each entry, how many there are: rows kept, long ones among them.
        let cases = [
            (20_000_u64, 100, (64, 64)),
            (20_000, 64, (64, 64)),
            (500_000, 100, (16, 16)),
            (20_000_000, 3, (1, 1)),
            (5, 100, (100, 0)),
        ];
        for (length, count, (kept, long)) in cases {
            let list: Vec<String> = (1..=count).map(|sequence| format!("[1,{length},{sequence}]")).collect();
            let mut rows = rows(&format!("[{}]", list.join(",")));
            let found = batch(&mut rows, 0, None).expect("they grow");
            assert_eq!((rows.len(), found.long.len()), (kept, long), "{length}");
            assert_eq!((found.last, found.cut), (kept as u64, kept < count), "{length}");
        }
    }

    #[test]
    fn sequences_that_do_not_grow_are_refused_and_unknown_ones_are_guessed() {
        assert_eq!(select(&mut rows("[[1,5,10],[1,5,9]]"), 0, None), None);
        assert_eq!(select(&mut rows("[[1,5,10],[1,5,10]]"), 0, None), None);
        let found = select(&mut rows("[[1,5,10],[1,5,\"x\"],[1,5,12]]"), 9, None).expect("they grow");
        assert_eq!(found.last, 12);
    }
}
