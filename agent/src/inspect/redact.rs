//! Takes secrets out of what is handed to people: known values wherever they stand, and what looks like one.

use serde_json::Value;
use zeroize::Zeroizing;

/// What stands where a secret was.
pub(super) const REDACTED: &str = "[redacted]";

/// Words whose value is a secret, as keys of JSON and in text (`password=…`).
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "pwd", "passphrase", "secret", "token", "authorization", "bearer"];

/// Keys that hold such a word and no secret.
const NO_SECRET: &[&str] = &["password_file", "secrets_dir", "secret_names", "password_changed"];

/// What is to be taken out.
#[derive(Default)]
pub(super) struct Redactor {
    known: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Takes out this value wherever it stands.
    pub(super) fn with(mut self, secret: &str) -> Self {
        if !secret.trim().is_empty() {
            self.known.push(Zeroizing::new(secret.trim().to_ascii_lowercase()));
        }
        self
    }

    /// Cleans a value, whatever lies in it.
    pub(super) fn clean(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Object(map) => {
                for (key, item) in map {
                    let key = key.to_ascii_lowercase();
                    let secret = SECRET_WORDS.iter().any(|word| key.contains(word));
                    if secret && item.is_string() && !NO_SECRET.contains(&key.as_str()) {
                        *item = Value::String(REDACTED.to_owned());
                    } else {
                        self.clean(item);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Cleans a text.
    pub(super) fn text(&self, text: &str) -> String {
        let mut clean = without_keys(text);
        for secret in &self.known {
            clean = without(&clean, secret);
        }
        clean = without_tokens(&clean);
        without_assignments(&clean)
    }
}

/// A known value, in whatever case. One of fewer than four characters is looked for as a whole word: it would
/// stand in half of all words.
fn without(text: &str, secret: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = lower[at..].find(secret) {
        let (start, end) = (at + found, at + found + secret.len());
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let inside = word(lower[..start].chars().next_back()) || word(lower[end..].chars().next());
        clean.push_str(&text[at..start]);
        clean.push_str(if secret.len() < 4 && inside { &text[start..end] } else { REDACTED });
        at = end;
    }
    clean.push_str(&text[at..]);
    clean
}

/// Private keys in PEM.
fn without_keys(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN") {
        let line_end = rest[start..].find("PRIVATE KEY-----");
        let Some(_) = line_end.filter(|end| *end < 40) else {
            let next = start + "-----BEGIN".len();
            clean.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        };
        clean.push_str(&rest[..start]);
        clean.push_str(REDACTED);
        let end = rest[start..].find("-----END").and_then(|end| {
            let tail = &rest[start + end..];
            tail.find("KEY-----").map(|length| start + end + length + "KEY-----".len())
        });
        rest = end.map_or("", |end| &rest[end..]);
    }
    clean.push_str(rest);
    clean
}

/// Enrolment tokens.
fn without_tokens(text: &str) -> String {
    let prefix = muster_proto::session::token::PREFIX;
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(prefix) {
        clean.push_str(&rest[..start]);
        clean.push_str(REDACTED);
        let tail = &rest[start + prefix.len()..];
        let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || "-_=".contains(c)));
        rest = end.map_or("", |end| &tail[end..]);
    }
    clean.push_str(rest);
    clean
}

/// `password=…`, `Authorization: …` in running text: the word behind is taken out.
fn without_assignments(text: &str) -> String {
    let mut clean = text.to_owned();
    for word in SECRET_WORDS {
        let mut from = 0;
        while let Some(found) = clean[from..].to_ascii_lowercase().find(word) {
            let after = from + found + word.len();
            let behind = &clean[after..];
            let separator = behind.len() - behind.trim_start_matches(['=', ':', '"', '\'', '(']).len();
            if separator == 0 {
                from = after;
                continue;
            }
            let value = behind[separator..].trim_start();
            let start = clean.len() - value.len();
            let length =
                value.find(|c: char| c.is_whitespace() || "\"',;)&".contains(c)).unwrap_or(value.len());
            // `Authorization: Bearer …` has its secret in the second word.
            let scheme = value[..length].eq_ignore_ascii_case("bearer");
            if length > 0 && !scheme && &value[..length] != REDACTED {
                clean.replace_range(start..start + length, REDACTED);
            }
            from = start + if scheme { 0 } else { REDACTED.len().min(clean.len() - start) };
            from = clean.ceil_char_boundary(from);
            if scheme {
                let tail = &clean[start + length..];
                let secret = tail.trim_start();
                let at = clean.len() - secret.len();
                let end = secret.find(char::is_whitespace).unwrap_or(secret.len());
                if end > 0 {
                    clean.replace_range(at..at + end, REDACTED);
                }
                from = at;
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> Redactor {
        Redactor::default().with("hunter22").with("ab")
    }

    #[test]
    fn what_is_taken_out_of_text() {
        let cases = [
            ("sign-on of MUSTER failed", "sign-on of MUSTER failed"),
            ("x hunter22 y HUNTER22.", "x [redacted] y [redacted]."),
            ("about ab (ab)", "about [redacted] ([redacted])"),
            ("password=s3cret next", "password=[redacted] next"),
            ("Authorization: Bearer abc.def x", "Authorization: Bearer [redacted] x"),
            ("PASSWORD('geheim')", "PASSWORD('[redacted]')"),
            ("the password is wrong", "the password is wrong"),
            ("token muster1.QUJD-_x end", "token [redacted] end"),
            ("a -----BEGIN EC PRIVATE KEY-----\nMII\n-----END EC PRIVATE KEY----- b", "a [redacted] b"),
            ("-----BEGIN PRIVATE KEY-----\nMIIcut", "[redacted]"),
            ("-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\nMII"),
        ];
        for (text, expected) in cases {
            assert_eq!(redactor().text(text), expected);
        }
    }

    #[test]
    fn what_is_taken_out_of_values() {
        let mut value = json!({
            "user": "MUSTER",
            "password": "whatever",
            "api_token": "t",
            "password_file": "/etc/pw",
            "list": ["a hunter22", 7, {"client_secret": "x"}],
        });
        redactor().clean(&mut value);
        let expected = json!({
            "user": "MUSTER",
            "password": "[redacted]",
            "api_token": "[redacted]",
            "password_file": "/etc/pw",
            "list": ["a [redacted]", 7, {"client_secret": "[redacted]"}],
        });
        assert_eq!(value, expected);
    }

    /// Every sequence of up to three pieces: none of them hides a known secret from being seen.
    #[test]
    fn a_known_secret_never_stands_in_the_result() {
        const PIECES: &[&str] = &[
            "hunter22",
            "HUNTER22",
            "hunter2",
            "2",
            "password=",
            "Bearer ",
            "muster1.",
            "-----BEGIN ",
            "é",
            " ",
            "ab",
            "PRIVATE KEY-----",
            "-----END ",
            "KEY-----",
            ":",
            "\"",
        ];
        for first in PIECES {
            for second in PIECES {
                for third in PIECES {
                    let text = format!("{first}{second}{third}hunter22{first}");
                    let clean = redactor().text(&text);
                    assert!(!clean.to_ascii_lowercase().contains("hunter22"), "{text} became {clean}");
                }
            }
        }
    }
}
