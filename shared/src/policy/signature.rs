//! Signed policies: documents carry detached minisign signatures made with keys that the controller never
//! sees, and an agent that asks for them believes nothing else.
//!
//! What the agent runs must be exactly the merge of the signed documents that came with it. The choice of documents stays
//! the controller's: labels are set there. It can leave a signed document out or send an older one, so
//! entry types that must arrive belong into the agent's `never_drop` as well.

use super::merge::{MergeConflict, merge_documents};
use super::model::{EffectivePolicy, PolicyDocument, PolicySpec};
use super::parse::{ParseError, parse_document};
use minisign_verify::{PublicKey, Signature};

/// Longest signature file, in bytes.
pub const MAX_SIGNATURE: usize = 1_024;

/// A public key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no minisign public key; write the second line of the .pub file, which begins with RW")]
pub struct NoPublicKey(pub String);

/// Why a policy is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nothing came with it.
    #[error(
        "this agent takes signed policies only, and this one came without signed documents; sign every document that \
         selects the agent (minisign -Sm FILE) and publish it with its FILE.minisig"
    )]
    Unsigned,
    /// A signature that nobody trusted made, or over another text.
    #[error("the signature of document {document} fits none of the {keys} key(s) that this agent trusts")]
    Untrusted {
        /// Its position, from 1.
        document: usize,
        /// Keys tried.
        keys: usize,
    },
    /// A signed text that is no document.
    #[error("signed document {document} cannot be read: {error}")]
    Unreadable {
        /// Its position, from 1.
        document: usize,
        /// Why.
        error: ParseError,
    },
    /// The signed documents contradict each other.
    #[error(transparent)]
    Conflict(#[from] MergeConflict),
    /// Something else is offered than what was signed.
    #[error("what is offered is not what the signed documents say")]
    Different,
}

/// Keys that an agent trusts; empty where it asks for no signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys(Vec<String>);

impl TrustedKeys {
    /// Checks keys, as minisign prints them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn new(keys: Vec<String>) -> Result<Self, NoPublicKey> {
        match keys.iter().find(|key| PublicKey::from_base64(key).is_err()) {
            Some(bad) => Err(NoPublicKey(bad.clone())),
            None => Ok(Self(keys)),
        }
    }

    /// Signatures are not asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a signature over a text is by one of these keys.
    fn signed(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = Signature::decode(signature) else { return false };
        // Only hashed signatures, which minisign makes since 2020.
        let by = |key: &String| {
            PublicKey::from_base64(key)
                .is_ok_and(|key| key.verify(text.as_bytes(), &signature, false).is_ok())
        };
        self.0.iter().any(by)
    }

    /// Whether a policy is the merge of documents that these keys signed. The empty policy is believed as long as
    /// `running` is no other one: an agent that no document selects yet must be able to start.
    ///
    /// # Errors
    /// [`SignatureError`] says what to do.
    pub fn check(
        &self,
        policy: &EffectivePolicy,
        running: Option<&EffectivePolicy>,
    ) -> Result<(), SignatureError> {
        let empty = |policy: &EffectivePolicy| policy.spec == PolicySpec::default();
        if self.is_empty() || (empty(policy) && running.is_none_or(empty)) {
            return Ok(());
        }
        if policy.signed.is_empty() {
            return Err(SignatureError::Unsigned);
        }
        let mut documents: Vec<PolicyDocument> = Vec::with_capacity(policy.signed.len());
        for (document, signed) in (1..).zip(&policy.signed) {
            if !self.signed(&signed.text, &signed.signature) {
                return Err(SignatureError::Untrusted { document, keys: self.0.len() });
            }
            let read = parse_document(&signed.text);
            documents.push(read.map_err(|error| SignatureError::Unreadable { document, error })?);
        }
        let merged = merge_documents(&documents, policy.revision)?;
        if merged.policy.spec == policy.spec { Ok(()) } else { Err(SignatureError::Different) }
    }
}

/// Whether a text has the form of a detached signature.
#[must_use]
pub fn is_signature(text: &str) -> bool {
    text.len() <= MAX_SIGNATURE && Signature::decode(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::SignedDocument;
    use minisign::KeyPair;

    fn key() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn signed(key: &KeyPair, text: &str) -> SignedDocument {
        let signature = minisign::sign(Some(&key.pk), &key.sk, text.as_bytes(), None, None).unwrap();
        SignedDocument { text: text.to_owned(), signature: signature.into_string() }
    }

    fn trusted(keys: &[&KeyPair]) -> TrustedKeys {
        TrustedKeys::new(keys.iter().map(|key| key.pk.to_base64()).collect()).unwrap()
    }

    fn document(name: &str, priority: i32, host: &str) -> String {
        format!(
            "{{api_version: muster/v1, name: {name}, priority: {priority}, spec: {{sources: {{a: {{kind: audit_journal}}}}, destinations: {{d: {{transport: {{kind: tcp, address: '{host}:1'}}}}}}}}}}"
        )
    }

    fn policy(documents: Vec<SignedDocument>) -> EffectivePolicy {
        let read: Vec<_> = documents.iter().map(|d| parse_document(&d.text).unwrap()).collect();
        EffectivePolicy { signed: documents, ..merge_documents(&read, 7).unwrap().policy }
    }

    #[test]
    fn what_the_trusted_signed_is_believed_and_nothing_else() {
        let (ann, bob, eve) = (key(), key(), key());
        let keys = trusted(&[&ann, &bob]);
        let (base, site) = (document("base", 0, "siem"), document("site", 5, "siem2"));
        let good = policy(vec![signed(&bob, &site), signed(&ann, &base)]);
        assert_eq!(keys.check(&good, None), Ok(()));
        assert_eq!(TrustedKeys::default().check(&EffectivePolicy::default(), Some(&good)), Ok(()));

        let unsigned = EffectivePolicy { signed: Vec::new(), ..good.clone() };
        assert_eq!(keys.check(&unsigned, Some(&good)), Err(SignatureError::Unsigned));
        let foreign = policy(vec![signed(&ann, &base), signed(&eve, &site)]);
        assert_eq!(keys.check(&foreign, None), Err(SignatureError::Untrusted { document: 2, keys: 2 }));
        let mut changed = good.clone();
        changed.signed[1].text = document("base", 0, "evil");
        assert_eq!(keys.check(&changed, None), Err(SignatureError::Untrusted { document: 2, keys: 2 }));
        let mut other = good.clone();
        other.spec.destinations.clear();
        assert_eq!(keys.check(&other, None), Err(SignatureError::Different));
        let mut broken = good.clone();
        broken.signed[0].signature = "untrusted comment: x\n".to_owned();
        assert!(matches!(keys.check(&broken, None), Err(SignatureError::Untrusted { document: 1, .. })));
        let nonsense = EffectivePolicy { signed: vec![signed(&ann, "no document")], ..good.clone() };
        assert!(matches!(keys.check(&nonsense, None), Err(SignatureError::Unreadable { document: 1, .. })));
    }

    #[test]
    fn the_empty_policy_is_the_first_or_an_attack() {
        let ann = key();
        let keys = trusted(&[&ann]);
        let empty = EffectivePolicy::default();
        let running = policy(vec![signed(&ann, &document("base", 0, "siem"))]);
        assert_eq!(keys.check(&empty, None), Ok(()));
        assert_eq!(keys.check(&empty, Some(&running)), Err(SignatureError::Unsigned));
    }

    #[test]
    fn keys_and_signatures_have_a_form() {
        assert_eq!(TrustedKeys::new(vec!["hello".to_owned()]), Err(NoPublicKey("hello".to_owned())));
        let ann = key();
        assert!(is_signature(&signed(&ann, "x").signature));
        assert!(!is_signature("hello") && !is_signature(&"x".repeat(9_000)));
    }
}
