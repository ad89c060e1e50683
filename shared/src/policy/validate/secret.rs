//! Secrets by reference: a policy holds the name of an entry of the agent's local secrets folder, never a
//! value. What looks like a value is refused before anything is stored.

use super::MAX_NAME;
use crate::policy::model::{PolicySpec, TransportSpec};

/// A name of a secret in a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretReference {
    /// Where: `spec.destinations.qradar.transport.client_certificate`.
    pub path: String,
    /// Name of the entry.
    pub name: String,
}

/// Every secret that a policy refers to.
#[must_use]
pub fn secrets_of(spec: &PolicySpec) -> Vec<SecretReference> {
    let mut found = Vec::new();
    for (destination, content) in &spec.destinations {
        match &content.transport {
            TransportSpec::Tls { client_certificate: Some(name), .. } => found.push(SecretReference {
                path: format!("spec.destinations.{destination}.transport.client_certificate"),
                name: name.clone(),
            }),
            TransportSpec::Tls { client_certificate: None, .. }
            | TransportSpec::Udp { .. }
            | TransportSpec::Tcp { .. } => {}
        }
    }
    found
}

/// Whether a text carries a private key in PEM form, wherever it stands.
#[must_use]
pub fn holds_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Whether a text is the name of a secret.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !name.starts_with(['-', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{parse_document, validate_document};

    fn document(secret: &str) -> crate::policy::model::PolicyDocument {
        let secret = serde_json::to_string(secret).unwrap();
        parse_document(&format!(
            "{{api_version: muster/v1, name: a, spec: {{destinations: {{b: {{transport: {{kind: tls, address: 'b:1'}}}},
             s: {{transport: {{kind: tls, address: 's:1', client_certificate: {secret}}}}}}}}}}}"
        ))
        .unwrap()
    }

    #[test]
    fn names_are_found() {
        let found = secrets_of(&document("qradar").spec);
        let path = "spec.destinations.s.transport.client_certificate".to_owned();
        assert_eq!(found, [SecretReference { path, name: "qradar".to_owned() }]);
    }

    #[test]
    fn a_literal_secret_is_refused_and_not_repeated() {
        assert!(validate_document(&document("qradar-2026_b")).iter().all(|p| !p.is_error()));
        let long = "x".repeat(64);
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHunter2\n-----END PRIVATE KEY-----\n";
        for literal in [pem, "hunter2 with blanks", "../../etc/hunter2", ".hunter2", "", &long] {
            let problems = validate_document(&document(literal));
            let errors: Vec<_> = problems.iter().filter(|p| p.is_error()).collect();
            assert_eq!(errors.len(), 1, "{literal}: {errors:?}");
            assert_eq!(errors[0].path, "spec.destinations.s.transport.client_certificate");
            assert!(errors[0].message.contains("never the secret itself"), "{errors:?}");
            assert!(
                !errors[0].message.contains("hunter2") && !errors[0].message.contains("xxx"),
                "{errors:?}"
            );
        }
        assert!(holds_private_key(&format!("description: {pem}")));
        assert!(!holds_private_key("-----BEGIN CERTIFICATE-----"));
    }
}
