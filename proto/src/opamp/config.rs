//! Policy as OpAMP remote configuration: one file of the config map, and the hash over the map.

use super::{AgentConfigFile, AgentConfigMap, AgentRemoteConfig};
use sha2::{Digest, Sha256};

/// Name of the file that holds the policy: JSON of `muster_shared::policy::model::EffectivePolicy`.
pub const POLICY_FILE: &str = "policy";

/// Content type of [`POLICY_FILE`].
pub const POLICY_CONTENT_TYPE: &str = "application/json";

/// Why a remote configuration holds no policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyFileError {
    /// No hash: there is nothing to answer to.
    #[error("the offered configuration has no hash")]
    NoHash,
    /// No such file.
    #[error("the offered configuration has no file `{POLICY_FILE}`")]
    Missing,
    /// Files that nobody here understands: running half of an offer would be worse than refusing it.
    #[error("the offered configuration has a file `{0}` that this agent does not know; upgrade the agent")]
    Unknown(String),
    /// Another content type.
    #[error("file `{POLICY_FILE}` has content type `{0}`, `{POLICY_CONTENT_TYPE}` is expected")]
    ContentType(String),
}

/// SHA-256 over a canonical form: the files sorted by name, each of name, body and content type preceded
/// by its length (64 bits, big endian). The same files give the same hash on every machine and in every
/// run.
#[must_use]
pub fn config_hash(config: &AgentConfigMap) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, file) in &config.config_map {
        for part in [name.as_bytes(), &file.body, file.content_type.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// The config map that holds a policy.
#[must_use]
pub fn policy_map(policy_json: Vec<u8>) -> AgentConfigMap {
    let file = AgentConfigFile { body: policy_json, content_type: POLICY_CONTENT_TYPE.to_owned() };
    AgentConfigMap { config_map: [(POLICY_FILE.to_owned(), file)].into() }
}

/// An offer of a policy, with its hash.
#[must_use]
pub fn policy_offer(policy_json: Vec<u8>) -> AgentRemoteConfig {
    let config = policy_map(policy_json);
    AgentRemoteConfig { config_hash: config_hash(&config).to_vec(), config: Some(config) }
}

/// The policy's JSON in an offer.
///
/// # Errors
/// When the offer has no hash, no policy, another content type, or files beside it.
pub fn policy_body(offer: &AgentRemoteConfig) -> Result<&[u8], PolicyFileError> {
    if offer.config_hash.is_empty() {
        return Err(PolicyFileError::NoHash);
    }
    let files = offer.config.as_ref().map(|config| &config.config_map).ok_or(PolicyFileError::Missing)?;
    if let Some(other) = files.keys().find(|name| *name != POLICY_FILE) {
        return Err(PolicyFileError::Unknown(other.clone()));
    }
    let file = files.get(POLICY_FILE).ok_or(PolicyFileError::Missing)?;
    if file.content_type != POLICY_CONTENT_TYPE {
        return Err(PolicyFileError::ContentType(file.content_type.clone()));
    }
    Ok(&file.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(files: &[(&str, &str, &str)]) -> AgentConfigMap {
        let file = |body: &str, content_type: &str| AgentConfigFile {
            body: body.as_bytes().to_vec(),
            content_type: content_type.to_owned(),
        };
        AgentConfigMap {
            config_map: files
                .iter()
                .map(|(name, body, kind)| ((*name).to_owned(), file(body, kind)))
                .collect(),
        }
    }

    #[test]
    fn the_hash_is_fixed_for_all_time() {
        let hash = |config: &AgentConfigMap| faster_hex::hex_string(&config_hash(config));
        // Printed by: printf '\0\0\0\0\0\0\0\6policy\0\0\0\0\0\0\0\2{}\0\0\0\0\0\0\0\20application/json' | sha256sum
        assert_eq!(
            hash(&policy_map(b"{}".to_vec())),
            "75901b24d00a9a1f8c539ca37b5f254b40b2ea3527af79fb585d56d3a2ddd566"
        );
        assert_eq!(hash(&map(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn lengths_keep_parts_apart() {
        let hashes = [
            map(&[("a", "b", "c")]),
            map(&[("ab", "", "c")]),
            map(&[("a", "bc", "")]),
            map(&[("", "ab", "c")]),
            map(&[("a", "b", "c"), ("", "", "")]),
        ]
        .map(|config| config_hash(&config));
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[index + 1..].contains(hash), "case {index}");
        }
    }

    #[test]
    fn only_a_policy_alone_is_taken() {
        let offer = policy_offer(b"{}".to_vec());
        assert_eq!(policy_body(&offer), Ok(&b"{}"[..]));
        let cases = [
            (AgentRemoteConfig { config_hash: Vec::new(), ..offer.clone() }, PolicyFileError::NoHash),
            (AgentRemoteConfig { config: None, ..offer.clone() }, PolicyFileError::Missing),
            (AgentRemoteConfig { config: Some(map(&[])), ..offer.clone() }, PolicyFileError::Missing),
            (
                AgentRemoteConfig { config: Some(map(&[("policy", "{}", "text/yaml")])), ..offer.clone() },
                PolicyFileError::ContentType("text/yaml".to_owned()),
            ),
            (
                AgentRemoteConfig {
                    config: Some(map(&[("policy", "{}", "application/json"), ("x", "", "")])),
                    ..offer
                },
                PolicyFileError::Unknown("x".to_owned()),
            ),
        ];
        for (offer, expected) in cases {
            assert_eq!(policy_body(&offer), Err(expected));
        }
    }
}
