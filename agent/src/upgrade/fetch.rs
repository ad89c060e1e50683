//! Fetches a package from the controller: resumed where it broke off, patient with a busy controller, bounded.

use super::Access;
use super::disk::{Disk, DiskFile, RESERVE, free_bytes};
use super::offer::OfferedFile;
use crate::uplink::failure::{classify, problem_text};
use muster_package::manifest::{MAX_MANIFEST, MAX_SIZE};
use reqwest::{Response, StatusCode, Url, header};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::{debug, info};

/// Beginning of the paths of packages at a controller.
const PATH: &str = "/v1/packages/";
/// Most bytes of a refusal's body that are read.
const MAX_REFUSAL: usize = 8 * 1024;
/// Largest package file: its files and what stands before them.
const MAX_PACKAGE: u64 = MAX_SIZE + 2 * MAX_MANIFEST as u64;
/// For connecting and for the head of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// For the next piece of the body.
const PIECE: Duration = Duration::from_secs(60);
/// Longest pause before the next try, unless the controller asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause that the controller may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// Shortest time between two words about the progress.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why a fetch ended.
enum Stop {
    /// It may go on where it is, after a pause.
    Later(Option<Duration>, String),
    /// It will not get better.
    Never(String),
}

/// What is fetched, and to where.
pub struct Fetch<'f> {
    /// The controller that is connected; it may change meanwhile.
    pub access: watch::Receiver<Option<Access>>,
    /// The file.
    pub file: &'f OfferedFile,
    /// Where it goes.
    pub part: &'f Path,
    /// Writes it.
    pub disk: &'f dyn Disk,
    /// Is told the percent and the bytes a second.
    pub tell: &'f dyn Fn(f64, f64),
    /// Why it broke off last; for whoever gives up.
    pub last: RefCell<String>,
}

impl Fetch<'_> {
    /// Fetches until the file is there. The caller sets the deadline; what came so far stays for the next time.
    ///
    /// # Errors
    /// What keeps it from ever coming, and what to do.
    pub async fn run(&self) -> Result<(), String> {
        let mut tries = 0_u32;
        let mut connected = self.access.clone();
        loop {
            // What is connected now: its address, and a certificate that may have been renewed.
            let access = match connected.wait_for(Option::is_some).await {
                Ok(access) => access.clone(),
                Err(_) => return Err("the agent ends".to_owned()),
            };
            let Some(access) = access else { continue };
            let url = self.url(&access)?;
            let before = self.length();
            match self.once(&client(&access)?, &url).await {
                Ok(()) => return Ok(()),
                Err(Stop::Never(why)) => {
                    // Of no use, and in the way of events.
                    let _ = self.disk.remove(self.part);
                    return Err(why);
                }
                Err(Stop::Later(asked, why)) => {
                    self.last.replace(why.clone());
                    tries = if self.length() > before { 0 } else { tries.saturating_add(1) };
                    let pause = pause(asked, tries, rand::random());
                    info!(why, pause_ms = pause.as_millis(), "download of a package broke off, goes on");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Where it is at the connected controller: of the offered address the path alone counts, so that nobody else is ever
    /// asked with this agent's certificate, and any controller will do.
    fn url(&self, access: &Access) -> Result<Url, String> {
        let shown: String = self.file.url.chars().take(200).collect();
        let offered = Url::parse(&self.file.url)
            .map_err(|error| format!("the package's address `{shown}`: {error}"))?;
        if !offered.path().starts_with(PATH) {
            return Err(format!(
                "the package's address `{shown}` is no place of packages ({PATH}…): refused"
            ));
        }
        let mut url = access.endpoint.http_url().clone();
        url.set_path(offered.path());
        Ok(url)
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.part).map_or(0, |found| found.len())
    }

    async fn once(&self, client: &reqwest::Client, url: &Url) -> Result<(), Stop> {
        let have = self.length();
        let mut request = client.get(url.clone());
        if have > 0 {
            request = request
                .header(header::RANGE, format!("bytes={have}-"))
                .header(header::IF_RANGE, format!("\"{}\"", self.file.sha256));
        }
        let later = |error: &reqwest::Error| Stop::Later(None, classify(url.as_str(), error).to_string());
        let response = tokio::time::timeout(ANSWER * 2, request.send())
            .await
            .map_err(|_| Stop::Later(None, format!("{url} does not answer")))?
            .map_err(|error| later(&error))?;
        let (start, total) = match response.status() {
            StatusCode::OK => (0, response.content_length()),
            StatusCode::PARTIAL_CONTENT => range(&response).map(|(start, total)| (start, Some(total)))?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                // More is here than there is: it is something else.
                self.remove()?;
                return Err(Stop::Later(None, "the file is shorter than what is here".to_owned()));
            }
            _ => return Err(refused(url, response).await),
        };
        let total =
            total.ok_or_else(|| Stop::Never(format!("{url} does not say how large the package is")))?;
        if total > MAX_PACKAGE {
            return Err(Stop::Never(format!("the package has {total} bytes, more than {MAX_PACKAGE}")));
        }
        if start != 0 && start != have {
            return Err(Stop::Never(format!("{url} answers from byte {start} instead of {have}")));
        }
        let missing = (total - start).saturating_add(RESERVE);
        if let Some(free) = self.part.parent().and_then(free_bytes).filter(|free| *free < missing) {
            return Err(Stop::Never(format!(
                "{free} bytes are free on the disk of the agent's state folder, {missing} are needed: upgrades leave \
                 some for cursors and spools; make room"
            )));
        }
        self.take(response, start, total).await
    }

    async fn take(&self, mut response: Response, start: u64, total: u64) -> Result<(), Stop> {
        let mut file = self.disk.open(self.part, start > 0).map_err(|e| self.cannot_write(&e))?;
        let (began, mut told, mut have) = (Instant::now(), None::<Instant>, start);
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    // What came is kept.
                    file.sync().map_err(|e| self.cannot_write(&e))?;
                    return Err(Stop::Later(None, classify(&self.file.url, &error).to_string()));
                }
            };
            have += piece.len() as u64;
            if have > total {
                return Err(Stop::Never("more bytes come than the package has".to_owned()));
            }
            file.write_all(&piece).map_err(|e| self.cannot_write(&e))?;
            if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                self.tell_progress(have, start, total, began.elapsed());
            }
        }
        finish(&mut *file).map_err(|e| self.cannot_write(&e))?;
        if have < total {
            return Err(Stop::Later(None, format!("{have} of {total} bytes came")));
        }
        self.tell_progress(have, start, total, began.elapsed());
        debug!(bytes = total, "package fetched");
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)] // for people
    fn tell_progress(&self, have: u64, start: u64, total: u64, took: Duration) {
        let rate = (have - start) as f64 / took.as_secs_f64().max(0.001);
        (self.tell)(have as f64 * 100.0 / total.max(1) as f64, rate);
    }

    fn remove(&self) -> Result<(), Stop> {
        self.disk.remove(self.part).map_err(|e| self.cannot_write(&e))
    }

    /// A full disk does not get emptier by trying, and what lies there is in the way of events.
    fn cannot_write(&self, error: &std::io::Error) -> Stop {
        // The reason is told; that the rest could not be removed either adds nothing.
        let _ = self.disk.remove(self.part);
        let hint = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on its disk",
            _ => "",
        };
        Stop::Never(format!("the package cannot be written to {}: {error}{hint}", self.part.display()))
    }
}

fn client(access: &Access) -> Result<reqwest::Client, String> {
    let failed = |error: reqwest::Error| format!("the download cannot be prepared: {error}");
    let builder = match &access.proxy {
        Some(proxy) => reqwest::Client::builder().proxy(proxy.for_client().map_err(failed)?),
        None => reqwest::Client::builder().no_proxy(),
    };
    builder
        .tls_backend_preconfigured((*access.tls).clone())
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(ANSWER)
        .read_timeout(PIECE)
        .build()
        .map_err(failed)
}

fn finish(file: &mut dyn DiskFile) -> std::io::Result<()> {
    file.flush()?;
    file.sync()
}

/// Start and whole length of a partial answer: `bytes 100-199/1000` (RFC 9110, section 14.4).
fn range(response: &Response) -> Result<(u64, u64), Stop> {
    let text = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let read = |text: &str| {
        let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        Some((span.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
    };
    text.and_then(read)
        .ok_or_else(|| Stop::Never("the controller answers with a range that cannot be read".to_owned()))
}

/// What an answer that is no file means.
async fn refused(url: &Url, mut response: Response) -> Stop {
    let code = response.status();
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    // The status says enough if its text does not come.
    let read = async {
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece[..piece.len().min(MAX_REFUSAL - body.len())]);
            if body.len() == MAX_REFUSAL {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ANSWER, read).await;
    let text = format!("{url} answers {code}: {}", problem_text(&body));
    match code {
        // A certificate that was renewed meanwhile, or an agent that is looked at: another try may do.
        StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN => Stop::Later(asked.map(Duration::from_secs), text),
        _ if code.is_server_error() => Stop::Later(asked.map(Duration::from_secs), text),
        _ => Stop::Never(text),
    }
}

/// How long to wait before the next try: what the controller asks for, else longer with every try without progress;
/// spread over a half, so that a fleet does not come at once.
fn pause(asked: Option<Duration>, tries: u32, jitter: f64) -> Duration {
    let base = match asked {
        Some(asked) => asked.clamp(Duration::from_secs(1), LONGEST_ASKED),
        None => Duration::from_secs(1).saturating_mul(1 << tries.min(6)).min(LONGEST_PAUSE),
    };
    base + base.mul_f64(jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let seconds = |asked: Option<u64>, tries, jitter| {
            pause(asked.map(Duration::from_secs), tries, jitter).as_secs_f64()
        };
        assert_eq!(seconds(None, 0, 0.0), 1.0);
        assert_eq!(seconds(None, 3, 1.0), 12.0);
        assert_eq!(seconds(None, 40, 0.0), 60.0);
        assert_eq!(seconds(Some(7), 40, 0.0), 7.0);
        assert_eq!(seconds(Some(0), 0, 0.0), 1.0);
        assert_eq!(seconds(Some(86_400), 0, 0.0), 300.0);
    }
}
