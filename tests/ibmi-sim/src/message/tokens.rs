//! Replacement data as bytes, by the simulator's own code. Only the job in front and the subsystem at byte 59 of
//! CPF1124 are as public sources have them; the rest is made up, as long as a real one may be.

use std::collections::BTreeMap;

use crate::ebcdic::Page;

/// Replacement data of a message. `at` is the local time at which it is sent.
#[must_use]
pub fn write(id: &str, page: &Page, fields: &BTreeMap<String, String>, at: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    match id {
        "CPF1124" => {
            job(page, field("job"), &mut out);
            stamp(page, at, &mut out);
            stamp(page, at, &mut out);
            page.put("", 6, &mut out);
            page.put(field("subsystem"), 10, &mut out);
            page.put(field("library"), 10, &mut out);
        }
        "CPF1164" => {
            job(page, field("job"), &mut out);
            stamp(page, at, &mut out);
            page.put(field("cpu"), 10, &mut out);
            page.put(field("code"), 4, &mut out);
            // Performance figures: their length, then times and dates of entry and start, response time, transactions.
            out.extend_from_slice(&40_u16.to_be_bytes());
            for _ in 0..2 {
                page.put(&super::text::time_of_day(at), 8, &mut out);
                page.put(&super::text::date("ENU", at), 8, &mut out);
            }
            out.extend_from_slice(&[0; 8]);
        }
        "CPIAD09" => {
            page.put(field("user"), 10, &mut out);
            page.put(field("client"), 45, &mut out);
            job(page, field("job"), &mut out);
            page.put(field("subsystem"), 10, &mut out);
        }
        "CPF1393" => {
            page.put(field("user"), 10, &mut out);
        }
        "CPF1397" => {
            page.put(field("subsystem"), 10, &mut out);
            page.put(field("library"), 10, &mut out);
            page.put(field("device"), 10, &mut out);
            page.put(field("user"), 10, &mut out);
        }
        _ => {
            for name in ["device", "client", "code", "subsystem", "user"] {
                if let Some(value) = fields.get(name) {
                    page.put(value, value.chars().count(), &mut out);
                }
            }
        }
    }
    out
}

/// Name, user and number of `number/user/name`.
fn job(page: &Page, job: &str, out: &mut Vec<u8>) {
    let mut parts = job.split('/');
    let (number, user, name) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    page.put(name, 10, out);
    page.put(user, 10, out);
    page.put(number, 6, out);
}

/// Date CYYMMDD and time HHMMSS.
fn stamp(page: &Page, at: i64, out: &mut Vec<u8>) {
    let (year, month, day) = crate::time::civil(at.div_euclid(crate::time::DAY));
    let century = i64::from(year >= 2000);
    let date = format!("{century}{:02}{month:02}{day:02}", year.rem_euclid(100));
    page.put(&date, 7, out);
    page.put(&super::text::time_of_day(at).replace(':', ""), 6, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsystem_lies_at_byte_59_behind_a_job() {
        let page = Page::of(37).expect("known");
        let fields = BTreeMap::from([
            ("job".to_owned(), "370690/BOB/NIGHT".to_owned()),
            ("subsystem".to_owned(), "QBATCH".to_owned()),
        ]);
        let bytes = write("CPF1124", page, &fields, 0);
        assert_eq!(bytes.len(), 78);
        assert_eq!(&bytes[58..64], &[0xD8, 0xC2, 0xC1, 0xE3, 0xC3, 0xC8]);
        assert_eq!(&bytes[..5], &[0xD5, 0xC9, 0xC7, 0xC8, 0xE3]);
        assert_eq!(&bytes[20..26], &[0xF3, 0xF7, 0xF0, 0xF6, 0xF9, 0xF0]);
    }
}
