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

    /// Whether an entry of a journal is of this type.
    #[must_use]
    #[inline]
    pub fn covers(&self, code: u8, entry_type: [u8; 2], subtype: u8) -> bool {
        self.code == code && self.entry_type == entry_type && self.subtype.is_none_or(|own| own == subtype)
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

/// Whole types of code T, by number.
#[derive(Debug, Clone)]
enum Whole {
    /// A few, at hand without another look into memory; [`NONE`] where there is none.
    Few([u16; FEW]),
    /// One bit for each type.
    Many(Box<[u64; WORDS]>),
}

const FEW: usize = 8;
/// No type has this number.
const NONE: u16 = u16::MAX;

/// Entry types: whole ones of code T, and a short list for subtypes and other codes.
#[derive(Debug, Clone)]
pub(super) struct TypeSet {
    whole: Whole,
    others: Vec<EntryType>,
}

impl TypeSet {
    pub(super) fn new(types: &[EntryType]) -> Self {
        let (mut numbers, mut others) = (Vec::new(), Vec::new());
        for entry in types {
            match (entry.code, entry.subtype, type_number(entry.entry_type)) {
                // There are less than 1,300.
                (b'T', None, Some(number)) => numbers.push(number as u16),
                _ => others.push(*entry),
            }
        }
        let mut few = [NONE; FEW];
        let whole = if let Some(places) = few.get_mut(..numbers.len()) {
            places.copy_from_slice(&numbers);
            Whole::Few(few)
        } else {
            let mut bits = Box::new([0; WORDS]);
            numbers.iter().for_each(|number| bits[usize::from(number / 64)] |= 1 << (number % 64));
            Whole::Many(bits)
        };
        Self { whole, others }
    }

    #[inline]
    pub(super) fn contains(&self, of: &JournalType) -> bool {
        let JournalType { code, entry_type, subtype, number } = *of;
        let whole = number.is_some_and(|number| match &self.whole {
            Whole::Few(few) => few.iter().fold(false, |found, few| found | (*few == number as u16)),
            Whole::Many(bits) => bits[number / 64] >> (number % 64) & 1 == 1,
        });
        whole || self.others.iter().any(|other| other.covers(code, entry_type, subtype))
    }
}
