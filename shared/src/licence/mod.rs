//! Licences: a signed file, what it says, and what follows from it.
//!
//! A licence file is text for people: YAML with a few fields, a line `--- signature ---`, and below it a minisign
//! signature over everything above that line (line ends count as `\n`, whatever mail made of them). Nothing calls home,
//! and nothing here stops collection: see [`judge`].

mod check;
mod dates;

pub use check::{Allowed, Facts, Grace, LicenceState, Standing, judge};

use crate::partition::PartitionKey;
use jiff::Timestamp;
use jiff::civil::Date;
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Line between what is signed and the signature.
pub const SIGNATURE_LINE: &str = "--- signature ---";
/// Largest licence file, in bytes.
pub const MAX_FILE: usize = 64 * 1024;
/// Most partitions that a file names.
const MAX_PARTITIONS: usize = 2_000;
/// The form of what is signed.
const FORMAT: &str = "muster/licence-v1";

/// What a licence says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// The form: `muster/licence-v1`.
    pub format: String,
    /// Its number, by which people speak of it.
    pub id: String,
    /// For whom.
    pub customer: String,
    /// Partitions that may be collected from.
    pub seats: u32,
    /// First day on which it counts, UTC.
    pub valid_from: Date,
    /// Last day on which it counts, UTC.
    pub valid_until: Date,
    /// Pairs of partitions of which each counts once: high availability.
    #[serde(default)]
    pub ha_pairs: u32,
    /// Partitions that it is for, `SERIAL-ID`; without any, for whichever they are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub partitions: BTreeSet<PartitionKey>,
}

impl Licence {
    /// Whether it is in force at a moment.
    #[must_use]
    pub fn counts_at(&self, moment: Timestamp) -> bool {
        dates::begin(self.valid_from) <= moment && moment < dates::end(self.valid_until)
    }
}

/// Why a file is no licence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenceError {
    /// Beyond [`MAX_FILE`].
    #[error("the file has more than {MAX_FILE} bytes: it is no licence")]
    TooLarge,
    /// No signature in it.
    #[error("the file has no line `{SIGNATURE_LINE}`: it is no licence, or was cut off; ask for it again")]
    NoSignature,
    /// Something else below that line.
    #[error(
        "what stands below `{SIGNATURE_LINE}` is no signature: the file was changed on its way; ask for it again"
    )]
    BadSignature,
    /// Signed by nobody that this release trusts, or changed afterwards.
    #[error(
        "the signature fits none of the keys of this release: the file was changed, or was signed for another release; \
         ask for it again"
    )]
    Untrusted,
    /// Signed, but not to be read.
    #[error("the licence cannot be read by this release ({0}); update the controller first")]
    Unreadable(String),
    /// Signed, and it makes no sense.
    #[error("the licence makes no sense: {0}; ask for another one")]
    Senseless(String),
}

/// Reads a licence file that one of these minisign public keys signed; several may stand in one text, separated by
/// blanks.
///
/// # Errors
/// [`LicenceError`] says what to do.
pub fn read(file: &str, keys: &[&str]) -> Result<Licence, LicenceError> {
    if file.len() > MAX_FILE {
        return Err(LicenceError::TooLarge);
    }
    let text = plain(file);
    let (body, signature) =
        text.split_once(&format!("{SIGNATURE_LINE}\n")).ok_or(LicenceError::NoSignature)?;
    let signature = Signature::decode(signature.trim_end()).map_err(|_| LicenceError::BadSignature)?;
    let by = |key: &&str| {
        PublicKey::from_base64(key).is_ok_and(|key| key.verify(body.as_bytes(), &signature, false).is_ok())
    };
    if !keys.iter().flat_map(|keys| keys.split_whitespace()).any(|key| by(&key)) {
        return Err(LicenceError::Untrusted);
    }
    parse(body)
}

/// Reads what is signed, or is to be signed.
///
/// # Errors
/// [`LicenceError::Unreadable`] and [`LicenceError::Senseless`].
pub fn parse(body: &str) -> Result<Licence, LicenceError> {
    let licence: Licence =
        serde_saphyr::from_str(body).map_err(|e| LicenceError::Unreadable(e.to_string()))?;
    let senseless = |why: String| Err(LicenceError::Senseless(why));
    if licence.format != FORMAT {
        return Err(LicenceError::Unreadable(format!(
            "its format is `{}`, known is {FORMAT}",
            licence.format
        )));
    }
    if licence.valid_until < licence.valid_from {
        return senseless(format!("it ends on {}, before it begins", licence.valid_until));
    }
    if licence.seats == 0 {
        return senseless("it has no seats".to_owned());
    }
    let named = |text: &str| !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
    if !named(&licence.id) || !named(&licence.customer) {
        return senseless("id and customer must be one line each".to_owned());
    }
    if licence.partitions.len() > MAX_PARTITIONS {
        return senseless(format!("it names more than {MAX_PARTITIONS} partitions"));
    }
    Ok(licence)
}

/// What is to be signed: the text as it stands in the file, up to the line of the signature.
#[must_use]
pub fn signed_part(text: &str) -> String {
    let mut body = plain(text);
    if !body.ends_with('\n') {
        body.push('\n');
    }
    body
}

/// A file from what was signed and its signature.
#[must_use]
pub fn file(body: &str, signature: &str) -> String {
    format!("{body}{SIGNATURE_LINE}\n{}\n", plain(signature).trim_end())
}

/// Line ends and blanks at the ends of lines as they were before a mail program saw them.
fn plain(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests;
