//! Statements of the vendor about its keys: which are added, which are retired, and which old versions may run again.
//!
//! A statement is signed by two of the shipped keys, so that one stolen key cannot make itself the only one. Statements
//! are numbered, and each says all that is different from the shipped keys: the highest number alone counts.

use crate::keys::{is_key, read_signature, signed_by};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The form of a statement.
pub const FORMAT: &str = "muster/release-statement-v1";
/// Largest statement, in bytes.
pub const MAX_STATEMENT: usize = 64 * 1024;
/// Signatures that it needs.
pub const SIGNATURES: usize = 2;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`FORMAT`].
    pub format: String,
    /// Grows with every statement.
    pub number: u64,
    /// Public keys that sign packages beside the shipped ones.
    #[serde(default)]
    pub add: BTreeSet<String>,
    /// Public keys, shipped or added, that count no more.
    #[serde(default)]
    pub retire: BTreeSet<String>,
    /// Versions below the floor that may be installed all the same.
    #[serde(default)]
    pub allow: BTreeSet<Version>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Beyond [`MAX_STATEMENT`].
    #[error("the statement about keys has {0} bytes, more than {MAX_STATEMENT}")]
    TooLarge(usize),
    /// Not to be read.
    #[error("the statement about keys cannot be read: {0}")]
    Unreadable(String),
    /// Signed by fewer than two keys that count.
    #[error("the statement about keys is signed by {by} of the shipped keys, {SIGNATURES} are needed")]
    TooFew {
        /// Signatures that count.
        by: usize,
    },
}

impl Statement {
    /// Reads a statement that two of `signers` signed.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify(
        text: &[u8],
        signatures: &[&str],
        signers: &BTreeSet<&str>,
    ) -> Result<Self, StatementError> {
        if text.len() > MAX_STATEMENT {
            return Err(StatementError::TooLarge(text.len()));
        }
        let read = signatures.iter().take(16).filter_map(|text| read_signature(text).ok());
        let by: BTreeSet<&str> =
            read.filter_map(|s| signers.iter().find(|key| signed_by(key, text, &s)).copied()).collect();
        if by.len() < SIGNATURES {
            return Err(StatementError::TooFew { by: by.len() });
        }
        Self::parse(text)
    }

    /// Reads what is to be signed.
    ///
    /// # Errors
    /// [`StatementError::Unreadable`].
    pub fn parse(text: &[u8]) -> Result<Self, StatementError> {
        if text.len() > MAX_STATEMENT {
            return Err(StatementError::TooLarge(text.len()));
        }
        let unreadable = |why: String| StatementError::Unreadable(why);
        let statement: Self = serde_json::from_slice(text).map_err(|e| unreadable(e.to_string()))?;
        if statement.format != FORMAT {
            return Err(unreadable(format!("its form is `{}`, known is {FORMAT}", statement.format)));
        }
        match statement.add.iter().chain(&statement.retire).find(|key| !is_key(key)) {
            Some(key) => {
                Err(unreadable(format!("`{}` is no public key", key.chars().take(80).collect::<String>())))
            }
            None => Ok(statement),
        }
    }
}
