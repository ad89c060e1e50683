//! One WebSocket: requests in, replies out, each request on its own task.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use muster_proto::mapepire::{
    CloseReply, ConnectReply, ErrorReply, PingReply, RequestFrame, RequestKind, SqlErrorReply, TraceReply,
    VersionReply,
};
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::handshake::{Login, Peeked};
use super::statement::{Failure, Statements};
use crate::json;
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
    login: Login,
    peer: IpAddr,
    statements: Statements,
    oddities: AtomicU64,
}

/// What goes out.
enum Outgoing {
    Text(String),
    Endless(String),
}

/// Serves the socket until it closes.
pub(super) async fn run(world: Arc<World>, socket: WebSocketStream<Peeked>, login: Login, peer: SocketAddr) {
    let (mut sink, mut stream) = socket.split();
    let (replies, mut outgoing) = mpsc::channel::<Outgoing>(WAITING);
    let statements = Statements::new(Arc::clone(&world), &login.user);
    let session =
        Arc::new(Session { world, login, peer: peer.ip(), statements, oddities: AtomicU64::new(0) });
    let slots = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let reader = async move {
        let mut running = tokio::task::JoinSet::new();
        while let Some(Ok(message)) = stream.next().await {
            let text = match message {
                Message::Text(text) => text,
                Message::Close(_) => break,
                _ => continue,
            };
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            let task = answer(Arc::clone(&session), text.to_string(), replies.clone());
            let blocks = text.contains("\"connect\"") || text.contains("\"cl\"");
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
    };
    let writer = async move {
        while let Some(reply) = outgoing.recv().await {
            let sent = match reply {
                Outgoing::Text(text) => sink.send(Message::text(text)).await,
                Outgoing::Endless(start) => endless(&mut sink, start).await,
            };
            if sent.is_err() {
                return;
            }
        }
        // The other side may be gone already; there is nobody left to tell.
        let _ = sink.close().await;
    };
    // A reader that ends lets the writer finish, since that drops the last sender.
    tokio::join!(reader, writer);
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
    let (mut reply, rows) = session.reply(&text, started);
    let outgoing = if rows && faults.endless {
        let cut = reply.find("\"data\":[").map_or(0, |at| at + 8);
        reply.truncate(cut);
        Outgoing::Endless(reply)
    } else if rows && faults.not_json {
        Outgoing::Text("<html><body>502 Bad Gateway</body></html>\n\n".into())
    } else {
        reply.push_str("\n\n");
        Outgoing::Text(reply)
    };
    // A closed channel means that the socket is gone.
    let _ = replies.send(outgoing).await;
}

fn since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Session {
    /// The reply, and whether it belongs to a statement.
    fn reply(&self, text: &str, started: Instant) -> (String, bool) {
        let frame: RequestFrame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(_) => return (self.oddity("unparseable", "Non-parseable request: ", text, started), false),
        };
        let word = |value: &Option<Json>| match value {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let (Some(id), Some(kind)) = (word(&frame.id), word(&frame.kind)) else {
            let words = "Request is missing required fields (most likely 'id' or 'type'): ";
            return (self.oddity("incomplete", words, text, started), false);
        };
        let Some(kind) = RequestKind::from_wire(&kind) else {
            return (failure(id, &format!("Unknown request type: {kind}"), started), false);
        };
        self.dispatch(id, kind, &frame, started)
    }

    fn dispatch(
        &self,
        id: String,
        kind: RequestKind,
        frame: &RequestFrame,
        started: Instant,
    ) -> (String, bool) {
        let statement = match kind {
            RequestKind::Connect => return (self.connect(id, frame, started), false),
            RequestKind::GetVersion => {
                let version = self.world.scenario.server.version().to_owned();
                let build_date = "2026-02-02T10:00:00Z".to_owned();
                return (
                    json::frame(&VersionReply {
                        id,
                        build_date,
                        version,
                        success: true,
                        execution_time: since(started),
                    }),
                    false,
                );
            }
            RequestKind::GetDbJob => {
                let job = self.statements.job().unwrap_or_else(|| "??????/??????/??????".into());
                return (
                    json::frame(&ConnectReply { id, job, success: true, execution_time: since(started) }),
                    false,
                );
            }
            RequestKind::SetConfig => return (set_config(id, frame, started), false),
            RequestKind::Exit => {
                self.statements.disconnect();
                return (
                    json::frame(&CloseReply { id, success: true, execution_time: since(started) }),
                    false,
                );
            }
            RequestKind::Ping => {
                if self.statements.job().is_some() {
                    let execution_time = since(started);
                    let reply = PingReply { id, alive: true, db_alive: true, success: true, execution_time };
                    return (json::frame(&reply), false);
                }
                let mut reply = sql_failure(id, "Not connected", None, 0, started);
                // `alive` comes before the error.
                if let Some(at) = reply.find("\"error\"") {
                    reply.insert_str(at, "\"alive\":true,");
                }
                return (reply, false);
            }
            RequestKind::Sql => self.statements.sql(&id, frame),
            RequestKind::PrepareSql => self.statements.prepare(&id, frame),
            RequestKind::PrepareSqlExecute => self.statements.prepare_execute(&id, frame),
            RequestKind::Execute => self.statements.execute(frame),
            RequestKind::SqlMore => self.statements.more(frame),
            RequestKind::SqlClose => self.statements.close(frame),
            RequestKind::Cl => self.statements.cl(frame),
        };
        let rows = !matches!(kind, RequestKind::SqlClose | RequestKind::PrepareSql);
        (finish(id, statement, started), rows)
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
        let technique = frame.technique.as_deref().unwrap_or("cli").to_ascii_lowercase();
        if technique != "tcp" && technique != "cli" {
            return failure(id, "Invalid connection technique specified", started);
        }
        if let Some(line) =
            denied(self.world.scenario.server.ip_rules.as_deref(), &self.login.user, self.peer)
        {
            let text = format!("java.io.IOException: Connection refused by security rule at line {line}");
            return sql_failure(id, &text, None, 0, started);
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
            return sql_failure(id, &text, None, 0, started);
        }
        let job = self.statements.connect(frame.props.as_deref().unwrap_or_default());
        json::frame(&ConnectReply { id, job, success: true, execution_time: since(started) })
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

/// Line of the rule that refuses this user from this address; the last match counts.
fn denied(rules: Option<&[String]>, user: &str, address: IpAddr) -> Option<usize> {
    let standard = ["allow *@*".to_owned(), "deny q*@*".to_owned()];
    let rules = rules.unwrap_or(&standard);
    let subject = format!("{}@{address}", user.to_ascii_lowercase());
    let mut verdict = None;
    for (index, rule) in rules.iter().enumerate() {
        let Some((word, pattern)) = rule.trim().split_once(' ') else { continue };
        if wild(&pattern.trim().to_ascii_lowercase(), &subject) {
            verdict = (word == "deny").then_some(index + 1);
        }
    }
    verdict
}

fn wild(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && wild(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_counts() {
        let home: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(denied(None, "QSECOFR", home), Some(2));
        assert_eq!(denied(None, "MUSTER", home), None);
        let rules = ["deny *@*".to_owned(), "allow bob@127.*".to_owned()];
        assert_eq!(denied(Some(&rules), "BOB", home), None);
        assert_eq!(denied(Some(&rules), "BOB", [10, 0, 0, 1].into()), Some(1));
    }
}
