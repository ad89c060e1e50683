//! Fetches bytes that a server keeps beside its reply: `GET /blob/<token>`, with the credentials and the
//! trust of the WebSocket.
//!
//! A token works once and for a minute, so a fetch that fails is never repeated; the statement has to be
//! run again ([`crate::host::query_bytes`]).

use super::MapepireConfig;
use super::binary::{self, Blob};
use super::dial::{MAX_REPLY, STAGE, basic};
use super::trust::{Tls, fault};
use crate::host::{HostError, Rows};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Fetches under way at a time: enough to hide the way there and back.
const AT_ONCE: usize = 4;

/// Most bytes of all cells of a reply together: hex digits are twice as many.
const MOST_BYTES: usize = MAX_REPLY / 2;

/// Fetches bytes from one server.
#[derive(Debug)]
pub(super) struct BlobStore {
    client: reqwest::Client,
}

impl BlobStore {
    /// # Errors
    /// [`HostError::Config`] when this TLS configuration cannot be used.
    pub(super) fn new(tls: &Tls) -> Result<Self, HostError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls.config).clone())
            .no_proxy()
            .https_only(true)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(STAGE)
            .pool_max_idle_per_host(AT_ONCE)
            .build()
            .map_err(|error| HostError::Config(format!("bytes cannot be fetched: {error}")))?;
        Ok(Self { client })
    }

    /// The rows with all bytes in their places.
    ///
    /// # Errors
    /// [`HostError::TooLarge`], [`HostError::Timeout`], [`HostError::Bytes`], [`HostError::Certificate`].
    pub(super) async fn fill(
        &self,
        config: &MapepireConfig,
        tls: &Tls,
        rows: Rows,
        wait: Duration,
    ) -> Result<Rows, HostError> {
        let blobs = binary::kept_beside(&rows);
        if blobs.is_empty() {
            return Ok(rows);
        }
        let total = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        if total > MOST_BYTES as u64 {
            return Err(HostError::TooLarge { address: config.address.clone(), limit: MOST_BYTES });
        }
        let deadline = Instant::now() + wait;
        let fetched: Vec<Vec<u8>> = stream::iter(&blobs)
            .map(|blob| async move {
                match timeout_at(deadline, self.fetch(config, tls, blob)).await {
                    Ok(result) => result,
                    Err(_) => Err(HostError::Timeout {
                        address: config.address.clone(),
                        what: "GET /blob".to_owned(),
                        seconds: wait.as_secs().max(1),
                    }),
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        binary::put_in(&rows, fetched).map_err(|error| HostError::NotMapepire {
            address: config.address.clone(),
            reason: error.to_string(),
            excerpt: String::new(),
        })
    }

    async fn fetch(&self, config: &MapepireConfig, tls: &Tls, blob: &Blob) -> Result<Vec<u8>, HostError> {
        let path = blob.path().ok_or_else(|| HostError::NotMapepire {
            address: config.address.clone(),
            reason: "it names a place for bytes that is none of its own".to_owned(),
            excerpt: String::new(),
        })?;
        let request = self
            .client
            .get(format!("https://{}{path}", config.address))
            .header(AUTHORIZATION, basic(config)?);
        let broken = |error: reqwest::Error| refused(config, tls, &error);
        let mut response = request.send().await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(HostError::Bytes {
                    address: config.address.clone(),
                    reason: "the server does not have them any more".to_owned(),
                    expired: true,
                });
            }
            status => return Err(failed(config, format!("HTTP status {}", status.as_u16()))),
        }
        // What is larger than the whole limit was refused before.
        let size = usize::try_from(blob.size).unwrap_or(MOST_BYTES);
        let mut bytes = Vec::with_capacity(size);
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > size {
                break;
            }
        }
        if bytes.len() == size {
            return Ok(bytes);
        }
        Err(failed(config, format!("they are not the {size} bytes that were announced")))
    }
}

fn failed(config: &MapepireConfig, reason: String) -> HostError {
    HostError::Bytes { address: config.address.clone(), reason, expired: false }
}

fn refused(config: &MapepireConfig, tls: &Tls, error: &reqwest::Error) -> HostError {
    match (certificate_error(error), tls.shown()) {
        (Some(reason), Some(fingerprint)) => {
            HostError::Certificate { address: config.address.clone(), fault: fault(reason), fingerprint }
        }
        _ => {
            // The address with its token is no business of a log.
            let mut reason = String::new();
            let mut next = error.source();
            while let Some(cause) = next {
                reason = cause.to_string();
                next = cause.source();
            }
            failed(config, if reason.is_empty() { "the request failed".to_owned() } else { reason })
        }
    }
}

/// The certificate that an error is about, however deep it lies.
fn certificate_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref::<rustls::Error>() {
            return Some(reason);
        }
        // An io::Error's `source` skips the error that it wraps.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(reason) = certificate_error(inner)
        {
            return Some(reason);
        }
        next = error.source();
    }
    None
}
