//! TLS 1.2 and 1.3 (RFC 5425): own or the system's authorities, a client certificate, the name check that
//! nothing can switch off.

use super::error::{TransportError, explain};
use crate::destination::config::{Address, ClientCertificate, TlsSettings};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

/// Longest handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Largest certificate or key file.
const MAX_FILE: u64 = 1024 * 1024;

/// Builds the settings of one connection; the client certificate is read from disk each time, so that a
/// renewed one is used without a restart.
pub(super) async fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TransportError> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TransportError::Setup)?
            .with_root_certificates(roots(settings)?);
    let Some(files) = &settings.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = read_client_certificate(files).await?;
    builder.with_client_auth_cert(chain, key).map_err(|error| TransportError::ClientCertificate {
        path: files.certificate.clone(),
        reason: format!("{error}; certificate and key must belong together"),
    })
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, TransportError> {
    let mut store = RootCertStore::empty();
    match &settings.roots {
        Some(roots) => {
            store.add_parsable_certificates(roots.iter().cloned());
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err(TransportError::NoRoots);
    }
    Ok(store)
}

async fn read_client_certificate(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TransportError> {
    let fail =
        |path: &Path, reason: String| TransportError::ClientCertificate { path: path.to_owned(), reason };
    let pem = read_bounded(&files.certificate).await?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| {
        fail(&files.certificate, format!("{error}; it must hold PEM certificates, leaf first"))
    })?;
    if chain.is_empty() {
        return Err(fail(&files.certificate, "it holds no PEM certificate".to_owned()));
    }
    let pem = read_bounded(&files.key).await?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        fail(&files.key, "it holds no PEM private key; encrypted keys cannot be used".to_owned())
    })?;
    Ok((chain, key))
}

async fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let fail = |error: std::io::Error| TransportError::ClientCertificate {
        path: path.to_owned(),
        reason: format!("{error}; put it into the agent's secrets folder, readable by the agent"),
    };
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut bytes).await.map_err(fail)?;
    Ok(bytes)
}

/// Does the handshake on a connected stream.
pub(super) async fn handshake(
    address: &Address,
    settings: &TlsSettings,
    config: ClientConfig,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TransportError> {
    let connector = TlsConnector::from(Arc::new(config));
    match timeout(HANDSHAKE_LIMIT, connector.connect(settings.server_name.clone(), stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(TransportError::Tls { address: address.to_string(), reason: explain(&error) }),
        Err(_) => {
            Err(TransportError::HandshakeTimeout { address: address.to_string(), after: HANDSHAKE_LIMIT })
        }
    }
}
