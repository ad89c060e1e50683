//! A JSON object; nested ones become keys with dots, lists stay JSON text.

use super::{MAX_KEY, Payload, PayloadKind};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Objects within objects that become keys with dots; deeper ones stay JSON text.
const MAX_DEPTH: usize = 4;

/// Reads an object; none if the text is no JSON.
pub(super) fn parse(text: &str) -> Option<Payload<'_>> {
    let mut payload = Payload::of(PayloadKind::Json, text);
    let mut reader = serde_json::Deserializer::from_str(text);
    Member { key: Cow::Borrowed(""), depth: 0, payload: &mut payload }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    payload.take_header();
    Some(payload)
}

/// A value under its key; the whole object is one without a key.
struct Member<'p, 't> {
    key: Cow<'t, str>,
    depth: usize,
    payload: &'p mut Payload<'t>,
}

impl<'t> Member<'_, 't> {
    fn add<E>(self, value: impl Into<Cow<'t, str>>) -> Result<(), E> {
        self.payload.add(self.key, value);
        Ok(())
    }
}

impl<'t> DeserializeSeed<'t> for Member<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, reader: D) -> Result<(), D::Error> {
        if self.key.len() > MAX_KEY {
            // Such a pair stands in the text only.
            self.payload.left_out += 1;
            return IgnoredAny::deserialize(reader).map(|_| ());
        }
        reader.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Member<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, value: &'t str) -> Result<(), E> {
        self.add(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.add(value.to_owned())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.add(if value { "true" } else { "false" })
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.add(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.add(value.to_string())
    }

    /// `null` says nothing.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, values: A) -> Result<(), A::Error> {
        let values = Value::deserialize(SeqAccessDeserializer::new(values))?;
        self.add(values.to_string())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth == MAX_DEPTH {
            let members = Value::deserialize(MapAccessDeserializer::new(members))?;
            return self.add(members.to_string());
        }
        while let Some(Key(key)) = members.next_key()? {
            let key = if self.depth == 0 { key } else { format!("{}.{key}", self.key).into() };
            members.next_value_seed(Member { key, depth: self.depth + 1, payload: &mut *self.payload })?;
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Key<'t> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        reader.deserialize_str(Text).map(Key)
    }
}
