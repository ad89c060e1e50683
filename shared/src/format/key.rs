//! Keys: for each field of the dictionary the bytes that stand before its value, made once.
//!
//! No key may stand twice in a message (QRadar may ignore the second one). Two fields can share a key, and
//! an event can hold a field twice, so each distinct key has a slot that remembers the event in which it was
//! written last; the second occurrence gets the suffix `2`, the third `3`, and so on, skipping names that
//! are keys themselves.
//!
//! One field of the dictionary, `app_field`, holds pairs that an application named: `key=value`. Such a pair is
//! written under a key made of its own name, see [`OwnKeys`].

use super::sink::{BLOCK, Sink};
use crate::event::{FieldDef, FieldId, FieldType, dictionary};
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// A key made in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    start: u32,
    length: u16,
    slot: u16,
}

/// What a format says about one field of the dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Naming {
    /// Key of the value.
    pub(super) name: String,
    /// Key of the meaning of a coded value.
    pub(super) meaning: String,
    /// Own key for a value that the type of `name` does not allow (`src` holds addresses only), and for the
    /// second use of a labelled key.
    pub(super) own: String,
    /// Label pair that follows the value, such as ` cs1Label=objectLibrary`.
    pub(super) label: String,
    /// For an address key that holds IPv4 only: the key for IPv6, and the label pair that follows it.
    pub(super) ipv6: Option<(&'static str, &'static str)>,
    /// Values other than those of the field's type are not allowed under `name`.
    pub(super) strict: bool,
    /// Most characters; 0 means no limit.
    pub(super) limit: usize,
}

/// A piece of text made in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    start: u32,
    length: u32,
}

/// One field, prepared.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldKey {
    /// Key of the value.
    pub(super) value: Key,
    /// Key of its meaning.
    pub(super) meaning: Key,
    /// Own key, see [`Naming::own`].
    pub(super) own: Key,
    /// Key and label of an IPv6 address.
    pub(super) ipv6: Option<(Key, Piece)>,
    /// Label pair behind the value.
    pub(super) label: Option<Piece>,
    /// Type that the value must have to stand under its key.
    pub(super) check: Option<FieldType>,
    /// Most characters; 0 means no limit.
    pub(super) limit: usize,
    /// Nothing about this field needs a second look: no label, no check, no limit, no pair.
    pub(super) plain: bool,
    /// The field holds a pair that an application named, see [`KeyTable::put_own`].
    pub(super) pair: bool,
}

/// Keyword of the field that holds pairs.
const PAIR: &str = "app_field";

/// How the name that an application gave becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnKeys {
    /// `order_no` becomes `appOrderNo`: letters and digits, for CEF and LEEF.
    Camel,
    /// `orderNo` becomes `app_orderno`, for `key="value"` formats.
    Snake,
}

/// Most characters of such a key, before a number behind it.
const MAX_OWN: usize = 30;

impl OwnKeys {
    /// Writes the key over `out`.
    fn make(self, name: &str, out: &mut String) {
        out.clear();
        let (front, mut upper) = match self {
            Self::Camel => ("app", true),
            Self::Snake => ("app_", false),
        };
        out.push_str(front);
        for c in name.chars() {
            match (self, c.is_ascii_alphanumeric()) {
                (Self::Camel, true) => {
                    out.push(if upper { c.to_ascii_uppercase() } else { c });
                    upper = false;
                }
                (Self::Camel, false) => upper = true,
                (Self::Snake, true) => out.push(c.to_ascii_lowercase()),
                (Self::Snake, false) => out.push('_'),
            }
            if out.len() >= MAX_OWN {
                break;
            }
        }
        if out.len() == front.len() {
            // A name of other signs only.
            out.push_str(match self {
                Self::Camel => "Field",
                Self::Snake => "field",
            });
        }
    }
}

/// What most fields of most events need, side by side: key and what a value may be to follow it unseen.
#[derive(Debug, Clone, Copy)]
struct PlainKey {
    block: [u8; BLOCK],
    size: u8,
    slot: u16,
    /// Longest value in bytes; 0 where a value needs a second look, and where the key is longer than a block.
    longest: u8,
}

/// What stands around the name of a key: `^` name `=`, or blank name `="`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) before: &'static [u8],
    pub(super) delimiter: Option<u8>,
    pub(super) after: &'static [u8],
}

/// All keys of one format.
#[derive(Debug)]
pub(super) struct KeyTable {
    fields: Vec<FieldKey>,
    /// One for each field.
    plain: Vec<PlainKey>,
    bytes: Vec<u8>,
    slots: Slots,
    around: Around,
    own_keys: OwnKeys,
    /// The key made last.
    own_key: String,
}

/// Which keys the present event has used.
#[derive(Debug)]
struct Slots {
    by_name: HashMap<String, u16>,
    names: Vec<String>,
    last: Vec<Use>,
    event: u32,
    /// Keys used that have no slot: those that applications named, and those with a number.
    others: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Use {
    event: u32,
    count: u32,
}

impl Slots {
    #[inline]
    fn claim(&mut self, slot: u16) -> bool {
        let last = &mut self.last[usize::from(slot)];
        let is_free = last.event != self.event;
        if is_free {
            *last = Use { event: self.event, count: 1 };
        }
        is_free
    }

    /// Whether a key without a slot is free in the present event; then it is used from now on.
    fn claim_other(&mut self, name: &str) -> bool {
        let is_free = !self.by_name.contains_key(name) && !self.others.iter().any(|used| used == name);
        if is_free {
            self.others.push(name.to_owned());
        }
        is_free
    }

    fn slot(&mut self, name: &str) -> u16 {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        // The dictionary has fewer than 10,000 fields with three names each.
        let slot = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.by_name.insert(name.to_owned(), slot);
        self.names.push(name.to_owned());
        self.last.push(Use::default());
        slot
    }
}

impl KeyTable {
    /// Prepares the keys of all fields. `reserved` are the keys that the format's own head uses.
    pub(super) fn new(
        around: Around,
        own_keys: OwnKeys,
        reserved: &[&str],
        naming: impl Fn(&FieldDef) -> Naming,
    ) -> Self {
        let slots = Slots {
            by_name: HashMap::new(),
            names: Vec::new(),
            last: Vec::new(),
            event: 0,
            others: Vec::new(),
        };
        let mut table = Self {
            fields: Vec::new(),
            plain: Vec::new(),
            bytes: Vec::new(),
            slots,
            around,
            own_keys,
            own_key: String::new(),
        };
        for name in reserved {
            table.slots.slot(name);
        }
        // The head stands in every event, so a field of the same name always carries the suffix.
        let free = |name: &mut String| {
            while reserved.contains(&name.as_str()) {
                name.push('2');
            }
        };
        for row in dictionary().rows() {
            let mut names = naming(row);
            free(&mut names.name);
            free(&mut names.meaning);
            free(&mut names.own);
            let field = FieldKey {
                value: table.key(&names.name),
                meaning: table.key(&names.meaning),
                own: table.key(&names.own),
                ipv6: names.ipv6.map(|(name, label)| (table.key(name), table.piece(label))),
                plain: names.label.is_empty() && !names.strict && names.limit == 0 && row.keyword != PAIR,
                pair: row.keyword == PAIR,
                label: (!names.label.is_empty()).then(|| table.piece(&names.label)),
                check: names.strict.then_some(row.field_type),
                limit: names.limit,
            };
            table.fields.push(field);
            let plain = table.plain_key(&field);
            table.plain.push(plain);
        }
        table
    }

    fn plain_key(&self, field: &FieldKey) -> PlainKey {
        let Key { start, length, slot } = field.value;
        let text = &self.bytes[start as usize..start as usize + usize::from(length)];
        let mut key = PlainKey { block: [0; BLOCK], size: 0, slot, longest: 0 };
        if let Some(room) = key.block.get_mut(..text.len()) {
            room.copy_from_slice(text);
            key.size = text.len() as u8;
            let unseen =
                field.label.is_none() && field.check.is_none() && field.ipv6.is_none() && !field.pair;
            // A limit counts characters, of which a text has at most as many as bytes.
            let longest = if field.limit == 0 { BLOCK } else { field.limit.min(BLOCK) };
            key.longest = if unseen { longest as u8 } else { 0 };
        }
        key
    }

    fn key(&mut self, name: &str) -> Key {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(self.around.before);
        self.bytes.extend(self.around.delimiter);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(self.around.after);
        let length = (self.bytes.len() as u32 - start) as u16;
        Key { start, length, slot: self.slots.slot(name) }
    }

    fn piece(&mut self, text: &str) -> Piece {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        Piece { start, length: text.len() as u32 }
    }

    /// Appends a prepared piece.
    pub(super) fn put_piece(&self, piece: Piece, sink: &mut Sink) {
        let start = piece.start as usize;
        sink.put(&self.bytes[start..start + piece.length as usize]);
    }

    /// Begins a new event: no key is used yet.
    pub(super) fn begin(&mut self) {
        self.slots.event = self.slots.event.wrapping_add(1);
        self.slots.others.clear();
        if self.slots.event == 0 {
            // After four thousand million events the numbers begin anew, and the old uses are forgotten.
            self.slots.event = 1;
            self.slots.last.fill(Use::default());
        }
    }

    /// The prepared keys of a field.
    pub(super) fn field(&self, id: FieldId) -> Option<&FieldKey> {
        self.fields.get(usize::from(id.0))
    }

    /// Whether the present event has used a key already.
    pub(super) fn is_used(&self, key: Key) -> bool {
        self.slots.last[usize::from(key.slot)].event == self.slots.event
    }

    /// Remembers that the present event uses a key; false, and nothing done, if it has used it already.
    #[inline]
    pub(super) fn claim(&mut self, key: Key) -> bool {
        self.slots.claim(key.slot)
    }

    /// Appends a field's key and its value, the first `size` bytes of `bytes`. False, and nothing done,
    /// where the key was used or is a long one, or where the value is long or has to be looked at.
    #[inline]
    pub(super) fn put_plain(&mut self, id: FieldId, (bytes, size): (&[u8], usize), sink: &mut Sink) -> bool {
        let (Some(key), Some(value)) = (self.plain.get(usize::from(id.0)), bytes.first_chunk::<BLOCK>())
        else {
            return false;
        };
        if size > usize::from(key.longest) || !self.slots.claim(key.slot) {
            return false;
        }
        sink.put_pair((&key.block, usize::from(key.size)), (value, size));
        true
    }

    /// Appends a key with what stands around it, and remembers that it was used. False if it was used
    /// before, then it has got a number.
    #[inline]
    pub(super) fn put(&mut self, key: Key, sink: &mut Sink) -> bool {
        if !self.slots.claim(key.slot) {
            self.put_again(key, sink);
            return false;
        }
        let start = key.start as usize;
        let length = usize::from(key.length);
        match self.bytes[start..].first_chunk::<BLOCK>() {
            Some(block) if length <= BLOCK => sink.put_padded(block, length),
            _ => sink.put(&self.bytes[start..start + length]),
        }
        true
    }

    /// The key is there already: appends it with the next free number.
    #[cold]
    fn put_again(&mut self, key: Key, sink: &mut Sink) {
        let slot = usize::from(key.slot);
        let numbered = loop {
            self.slots.last[slot].count += 1;
            let numbered = format!("{}{}", self.slots.names[slot], self.slots.last[slot].count);
            if self.slots.claim_other(&numbered) {
                break numbered;
            }
        };
        self.put_name(&numbered, sink);
    }

    fn put_name(&self, name: &str, sink: &mut Sink) {
        sink.put(self.around.before);
        if let Some(delimiter) = self.around.delimiter {
            sink.push(delimiter);
        }
        sink.put(name.as_bytes());
        sink.put(self.around.after);
    }

    /// Appends the key of a pair that an application named: `app` and the name, and a number where that key is one
    /// of ours or was used before.
    #[cold]
    pub(super) fn put_own(&mut self, name: &str, sink: &mut Sink) {
        let mut key = std::mem::take(&mut self.own_key);
        self.own_keys.make(name, &mut key);
        let length = key.len();
        let mut number = 1_u32;
        while !self.slots.claim_other(&key) {
            number += 1;
            key.truncate(length);
            key.push_str(itoa::Buffer::new().format(number));
        }
        self.put_name(&key, sink);
        self.own_key = key;
    }
}

/// Name and value of a pair that an application named; a text without an equals sign is a value alone.
pub(super) fn own_pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or(("", text))
}

/// Which key a value may stand under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The field's key.
    Value,
    /// The key for IPv6.
    Ipv6,
    /// The own key, because the value is not of the type that the key demands.
    Own,
}

/// Asks whether a value may stand under a key that demands a type.
pub(super) fn fit(value: &str, demanded: FieldType, has_ipv6_key: bool) -> Fit {
    let yes = |ok| if ok { Fit::Value } else { Fit::Own };
    match demanded {
        FieldType::Address if is_ipv4(value) => Fit::Value,
        FieldType::Address if has_ipv6_key => {
            if value.parse::<Ipv6Addr>().is_ok() {
                Fit::Ipv6
            } else {
                Fit::Own
            }
        }
        FieldType::Address => yes(value.parse::<Ipv6Addr>().is_ok()),
        FieldType::Integer => yes(value.parse::<i64>().is_ok()),
        FieldType::Text | FieldType::Hex => Fit::Value,
    }
}

/// Four decimal numbers up to 255 without leading zeros, as the standard library reads them; this is asked
/// for nearly every event, and a fraction of the cost of a whole parse.
fn is_ipv4(text: &str) -> bool {
    let mut parts = 0;
    let mut digits = 0;
    let mut number = 0_u16;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits < 3 && !(digits > 0 && number == 0) => {
                number = number * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && number <= 255 && parts < 3 => {
                parts += 1;
                digits = 0;
                number = 0;
            }
            _ => return false,
        }
    }
    parts == 3 && digits > 0 && number <= 255
}

/// A keyword as a key of CEF and LEEF: `remote_address` → `remoteAddress`.
pub(super) fn camel(keyword: &str) -> String {
    let mut out = String::with_capacity(keyword.len());
    let mut upper = false;
    for c in keyword.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        } else {
            upper = !out.is_empty();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn names_of_applications_become_keys() {
        let cases = [
            ("orderNo", "appOrderNo", "app_orderno"),
            ("order_no", "appOrderNo", "app_order_no"),
            ("Auftrag.Nummer", "appAuftragNummer", "app_auftrag_nummer"),
            ("größe", "appGrE", "app_gr__e"),
            ("", "appField", "app_field"),
            ("№", "appField", "app__"),
            (
                "a_name_that_is_far_too_long_to_be_one",
                "appANameThatIsFarTooLongToBeOn",
                "app_a_name_that_is_far_too_lon",
            ),
        ];
        for (name, camel, snake) in cases {
            let mut key = String::new();
            OwnKeys::Camel.make(name, &mut key);
            assert_eq!(key, camel, "{name}");
            OwnKeys::Snake.make(name, &mut key);
            assert_eq!(key, snake, "{name}");
        }
    }

    #[test]
    fn keywords_become_keys() {
        for (keyword, expected) in [("remote_address", "remoteAddress"), ("a", "a"), ("_x__y2", "xY2")] {
            assert_eq!(camel(keyword), expected);
        }
    }

    proptest! {
        #[test]
        fn addresses_are_those_of_the_standard_library(text in "([0-9]{1,4}\\.){3}[0-9]{1,4}|[0-9.]{0,16}|.{0,6}") {
            prop_assert_eq!(is_ipv4(&text), text.parse::<Ipv4Addr>().is_ok());
        }
    }
}
