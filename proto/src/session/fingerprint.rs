//! The fingerprint of a public key, the same text at the agent that made the key, at the controller that
//! signs for it and in the tables that people compare.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// SHA-256 over a DER SubjectPublicKeyInfo: what tokens pin and controllers compare.
#[must_use]
pub fn spki_sha256(spki_der: &[u8]) -> [u8; 32] {
    Sha256::digest(spki_der).into()
}

/// `sha256:` and the hash in lower-case hexadecimal.
#[must_use]
pub fn key_fingerprint(spki_der: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in spki_sha256(spki_der) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Beginning of the name by which an agent asks, in the TLS handshake, for a certificate of the authority whose key
/// its token pins: it does not know the authority's own name yet.
pub const PINNED_NAME: &str = "muster sha256:";

/// The name for a pinned key; see [`PINNED_NAME`].
#[must_use]
pub fn pinned_name(spki_sha256: &[u8; 32]) -> String {
    let mut text = PINNED_NAME.to_owned();
    for byte in spki_sha256 {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_fingerprint() {
        assert_eq!(
            key_fingerprint(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
