//! Bytes on the wire, which the generations of the server do differently. Pure.
//!
//! As a parameter they are hex digits for servers up to 2.3.5 and Base64 for later ones. In a row they are
//! hex digits, or an object that names where the server keeps them: they are fetched from there
//! ([`super::blob`]), and the row gets the hex digits. The version of a server does not tell for sure which
//! it does, so the first statement that binds bytes makes the connection ask for three bytes, and what comes
//! tells it.

use crate::host::Param;
use crate::host::rows::{Cell, Cells, Malformed, Rows};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use muster_proto::mapepire::Parameter;
use serde::Deserialize;
use std::borrow::Cow;

/// How a server takes bytes as a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteForm {
    /// Hex digits: servers up to 2.3.5.
    Hex,
    /// Base64: later ones.
    Base64,
}

impl ByteForm {
    /// One row of three bytes, whose forms cannot be taken for each other.
    pub(super) const QUESTION: &str =
        "select cast(X'00FBFF' as varbinary(3)) as MUSTER_BYTES from SYSIBM.SYSDUMMY1";

    /// What the answer to [`ByteForm::QUESTION`] tells; None if it is none of the known ones.
    pub(super) fn of(rows: &Rows) -> Option<Self> {
        let cell = rows.iter().next().and_then(|row| Cells::new(row).next())?;
        if Blob::of(cell).is_some() {
            return Some(Self::Base64);
        }
        match cell.text()?.as_ref() {
            "00FBFF" | "00fbff" => Some(Self::Hex),
            // What a server in single mode says.
            "APv/" => Some(Self::Base64),
            _ => None,
        }
    }

    fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => faster_hex::hex_string_upper(bytes),
            Self::Base64 => BASE64_STANDARD.encode(bytes),
        }
    }
}

/// Whether the form of bytes matters to these parameters.
pub(super) fn has_bytes(params: &[Param]) -> bool {
    params.iter().any(|param| matches!(param, Param::Bytes(_)))
}

/// Parameters as the server takes them.
pub(super) fn parameters(params: &[Param], form: ByteForm) -> Vec<Parameter<'_>> {
    params
        .iter()
        .map(|param| match param {
            Param::Null => Parameter::Null,
            Param::Text(text) => Parameter::Text(Cow::Borrowed(text)),
            Param::Int(number) => Parameter::Integer(*number),
            Param::Bytes(bytes) => Parameter::from(form.write(bytes)),
        })
        .collect()
}

/// Where a server keeps the bytes of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Blob {
    /// Path on the server: `/blob/` and a token that works once, for the same user.
    #[serde(rename = "blob_url")]
    path: String,
    /// How many bytes.
    pub(super) size: u64,
}

impl Blob {
    /// What a cell says about bytes kept elsewhere, if that is what it says.
    pub(super) fn of(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Other(text) if text.starts_with('{') => serde_json::from_str(text).ok(),
            Cell::Null | Cell::Text(_) | Cell::Escaped(_) | Cell::Number(_) | Cell::Other(_) => None,
        }
    }

    /// Its path, if it is one of this server: credentials go nowhere else.
    pub(super) fn path(&self) -> Option<&str> {
        let token = self.path.strip_prefix("/blob/")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=128).contains(&token.len()) && token.bytes().all(plain);
        fits.then_some(self.path.as_str())
    }
}

/// Everything that the server keeps beside these rows, in their order.
pub(super) fn kept_beside(rows: &Rows) -> Vec<Blob> {
    if !rows.objects {
        return Vec::new();
    }
    rows.iter().flat_map(|row| Cells::new(row).filter_map(Blob::of)).collect()
}

/// The rows with the bytes in their places, as hex digits.
///
/// # Errors
/// Never for rows that were read: a row that is broken keeps the cells before the break.
pub(super) fn put_in(rows: &Rows, fetched: Vec<Vec<u8>>) -> Result<Rows, Malformed> {
    let mut fetched = fetched.into_iter();
    let mut text = Vec::with_capacity(rows.json().len());
    text.push(b'[');
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        if !row.contains(&b'{') {
            text.extend_from_slice(row);
            continue;
        }
        text.push(b'[');
        for (column, cell) in Cells::new(row).enumerate() {
            if column > 0 {
                text.push(b',');
            }
            match Blob::of(cell).and_then(|_| fetched.next()) {
                Some(bytes) => Cell::Text(&faster_hex::hex_string_upper(&bytes)).write(&mut text),
                None => cell.write(&mut text),
            }
        }
        text.push(b']');
    }
    text.push(b']');
    let whole = Rows::from_json(text)?;
    Ok(Rows { done: rows.done, ..whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Rows {
        Rows::from_json(text.as_bytes().to_vec()).expect("rows")
    }

    #[test]
    fn what_comes_back_tells_how_bytes_are_taken() {
        let cases = [
            (r#"[["00FBFF"]]"#, Some(ByteForm::Hex)),
            (r#"[["APv/"]]"#, Some(ByteForm::Base64)),
            (r#"[["APv\/"]]"#, Some(ByteForm::Base64)),
            (r#"[[{"blob_url":"/blob/1","size":3}]]"#, Some(ByteForm::Base64)),
            (r#"[[{"other":1}]]"#, None),
            (r#"[[null]]"#, None),
            (r#"[]"#, None),
        ];
        for (text, form) in cases {
            assert_eq!(ByteForm::of(&rows(text)), form, "{text}");
        }
    }

    #[test]
    fn parameters_are_written_in_the_servers_form() {
        let params =
            [Param::Null, Param::Text("a".into()), Param::Int(7), Param::Bytes(vec![0xC1, 0x00, 0xFF])];
        let written = |form| serde_json::to_string(&parameters(&params, form)).expect("JSON");
        assert_eq!(written(ByteForm::Hex), r#"[null,"a",7,"C100FF"]"#);
        assert_eq!(written(ByteForm::Base64), r#"[null,"a",7,"wQD/"]"#);
    }

    #[test]
    fn only_a_path_of_the_server_is_followed() {
        let blob = |path: &str| Blob { path: path.to_owned(), size: 1 };
        let good = "/blob/6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        assert_eq!(blob(good).path(), Some(good));
        let long = format!("/blob/{}", "a".repeat(129));
        for bad in [
            "",
            "/blob/",
            "/blob/../db",
            "/blob/a/b",
            "/blob/a?b",
            "https://elsewhere/blob/a",
            "//e/blob/a",
            &long,
        ] {
            assert_eq!(blob(bad).path(), None, "{bad}");
        }
    }

    #[test]
    fn bytes_take_the_place_of_the_objects_that_name_them() {
        let text = r#"[["a","\u003c",1],[{"blob_url":"/blob/1","size":2},"{x}",null],
            [true,{"blob_url":"/blob/2","size":0},{"n":[1,2]}]]"#;
        let mut rows = rows(text);
        rows.done = false;
        assert_eq!(kept_beside(&rows).iter().map(|blob| blob.size).collect::<Vec<_>>(), [2, 0]);
        let whole = put_in(&rows, vec![vec![0xC1, 0x0F], Vec::new()]).expect("rows");
        let expected = r#"[["a","\u003c",1],["C10F","{x}",null],[true,"",{"n":[1,2]}]]"#;
        assert_eq!(String::from_utf8_lossy(whole.json()), expected);
        assert_eq!((whole.len(), whole.done), (3, false));
        let plain = Rows::from_json(&br#"[["{\"blob_url\":\"/blob/1\",\"size\":2}"]]"#[..]).expect("rows");
        assert_eq!(kept_beside(&plain), [], "text is text");
    }
}
