//! PEM text: is it there, is it base64, is it one DER structure of the right length. Dates, names and
//! signatures are the business of the TLS library when it connects.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Checks that a text holds certificates in PEM form, one or more, and nothing that should stay secret.
///
/// # Errors
/// What is wrong, for people.
pub fn check_certificates(pem: &str) -> Result<(), String> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(
            "holds a private key, which a policy must never carry; give the certificate alone and replace \
                    that key"
                .to_owned(),
        );
    }
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        count += 1;
        let der = certificate.map_err(|error| format!("certificate {count} is no PEM text: {error}"))?;
        if der_length(&der) != Some(der.len()) {
            return Err(format!(
                "certificate {count} is cut off or damaged: its length does not fit its content"
            ));
        }
    }
    if count == 0 {
        return Err("holds no certificate; paste the text from -----BEGIN CERTIFICATE----- to \
                    -----END CERTIFICATE-----"
            .to_owned());
    }
    Ok(())
}

/// Length of the DER sequence that begins here, with its head.
fn der_length(der: &[u8]) -> Option<usize> {
    let (&[0x30, first], rest) = der.split_first_chunk::<2>()? else { return None };
    if first < 0x80 {
        return Some(2 + usize::from(first));
    }
    let digits = usize::from(first & 0x7f);
    if !(1..=4).contains(&digits) {
        return None;
    }
    let length = rest.get(..digits)?.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
    length.checked_add(2 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEQUENCE of 3 bytes: the least that has the outer form of a certificate.
    const GOOD: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";

    #[test]
    fn outer_form_is_checked() {
        assert_eq!(check_certificates(GOOD), Ok(()));
        assert_eq!(check_certificates(&format!("# our authority\n{GOOD}{GOOD}")), Ok(()));
        let cases = [
            ("", "holds no certificate"),
            ("hello", "holds no certificate"),
            (
                "-----BEGIN CERTIFICATE-----\nMAQCAQU=\n-----END CERTIFICATE-----\n",
                "certificate 1 is cut off",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nMQMCAQU=\n-----END CERTIFICATE-----\n",
                "certificate 1 is cut off",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nM*MCAQU=\n-----END CERTIFICATE-----\n",
                "certificate 1 is no PEM text",
            ),
            ("-----BEGIN CERTIFICATE-----\nMAMCAQU=\n", "certificate 1 is no PEM text"),
            ("-----BEGIN PRIVATE KEY-----\nMAMCAQU=\n-----END PRIVATE KEY-----\n", "holds a private key"),
        ];
        for (pem, expected) in cases {
            let error = check_certificates(pem).unwrap_err();
            assert!(error.starts_with(expected), "{pem:?}: {error}");
        }
    }
}
