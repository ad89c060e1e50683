//! Inquiries that were seen, so that a reply can name what it answers: pure, bounded.

use crate::source::timed::records::Asked;
use crate::source::timed::row::Row;
use std::collections::{HashMap, VecDeque};

/// Most inquiries remembered. A queue holds few that wait for a reply.
const MOST: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub struct Inquiries {
    by_key: HashMap<String, Asked>,
    order: VecDeque<String>,
}

impl Inquiries {
    /// Takes in what a reply of the partition shows.
    pub fn note(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.kind == "INQUIRY" && !row.key.is_empty()) {
            self.keep(row.key.clone(), Asked { id: row.id.clone(), text: row.text.clone() });
        }
    }

    /// Keeps one that was asked for apart, also that nothing is known of it.
    pub fn keep(&mut self, key: String, asked: Asked) {
        // A key may come again after the queue was cleared: the newest counts.
        if self.by_key.insert(key.clone(), asked).is_none() {
            self.order.push_back(key);
            if self.order.len() > MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_key.remove(&oldest);
            }
        }
    }

    /// What is known of the inquiry with that key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Asked> {
        self.by_key.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, key: &str, id: &str) -> Row {
        Row { kind: kind.to_owned(), key: key.to_owned(), id: id.to_owned(), ..Row::default() }
    }

    #[test]
    fn the_newest_of_a_key_counts_and_the_oldest_are_forgotten() {
        let mut inquiries = Inquiries::default();
        inquiries.note(&[
            row("INQUIRY", "01", "CPA0001"),
            row("REPLY", "02", ""),
            row("INQUIRY", "", "CPA0003"),
        ]);
        assert_eq!(inquiries.find("01").map(|asked| asked.id.as_str()), Some("CPA0001"));
        assert_eq!((inquiries.find("02"), inquiries.find("")), (None, None));
        inquiries.note(&[row("INQUIRY", "01", "CPA0009")]);
        assert_eq!(inquiries.find("01").map(|asked| asked.id.as_str()), Some("CPA0009"));
        for number in 0..MOST {
            inquiries.note(&[row("INQUIRY", &format!("x{number}"), "CPA0001")]);
        }
        assert_eq!((inquiries.find("01"), inquiries.by_key.len(), inquiries.order.len()), (None, MOST, MOST));
        assert!(inquiries.find("x0").is_some());
    }
}
