//! Which authorities the agent trusts, when the controller replaces its own: pure.
//!
//! An offer may bring a new authority only with a certificate by which one that the agent trusts already signed
//! the new one's key. Anything else is a foreign authority and refused, with all of the offer.

use crate::uplink::tls;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Most certificates in an offer.
const MAX_CERTIFICATES: usize = 8;
/// Longest offer in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Why offered authorities are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Too much, or nothing that can be read.
    #[error("the offered authorities cannot be read")]
    Unreadable,
    /// One that nobody vouches for.
    #[error("the agent trusts only the authority that it enrolled with and those for which that one vouches")]
    Foreign,
}

/// The authorities to trust from now on, out of an offer in PEM, in its order.
///
/// # Errors
/// When one of them is neither trusted already nor vouched for.
pub fn adopt(
    trusted: &[CertificateDer<'_>],
    offered_pem: &str,
) -> Result<Vec<CertificateDer<'static>>, AnchorError> {
    if offered_pem.len() > MAX_BYTES {
        return Err(AnchorError::Unreadable);
    }
    let ders = tls::certificates(offered_pem, "offer").map_err(|_| AnchorError::Unreadable)?;
    if ders.len() > MAX_CERTIFICATES {
        return Err(AnchorError::Unreadable);
    }
    let parse = |der| match X509Certificate::from_der(der) {
        Ok((_, certificate)) if certificate.is_ca() => Ok(certificate),
        Ok(_) | Err(_) => Err(AnchorError::Unreadable),
    };
    let known: Vec<_> = trusted.iter().map(|der| parse(der)).collect::<Result<_, _>>()?;
    let offered: Vec<_> = ders.iter().map(|der| parse(der)).collect::<Result<_, _>>()?;
    let vouched = |key: &[u8]| {
        known.iter().any(|k| k.public_key().raw == key)
            || offered.iter().any(|c| {
                c.public_key().raw == key
                    && known.iter().any(|k| {
                        k.subject() == c.issuer() && c.verify_signature(Some(k.public_key())).is_ok()
                    })
            })
    };
    if !offered.iter().all(|c| vouched(c.public_key().raw)) {
        return Err(AnchorError::Foreign);
    }
    // What vouches is no anchor itself.
    let own = |c: &X509Certificate<'_>| {
        c.subject() == c.issuer() && c.verify_signature(Some(c.public_key())).is_ok()
    };
    let anchors: Vec<_> =
        ders.iter().zip(&offered).filter(|(_, c)| own(c)).map(|(der, _)| der.clone()).collect();
    if anchors.is_empty() { Err(AnchorError::Unreadable) } else { Ok(anchors) }
}

/// Certificates as PEM text.
#[must_use]
pub fn pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| super::pem_text(der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    };

    struct Ca {
        name: &'static str,
        key: KeyPair,
        own: Certificate,
    }

    fn params(name: &str, ca: bool) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if ca { IsCa::Ca(BasicConstraints::Constrained(0)) } else { IsCa::NoCa };
        params
    }

    impl Ca {
        fn new(name: &'static str) -> Self {
            let key = KeyPair::generate().unwrap();
            let own = params(name, true).self_signed(&key).unwrap();
            Self { name, key, own }
        }

        fn vouch(&self, other: &Self, ca: bool) -> String {
            let own = params(self.name, true);
            let issuer = Issuer::from_params(&own, &self.key);
            params(other.name, ca).signed_by(&other.key, &issuer).unwrap().pem()
        }
    }

    #[test]
    fn only_what_is_vouched_for_is_trusted() {
        let (old, new, foreign) = (Ca::new("old"), Ca::new("new"), Ca::new("foreign"));
        // Another key under the trusted name.
        let namesake = Ca::new("old");
        let (o, n, f) = (old.own.pem(), new.own.pem(), foreign.own.pem());
        let cross = old.vouch(&new, true);
        let both = Some(vec![&new, &old]);
        let cases = [
            ("the same", o.clone(), Some(vec![&old])),
            ("roll-over", format!("{n}{o}{cross}{}", new.vouch(&old, true)), both),
            ("without the old one", format!("{n}{cross}"), Some(vec![&new])),
            ("nobody vouches", format!("{n}{o}"), None),
            ("foreign", f.clone(), None),
            ("foreign beside", format!("{o}{f}"), None),
            ("vouched for by itself", format!("{f}{o}{}", foreign.vouch(&old, true)), None),
            ("vouched for by a namesake", format!("{n}{o}{}", namesake.vouch(&new, true)), None),
            ("a chain of vouching", format!("{f}{n}{cross}{}", new.vouch(&foreign, true)), None),
            ("no authority", format!("{n}{}", old.vouch(&new, false)), None),
            ("only what vouches", cross.clone(), None),
            ("nothing", String::new(), None),
            ("too many", o.repeat(9), None),
        ];
        for (name, offered, expected) in cases {
            let got = adopt(&[old.own.der().clone()], &offered).ok();
            let expected = expected.map(|cas| cas.into_iter().map(|ca| ca.own.der().clone()).collect());
            assert_eq!(got, expected, "{name}");
        }
    }
}
