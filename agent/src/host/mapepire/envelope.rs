//! The envelope of a reply: what it answers, whether it worked and where its rows lie. Pure.
//!
//! A block of rows is megabytes of hex digits that are decoded later, straight from the text. So the
//! reply is walked once: known keys are kept, everything else is stepped over, and the walk over `data`
//! yields the place of every row.

use crate::host::rows::{Block, Malformed, Scan};
use std::borrow::Cow;

/// What a reply says besides its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Envelope {
    /// Id of the request.
    pub(super) id: String,
    /// Did the request do what it asked for.
    pub(super) success: bool,
    /// Why not.
    pub(super) error: Option<String>,
    /// SQLSTATE.
    pub(super) sql_state: Option<String>,
    /// SQLCODE.
    pub(super) sql_code: Option<i64>,
    /// Server job, of `connect`.
    pub(super) job: Option<String>,
    /// Of `getversion`.
    pub(super) version: Option<String>,
    /// Whether the server saw the end of the result.
    pub(super) done: Option<bool>,
    /// Rows that a statement without a result changed; -1 for a query.
    pub(super) updated: Option<i64>,
    /// Values of OUT and INOUT parameters, as text.
    pub(super) outputs: Vec<Option<String>>,
    /// Place of the rows.
    pub(super) data: Option<Block>,
}

/// Reads the envelope of a whole reply.
///
/// # Errors
/// The text is no JSON object, or has no `id` and `success`.
pub(super) fn read(text: &[u8]) -> Result<Envelope, Malformed> {
    let mut scan = Scan::new(text);
    let mut envelope = Envelope::default();
    let (mut has_id, mut has_success) = (false, false);
    scan.expect(b'{', "a JSON object")?;
    if !scan.take(b'}') {
        loop {
            let key = scan.string()?;
            scan.expect(b':', "a colon after a key")?;
            if &text[key.clone()] == b"data" && scan.peek() == Some(b'[') {
                envelope.data = Some(scan.rows()?);
            } else {
                let value = scan.value()?;
                let raw = &text[value];
                match &text[key] {
                    b"id" => {
                        envelope.id = string(raw).unwrap_or_default();
                        has_id = true;
                    }
                    b"success" => {
                        envelope.success = raw == b"true";
                        has_success = true;
                    }
                    b"error" => envelope.error = string(raw),
                    b"sql_state" => envelope.sql_state = string(raw),
                    b"sql_rc" => envelope.sql_code = utf8(raw).parse().ok(),
                    b"job" => envelope.job = string(raw),
                    b"version" => envelope.version = string(raw),
                    b"is_done" => envelope.done = Some(raw == b"true"),
                    b"update_count" => envelope.updated = utf8(raw).parse().ok(),
                    b"output_parms" => envelope.outputs = outputs(raw),
                    // The protocol grows; what is not known is not needed.
                    _ => {}
                }
            }
            if scan.take(b'}') {
                break;
            }
            scan.expect(b',', "a comma between keys")?;
        }
    }
    match (has_id, has_success, scan.peek()) {
        (true, true, None) => Ok(envelope),
        (true, true, Some(_)) => Err(Malformed { at: scan.position(), expected: "the end of the reply" }),
        _ => Err(Malformed { at: scan.position(), expected: "a reply with `id` and `success`" }),
    }
}

fn utf8(raw: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(raw)
}

/// Values of the parameters that give something back, which alone have one; none for anything that is no
/// list of parameters.
fn outputs(raw: &[u8]) -> Vec<Option<String>> {
    let read = || -> Result<_, Malformed> {
        let (mut scan, mut values) = (Scan::new(raw), Vec::new());
        scan.expect(b'[', "a list of parameters")?;
        while !scan.take(b']') {
            scan.expect(b'{', "a parameter")?;
            while !scan.take(b'}') {
                let key = scan.string()?;
                scan.expect(b':', "a colon after a key")?;
                let value = &raw[scan.value()?];
                if &raw[key] == b"value" {
                    values.push(match value.first() {
                        Some(b'"') => string(value),
                        _ if value == b"null" => None,
                        _ => Some(utf8(value).into_owned()),
                    });
                }
                scan.take(b',');
            }
            scan.take(b',');
        }
        Ok(values)
    };
    read().unwrap_or_default()
}

/// Content of a JSON string; None for null and everything else.
fn string(raw: &[u8]) -> Option<String> {
    serde_json::from_slice::<Option<String>>(raw).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_rows_is_located_without_being_read() {
        let text = "{\"id\":\"7\",\"has_results\":true,\"update_count\":-1,\"metadata\":{\"column_count\":2,\
                    \"job\":\"1/A/B\",\"columns\":[{\"name\":\"data\",\"type\":\"VARCHAR\"}]},\
                    \"data\":[[\"C1\",5],[\"]}\",6]],\"output_parms\":null,\"is_done\":true,\"success\":true,\
                    \"execution_time\":3}\n\n";
        let envelope = read(text.as_bytes()).expect("a reply");
        let block = envelope.data.clone().expect("rows");
        assert_eq!(&text[block.data], "[[\"C1\",5],[\"]}\",6]]");
        let rows: Vec<&str> = block.index.into_iter().map(|range| &text[range]).collect();
        assert!(!block.objects, "the objects of the metadata are none of the rows");
        assert_eq!(rows, ["[\"C1\",5]", "[\"]}\",6]"]);
        assert_eq!((envelope.id.as_str(), envelope.success, envelope.done), ("7", true, Some(true)));
        assert_eq!(envelope.job, None, "the job of the metadata is not that of the reply");
    }

    #[test]
    fn an_error_keeps_its_codes_and_its_text() {
        let text = r#"{"id":"4","error":"[SQL0204] X in \u0027Y\u0027 not found.","success":false,"sql_state":"42704","sql_rc":-204,"execution_time":5}"#;
        let envelope = read(text.as_bytes()).expect("a reply");
        assert_eq!(
            envelope,
            Envelope {
                id: "4".into(),
                success: false,
                error: Some("[SQL0204] X in 'Y' not found.".into()),
                sql_state: Some("42704".into()),
                sql_code: Some(-204),
                ..Envelope::default()
            }
        );
        let text = r#"{"id":"1","error":"Not connected","success":false,"sql_state":null,"sql_rc":0}"#;
        let envelope = read(text.as_bytes()).expect("a reply");
        assert_eq!((envelope.sql_state, envelope.sql_code), (None, Some(0)));
    }

    #[test]
    fn a_call_gives_its_count_and_the_parameters_that_have_a_value() {
        let text = r#"{"id":"9","parameter_count":4,"has_results":false,"update_count":3,"output_parms":[
            {"index":1,"type":"VARCHAR","name":"A"},{"index":2,"type":"CHAR","value":"x \u003c"},
            {"index":3,"type":"DECIMAL","value":12345678901234567890123},{"index":4,"type":"CHAR","value":null}],
            "success":true}"#;
        let envelope = read(text.as_bytes()).expect("a reply");
        assert_eq!(envelope.updated, Some(3));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(envelope.outputs, [text("x <"), text("12345678901234567890123"), None]);
        for none in [r#"null"#, r#"{"value":1}"#, r#"[1]"#] {
            let text = format!(r#"{{"id":"9","output_parms":{none},"success":true}}"#);
            assert_eq!(read(text.as_bytes()).expect("a reply").outputs, [], "{none}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let cases = [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"id":"1"}"#,
            r#"{"id":"1","success":true"#,
            r#"{"id":"1","success":true,"data":[["x"}"#,
            r#"{"id":"1","success":true,"data":[["x","#,
            r#"{"id":"1","success":true}{"#,
            r#"{"id":"1" "success":true}"#,
        ];
        for text in cases {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
