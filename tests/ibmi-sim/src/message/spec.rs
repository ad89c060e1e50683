//! A chosen message, from free text: `CPF1124, job 370690/BOB/NIGHT, subsystem QBATCH`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text::{self, Description};

/// The message that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSpec {
    /// Identifier; empty for an impromptu message.
    pub id: String,
    /// Type, where it is not that of the description: `INQUIRY`, `INFORMATIONAL` ….
    pub kind: String,
    /// Severity, where it is not that of the description.
    pub severity: Option<i64>,
    /// User that sends it.
    pub user: String,
    /// Job that sends it, `NNNNNN/USER/NAME`.
    pub job: String,
    /// Text of an impromptu message, or of a description that takes its text whole.
    pub text: String,
    /// Second-level text.
    pub detail: String,
    /// Values by name: `job`, `subsystem`, `library`, `user`, `client`, `device`, `cpu`, `code`.
    pub fields: BTreeMap<String, String>,
}

/// The text is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It begins with neither an identifier nor `impromptu`.
    #[error("begin with a message identifier such as CPF1124, or with `impromptu`")]
    NoId,
    /// The message file has no such description.
    #[error("no description of message {0} in tests/ibmi-sim/data/messages.csv")]
    Unknown(String),
    /// A part means nothing.
    #[error(
        "cannot make sense of {0:?}: write 'type INQUIRY', 'severity 40', 'user BOB', 'job 123456/BOB/NAME', \
         'text \"...\"', 'detail \"...\"' or 'name=value'"
    )]
    NotUnderstood(String),
    /// No such queue.
    #[error("message queue {0} does not exist; create it first")]
    NoQueue(String),
    /// No such message to reply to.
    #[error("queue {queue} has no inquiry with key {key}")]
    NoInquiry {
        /// The queue.
        queue: String,
        /// The key.
        key: String,
    },
}

impl MessageSpec {
    /// A message with that identifier.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// An impromptu message.
    #[must_use]
    pub fn impromptu(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same of that type.
    #[must_use]
    pub fn of_type(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// The same from that job.
    #[must_use]
    pub fn from_job(mut self, job: &str) -> Self {
        job.clone_into(&mut self.job);
        self
    }

    /// The same with that text.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// Reads free text: parts between commas, in any order after the identifier.
    ///
    /// # Errors
    /// When a part means nothing; the error lists what does.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let mut parts = crate::inject::split(text).into_iter().map(str::trim);
        let first = parts.next().unwrap_or_default();
        let id = match first.to_ascii_uppercase().as_str() {
            "IMPROMPTU" => String::new(),
            id if id.len() == 7 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => id.to_owned(),
            _ => return Err(MessageError::NoId),
        };
        let mut spec = Self { id, ..Self::default() };
        for part in parts.filter(|part| !part.is_empty()) {
            spec.take(part)?;
        }
        Ok(spec)
    }

    fn take(&mut self, part: &str) -> Result<(), MessageError> {
        let not_understood = || MessageError::NotUnderstood(part.to_owned());
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest.is_empty()) {
            ("type", false) => self.kind = rest.to_ascii_uppercase(),
            ("severity", false) => self.severity = Some(rest.parse().map_err(|_| not_understood())?),
            ("user", false) => self.user = rest.to_uppercase(),
            ("job", false) => self.job = rest.to_uppercase(),
            ("text", false) => self.text = crate::inject::unquote(rest).to_owned(),
            ("detail", false) => self.detail = crate::inject::unquote(rest).to_owned(),
            ("subsystem" | "library" | "client" | "device" | "cpu" | "code", false) => {
                self.fields.insert(word.to_ascii_lowercase(), rest.to_owned());
            }
            _ => {
                let (name, value) = part.split_once('=').ok_or_else(not_understood)?;
                self.fields.insert(name.trim().to_owned(), crate::inject::unquote(value).to_owned());
            }
        }
        Ok(())
    }

    /// Its description; none for an impromptu message.
    pub(crate) fn description(&self) -> Result<Option<&'static Description>, MessageError> {
        if self.id.is_empty() {
            return Ok(None);
        }
        text::description(&self.id).map(Some).ok_or_else(|| MessageError::Unknown(self.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_place() {
        let spec = MessageSpec::parse(
            "cpf1124, job 370690/bob/night, subsystem QBATCH, severity 10, library=QGPL, user ann",
        )
        .expect("good");
        assert_eq!(
            (spec.id.as_str(), spec.job.as_str(), spec.severity),
            ("CPF1124", "370690/BOB/NIGHT", Some(10))
        );
        assert_eq!((spec.fields["subsystem"].as_str(), spec.fields["library"].as_str()), ("QBATCH", "QGPL"));
        assert_eq!(spec.user, "ANN");
        let spec =
            MessageSpec::parse("impromptu, type inquiry, text \"Mount tape 4711, please\"").expect("good");
        assert_eq!((spec.id.as_str(), spec.kind.as_str()), ("", "INQUIRY"));
        assert_eq!(spec.text, "Mount tape 4711, please");
        assert_eq!(MessageSpec::parse("hello"), Err(MessageError::NoId));
        assert_eq!(MessageSpec::parse("CPF1124, what"), Err(MessageError::NotUnderstood("what".into())));
        assert!(MessageSpec::new("XYZ0001").description().is_err());
    }
}
