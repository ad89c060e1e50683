//! A chosen entry, from free text or JSON: `AF, violation A, user BOB, PAYROLL/EMP`.

use serde::{Deserialize, Serialize};

use crate::ebcdic::Page;
use crate::encode::{self, Charset, Facts, Field, FieldType, PutField, layout};
use crate::journal::Body;

/// The entry that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InjectSpec {
    /// Entry type, e.g. `AF`.
    #[serde(rename = "type")]
    pub entry_type: String,
    /// Journal code; T where empty. With another one (U, J) the field `data` becomes the entry data: text in the
    /// CCSID of the field `ccsid` (the partition's page where there is none), or the field `hex`.
    pub code: String,
    /// Effective user.
    pub user: String,
    /// Job `NNNNNN/USER/NAME`, or only its name.
    pub job: String,
    /// Program `LIBRARY/NAME`, or only its name.
    pub program: String,
    /// Address the job came from.
    pub remote_address: Option<String>,
    /// Port the job came from.
    pub remote_port: Option<u16>,
    /// Values by field name of the layout; upper and lower case do not matter.
    pub fields: Facts,
}

/// The text is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// It names no entry type.
    #[error("name the entry type first, e.g. 'AF, violation A, user BOB, PAYROLL/EMP'")]
    NoType,
    /// The type has no layout.
    #[error("no layout for entry type {0}; types are two letters such as AF, PW, CD")]
    UnknownType(String),
    /// The layout has no such field.
    #[error("entry type {entry_type} has no field {field:?}; its fields are: {known}")]
    UnknownField {
        /// Type.
        entry_type: String,
        /// What was named.
        field: String,
        /// What there is.
        known: String,
    },
    /// A part of the text means nothing.
    #[error(
        "cannot make sense of {0:?}: write 'violation A', 'user BOB', 'job 123456/BOB/NAME', 'program LIB/PGM', \
         'from 10.1.2.3:4711', 'object LIB/OBJ [*TYPE]', 'command \"...\"' or 'Field name=value'"
    )]
    NotUnderstood(String),
}

impl InjectSpec {
    /// A spec of that type for that user.
    #[must_use]
    pub fn new(entry_type: &str, user: &str) -> Self {
        Self { entry_type: entry_type.to_owned(), user: user.to_owned(), ..Self::default() }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.fields.insert(field.to_owned(), value.to_owned());
        self
    }

    /// Reads free text: parts between commas, in any order after the type.
    ///
    /// # Errors
    /// When a part means nothing; the error lists what does.
    pub fn parse(text: &str) -> Result<Self, InjectError> {
        let mut spec = Self::default();
        for part in split(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            if spec.entry_type.is_empty() {
                let mut words = part.splitn(2, ' ');
                let first = words.next().unwrap_or_default().to_ascii_uppercase();
                if first.len() != 2 {
                    return Err(InjectError::NoType);
                }
                spec.entry_type = first;
                if let Some(rest) = words.next() {
                    spec.take(rest.trim())?;
                }
                continue;
            }
            spec.take(part)?;
        }
        if spec.entry_type.is_empty() { Err(InjectError::NoType) } else { Ok(spec) }
    }

    fn take(&mut self, part: &str) -> Result<(), InjectError> {
        if let Some((name, value)) = part.split_once('=').filter(|(name, _)| !name.contains(['\'', '"', '(']))
        {
            self.fields.insert(name.trim().to_owned(), unquote(value).to_owned());
            return Ok(());
        }
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest.is_empty()) {
            ("violation" | "entry" | "kind", false) => {
                let code = rest.strip_prefix("type ").unwrap_or(rest);
                self.fields.insert("@code".into(), code.to_ascii_uppercase());
            }
            ("user", false) => self.user = rest.to_uppercase(),
            ("job", false) => self.job = rest.to_uppercase(),
            ("program" | "pgm", false) => self.program = rest.to_uppercase(),
            ("code", false) => self.code = rest.to_ascii_uppercase(),
            ("from", false) => self.take_address(rest),
            ("device", false) => {
                self.fields.insert("Device name".into(), rest.to_uppercase());
            }
            ("command", false) => {
                self.fields.insert("Command string".into(), unquote(rest).to_owned());
            }
            ("object", false) => self.take_object(rest),
            _ if word.contains('/') && !word.starts_with('/') => self.take_object(part),
            _ => return Err(InjectError::NotUnderstood(part.to_owned())),
        }
        Ok(())
    }

    fn take_object(&mut self, text: &str) {
        let (name, kind) = text.split_once(' ').unwrap_or((text, "*FILE"));
        let (library, object) = name.split_once('/').unwrap_or(("*LIBL", name));
        self.fields.insert("Object name".into(), object.to_uppercase());
        self.fields.insert("Library name".into(), library.to_uppercase());
        self.fields.insert("Object type".into(), kind.trim().to_uppercase());
    }

    fn take_address(&mut self, text: &str) {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        match bracketed.or_else(|| text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))) {
            Some((host, port)) => {
                self.remote_address = Some(host.to_owned());
                self.remote_port = port.parse().ok();
            }
            None => self.remote_address = Some(text.to_owned()),
        }
    }

    /// The entry, encoded in that page.
    ///
    /// # Errors
    /// When the type or a field is unknown.
    pub fn body(&self, page: &'static Page) -> Result<Body, InjectError> {
        let (job_number, job_user, job_name) = self.job_parts();
        let (program_library, program) = self.program.split_once('/').unwrap_or(("*LIBL", &self.program));
        let program = if program.is_empty() { "QCMD" } else { program };
        let program_library = if program_library == "*LIBL" { "QSYS" } else { program_library };
        let mut body = Body {
            code: if self.code.is_empty() { "T".into() } else { self.code.clone() },
            entry_type: self.entry_type.clone(),
            user: if self.user.is_empty() { job_user.clone() } else { self.user.clone() },
            job_name,
            job_user,
            job_number,
            program: program.to_owned(),
            program_library: program_library.to_owned(),
            remote_address: self.remote_address.clone(),
            ..Body::default()
        };
        if body.code == "T" {
            let facts = self.facts(&body)?;
            let encoded = encode::encode(&self.entry_type, page, &facts)
                .ok_or_else(|| InjectError::UnknownType(self.entry_type.clone()))?;
            body.fields = encoded.fields;
            return Ok(body.with_data(encoded.data));
        }
        let (data, text) = self.free_data(page);
        body.fields.push(PutField { name: "data".into(), text });
        Ok(body.with_data(data))
    }

    /// Data of an entry that has no layout, and its text.
    fn free_data(&self, page: &'static Page) -> (Vec<u8>, String) {
        let of = |name: &str| self.fields.get(name).map_or("", String::as_str);
        if !of("hex").is_empty() {
            let digits: Vec<u8> =
                of("hex").chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
            return (digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect(), String::new());
        }
        let charset = of("ccsid").parse().ok().and_then(Charset::of).unwrap_or(Charset::Page(page));
        encode::encode_text(charset, of("data"), usize::MAX)
    }

    fn job_parts(&self) -> (String, String, String) {
        let user = if self.user.is_empty() { "QUSER" } else { &self.user };
        let parts: Vec<&str> = self.job.split('/').collect();
        match parts.as_slice() {
            [number, user, name] => ((*number).to_owned(), (*user).to_owned(), (*name).to_owned()),
            [name] if !name.is_empty() => ("123456".into(), user.into(), (*name).to_owned()),
            _ => ("123456".into(), user.into(), "QPADEV0001".into()),
        }
    }

    /// The named fields under the names of the layout, with what follows from the fixed part.
    fn facts(&self, body: &Body) -> Result<Facts, InjectError> {
        let fields =
            layout(&self.entry_type).ok_or_else(|| InjectError::UnknownType(self.entry_type.clone()))?;
        let mut facts = Facts::new();
        for (name, value) in [
            ("User profile", &body.user),
            ("User name", &body.user),
            ("User profile name", &body.user),
            ("Job name", &body.job_name),
            ("Job user name", &body.job_user),
            ("Job number", &body.job_number),
            ("Program name", &body.program),
            ("Program library", &body.program_library),
        ] {
            if fields.iter().any(|field| field.name == name) {
                facts.insert(name.to_owned(), value.clone());
            }
        }
        let first = fields.iter().find(|field| field.offset == Some(0)).map(|field| field.name.as_str());
        if let Some(code) = first.and_then(|name| encode::coded_values(&self.entry_type, name).first()) {
            facts.insert(first.unwrap_or_default().to_owned(), code.clone());
        }
        for (name, value) in &self.fields {
            let wanted = if name == "@code" { first.unwrap_or_default() } else { name };
            let known = fields
                .iter()
                .find(|field| field.offset.is_some() && field.name.eq_ignore_ascii_case(wanted))
                .or_else(|| {
                    // "Library name" is "Object library" in a few layouts.
                    (wanted == "Library name")
                        .then(|| fields.iter().find(|field| field.name == "Object library"))?
                })
                .ok_or_else(|| InjectError::UnknownField {
                    entry_type: self.entry_type.clone(),
                    field: name.clone(),
                    known: fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", "),
                })?;
            facts.insert(known.name.clone(), value.clone());
        }
        complete(fields, &mut facts);
        Ok(facts)
    }
}

/// A partition says of each name and path how long it is and in which CCSID: where the spec does not, as it would.
fn complete(fields: &[Field], facts: &mut Facts) {
    let mut placed: Vec<&Field> = fields.iter().filter(|field| field.offset.is_some()).collect();
    placed.sort_by_key(|field| field.offset);
    for (at, field) in placed.iter().enumerate() {
        let Some(text) = facts.get(&field.name).filter(|text| !text.is_empty()).cloned() else { continue };
        if !matches!(field.kind, FieldType::Unicode | FieldType::Varchar) {
            continue;
        }
        let before = |word: &str| {
            let is_one = |field: &&&Field| field.kind == FieldType::Bin && field.name.contains(word);
            placed[..at].iter().rev().find(is_one).map(|field| field.name.clone())
        };
        let (ccsid, length) = (before("CCSID"), before("length"));
        let is_name = field.kind == FieldType::Unicode || field.name == "Path name";
        if let Some(ccsid) = ccsid.clone().filter(|_| is_name) {
            facts.entry(ccsid).or_insert_with(|| "1200".to_owned());
        }
        let charset = ccsid.and_then(|name| Charset::of(facts.get(&name)?.parse().ok()?));
        let room = field.length - if field.kind == FieldType::Varchar { 2 } else { 0 };
        if let (Some(length), Some(charset)) = (length, charset) {
            let bytes = encode::encode_text(charset, &text, room).0.len();
            facts.entry(length).or_insert_with(|| bytes.to_string());
        }
    }
}

pub(crate) fn unquote(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Parts between commas; a comma inside double quotes or parentheses belongs to its part.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut depth) = (Vec::new(), 0, false, 0_usize);
    for (at, char) in text.char_indices() {
        match char {
            '"' => quoted = !quoted,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_the_demo_is_understood() {
        let spec = InjectSpec::parse("AF, violation A, user BOB, PAYROLL/EMP").expect("good");
        let body = spec.body(Page::of(37).expect("known")).expect("good");
        let field =
            |name: &str| body.fields.iter().find(|f| f.name == name).map(|f| f.text.clone()).expect("there");
        assert_eq!((body.entry_type.as_str(), body.user.as_str()), ("AF", "BOB"));
        assert_eq!(field("Violation type"), "A");
        assert_eq!(
            (field("Library name"), field("Object name"), field("Object type")),
            ("PAYROLL".into(), "EMP".into(), "*FILE".into())
        );
        assert_eq!(field("User profile"), "BOB");
    }

    #[test]
    fn every_part_has_its_place() {
        let spec = InjectSpec::parse(
            "cd user ann, job 654321/ANN/NIGHT, program SALES/ORD1, from 10.0.0.9:4711, \
             command \"CHGUSRPRF USRPRF(A), X\", where run=N",
        )
        .expect("good");
        assert_eq!(spec.remote_port, Some(4711));
        let body = spec.body(Page::of(37).expect("known")).expect("good");
        assert_eq!((body.job_number.as_str(), body.program_library.as_str()), ("654321", "SALES"));
        assert!(body.fields.iter().any(|f| f.name == "Command string" && f.text == "CHGUSRPRF USRPRF(A), X"));
        assert!(body.fields.iter().any(|f| f.name == "Where run" && f.text == "N"));
    }

    #[test]
    fn names_and_paths_say_how_long_they_are_and_in_which_ccsid() {
        let spec = InjectSpec::new("CO", "BOB")
            .with("Object name (IFS)", "größe.txt")
            .with("Path name", "/home/größe.txt");
        let body = spec.body(Page::of(37).expect("known")).expect("good");
        let field =
            |name: &str| body.fields.iter().find(|f| f.name == name).map(|f| f.text.clone()).expect("there");
        assert_eq!((field("Object name CCSID"), field("Object name length")), ("1200".into(), "18".into()));
        assert_eq!((field("Path name CCSID"), field("Path name length")), ("1200".into(), "30".into()));
        // What the spec says stands, true or not.
        let body = spec.with("Object name CCSID", "273").with("Object name length", "3");
        let body = body.body(Page::of(37).expect("known")).expect("good");
        assert!(body.fields.iter().any(|f| f.name == "Object name length" && f.text == "3"));
        assert!(body.data.windows(3).any(|three| three == [0x87, 0x99, 0x6A]), "gr\u{f6} in page 273");
    }

    #[test]
    fn entries_of_other_codes_carry_text_in_any_ccsid_or_bytes() {
        let page = Page::of(273).expect("known");
        let cases = [
            (
                "PY, code U, data=\"CEF:0|A|B|1|7|x, y|3|ä=1\"",
                vec![0xC3, 0xC5, 0xC6],
                "CEF:0|A|B|1|7|x, y|3|ä=1",
            ),
            ("PY, code U, data=aä, ccsid=1208", vec![0x61, 0xC3, 0xA4], "aä"),
            ("PY, code U, hex=0AFF00", vec![0x0A, 0xFF, 0x00], ""),
            ("IA, code J", vec![], ""),
        ];
        for (text, start, told) in cases {
            let spec = InjectSpec::parse(text).expect("good");
            let body = spec.body(page).expect("good");
            assert!(body.full_data().starts_with(&start), "{text}: {:02X?}", body.data);
            assert_eq!(body.fields[0].text, told, "{text}");
        }
        let spec = InjectSpec::parse("AF, from [2001:db8::1]:4711").expect("good");
        assert_eq!((spec.remote_address.as_deref(), spec.remote_port), (Some("2001:db8::1"), Some(4711)));
    }

    #[test]
    fn nonsense_is_answered_with_what_would_do() {
        assert_eq!(InjectSpec::parse(""), Err(InjectError::NoType));
        assert_eq!(InjectSpec::parse("AF, hello"), Err(InjectError::NotUnderstood("hello".into())));
        let page = Page::of(37).expect("known");
        let spec = InjectSpec::new("AF", "BOB").with("Nose", "long");
        assert!(matches!(spec.body(page), Err(InjectError::UnknownField { .. })));
        assert_eq!(InjectSpec::new("QQ", "BOB").body(page), Err(InjectError::UnknownType("QQ".into())));
    }
}
