//! `Idempotency-Key`: a `POST` that is sent again, because its answer was lost, gets the answer of the first time
//! instead of being done twice.
//!
//! Answers are kept for a day in the store. An answer that carries a secret is kept in memory only, for secrets
//! are stored as hashes. What was under way when the program died may have been done or not: that is said, not
//! guessed.

use super::error::ApiError;
use crate::app::App;
use crate::identity::secret;
use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{Decompress, Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Name of the header.
pub(super) const HEADER: &str = "idempotency-key";
/// Says that an answer is that of the first time.
const REPLAYED: &str = "idempotency-replayed";
/// Prefix of the keys of answers.
pub(crate) const PREFIX: &str = "idempotency/";
/// How long an answer is kept.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A request that has not been answered after this will not be: its client went away.
const LONGEST: SignedDuration = SignedDuration::from_secs(120);
/// Time between two looks for what has expired.
const SWEEP: SignedDuration = SignedDuration::from_mins(5);
/// Answers kept; the oldest give way.
const MAX_KEPT: usize = 2_000;
/// Largest answer that is kept.
const MAX_ANSWER: usize = 32 * 1024;
/// Answers with secrets that are kept in memory.
const MAX_SECRETS: usize = 500;
/// The routes whose bodies, sets of policies, may be larger than others'.
const LARGE: [&str; 4] =
    ["/api/v1/policies/apply", "/api/v1/policies/preview", "/api/v1/rollouts", "/api/v1/rollouts/plan"];
/// Routes whose answers carry a secret.
const SECRET: [&str; 4] =
    ["/api/v1/tokens", "/api/v1/api-tokens", "/api/v1/users", "/api/v1/users/{user}/password"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Being done, by this run of the program.
    Running { run: String },
    /// Done.
    Done { status: u16, content_type: String, etag: Option<String>, body: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// SHA-256 over what was asked.
    request: String,
    at: Timestamp,
    state: State,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// Do it.
    First,
    /// Answer this.
    Again { status: u16, content_type: String, etag: Option<String>, body: String },
}

/// Answers so far.
pub struct Answers {
    store: SharedStore,
    run: String,
    swept: Mutex<Option<Timestamp>>,
    secrets: Mutex<HashMap<String, (Timestamp, String)>>,
}

impl Answers {
    /// Those in a store.
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self {
            store,
            run: secret::hex(&secret::random_bytes::<8>()),
            swept: Mutex::default(),
            secrets: Mutex::default(),
        }
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Timestamp, String)>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request begins, or tells how it ended the first time.
    async fn begin(&self, key: &str, request: &str, now: Timestamp) -> Result<Turn, ApiError> {
        let mut batch = self.sweep(now)?;
        let running =
            Record { request: request.to_owned(), at: now, state: State::Running { run: self.run.clone() } };
        let present = store::get_json::<Record>(&*self.store, key)?;
        let condition = match &present {
            Some(record) if now.duration_since(record.at) < LIFE => {
                return self.again(key, record, request, now);
            }
            Some(record) => Condition::Equals(store::encode(record)),
            None => Condition::Absent,
        };
        batch.put_json(key, condition, &running);
        match self.store.apply(batch).await {
            Ok(()) => Ok(Turn::First),
            // The same at the same time.
            Err(StoreError::Conflict { .. }) => Err(in_progress()),
            Err(error) => Err(error.into()),
        }
    }

    fn again(&self, key: &str, record: &Record, request: &str, now: Timestamp) -> Result<Turn, ApiError> {
        if record.request != request {
            return Err(ApiError::unprocessable(
                "idempotency-key-reused",
                "this Idempotency-Key was used for another request; take a new key for every request",
            ));
        }
        let unknown = |what: &str| {
            Err(ApiError::conflict(
                "idempotency-unknown",
                format!("{what}; look whether it was done, and use another Idempotency-Key"),
            ))
        };
        match &record.state {
            State::Running { run } if *run != self.run => {
                unknown("the controller was restarted while it did this the first time")
            }
            State::Running { .. } if now.duration_since(record.at) > LONGEST => {
                unknown("the first request was broken off before it was answered")
            }
            State::Running { .. } => Err(in_progress()),
            State::Done { status, content_type, etag, body } => {
                let kept = || self.secrets().get(key).map(|(_, body)| body.clone());
                let Some(body) = body.clone().or_else(kept) else {
                    return unknown("it was done the first time, but its answer is not kept");
                };
                Ok(Turn::Again {
                    status: *status,
                    content_type: content_type.clone(),
                    etag: etag.clone(),
                    body,
                })
            }
        }
    }

    /// Deletes what has expired, and the oldest if there are too many, now and then.
    fn sweep(&self, now: Timestamp) -> Result<Batch, StoreError> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::new();
        if swept.is_some_and(|at| now.duration_since(at) < SWEEP) {
            return Ok(batch);
        }
        *swept = Some(now);
        let mut all = store::scan_json::<Record>(&*self.store, PREFIX)?;
        all.sort_by_key(|(_, r)| r.at);
        let surplus = all.len().saturating_sub(MAX_KEPT);
        for (i, (key, record)) in all.into_iter().enumerate() {
            if i < surplus || now.duration_since(record.at) >= LIFE {
                batch.delete(key, Condition::Any);
            }
        }
        self.secrets().retain(|_, (at, _)| now.duration_since(*at) < LIFE);
        Ok(batch)
    }

    /// Keeps how it ended.
    async fn end(&self, key: &str, request: &str, answer: Answer, now: Timestamp) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        if answer.try_again() {
            batch.delete(key, Condition::Any);
        } else {
            let Answer { status, content_type, etag, body, secret } = answer;
            let body = body.filter(|b| b.len() <= MAX_ANSWER);
            if secret && let Some(body) = &body {
                let mut secrets = self.secrets();
                if secrets.len() >= MAX_SECRETS
                    && let Some(oldest) =
                        secrets.iter().min_by_key(|(_, (at, _))| *at).map(|(k, _)| k.clone())
                {
                    secrets.remove(&oldest);
                }
                secrets.insert(key.to_owned(), (now, body.clone()));
            }
            let state = State::Done { status, content_type, etag, body: body.filter(|_| !secret) };
            batch.put_json(key, Condition::Any, &Record { request: request.to_owned(), at: now, state });
        }
        self.store.apply(batch).await
    }
}

fn in_progress() -> ApiError {
    ApiError::conflict(
        "idempotency-running",
        "the first request with this key is still under way; try again soon",
    )
}

struct Answer {
    status: u16,
    content_type: String,
    etag: Option<String>,
    body: Option<String>,
    secret: bool,
}

impl Answer {
    /// Nothing was done for a reason that passes.
    fn try_again(&self) -> bool {
        self.status >= 500 || self.status == StatusCode::TOO_MANY_REQUESTS.as_u16()
    }
}

/// The key in the store of a user's key.
fn store_key(user: &str, key: &str) -> String {
    format!("{PREFIX}{}", secret::sha256_hex(format!("{user}\0{key}").as_bytes()))
}

/// Lets a request with a key through the first time, and answers as then later.
///
/// # Errors
/// If the key cannot be used, or was used for something else.
pub(super) async fn once(
    user: &str,
    pattern: &str,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Err(ApiError::unavailable("the controller is not ready", 1).into());
    };
    let text = request.headers().get(HEADER).and_then(|h| h.to_str().ok()).unwrap_or("");
    if text.is_empty() || text.len() > 255 {
        return Err(ApiError::bad_request(
            "idempotency-key",
            "the Idempotency-Key must have 1 to 255 printable ASCII characters, such as a UUID",
        )
        .into());
    }
    let key = store_key(user, text);
    let largest = if LARGE.contains(&pattern) { super::policy_set::MAX_SET } else { super::MAX_BODY };
    let body = read(&mut request, largest).await?;
    let fingerprint = fingerprint(&request, &body);
    give_back(&mut request, body);
    match app.answers.begin(&key, &fingerprint, Timestamp::now()).await? {
        Turn::First => {}
        Turn::Again { status, content_type, etag, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = HttpResponse::build(status);
            response.insert_header((REPLAYED, "true"));
            if !content_type.is_empty() {
                response.insert_header((header::CONTENT_TYPE, content_type));
            }
            if let Some(etag) = etag {
                response.insert_header((header::ETAG, etag));
            }
            return Ok(request.into_response(response.body(body)));
        }
    }
    let secret = SECRET.contains(&pattern);
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            let problem = error.as_response_error().error_response();
            let body = to_bytes_limited(problem.into_body(), MAX_ANSWER).await;
            let body = body.ok().and_then(Result::ok).and_then(|b| String::from_utf8(b.to_vec()).ok());
            let content_type = muster_proto::api::PROBLEM_CONTENT_TYPE.to_owned();
            let answer = Answer { status, content_type, etag: None, body, secret: false };
            app.answers.end(&key, &fingerprint, answer, Timestamp::now()).await.map_err(ApiError::from)?;
            return Err(error);
        }
    };
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes_limited(body, super::MAX_BODY).await;
    let body =
        body.ok().and_then(Result::ok).ok_or_else(|| ApiError::unavailable("the answer was lost", 1))?;
    let header = |name: header::HeaderName| {
        response.headers().get(name).and_then(|h| h.to_str().ok()).map(str::to_owned)
    };
    let answer = Answer {
        status: response.status().as_u16(),
        content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
        etag: header(header::ETAG),
        body: String::from_utf8(body.to_vec()).ok(),
        secret,
    };
    app.answers.end(&key, &fingerprint, answer, Timestamp::now()).await.map_err(ApiError::from)?;
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
}

/// The whole body, decompressed.
async fn read(request: &mut ServiceRequest, largest: usize) -> Result<Bytes, ApiError> {
    let payload = request.take_payload();
    let mut stream = Decompress::from_headers(payload, request.headers());
    let mut body = BytesMut::new();
    while let Some(part) = stream.next().await {
        let part = part
            .map_err(|e| ApiError::bad_request("body-unreadable", format!("the body cannot be read: {e}")))?;
        if body.len() + part.len() > largest {
            return Err(ApiError::too_large(largest));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// SHA-256 over what a request asks.
fn fingerprint(request: &ServiceRequest, body: &Bytes) -> String {
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], header::HeaderValue::as_bytes);
    let mut text = format!("{} {}\0", request.method(), request.uri()).into_bytes();
    text.extend_from_slice(kind);
    text.push(0);
    text.extend_from_slice(body);
    secret::sha256_hex(&text)
}

/// Gives the body that was read, decompressed, to the handler.
fn give_back(request: &mut ServiceRequest, body: Bytes) {
    let length = header::HeaderValue::from(body.len());
    let headers = request.headers_mut();
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, length);
    request.set_payload(Payload::from(body));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use actix_web::ResponseError as _;
    use std::sync::Arc;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn answer(status: u16, body: &str, secret: bool) -> Answer {
        Answer {
            status,
            content_type: "application/json".into(),
            etag: None,
            body: Some(body.into()),
            secret,
        }
    }

    async fn begin(answers: &Answers, request: &str, now: i64) -> Result<String, u16> {
        match answers.begin("idempotency/k", request, at(now)).await {
            Ok(Turn::First) => Ok("first".to_owned()),
            Ok(Turn::Again { status, body, .. }) => Ok(format!("{status} {body}")),
            Err(error) => Err(error.status_code().as_u16()),
        }
    }

    async fn end(answers: &Answers, answer: Answer, now: i64) {
        answers.end("idempotency/k", "r", answer, at(now)).await.unwrap();
    }

    #[tokio::test]
    async fn the_answer_of_the_first_time_is_given_again() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let answers = Answers::new(Arc::clone(&store));
        assert_eq!(begin(&answers, "r", 0).await, Ok("first".to_owned()));
        assert_eq!(begin(&answers, "r", 1).await, Err(409), "under way");
        assert_eq!(begin(&answers, "r", 200).await, Err(409), "broken off");
        end(&answers, answer(201, "{}", false), 2).await;
        assert_eq!(begin(&answers, "r", 3).await, Ok("201 {}".to_owned()));
        assert_eq!(begin(&answers, "other", 3).await, Err(422));
        let restarted = Answers::new(Arc::clone(&store));
        assert_eq!(begin(&restarted, "r", 4).await, Ok("201 {}".to_owned()));
        assert_eq!(begin(&restarted, "other", 2 + 24 * 3_600).await, Ok("first".to_owned()), "expired");
    }

    #[tokio::test]
    async fn what_a_crash_left_open_is_not_done_again() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        assert_eq!(begin(&Answers::new(Arc::clone(&store)), "r", 0).await, Ok("first".to_owned()));
        assert_eq!(begin(&Answers::new(store), "r", 1).await, Err(409));
    }

    #[tokio::test]
    async fn what_failed_for_now_may_be_tried_again() {
        for status in [500, 503, 429] {
            let answers = Answers::new(Arc::new(MemoryStore::default()));
            assert_eq!(begin(&answers, "r", 0).await, Ok("first".to_owned()));
            end(&answers, answer(status, "{}", false), 1).await;
            assert_eq!(begin(&answers, "r", 2).await, Ok("first".to_owned()), "{status}");
        }
    }

    #[tokio::test]
    async fn secrets_are_not_stored() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let answers = Answers::new(Arc::clone(&store));
        assert_eq!(begin(&answers, "r", 0).await, Ok("first".to_owned()));
        end(&answers, answer(201, "musters1.secret", true), 1).await;
        assert_eq!(begin(&answers, "r", 2).await, Ok("201 musters1.secret".to_owned()));
        for (_, value) in store.snapshot().unwrap() {
            assert!(!String::from_utf8(value).unwrap().contains("musters1.secret"));
        }
        assert_eq!(begin(&Answers::new(store), "r", 3).await, Err(409), "not known any more after a restart");
    }

    #[tokio::test]
    async fn answers_are_bounded() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let answers = Answers::new(Arc::clone(&store));
        for i in 0..MAX_KEPT + 10 {
            let key = format!("{PREFIX}{i:05}");
            let state = State::Running { run: String::new() };
            let mut batch = Batch::new();
            let second = i64::try_from(i).unwrap();
            batch.put_json(key, Condition::Any, &Record { request: String::new(), at: at(second), state });
            store.apply(batch).await.unwrap();
        }
        assert_eq!(begin(&answers, "r", 3_000).await, Ok("first".to_owned()));
        let left = store.scan(PREFIX, None, usize::MAX).unwrap();
        assert_eq!(left.len(), MAX_KEPT + 1);
        assert_eq!(left[0].0, format!("{PREFIX}00010"), "the oldest gave way");
    }
}
