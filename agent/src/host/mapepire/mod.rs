//! A client of Mapepire, the database server for IBM i that speaks JSON over a TLS WebSocket.
//!
//! Works with all generations of the server: it asks for hardly anything that they do differently (hex text
//! instead of raw bytes, no metadata), and where a statement has bytes nevertheless, as a parameter or in a
//! column, it writes them as this server takes them and fetches them from where this server keeps them
//! ([`binary`], [`blob`]).
//!
//! **Statements.** A registered statement is prepared once per connection (`prepare_sql`) and run with
//! `execute`, which re-uses the prepared handle: the cheapest sequence, one round trip a run and no
//! repeated compile. The id of `execute` is no handle, so rows beyond its first block are out of reach;
//! therefore statements end with `FETCH FIRST n ROWS ONLY` and one row more than n is asked for: the
//! server sees the end within the first block, says `is_done` and leaves no cursor open. Should it say
//! otherwise, the prepared handle is closed (`sqlclose`), which closes its cursor, and prepared anew.
//! One-off statements use `sql` or, with parameters, `prepare_sql_execute`; both ids are handles, which a
//! server may keep as long as the connection lives, so they are closed in any case. Such a handle is also
//! what further blocks of a large result are asked for by (`sqlmore`).
//!
//! **Failures.** There is no way to cancel a statement, so after a timeout the connection is closed. A
//! rejected sign-on is known to all connections with the same [`Password`] ([`sign_on`]).

mod ahead;
mod binary;
mod blob;
mod blocks;
mod config;
mod dial;
mod envelope;
mod session;
mod sign_on;
mod trust;

pub use config::{MapepireConfig, Password};
pub use trust::{Trust, fingerprint};

use super::rows::Malformed;
use super::{Answer, Called, Host, HostError, Param, Rows, StatementId, Ticket};
use ahead::Ahead;
use binary::ByteForm;
use blob::BlobStore;
use blocks::Opened;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_proto::mapepire::Request;
use session::{Answered, Asked, Reply, Session};
use std::rc::Rc;
use std::time::Duration;
use trust::Tls;

/// A statement that was begun.
struct Outstanding {
    asked: Asked,
    statement: StatementId,
    wait: Duration,
}

/// A connection to a Mapepire server; made at the first request and again after it broke.
pub struct Mapepire {
    config: MapepireConfig,
    user: String,
    tls: Tls,
    blobs: BlobStore,
    statements: Vec<String>,
    session: Option<Session>,
    /// How often it signed on: after the first time nobody else keeps it from trying again too soon.
    signed_on: u64,
    outstanding: Option<Outstanding>,
    opened: Option<Opened>,
    ahead: Ahead,
    answered: Answered,
}

impl Mapepire {
    /// A client that is not connected yet.
    ///
    /// # Errors
    /// [`HostError::Config`] for an address without port or authorities that are no PEM certificates.
    pub fn new(config: MapepireConfig) -> Result<Self, HostError> {
        config.port()?;
        let tls = Tls::new(&config.trust).map_err(HostError::Config)?;
        let user = config.user.to_uppercase();
        Ok(Self {
            config,
            user,
            blobs: BlobStore::new(&tls)?,
            tls,
            statements: Vec::new(),
            session: None,
            signed_on: 0,
            outstanding: None,
            opened: None,
            ahead: Ahead::default(),
            answered: Rc::new(|| {}),
        })
    }

    /// Calls `answered` at each reply: a slow partition is told from a frozen one by it.
    #[must_use]
    pub fn on_answer(mut self, answered: impl Fn() + 'static) -> Self {
        self.answered = Rc::new(answered);
        self
    }

    /// Another connection to the same partition, not connected yet: for statements that wait there, since
    /// the partition's job works on one statement of a connection at a time.
    ///
    /// # Errors
    /// As [`Mapepire::new`].
    pub fn another(&self) -> Result<Self, HostError> {
        let mut other = Self::new(self.config.clone())?;
        other.answered = Rc::clone(&self.answered);
        Ok(other)
    }

    async fn session(&mut self) -> Result<&mut Session, HostError> {
        match &mut self.session {
            Some(session) => Ok(session),
            none => {
                let session = Session::open(&self.config, &self.tls, &self.answered, self.signed_on).await?;
                self.signed_on += 1;
                Ok(none.insert(session))
            }
        }
    }

    fn lost(&self, reason: &str) -> HostError {
        HostError::Dropped { address: self.config.address.clone(), reason: reason.to_owned() }
    }

    /// Forgets the connection when `result` says that it is gone.
    fn note<T>(&mut self, result: Result<T, HostError>) -> Result<T, HostError> {
        if let Err(error) = &result
            && error.is_disconnected()
        {
            self.session = None;
            self.outstanding = None;
            self.opened = None;
            let reason = format!("it was closed after another request on it had failed ({error})");
            self.ahead.lose(&self.lost(&reason));
        }
        result
    }

    /// Waits for an outstanding statement and drops its rows.
    async fn drain(&mut self) {
        if self.outstanding.is_some() {
            // Whatever went wrong with it, the next request will meet it again.
            let result = self.finish_inner().await;
            let _ = self.note(result);
        }
    }

    /// Sends a one-off statement.
    async fn send(
        &mut self,
        sql: &str,
        params: &[Param],
        rows: u32,
        wait: Duration,
    ) -> Result<Asked, HostError> {
        let session = self.session().await?;
        if params.is_empty() {
            return session.send(sql, wait, |id| Request::sql(id, sql, rows)).await;
        }
        let form = form_for(session, params, wait).await?;
        let make = |id| Request::prepare_execute(id, sql, binary::parameters(params, form), rows);
        session.send(sql, wait, make).await
    }

    /// Runs a one-off statement, whose handle the reply's id is.
    async fn run(
        &mut self,
        sql: &str,
        params: &[Param],
        rows: u32,
        wait: Duration,
    ) -> Result<Reply, HostError> {
        let asked = self.send(sql, params, rows, wait).await?;
        let session = self.session().await?;
        let reply = session.receive(&asked).await?;
        if reply.envelope.success { Ok(reply) } else { Err(session.failure(reply.envelope)) }
    }

    async fn query_inner(
        &mut self,
        sql: &str,
        params: &[Param],
        max_rows: u32,
        wait: Duration,
    ) -> Result<Rows, HostError> {
        let reply = self.run(sql, params, max_rows, wait).await?;
        self.end(reply.envelope.id.clone(), wait).await;
        self.whole(located(reply), wait).await
    }

    async fn call_inner(&mut self, sql: &str, params: &[Param], wait: Duration) -> Result<Called, HostError> {
        let Reply { envelope, .. } = self.run(sql, params, 1, wait).await?;
        self.end(envelope.id, wait).await;
        let updated = envelope.updated.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        Ok(Called { updated, outputs: envelope.outputs })
    }

    /// Closes a handle. The answer is there already: a connection that breaks now is the next request's
    /// matter.
    async fn end(&mut self, handle: String, wait: Duration) {
        if let Some(session) = &mut self.session {
            let closed = session.close(handle, wait).await;
            let _ = self.note(closed);
        }
    }

    /// The rows with the bytes that the server kept beside them.
    async fn whole(&self, rows: Rows, wait: Duration) -> Result<Rows, HostError> {
        if rows.objects { self.blobs.fill(&self.config, &self.tls, rows, wait).await } else { Ok(rows) }
    }

    async fn begin_inner(
        &mut self,
        statement: StatementId,
        params: &[Param],
        max_rows: u32,
        wait: Duration,
    ) -> Result<Outstanding, HostError> {
        let index = statement.0 as usize;
        let Some(sql) = self.statements.get(index).cloned() else {
            return Err(HostError::Config(format!("statement {index} was never registered")));
        };
        let session = self.session().await?;
        let form = form_for(session, params, wait).await?;
        session.handles.resize(session.handles.len().max(index + 1), None);
        let handle = match session.handles[index].clone() {
            Some(handle) => handle,
            None => {
                let reply = session.ask(&sql, wait, |id| Request::prepare(id, sql.as_str())).await?;
                if !reply.envelope.success {
                    return Err(session.failure(reply.envelope));
                }
                session.handles[index] = Some(reply.envelope.id.clone());
                reply.envelope.id
            }
        };
        let rows = max_rows.saturating_add(1);
        let make = |id| Request::execute(id, handle, binary::parameters(params, form), rows);
        let asked = session.send(&sql, wait, make).await?;
        Ok(Outstanding { asked, statement, wait })
    }

    async fn finish_inner(&mut self) -> Result<Rows, HostError> {
        let (Some(mut outstanding), Some(session)) = (self.outstanding.take(), self.session.as_mut()) else {
            return Err(self.lost("the request was lost with the previous connection"));
        };
        outstanding.asked.renew();
        let reply = session.receive(&outstanding.asked).await?;
        if !reply.envelope.success {
            return Err(session.failure(reply.envelope));
        }
        let rows = located(reply);
        if !rows.done {
            let handle = session.handles[outstanding.statement.0 as usize].take().unwrap_or_default();
            self.end(handle, outstanding.wait).await;
        }
        self.whole(rows, outstanding.wait).await
    }
}

/// How bytes are written among these parameters; where there are none it does not matter and is not asked.
async fn form_for(session: &mut Session, params: &[Param], wait: Duration) -> Result<ByteForm, HostError> {
    if binary::has_bytes(params) { session.byte_form(wait).await } else { Ok(ByteForm::Hex) }
}

/// The rows of a successful reply's text, without a connection: what the benchmarks measure.
///
/// # Errors
/// The text is no Mapepire reply.
pub fn reply_rows(text: bytes::Bytes) -> Result<Rows, Malformed> {
    let envelope = envelope::read(&text)?;
    Ok(located(Reply { text, envelope }))
}

/// The rows of a successful reply.
fn located(reply: Reply) -> Rows {
    let Reply { text, envelope } = reply;
    Rows::of(text, envelope.data.unwrap_or_default(), envelope.done.unwrap_or(true))
}

impl Host for Mapepire {
    fn user(&self) -> &str {
        &self.user
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        async move {
            self.drain().await;
            let result = self.query_inner(sql, params, max_rows, deadline).await;
            self.note(result)
        }
        .boxed_local()
    }

    fn statement(&mut self, sql: String) -> StatementId {
        self.statements.push(sql);
        // Statements are registered by sources when they are made: a handful, far from 2^32.
        StatementId((self.statements.len() - 1) as u32)
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        async move {
            self.begin(statement, params, max_rows, deadline).await?;
            self.finish().await
        }
        .boxed_local()
    }

    fn begin<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<(), HostError>> {
        async move {
            self.drain().await;
            let result = self.begin_inner(statement, params, max_rows, deadline).await;
            self.outstanding = Some(self.note(result)?);
            Ok(())
        }
        .boxed_local()
    }

    fn finish(&mut self) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
        async move {
            let result = self.finish_inner().await;
            self.note(result)
        }
        .boxed_local()
    }

    fn call<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Called, HostError>> {
        async move {
            self.drain().await;
            let result = self.call_inner(sql, params, deadline).await;
            self.note(result)
        }
        .boxed_local()
    }

    fn open<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        block: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        async move {
            self.drain().await;
            let result = self.open_inner(sql, params, block, deadline).await;
            self.note(result)
        }
        .boxed_local()
    }

    fn more(&mut self, block: u32, deadline: Duration) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
        async move {
            self.drain().await;
            let result = self.more_inner(block, deadline).await;
            self.note(result)
        }
        .boxed_local()
    }

    fn ask<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Ticket, HostError>> {
        async move {
            self.drain().await;
            let result = self.ask_inner(sql, params, max_rows, deadline).await;
            self.note(result)
        }
        .boxed_local()
    }

    fn answer(&mut self) -> LocalBoxFuture<'_, Option<Answer>> {
        async move {
            self.drain().await;
            self.answer_inner().await
        }
        .boxed_local()
    }
}
