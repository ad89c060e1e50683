//! OpAMP over plain HTTP: each message is a POST, its answer the response. One request at a time. Larger
//! reports travel compressed, and so may answers; sizes count without compression.

use super::{Abandoned, LinkEvent, LinkRequest, closed_by_us, shown, tell};
use crate::uplink::failure::{Failure, classify, status};
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use muster_proto::opamp::{
    AgentToServer, CONTENT_TYPE, INCARNATION_HEADER, INSTANCE_UID_HEADER, ServerToAgent, frame,
};
use muster_shared::incarnation::Claim;
use reqwest::header;
use std::io::{self, Write};
use tokio::sync::mpsc;

/// Most bytes of a refusal's body that are read.
const MAX_REFUSAL_BODY: usize = 8 * 1024;

const GZIP: &str = "gzip";

/// Reports from this size on are compressed: below it hardly anything is saved.
const COMPRESS_FROM: usize = 1024;

/// Runs one connection to its end.
pub(super) async fn run(
    request: LinkRequest,
    mut to_send: mpsc::Receiver<AgentToServer>,
    report: &mpsc::Sender<LinkEvent>,
) -> Failure {
    let client = match client(&request) {
        Ok(client) => client,
        Err(failure) => return failure,
    };
    let carried: Result<Failure, Abandoned> = async {
        tell(report, LinkEvent::Opened).await?;
        while let Some(message) = to_send.recv().await {
            match exchange(&client, &request, &message).await {
                Ok((claim, answer)) => {
                    if let Some(claim) = claim {
                        tell(report, LinkEvent::Incarnation(claim)).await?;
                    }
                    tell(report, LinkEvent::Message(Box::new(answer))).await?;
                }
                Err(failure) => return Ok(failure),
            }
            tell(report, LinkEvent::Written).await?;
        }
        Ok(closed_by_us(&request.endpoint))
    }
    .await;
    carried.unwrap_or_else(|Abandoned| closed_by_us(&request.endpoint))
}

fn client(request: &LinkRequest) -> Result<reqwest::Client, Failure> {
    let failed = |error: reqwest::Error| classify(&request.endpoint.to_string(), &error);
    let builder = match &request.proxy {
        Some(proxy) => reqwest::Client::builder().proxy(proxy.for_client().map_err(failed)?),
        None => reqwest::Client::builder().no_proxy(),
    };
    builder
        .tls_backend_preconfigured((*request.tls).clone())
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(request.deadlines.open)
        .timeout(request.deadlines.open + request.deadlines.answer)
        .pool_max_idle_per_host(1)
        .build()
        .map_err(failed)
}

async fn exchange(
    client: &reqwest::Client,
    request: &LinkRequest,
    message: &AgentToServer,
) -> Result<(Option<Claim>, ServerToAgent), Failure> {
    let url = request.endpoint.to_string();
    let misspoken = |error: frame::FrameError| Failure::Protocol(format!("controller at {url}: {error}"));
    let body = frame::encode_plain(message, request.max_message).map_err(misspoken)?;
    let mut post = client
        .post(request.endpoint.http_url().clone())
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .header(header::ACCEPT_ENCODING, GZIP);
    post = match (body.len() >= COMPRESS_FROM).then(|| compressed(&body)).flatten() {
        Some(small) => post.header(header::CONTENT_ENCODING, GZIP).body(small),
        None => post.body(body),
    };
    if let Ok(uid) = uuid::Uuid::from_slice(&message.instance_uid) {
        post = post.header(INSTANCE_UID_HEADER, uid.hyphenated().to_string());
    }
    if let Some(token) = &request.bearer {
        post = post.bearer_auth(token.as_str());
    }
    if let Some(claim) = &request.incarnation {
        post = post.header(INCARNATION_HEADER, claim.to_string());
    }
    let response = post.send().await.map_err(|error| match &request.proxy {
        Some(proxy) => proxy.classify(&request.endpoint, &error),
        None => classify(&url, &error),
    })?;
    let code = response.status();
    if !code.is_success() {
        let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
        let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
        // The status says enough if its text does not come.
        let body = match read(response, MAX_REFUSAL_BODY).await {
            Ok(Read::Whole(body) | Read::Cut(body)) => body,
            Ok(Read::Damaged) | Err(_) => Vec::new(),
        };
        return Err(status(&url, code.as_u16(), retry_after, &body, jiff::Timestamp::now()));
    }
    let claim = shown(response.headers());
    match read(response, request.max_message).await.map_err(|error| classify(&url, &error))? {
        Read::Whole(body) => {
            let answer = frame::decode_plain(&body, request.max_message).map_err(misspoken)?;
            Ok((claim, answer))
        }
        Read::Cut(body) => {
            Err(misspoken(frame::FrameError::TooBig { bytes: body.len() + 1, limit: request.max_message }))
        }
        Read::Damaged => Err(Failure::Protocol(format!("controller at {url} sends a damaged gzip body"))),
    }
}

/// The body as gzip; `None` if that cannot be made, which memory alone could cause.
fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// A body, as far as the limit allows.
enum Read {
    Whole(Vec<u8>),
    Cut(Vec<u8>),
    /// No gzip, although it says so.
    Damaged,
}

/// Takes bytes up to a limit; one more is an error.
struct Limited {
    body: Vec<u8>,
    limit: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.limit - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads and inflates a body; neither side of it grows beyond the limit.
async fn read(mut response: reqwest::Response, limit: usize) -> Result<Read, reqwest::Error> {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    let gzip = encoding.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes()));
    let place = Limited { body: Vec::new(), limit };
    if !gzip {
        let mut place = place;
        while let Some(chunk) = response.chunk().await? {
            if place.write_all(&chunk).is_err() {
                return Ok(Read::Cut(place.body));
            }
        }
        return Ok(Read::Whole(place.body));
    }
    let mut decoder = GzDecoder::new(place);
    while let Some(chunk) = response.chunk().await? {
        if let Err(error) = decoder.write_all(&chunk) {
            return Ok(broken(&error, decoder.get_mut()));
        }
    }
    match decoder.try_finish() {
        Ok(()) => Ok(Read::Whole(std::mem::take(&mut decoder.get_mut().body))),
        Err(error) => Ok(broken(&error, decoder.get_mut())),
    }
}

fn broken(error: &io::Error, place: &mut Limited) -> Read {
    if error.kind() == io::ErrorKind::FileTooLarge {
        Read::Cut(std::mem::take(&mut place.body))
    } else {
        Read::Damaged
    }
}
