//! One signed-on connection: requests out, the matching replies in.
//!
//! The server runs every request on a thread of its own, so replies may come in any order; they are
//! matched by id. A reply to a request that was sent ahead is put aside until somebody asks for it; one to a
//! request that nobody waits for any more is skipped.

use super::MapepireConfig;
use super::binary::ByteForm;
use super::dial::{MAX_REPLY, Socket, dial};
use super::envelope::{self, Envelope};
use super::trust::Tls;
use crate::host::{HostError, Rows, SqlError};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use muster_proto::mapepire::{Request, RequestKind};
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tracing::{debug, info};

/// Properties of the database connection: SQL naming, times in ISO form, long error texts.
const PROPS: &str = "naming=sql;date format=iso;time format=iso;errors=full";

/// Name the agent gives itself; seen in the partition's job as the client application.
const APPLICATION: &str = "Muster";

/// Longest wait for the sign-on: the host server job may have to be started.
const SIGN_ON: Duration = Duration::from_secs(30);

/// Most bytes of replies that are put aside.
const MOST_ASIDE: usize = 2 * MAX_REPLY;

/// A reply: its text and its envelope.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) text: Bytes,
    pub(super) envelope: Envelope,
}

/// A request whose reply is awaited.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    id: u64,
    what: String,
    deadline: Instant,
    wait: Duration,
}

impl Asked {
    /// Number of the request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Until when its reply is waited for.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Counts the wait from now on: a request that was sent ahead may have been left alone for long, and its
    /// reply of megabytes is still to be read.
    pub(super) fn renew(&mut self) {
        self.deadline = Instant::now() + self.wait;
    }
}

/// Called at each reply.
pub(super) type Answered = Rc<dyn Fn()>;

pub(super) struct Session {
    socket: Socket,
    address: String,
    last_id: u64,
    /// Handle of each registered statement that is prepared on this connection.
    pub(super) handles: Vec<Option<String>>,
    /// How this server takes bytes, once it is known.
    byte_form: Option<ByteForm>,
    /// Requests that were sent ahead and are not answered.
    ahead: BTreeSet<u64>,
    /// Replies to such, in the order in which they came.
    aside: VecDeque<(u64, Reply)>,
    answered: Answered,
}

impl Session {
    /// Dials and signs on. `before`: how often this connection did so; where it did, nobody was asked whether it
    /// may do so now.
    pub(super) async fn open(
        config: &MapepireConfig,
        tls: &Tls,
        answered: &Answered,
        before: u64,
    ) -> Result<Self, HostError> {
        let socket = dial(config, tls).await?;
        let (address, answered) = (config.address.clone(), Rc::clone(answered));
        let mut session = Self {
            socket,
            address,
            last_id: 0,
            handles: Vec::new(),
            byte_form: None,
            ahead: BTreeSet::new(),
            aside: VecDeque::new(),
            answered,
        };
        let turn = config.password.sign_ons.enter(before > 0, Instant::now).await?;
        let reply = session.ask("connect", SIGN_ON, |id| Request::connect(id, PROPS, APPLICATION)).await?;
        if !reply.envelope.success {
            return Err(turn.refused(sign_on_error(config, reply.envelope), Instant::now()));
        }
        turn.accepted();
        let job = reply.envelope.job.unwrap_or_default();
        let reply =
            session.ask("getversion", SIGN_ON, |id| Request::plain(id, RequestKind::GetVersion)).await?;
        let version = reply.envelope.version.unwrap_or_default();
        info!(
            address = config.address,
            job,
            server_version = version,
            reconnects = before,
            "connected to the partition"
        );
        Ok(session)
    }

    /// Sends the request that `make` builds and waits for its reply.
    pub(super) async fn ask<'a>(
        &mut self,
        what: &str,
        wait: Duration,
        make: impl FnOnce(String) -> Request<'a>,
    ) -> Result<Reply, HostError> {
        let asked = self.send(what, wait, make).await?;
        self.receive(&asked).await
    }

    /// Sends the request that `make` builds.
    pub(super) async fn send<'a>(
        &mut self,
        what: &str,
        wait: Duration,
        make: impl FnOnce(String) -> Request<'a>,
    ) -> Result<Asked, HostError> {
        self.last_id += 1;
        let id = self.last_id;
        let asked = Asked { id, what: label(what), deadline: Instant::now() + wait, wait };
        let text = make(id.to_string())
            .to_json()
            .map_err(|error| HostError::Config(format!("a request cannot be written: {error}")))?;
        match timeout_at(asked.deadline, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(asked),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.late(&asked)),
        }
    }

    /// Lets the reply to `asked` be put aside until [`Session::receive_ahead`] asks for it.
    pub(super) fn await_later(&mut self, asked: &Asked) {
        self.ahead.insert(asked.id);
    }

    /// Closes a handle without waiting: its cursor ends on the server, the reply says nothing.
    pub(super) async fn close(&mut self, handle: String, wait: Duration) -> Result<(), HostError> {
        self.send("sqlclose", wait, |id| Request::close(id, handle)).await.map(|_| ())
    }

    /// Waits for the reply to `asked`.
    pub(super) async fn receive(&mut self, asked: &Asked) -> Result<Reply, HostError> {
        loop {
            let reply = self.next(asked).await?;
            if reply.envelope.id.parse() == Ok(asked.id) {
                return Ok(reply);
            }
            self.put_aside(reply)?;
        }
    }

    /// Waits for the next reply to any request that was sent ahead; `due` is the one whose time ends first.
    pub(super) async fn receive_ahead(&mut self, due: &Asked) -> Result<(u64, Reply), HostError> {
        loop {
            if let Some(first) = self.aside.pop_front() {
                return Ok(first);
            }
            let reply = self.next(due).await?;
            self.put_aside(reply)?;
        }
    }

    /// A reply that nobody waits for at this moment.
    fn put_aside(&mut self, reply: Reply) -> Result<(), HostError> {
        match reply.envelope.id.parse::<u64>() {
            Ok(id) if self.ahead.remove(&id) => {
                self.aside.push_back((id, reply));
                let size: usize = self.aside.iter().map(|(_, reply)| reply.text.len()).sum();
                if size > MOST_ASIDE {
                    return Err(HostError::TooLarge { address: self.address.clone(), limit: MOST_ASIDE });
                }
                Ok(())
            }
            // Ids count up: it belongs to a request that was given up, or to the end of a cursor.
            Ok(id) if id <= self.last_id => Ok(()),
            Ok(_) | Err(_) => match reply.envelope.error {
                Some(error) => Err(self.foreign(&format!("it says `{}`", label(&error)), &reply.text)),
                None => Err(self.foreign("it answers a request that was never made", &reply.text)),
            },
        }
    }

    /// The next reply, whichever it is; `asked` is the one that is waited for.
    async fn next(&mut self, asked: &Asked) -> Result<Reply, HostError> {
        loop {
            let message = match timeout_at(asked.deadline, self.socket.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(self.broken(error)),
                Ok(None) => return Err(self.dropped("the server closed it".to_owned())),
                Err(_) => return Err(self.late(asked)),
            };
            let text: Bytes = match message {
                Message::Text(text) => text.into(),
                Message::Binary(bytes) => return Err(self.foreign("a binary message", &bytes)),
                Message::Close(frame) => {
                    let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                    return Err(self.dropped(format!("the server closed it {reason}").trim_end().to_owned()));
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            return match envelope::read(&text) {
                Ok(envelope) => {
                    (self.answered)();
                    Ok(Reply { text, envelope })
                }
                Err(error) => Err(self.foreign(&error.to_string(), &text)),
            };
        }
    }

    /// How this server takes bytes as a parameter; asked once.
    pub(super) async fn byte_form(&mut self, wait: Duration) -> Result<ByteForm, HostError> {
        if let Some(form) = self.byte_form {
            return Ok(form);
        }
        let question = ByteForm::QUESTION;
        let reply = self.ask(question, wait, |id| Request::sql(id, question, 2)).await?;
        if !reply.envelope.success {
            return Err(self.failure(reply.envelope));
        }
        let Reply { text, mut envelope } = reply;
        let rows = Rows::of(text, envelope.data.take().unwrap_or_default(), true);
        let form = ByteForm::of(&rows)
            .ok_or_else(|| self.foreign("bytes come in no form that is known", rows.json()))?;
        debug!(address = self.address, ?form, "form of bytes as parameters");
        self.byte_form = Some(form);
        Ok(form)
    }

    fn dropped(&self, reason: String) -> HostError {
        HostError::Dropped { address: self.address.clone(), reason }
    }

    fn broken(&self, error: WsError) -> HostError {
        match error {
            WsError::Capacity(_) => HostError::TooLarge { address: self.address.clone(), limit: MAX_REPLY },
            WsError::Utf8(reason) => self.foreign(&reason, b""),
            other => self.dropped(other.to_string()),
        }
    }

    fn foreign(&self, reason: &str, text: &[u8]) -> HostError {
        HostError::NotMapepire {
            address: self.address.clone(),
            reason: reason.to_owned(),
            excerpt: excerpt(text),
        }
    }

    fn late(&self, asked: &Asked) -> HostError {
        HostError::Timeout {
            address: self.address.clone(),
            what: asked.what.clone(),
            seconds: asked.wait.as_secs().max(1),
        }
    }

    /// The error that a reply without success stands for.
    pub(super) fn failure(&self, envelope: Envelope) -> HostError {
        let message = envelope.error.unwrap_or_default();
        let state = envelope.sql_state.unwrap_or_default();
        match envelope.sql_code {
            // Class 08: the server lost its own connection to the database.
            Some(code) if code != 0 && !state.starts_with("08") => {
                HostError::Sql(SqlError { code, state, message })
            }
            // No SQL error: not connected, a handle that the server forgot, a fault of the server itself.
            // All are mended by a new connection.
            _ => self.dropped(message),
        }
    }
}

/// The refusal of `connect`, which is where the server first looks at user and password.
fn sign_on_error(config: &MapepireConfig, envelope: Envelope) -> HostError {
    let reason = envelope.error.unwrap_or_default();
    let (address, user) = (config.address.clone(), config.user.clone());
    if reason.contains("security rule") {
        return HostError::Rule { address, user, reason };
    }
    // The server could not reach its database: "The application requester cannot establish the connection."
    if reason.contains("cannot establish the connection") || reason.contains("link failure") {
        return HostError::Dropped { address, reason };
    }
    // "The application server rejected the connection. (reason)": wrong password, expired, disabled …
    // Unknown words are taken as such too, since trying again too soon may cost the profile.
    HostError::SignOn { address, user, reason }
}

/// The beginning of a text, fit for a message.
fn excerpt(text: &[u8]) -> String {
    label(&String::from_utf8_lossy(&text[..text.len().min(200)]))
}

/// The first 60 characters in one line, without control characters.
fn label(text: &str) -> String {
    let words: Vec<Cow<'_, str>> = text
        .split_whitespace()
        .map(|word| if word.contains(char::is_control) { Cow::Borrowed("?") } else { Cow::Borrowed(word) })
        .collect();
    words.join(" ").chars().take(60).collect()
}
