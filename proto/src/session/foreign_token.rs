//! The token of a foreign OpAMP agent: its whole credential, shown with each connection.
//!
//! `musterf1.` and base64url (no padding) of 48 bytes: the token's id and its 256-bit secret. Unlike an
//! enrolment token it carries no addresses and no hash of an authority: a foreign agent has its own settings
//! for those, and could not read them here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use sha2::{Digest, Sha256};
use std::fmt;
use uuid::Uuid;

/// What every token of this kind and version begins with.
pub const PREFIX: &str = "musterf1.";

/// A parsed token.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignToken {
    /// Names the token at the controller; no secret.
    pub id: Uuid,
    /// The secret; keep it out of logs.
    pub secret: [u8; 32],
}

/// The text is no token of a foreign agent, most often because only a part of it was copied.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "this is no token of a foreign agent, or it is damaged: copy it again, whole and on one line (`muster token create --foreign` makes one)"
)]
pub struct ForeignTokenError;

impl ForeignToken {
    /// Reads a token's text; white space around it is ignored.
    ///
    /// # Errors
    /// When it is no such token. The error never repeats the text.
    pub fn parse(text: &str) -> Result<Self, ForeignTokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(ForeignTokenError)?;
        if encoded.len() > 128 {
            return Err(ForeignTokenError);
        }
        let bytes = BASE64URL.decode(encoded).map_err(|_| ForeignTokenError)?;
        let (id, secret) = bytes.split_at_checked(16).ok_or(ForeignTokenError)?;
        Ok(Self {
            id: Uuid::from_slice(id).map_err(|_| ForeignTokenError)?,
            secret: secret.try_into().map_err(|_| ForeignTokenError)?,
        })
    }

    /// The token's text.
    #[must_use]
    pub fn format(&self) -> String {
        format!("{PREFIX}{}", BASE64URL.encode([self.id.as_bytes().as_slice(), &self.secret].concat()))
    }

    /// SHA-256 of the secret: what the controller stores and compares (in constant time).
    #[must_use]
    pub fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl fmt::Debug for ForeignToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignToken").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_fixed_for_all_time() {
        let token = ForeignToken {
            id: Uuid::from_u128(0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319),
            secret: [0x5e; 32],
        };
        let text = include_str!("../../golden/foreign_token.v1.txt");
        assert_eq!(token.format(), text.trim_end());
        assert_eq!(ForeignToken::parse(text), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("94"), "the secret is never shown");
    }

    #[test]
    fn anything_else_is_refused() {
        let good = include_str!("../../golden/foreign_token.v1.txt").trim_end();
        for bad in
            ["", "musterf1.", "muster1.AAAA", &good[..good.len() - 2], &format!("{good}AA"), "musterf1.é"]
        {
            assert_eq!(ForeignToken::parse(bad), Err(ForeignTokenError), "{bad}");
        }
        assert_eq!(ForeignToken::parse(&format!("{PREFIX}{}", "A".repeat(9_000))), Err(ForeignTokenError));
    }
}
