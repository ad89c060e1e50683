//! The enrolment token: what an operator hands to a new agent.
//!
//! `muster1.` and base64url (no padding) of a small JSON object: the controller's URLs, the SHA-256 of the
//! controller CA's public key, the token's id and its 256-bit secret. The agent sends the token's text as
//! `Authorization: Bearer`; the controller keeps only [`EnrolmentToken::secret_hash`]. The secret never
//! appears in `Debug` output.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use uuid::Uuid;

/// What every token of this version begins with.
pub const PREFIX: &str = "muster1.";

/// Longest token text that is looked at, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;

/// Most URLs in a token.
pub const MAX_URLS: usize = 16;

/// A parsed enrolment token.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Controller URLs, tried in turn: `https://host:port` or `wss://host:port`, path optional.
    pub urls: Vec<String>,
    /// SHA-256 over the DER SubjectPublicKeyInfo of the controller's CA.
    pub ca_spki_sha256: [u8; 32],
    /// Names the token at the controller; no secret.
    pub id: Uuid,
    /// The secret; keep it out of logs.
    pub secret: [u8; 32],
}

/// Why a text is no enrolment token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Does not begin as a token does.
    #[error("this is no enrolment token: it must begin with `{PREFIX}`; make one with `muster token create`")]
    Prefix,
    /// Longer than any token.
    #[error("the enrolment token is longer than {MAX_LENGTH} bytes")]
    Length,
    /// Damaged, most often by copying only a part of it.
    #[error("the enrolment token is damaged ({0}): copy it again, whole and on one line")]
    Damaged(&'static str),
}

/// The JSON object inside; short names keep the token short.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    u: Vec<String>,
    c: String,
    i: Uuid,
    s: String,
}

impl EnrolmentToken {
    /// Reads a token's text; white space around it is ignored.
    ///
    /// # Errors
    /// When it is no token, too long, or damaged. The error never repeats the token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(TokenError::Length);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let json = BASE64URL.decode(encoded).map_err(|_| TokenError::Damaged("no base64url"))?;
        let body: Body = serde_json::from_slice(&json).map_err(|_| TokenError::Damaged("content"))?;
        if body.u.is_empty() || body.u.len() > MAX_URLS {
            return Err(TokenError::Damaged("number of URLs"));
        }
        Ok(Self {
            urls: body.u,
            ca_spki_sha256: bytes32(&body.c).ok_or(TokenError::Damaged("CA hash"))?,
            id: body.i,
            secret: bytes32(&body.s).ok_or(TokenError::Damaged("secret"))?,
        })
    }

    /// The token's text, as the operator hands it on and the agent presents it.
    #[must_use]
    pub fn format(&self) -> String {
        let body = Body {
            u: self.urls.clone(),
            c: BASE64URL.encode(self.ca_spki_sha256),
            i: self.id,
            s: BASE64URL.encode(self.secret),
        };
        // A struct of strings has no way to fail; an empty object would be refused by every reader.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        format!("{PREFIX}{}", BASE64URL.encode(json))
    }

    /// SHA-256 of the secret: what the controller stores and compares (in constant time).
    #[must_use]
    pub fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("urls", &self.urls)
            .field("ca_spki_sha256", &BASE64URL.encode(self.ca_spki_sha256))
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    BASE64URL.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            urls: vec!["https://controller.example:4320".to_owned()],
            ca_spki_sha256: [0xca; 32],
            id: Uuid::from_u128(0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319),
            secret: [0x5e; 32],
        }
    }

    #[test]
    fn the_text_is_fixed_for_all_time() {
        let text = include_str!("../../golden/enrolment_token.v1.txt");
        assert_eq!(token().format(), text.trim_end());
        assert_eq!(EnrolmentToken::parse(text), Ok(token()));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("019b8d7a-2da8-7657-b52d-492a9de33319"), "{shown}");
        assert!(!shown.contains(&BASE64URL.encode([0x5e; 32])), "{shown}");
        assert!(!shown.contains("94"), "{shown}");
    }

    #[test]
    fn the_hash_is_of_the_secret_alone() {
        let expected: [u8; 32] = Sha256::digest([0x5e; 32]).into();
        assert_eq!(token().secret_hash(), expected);
    }

    #[test]
    fn bad_tokens_say_what_is_wrong() {
        let good = token().format();
        let body = |json: &str| format!("{PREFIX}{}", BASE64URL.encode(json));
        let c = BASE64URL.encode([0; 32]);
        let id = token().id;
        let cases = [
            (String::new(), TokenError::Prefix),
            ("muster2.abc".to_owned(), TokenError::Prefix),
            (body(r#"{"u":["x"]"#), TokenError::Damaged("content")),
            (format!("{good}!"), TokenError::Damaged("no base64url")),
            ("muster1.".to_owned() + &"a".repeat(9_000), TokenError::Length),
            (
                body(&format!(r#"{{"u":[],"c":"{c}","i":"{id}","s":"{c}"}}"#)),
                TokenError::Damaged("number of URLs"),
            ),
            (
                body(&format!(r#"{{"u":["x"],"c":"AA","i":"{id}","s":"{c}"}}"#)),
                TokenError::Damaged("CA hash"),
            ),
            (body(&format!(r#"{{"u":["x"],"c":"{c}","i":"{id}","s":"AA"}}"#)), TokenError::Damaged("secret")),
        ];
        for (text, expected) in cases {
            assert_eq!(EnrolmentToken::parse(&text), Err(expected), "{text}");
        }
    }
}
