//! Entry types of the journal, as policies write them and as a set of bits.

/// An entry type as policies write it: `AF`, `AF_A`, or with a journal code `U_00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryType {
    /// Journal code; `T` (audit) unless written.
    pub code: u8,
    /// The two characters of the type.
    pub entry_type: [u8; 2],
    /// Subtype; `None` stands for all of them.
    pub subtype: Option<u8>,
}

/// A text that is no entry type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no entry type; write two letters or digits (AF), with subtype AF_A, with journal code U_00"
)]
pub struct NoEntryType(pub String);

impl EntryType {
    /// Reads an entry type; lower case is taken as upper case.
    ///
    /// # Errors
    /// [`NoEntryType`] names the text.
    pub fn parse(text: &str) -> Result<Self, NoEntryType> {
        let upper = text.trim().to_ascii_uppercase();
        let ok = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let (code, entry_type, subtype) = match upper.as_bytes() {
            [a, b] => (b'T', [*a, *b], None),
            [a, b, b'_', s] => (b'T', [*a, *b], Some(*s)),
            [c, b'_', a, b] => (*c, [*a, *b], None),
            [c, b'_', a, b, b'_', s] => (*c, [*a, *b], Some(*s)),
            _ => return Err(NoEntryType(text.to_owned())),
        };
        if ok(&code) && entry_type.iter().all(ok) && subtype.is_none_or(|s| ok(&s)) {
            Ok(Self { code, entry_type, subtype })
        } else {
            Err(NoEntryType(text.to_owned()))
        }
    }
}

/// Letters and digits: 36 possible bytes, two of them make an entry type.
const RADIX: usize = 36;
/// Entry types that there can be.
pub(in crate::policy) const TYPES: usize = RADIX * RADIX;
const WORDS: usize = TYPES.div_ceil(64);

/// Position of a letter or digit in 0..36; other bytes have none.
const fn digit(byte: u8) -> Option<usize> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as usize),
        b'A'..=b'Z' => Some((byte - b'A') as usize + 10),
        _ => None,
    }
}

/// Number of an entry type, below [`TYPES`]; none for types that hold other bytes than letters and digits.
pub(in crate::policy) const fn type_number(entry_type: [u8; 2]) -> Option<usize> {
    match (digit(entry_type[0]), digit(entry_type[1])) {
        (Some(a), Some(b)) => Some(a * RADIX + b),
        _ => None,
    }
}

/// Numbers of the types that begin with this byte.
pub(in crate::policy) fn types_beginning_with(first: u8) -> impl Iterator<Item = usize> {
    digit(first).into_iter().flat_map(|a| a * RADIX..(a + 1) * RADIX)
}

/// Type of a journal entry, with its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct JournalType {
    pub(super) code: u8,
    pub(super) entry_type: [u8; 2],
    pub(super) subtype: u8,
    /// Only types of code T have one.
    pub(super) number: Option<usize>,
}

/// Entry types: one bit for each type of code T, a short list for subtypes and other codes.
#[derive(Debug, Clone)]
pub(super) struct TypeSet {
    whole: Box<[u64; WORDS]>,
    others: Vec<EntryType>,
}

impl TypeSet {
    pub(super) fn new(types: &[EntryType]) -> Self {
        let mut set = Self { whole: Box::new([0; WORDS]), others: Vec::new() };
        for entry in types {
            match (entry.code, entry.subtype, type_number(entry.entry_type)) {
                (b'T', None, Some(number)) => set.whole[number / 64] |= 1 << (number % 64),
                _ => set.others.push(*entry),
            }
        }
        set
    }

    #[inline]
    pub(super) fn contains(&self, of: &JournalType) -> bool {
        let JournalType { code, entry_type, subtype, number } = *of;
        number.is_some_and(|number| self.whole[number / 64] >> (number % 64) & 1 == 1)
            || self.others.iter().any(|e| {
                e.code == code && e.entry_type == entry_type && e.subtype.is_none_or(|s| s == subtype)
            })
    }
}
