//! The server's certificate: self-signed like that of most sites, or given.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate ready to serve.
#[derive(Debug, Clone)]
pub struct Identity {
    /// For the acceptor.
    pub config: Arc<ServerConfig>,
    /// What a client must trust, in PEM.
    pub ca_pem: String,
}

/// Makes a self-signed certificate for `localhost`, 127.0.0.1, ::1 and the host name. With a folder it is kept
/// there as `cert.pem` and `key.pem`, and taken from there when it is there already.
///
/// # Errors
/// When the files cannot be read or written, or do not fit together.
pub fn identity(host: &str, folder: Option<&Path>) -> anyhow::Result<Identity> {
    if let Some(folder) = folder {
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        if cert.exists() && key.exists() {
            let cert = std::fs::read_to_string(&cert).with_context(|| format!("read {}", cert.display()))?;
            let key = std::fs::read_to_string(&key).with_context(|| format!("read {}", key.display()))?;
            return load(&cert, &key);
        }
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = host.to_ascii_lowercase();
    if !names.contains(&host) {
        names.push(host.clone());
    }
    let mut params = CertificateParams::new(names).context("names of the certificate")?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.distinguished_name.push(DnType::OrganizationalUnitName, "Web Socket Server");
    params.distinguished_name.push(DnType::OrganizationName, "Db2 for IBM i");
    let key = KeyPair::generate().context("make a key")?;
    let cert = params.self_signed(&key).context("sign the certificate")?;
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        std::fs::write(folder.join("cert.pem"), cert.pem()).context("write cert.pem")?;
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).context("write key.pem")?;
    }
    load(&cert.pem(), &key.serialize_pem())
}

fn load(cert: &str, key: &str) -> anyhow::Result<Identity> {
    let chain = CertificateDer::pem_slice_iter(cert.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("read the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("read the key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key do not fit")?;
    // No session tickets: they arrive right behind the handshake, and the published Python client reads on one thread
    // while it writes its request on another, over one TLS object of Python, which then may lose the request.
    config.send_tls13_tickets = 0;
    Ok(Identity { config: Arc::new(config), ca_pem: cert.to_owned() })
}
