//! Whose signatures count.

use crate::statement::{Statement, StatementError};
use minisign_verify::{PublicKey, Signature};
use std::collections::BTreeSet;

/// The keys of the vendor, as minisign prints them, separated by blanks; compiled in where a release is built.
#[cfg(feature = "release")]
const RELEASE_KEYS: &str =
    env!("MUSTER_RELEASE_KEYS", "a build for release needs the vendor's public keys, at least two");

/// Whose signatures count as shipped.
#[cfg(feature = "release")]
fn shipped() -> Vec<&'static str> {
    RELEASE_KEYS.split_whitespace().collect()
}

/// Whose signatures count as shipped: keys for development, whose other halves are in `controller/vendor/keys`.
#[cfg(not(feature = "release"))]
fn shipped() -> Vec<&'static str> {
    vec![
        include_str!("../../../controller/vendor/keys/release-dev-1.pub").trim_ascii(),
        include_str!("../../../controller/vendor/keys/release-dev-2.pub").trim_ascii(),
        include_str!("../../../controller/vendor/keys/release-dev-3.pub").trim_ascii(),
    ]
}

/// Longest signature, in bytes: minisign's have some 300 and a comment.
pub const MAX_SIGNATURE: usize = 4 * 1024;

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not to be read.
    #[error("what should be the signature is none")]
    Unreadable,
    /// By nobody that counts, or of something else.
    #[error(
        "the signature fits none of the keys that count here: the package was changed, or signed by somebody else"
    )]
    Untrusted,
}

/// Whose signatures count: the shipped keys and the last statement about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    shipped: Vec<String>,
    statement: Option<Statement>,
}

impl Trust {
    /// The keys that this build ships.
    #[must_use]
    pub fn shipped() -> Self {
        Self::of(shipped())
    }

    /// These keys as shipped ones.
    #[must_use]
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self { shipped: keys.into_iter().map(str::to_owned).collect(), statement: None }
    }

    /// The shipped keys.
    #[must_use]
    pub fn shipped_keys(&self) -> &[String] {
        &self.shipped
    }

    /// The statement that counts.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Takes over a statement that two of the shipped keys signed, unless the one known has the same or a higher
    /// number; true if it was taken.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn take(&mut self, text: &[u8], signatures: &[&str]) -> Result<bool, StatementError> {
        // One that is known, or older, changes nothing: whoever signed it may be retired by now.
        let known = self.statement.as_ref().map_or(0, |known| known.number);
        if Statement::parse(text)?.number <= known {
            return Ok(false);
        }
        self.statement = Some(Statement::verify(text, signatures, &self.signers())?);
        Ok(true)
    }

    /// Shipped keys that are not retired: they sign statements.
    fn signers(&self) -> BTreeSet<&str> {
        let retired = self.statement.as_ref().map(|s| &s.retire);
        self.shipped
            .iter()
            .map(String::as_str)
            .filter(|key| retired.is_none_or(|r| !r.contains(*key)))
            .collect()
    }

    /// Keys whose signatures of packages count.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<&str> {
        let mut keys = self.signers();
        if let Some(statement) = &self.statement {
            let added = statement.add.iter().map(String::as_str);
            keys.extend(added.filter(|key| !statement.retire.contains(*key)));
        }
        keys
    }

    /// Checks the detached signature of a manifest that was verified before, as [`Trust::verify`] does, and was not changed
    /// since: a key counts for it also if a statement retired it meanwhile. That a key is retired means that nothing new is
    /// taken by it, not that hosts give up what they run.
    ///
    /// A signature of a key of the vendor is needed all the same: what remembers that a manifest was verified lies where
    /// the agent can write.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_accepted(&self, manifest: &[u8], signature: &str) -> Result<(), SignatureError> {
        let signature = read_signature(signature)?;
        let stated =
            self.statement.iter().flat_map(|statement| statement.add.iter().chain(&statement.retire));
        let by = |key: &String| signed_by(key, manifest, &signature);
        if self.shipped.iter().chain(stated).any(by) { Ok(()) } else { Err(SignatureError::Untrusted) }
    }

    /// Checks the detached signature of a manifest.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, manifest: &[u8], signature: &str) -> Result<(), SignatureError> {
        let signature = read_signature(signature)?;
        let by = |key: &&str| signed_by(key, manifest, &signature);
        if self.keys().iter().any(by) { Ok(()) } else { Err(SignatureError::Untrusted) }
    }
}

pub(crate) fn read_signature(text: &str) -> Result<Signature, SignatureError> {
    if text.len() > MAX_SIGNATURE {
        return Err(SignatureError::Unreadable);
    }
    Signature::decode(text.trim_end()).map_err(|_| SignatureError::Unreadable)
}

pub(crate) fn signed_by(key: &str, bytes: &[u8], signature: &Signature) -> bool {
    PublicKey::from_base64(key).is_ok_and(|key| key.verify(bytes, signature, false).is_ok())
}

/// Whether a text is a public key as minisign prints it.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.len() <= 100 && PublicKey::from_base64(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Signer;

    #[test]
    fn statements_add_and_retire_keys() {
        let (one, two, three, new) = (Signer::new(), Signer::new(), Signer::new(), Signer::new());
        let mut trust = Trust::of([one.public.as_str(), &two.public, &three.public]);
        assert_eq!(trust.verify(b"m", &one.sign(b"m")), Ok(()));
        assert_eq!(trust.verify(b"m", &new.sign(b"m")), Err(SignatureError::Untrusted));
        assert_eq!(trust.verify(b"other", &one.sign(b"m")), Err(SignatureError::Untrusted));
        assert_eq!(trust.verify(b"m", "nonsense"), Err(SignatureError::Unreadable));

        let text = crate::testing::statement(1, &[&new.public], &[&one.public]);
        // One signature, the same one twice, and one of a key that was not shipped are not enough.
        for signers in [vec![&two], vec![&two, &two], vec![&two, &new]] {
            let signatures: Vec<String> = signers.iter().map(|s| s.sign(&text)).collect();
            let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
            assert!(matches!(trust.take(&text, &signatures), Err(StatementError::TooFew { .. })));
        }
        assert_eq!(trust.take(&text, &[&two.sign(&text), &three.sign(&text)]), Ok(true));
        assert_eq!(trust.verify(b"m", &new.sign(b"m")), Ok(()));
        assert_eq!(trust.verify(b"m", &one.sign(b"m")), Err(SignatureError::Untrusted));

        // What was accepted before counts by a retired key, and by no other.
        assert_eq!(trust.verify_accepted(b"m", &one.sign(b"m")), Ok(()));
        assert_eq!(trust.verify_accepted(b"m", &new.sign(b"m")), Ok(()));
        let stranger = Signer::new().sign(b"m");
        assert_eq!(trust.verify_accepted(b"m", &stranger), Err(SignatureError::Untrusted));

        // The same number again changes nothing, a retired key signs no statement, and the new key signs none.
        assert_eq!(trust.take(&text, &[&two.sign(&text), &three.sign(&text)]), Ok(false));
        assert_eq!(trust.take(&text, &[&one.sign(&text)]), Ok(false), "also by a key that is retired by now");
        let next = crate::testing::statement(2, &[], &[]);
        for other in [&one, &new] {
            let signatures = [two.sign(&next), other.sign(&next)];
            let taken = trust.take(&next, &[&signatures[0], &signatures[1]]);
            assert!(matches!(taken, Err(StatementError::TooFew { .. })), "{taken:?}");
        }
    }

    #[test]
    fn this_build_ships_several_keys() {
        let trust = Trust::shipped();
        assert!(trust.shipped_keys().len() >= 2);
        assert!(trust.shipped_keys().iter().all(|key| is_key(key)));
    }
}
