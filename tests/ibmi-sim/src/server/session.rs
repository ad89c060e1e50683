//! One WebSocket: requests in, replies out, each request on its own task.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use muster_proto::mapepire::{
    CloseReply, ConnectReply, ErrorReply, PingReply, RequestFrame, RequestKind, SqlErrorReply, TraceReply,
    VersionReply,
};
use serde_json::Value as Json;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Server;
use super::blob::Keeper;
use super::counts::{Tally, count};
use super::handshake::{Login, Peeked};
use super::rules::denied;
use super::statement::{Failure, Statements};
use crate::json;
use crate::sql::eval::KeepBytes;
use crate::world::{Refusal, World};

/// Replies that may wait for a slow reader.
const WAITING: usize = 64;
/// Requests of one socket that may run at the same time.
const AT_ONCE: usize = 64;
/// One piece of an endless reply.
const PIECE: usize = 64 * 1024;

/// What one socket keeps.
struct Session {
    world: Arc<World>,
    tally: Arc<Tally>,
    login: Login,
    peer: IpAddr,
    statements: Statements,
    oddities: AtomicU64,
    /// Replies held back by [`crate::Fault::Reorder`], and how many have gone out since.
    held: AtomicBool,
    gone_out: watch::Sender<u64>,
}

/// What goes out.
enum Outgoing {
    Text(String),
    /// The socket is closed after it.
    Last(String),
    Endless(String),
}

/// Serves the socket until it closes.
pub(super) async fn run(server: &Server, socket: WebSocketStream<Peeked>, login: Login, peer: SocketAddr) {
    let (sink, stream) = socket.split();
    let (replies, outgoing) = mpsc::channel::<Outgoing>(WAITING);
    let session = Arc::new(Session::new(server, login, peer.ip()));
    // A reader that ends lets the writer finish, since that drops the last sender; a writer that ends closes
    // the socket, which ends the reader.
    tokio::join!(read(stream, session, replies), write(sink, outgoing));
}

async fn read<S>(mut stream: S, session: Arc<Session>, replies: mpsc::Sender<Outgoing>)
where
    S: futures_util::Stream<Item = Result<Message, WsError>> + Unpin,
{
    let slots = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    loop {
        let text = tokio::select! {
            () = replies.closed() => return,
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Err(WsError::Capacity(_))) => {
                    // Longer than the server takes.
                    let _ = replies.send(Outgoing::Last(String::new())).await;
                    return;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        count(&session.tally.requests);
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let blocks = text.contains("\"connect\"") || text.contains("\"cl\"");
        let task = answer(Arc::clone(&session), text.to_string(), replies.clone());
        if blocks {
            task.await;
        } else {
            running.spawn(async move {
                task.await;
                drop(slot);
            });
        }
        while running.try_join_next().is_some() {}
    }
}

async fn write<S>(mut sink: S, mut outgoing: mpsc::Receiver<Outgoing>)
where
    S: futures_util::Sink<Message> + Unpin,
{
    while let Some(reply) = outgoing.recv().await {
        let sent = match reply {
            Outgoing::Text(text) => sink.send(Message::text(text)).await,
            Outgoing::Last(text) => {
                if !text.is_empty() {
                    // Whether it arrives or not, the socket ends now.
                    let _ = sink.send(Message::text(text)).await;
                }
                break;
            }
            Outgoing::Endless(start) => endless(&mut sink, start).await,
        };
        if sent.is_err() {
            return;
        }
    }
    // The other side may be gone already; there is nobody left to tell.
    let _ = sink.close().await;
}

/// Sends one message that has no end, until the socket breaks.
async fn endless<S>(sink: &mut S, start: String) -> Result<(), S::Error>
where
    S: futures_util::Sink<Message> + Unpin,
{
    sink.send(Message::Frame(Frame::message(start, OpCode::Data(Data::Text), false))).await?;
    let piece = bytes::Bytes::from("[\"0\"],".repeat(PIECE / 6));
    loop {
        sink.send(Message::Frame(Frame::message(piece.clone(), OpCode::Data(Data::Continue), false))).await?;
    }
}

async fn answer(session: Arc<Session>, text: String, replies: mpsc::Sender<Outgoing>) {
    let faults = session.world.faults();
    if faults.hung {
        // The request keeps its place until the socket goes, as a hung server job does.
        replies.closed().await;
        return;
    }
    if faults.slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.slow_ms)).await;
    }
    let started = Instant::now();
    let (mut reply, kind) = session.reply(&text, started);
    let rows = kind == Kind::Rows;
    let (lost, slow) = session.world.queues().take_effects();
    if lost {
        // What was done is done, and nobody hears of it.
        replies.closed().await;
        return;
    }
    tokio::time::sleep(slow).await;
    let outgoing = if rows && faults.endless {
        let cut = reply.find("\"data\":[").map_or(0, |at| at + 8);
        reply.truncate(cut);
        Outgoing::Endless(reply)
    } else if rows && faults.not_json {
        Outgoing::Text("<html><body>502 Bad Gateway</body></html>\n\n".into())
    } else {
        reply.push_str("\n\n");
        if kind == Kind::Last { Outgoing::Last(reply) } else { Outgoing::Text(reply) }
    };
    if let (Some(ms), true) = (faults.reorder_ms, rows) {
        session.let_another_pass(Duration::from_millis(ms)).await;
    }
    // A closed channel means that the socket is gone.
    let _ = replies.send(outgoing).await;
    if rows {
        session.gone_out.send_modify(|count| *count += 1);
    }
}

/// What kind of reply it is, for the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To a request that is none of the others.
    Plain,
    /// To a statement that may have rows; such replies may change places.
    Rows,
    /// The socket does not survive it.
    Last,
}

fn since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Session {
    fn new(server: &Server, login: Login, peer: IpAddr) -> Self {
        let world = Arc::clone(&server.world);
        let keeper = world.scenario.server.manners().keeps_blobs.then(|| {
            let keeper: Arc<dyn KeepBytes> = Keeper::new(Arc::clone(&server.blobs), login.clone());
            keeper
        });
        Self {
            statements: Statements::new(Arc::clone(&world), &login.user, keeper),
            world,
            tally: Arc::clone(&server.tally),
            login,
            peer,
            oddities: AtomicU64::new(0),
            held: AtomicBool::new(false),
            gone_out: watch::Sender::new(0),
        }
    }

    /// Of two replies the first waits here until the second has gone out, or the time is over.
    async fn let_another_pass(&self, most: Duration) {
        if self.held.swap(true, Ordering::Relaxed) {
            self.held.store(false, Ordering::Relaxed);
            return;
        }
        let mut others = self.gone_out.subscribe();
        others.mark_unchanged();
        if tokio::time::timeout(most, others.changed()).await.is_err() {
            self.held.store(false, Ordering::Relaxed);
        }
    }

    /// The reply, and what kind it is.
    fn reply(&self, text: &str, started: Instant) -> (String, Kind) {
        let frame: RequestFrame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(_) => {
                return (self.oddity("unparseable", "Non-parseable request: ", text, started), Kind::Plain);
            }
        };
        let word = |value: &Option<Json>| match value {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let (Some(id), Some(kind)) = (word(&frame.id), word(&frame.kind)) else {
            let words = "Request is missing required fields (most likely 'id' or 'type'): ";
            return (self.oddity("incomplete", words, text, started), Kind::Plain);
        };
        let Some(kind) = RequestKind::from_wire(&kind) else {
            return (failure(id, &format!("Unknown request type: {kind}"), started), Kind::Plain);
        };
        self.dispatch(id, kind, &frame, started)
    }

    fn dispatch(
        &self,
        id: String,
        kind: RequestKind,
        frame: &RequestFrame,
        started: Instant,
    ) -> (String, Kind) {
        let execution_time = since(started);
        let statement = match kind {
            RequestKind::Connect => return (self.connect(id, frame, started), Kind::Plain),
            RequestKind::GetVersion => {
                let version = self.world.scenario.server.version().to_owned();
                let build_date = "2026-02-02T10:00:00Z".to_owned();
                let reply = VersionReply { id, build_date, version, success: true, execution_time };
                return (json::frame(&reply), Kind::Plain);
            }
            RequestKind::GetDbJob => {
                let job = self.statements.job().unwrap_or_else(|| "??????/??????/??????".into());
                let reply = ConnectReply { id, job, success: true, execution_time };
                return (json::frame(&reply), Kind::Plain);
            }
            RequestKind::SetConfig => return (set_config(id, frame, started), Kind::Plain),
            RequestKind::Exit => {
                self.statements.disconnect();
                return (json::frame(&CloseReply { id, success: true, execution_time }), Kind::Plain);
            }
            RequestKind::Ping => return (self.ping(id, started), Kind::Plain),
            RequestKind::Sql => self.statements.sql(&id, frame),
            RequestKind::PrepareSql => self.statements.prepare(&id, frame),
            RequestKind::PrepareSqlExecute => self.statements.prepare_execute(&id, frame),
            RequestKind::Execute => self.statements.execute(frame),
            RequestKind::SqlMore => self.statements.more(frame),
            RequestKind::SqlClose => self.statements.close(frame),
            RequestKind::Cl => self.statements.cl(frame),
        };
        let by_handle = matches!(kind, RequestKind::Execute | RequestKind::SqlMore | RequestKind::SqlClose);
        let answered = if by_handle && frame.cont_id.is_none() {
            // One answer, then the server trips over it.
            Kind::Last
        } else if matches!(kind, RequestKind::SqlClose | RequestKind::PrepareSql) {
            Kind::Plain
        } else {
            Kind::Rows
        };
        (finish(id, statement, started), answered)
    }

    fn ping(&self, id: String, started: Instant) -> String {
        if self.statements.job().is_some() {
            let execution_time = since(started);
            return json::frame(&PingReply {
                id,
                alive: true,
                db_alive: true,
                success: true,
                execution_time,
            });
        }
        let mut reply = sql_failure(id, "Not connected", None, 0, started);
        // `alive` comes before the error.
        if let Some(at) = reply.find("\"error\"") {
            reply.insert_str(at, "\"alive\":true,");
        }
        reply
    }

    fn oddity(&self, name: &str, words: &str, text: &str, started: Instant) -> String {
        let number = self.oddities.fetch_add(1, Ordering::Relaxed) + 1;
        let mut out = String::from("{\"id\":");
        json::write_text(&format!("{name}_{number}"), &mut out);
        out.push(',');
        json::write_text(name, &mut out);
        out.push(':');
        json::write_text(text, &mut out);
        out.push_str(",\"error\":");
        json::write_text(&format!("{words}'{text}'"), &mut out);
        out.push_str(&format!(",\"success\":false,\"execution_time\":{}}}", since(started)));
        out
    }

    fn connect(&self, id: String, frame: &RequestFrame, started: Instant) -> String {
        match self.try_connect(&id, frame, started) {
            Ok(job) => {
                count(&self.tally.sign_ons);
                json::frame(&ConnectReply { id, job, success: true, execution_time: since(started) })
            }
            Err(refusal) => {
                count(&self.tally.refused_sign_ons);
                refusal
            }
        }
    }

    /// The job, or the reply that refuses.
    fn try_connect(&self, id: &str, frame: &RequestFrame, started: Instant) -> Result<String, String> {
        let id = id.to_owned();
        let technique = frame.technique.as_deref().unwrap_or("cli").to_ascii_lowercase();
        if technique != "tcp" && technique != "cli" {
            return Err(failure(id, "Invalid connection technique specified", started));
        }
        if let Some(line) =
            denied(self.world.scenario.server.ip_rules.as_deref(), &self.login.user, self.peer)
        {
            let text = format!("java.io.IOException: Connection refused by security rule at line {line}");
            return Err(sql_failure(id, &text, None, 0, started));
        }
        if let Err(refusal) = self.world.sign_on(&self.login.user, &self.login.password) {
            let user = self.login.user.to_uppercase();
            let reason = match refusal {
                Refusal::Unknown => format!("User ID is not known.:{user}"),
                Refusal::Password => format!("Password is incorrect.:{user}"),
                Refusal::Expired => format!("Password is expired.:{user}"),
                Refusal::Disabled => format!("User ID is disabled.:{user}"),
            };
            let text = format!(
                "java.sql.SQLNonTransientConnectionException: The application server rejected the connection. ({reason})"
            );
            return Err(sql_failure(id, &text, None, 0, started));
        }
        Ok(self.statements.connect(frame.props.as_deref().unwrap_or_default()))
    }
}

fn finish(id: String, body: Result<String, Failure>, started: Instant) -> String {
    let (body, failed) = match body {
        Ok(body) => (body, None),
        Err(Failure::Request(text)) => return failure(id, &text, started),
        Err(Failure::Sql { body, error }) => (body, Some(error)),
    };
    let mut out = String::with_capacity(body.len() + 96 + id.len());
    out.push_str("{\"id\":");
    json::write_text(&id, &mut out);
    out.push_str(&body);
    match failed {
        None => out.push_str(",\"success\":true"),
        Some(error) => {
            out.push_str(",\"error\":");
            json::write_text(&error.text, &mut out);
            out.push_str(",\"success\":false,\"sql_state\":");
            match error.state {
                Some(state) => json::write_text(state, &mut out),
                None => out.push_str("null"),
            }
            out.push_str(",\"sql_rc\":");
            out.push_str(&error.code.to_string());
        }
    }
    out.push_str(",\"execution_time\":");
    out.push_str(&since(started).to_string());
    out.push('}');
    // Two line ends follow.
    out.reserve(2);
    out
}

fn failure(id: String, error: &str, started: Instant) -> String {
    json::frame(&ErrorReply { id, error: error.to_owned(), success: false, execution_time: since(started) })
}

fn sql_failure(id: String, error: &str, state: Option<&str>, code: i64, started: Instant) -> String {
    json::frame(&SqlErrorReply {
        id,
        error: error.to_owned(),
        success: false,
        sql_state: state.map(str::to_owned),
        sql_rc: code,
        execution_time: since(started),
    })
}

fn set_config(id: String, frame: &RequestFrame, started: Instant) -> String {
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    json::frame(&TraceReply {
        id,
        tracedest: or(&frame.tracedest, "FILE"),
        tracelevel: or(&frame.tracelevel, "OFF"),
        jtopentracedest: or(&frame.jtopentracedest, "FILE"),
        jtopentracelevel: or(&frame.jtopentracelevel, "OFF"),
        success: true,
        execution_time: since(started),
    })
}
