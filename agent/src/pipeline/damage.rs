//! Entries of a journal that came damaged.
//!
//! An entry that is shorter than its layout is no damage by itself: older releases write shorter ones. But a partition
//! writes those of one type alike, so a short one after one that was whole has lost something on its way.

use muster_ibmi::audit::Decoded;

/// Words of a bit for each type of two bytes.
const WORDS: usize = (1 << 16) / 64;

/// Types of which an entry came that was whole.
#[derive(Debug, Clone)]
pub struct WholeTypes(Vec<u64>);

impl Default for WholeTypes {
    fn default() -> Self {
        Self(vec![0; WORDS])
    }
}

impl WholeTypes {
    /// Takes note of an entry of this type; true if it is shorter than others of its type.
    pub fn is_damaged(&mut self, entry_type: [u8; 2], decoded: &Decoded) -> bool {
        let number = usize::from(u16::from_be_bytes(entry_type));
        let (word, bit) = (&mut self.0[number / 64], 1_u64 << (number % 64));
        if decoded.short {
            return *word & bit != 0;
        }
        if decoded.known_type {
            *word |= bit;
        }
        false
    }
}

/// What of a source came damaged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// How many entries since the agent started.
    pub count: u64,
    /// When the last one was read, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Journal code and type of the last one.
    pub last: (u8, [u8; 2]),
}

impl Damage {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{} entries of the journal came damaged since the agent started, the last one of type {}: shorter than others of \
             their type, or with columns that make no sense; what can be read of them is delivered, the rest in `raw`: \
             compare with DSPJRN, and look at the Db2 PTF level",
            self.count,
            super::counters::type_name(self.last.0, self.last.1)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_entry_is_damaged_where_others_of_its_type_were_whole() {
        let mut whole = WholeTypes::default();
        let mut look = |entry_type: &[u8; 2], short: bool| {
            whole.is_damaged(*entry_type, &Decoded { known_type: true, short, ..Decoded::default() })
        };
        assert!(!look(b"AF", true), "an older release");
        assert!(!look(b"AF", false));
        assert!(look(b"AF", true));
        assert!(!look(b"CP", true), "another type");
        let damage = Damage { count: 3, at_us: 0, last: (b'T', *b"AF") };
        assert!(damage.text().starts_with("3 entries of the journal came damaged"), "{}", damage.text());
        assert!(damage.text().contains("of type AF:"));
    }
}
