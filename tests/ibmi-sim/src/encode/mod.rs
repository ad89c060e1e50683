//! From plain facts to the bytes of an audit entry, by the simulator's own code.
//!
//! The types of the demo mix have writers of their own (`demo.rs`); all others are written from the
//! simulator's copy of the layout tables (`layout.rs`). Either way the caller learns, field by field, what a
//! faithful reader must get back.

mod demo;
mod exit;
mod layout;
mod record;
mod text;

pub use exit::{ExitError, ExitRequest, places as exit_places, write as write_exit};
#[cfg(test)]
pub use layout::types;
pub use layout::{Field, FieldType, coded_values, layout};
pub use record::{Facts, PutField, Record};
pub use text::{Charset, encode as encode_text};

use crate::ebcdic::Page;

/// Entry-specific data of one entry and what was put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes.
    pub data: Vec<u8>,
    /// Field by field, in the order of the layout, without reserved bytes.
    pub fields: Vec<PutField>,
}

/// Writes the entry data of an audit entry type; `None` for a type that no table and no writer knows.
#[must_use]
pub fn encode(entry_type: &str, page: &'static Page, facts: &Facts) -> Option<Encoded> {
    let mut record = Record::new(page, facts);
    if !demo::write(entry_type, &mut record) {
        layout::write(entry_type, &mut record)?;
    }
    Some(record.finish())
}

/// Types with a writer of their own.
#[cfg(test)]
pub const DEMO_TYPES: [&str; 11] = ["AF", "PW", "ZR", "ZC", "JS", "CD", "CP", "CO", "DO", "SV", "CA"];

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn field<'a>(encoded: &'a Encoded, name: &str) -> &'a str {
        &encoded.fields.iter().find(|field| field.name == name).expect("there").text
    }

    #[test]
    fn an_authority_failure_has_its_fields_where_they_belong() {
        let page = Page::of(273).expect("known");
        let encoded = encode(
            "AF",
            page,
            &facts(&[
                ("Violation type", "A"),
                ("Object name", "GEHÄLTER"),
                ("Library name", "PAYROLL"),
                ("Object type", "*FILE"),
                ("Job number", "4711"),
                ("User profile", "BOB"),
            ]),
        )
        .expect("known");
        assert_eq!(encoded.data[0], 0xC1);
        assert_eq!(&encoded.data[1..11], &[0xC7, 0xC5, 0xC8, 0x4A, 0xD3, 0xE3, 0xC5, 0xD9, 0x40, 0x40]);
        assert_eq!(&encoded.data[50..56], &[0xF0, 0xF0, 0xF4, 0xF7, 0xF1, 0xF1]);
        assert_eq!(&encoded.data[76..79], &[0xC2, 0xD6, 0xC2]);
        assert_eq!(field(&encoded, "Object name"), "GEHÄLTER");
        assert_eq!(field(&encoded, "Job number"), "4711");
        assert_eq!(field(&encoded, "Office user"), "");
    }

    #[test]
    fn names_and_paths_are_written_in_their_own_ccsid() {
        let page = Page::of(37).expect("known");
        let path = format!("/home/{}", "größe/".repeat(400));
        for (ccsid, name, bytes) in [
            ("1200", "日本", vec![0x65, 0xE5, 0x67, 0x2C]),
            ("1208", "ä", vec![0xC3, 0xA4]),
            ("273", "ä", vec![0xC0]),
            ("0", "ä", vec![0, 0xE4]),
        ] {
            let made = facts(&[
                ("Object name CCSID", ccsid),
                ("Object name (IFS)", name),
                ("Path name CCSID", ccsid),
                ("Path name", &path),
            ]);
            let encoded = encode("CO", page, &made).expect("known");
            assert_eq!(encoded.data[216..216 + bytes.len()], bytes, "{ccsid}");
            assert_eq!(field(&encoded, "Object name (IFS)"), name);
            let told = usize::from(u16::from_be_bytes([encoded.data[787], encoded.data[788]]));
            let expected = match ccsid {
                "1200" => path.encode_utf16().count() * 2,
                "1208" => path.len(),
                _ => path.chars().count(),
            };
            assert_eq!((told, encoded.data.len()), (expected, 787 + 5002), "{ccsid}");
        }
    }

    #[test]
    fn writers_and_tables_agree_on_every_byte() {
        let page = Page::of(37).expect("known");
        for entry_type in DEMO_TYPES {
            let mut made = Facts::default();
            for (index, field) in layout(entry_type).expect("known").iter().enumerate() {
                made.insert(
                    field.name.clone(),
                    match field.kind {
                        FieldType::Char => format!("V{index}"),
                        FieldType::Bin | FieldType::Zoned | FieldType::Packed => format!("{}", index + 1),
                        FieldType::Hex => format!("{index:02X}"),
                        FieldType::Unicode | FieldType::Varchar => format!("name {index}"),
                        FieldType::Timestamp => "2026-11-22-10.11.12.000013".to_owned(),
                    },
                );
            }
            let by_hand = encode(entry_type, page, &made).expect("known");
            let mut record = Record::new(page, &made);
            layout::write(entry_type, &mut record).expect("known");
            let by_table = record.finish();
            let differ = by_hand.fields.iter().zip(&by_table.fields).find(|(hand, table)| hand != table);
            assert_eq!(differ, None, "{entry_type}");
            assert_eq!(by_hand.data.len(), by_table.data.len(), "{entry_type}");
            assert!(by_hand.data == by_table.data, "{entry_type}: bytes differ");
        }
    }

    #[test]
    fn every_type_of_the_tables_can_be_written() {
        let page = Page::of(1025).expect("known");
        let mut count = 0;
        for entry_type in types() {
            let encoded = encode(entry_type, page, &Facts::default()).expect("listed");
            let end = layout(entry_type)
                .expect("listed")
                .iter()
                .filter_map(|field| field.offset.map(|offset| offset + field.length))
                .max()
                .unwrap_or(0);
            assert_eq!(encoded.data.len(), end, "{entry_type}");
            count += 1;
        }
        assert!(count > 80, "{count}");
        assert_eq!(encode("??", page, &Facts::default()), None);
    }
}
