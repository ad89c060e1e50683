//! A client of Mapepire, the database server for IBM i that speaks JSON over a TLS WebSocket.
//!
//! Works with all generations of the server, since it asks for nothing that they do differently: no raw
//! bytes (hex text instead), no metadata, no paging.
//!
//! **Statements.** A registered statement is prepared once per connection (`prepare_sql`) and run with
//! `execute`, which re-uses the prepared handle: the cheapest sequence, one round trip a run and no
//! repeated compile. The id of `execute` is no handle, so rows beyond its first block are out of reach;
//! therefore statements end with `FETCH FIRST n ROWS ONLY` and one row more than n is asked for: the
//! server sees the end within the first block, says `is_done` and leaves no cursor open. Should it say
//! otherwise, the prepared handle is closed (`sqlclose`), which closes its cursor, and prepared anew.
//! One-off queries use `sql` or, with parameters, `prepare_sql_execute`; both ids are handles and are
//! closed when not done.
//!
//! **Failures.** There is no way to cancel a statement, so after a timeout the connection is closed.

mod dial;
mod envelope;
mod session;
mod trust;

pub use trust::{Trust, fingerprint};

use super::rows::Malformed;
use super::{Host, HostError, Param, Rows, StatementId};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_proto::mapepire::{Parameter, Request};
use session::{Answered, Asked, Reply, Session};
use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;
use trust::Tls;
use zeroize::Zeroizing;

/// A password: not printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    fn expose(&self) -> &str {
        &self.0
    }

    /// Shows the text to whoever has to keep it out of something.
    pub(crate) fn keep_out(&self, of: impl FnOnce(&str)) {
        of(&self.0);
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapepireConfig {
    /// `host:port`; an IPv6 address in brackets.
    pub address: String,
    /// User profile.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// How the server's certificate is recognised.
    pub trust: Trust,
}

impl MapepireConfig {
    /// The host of the address, without brackets.
    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    fn port(&self) -> Result<u16, HostError> {
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.filter(|port| *port != 0).ok_or_else(|| {
            HostError::Config(format!("`{}` is no address; write host:port, e.g. prod01:8076", self.address))
        })
    }
}

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
    statements: Vec<String>,
    session: Option<Session>,
    outstanding: Option<Outstanding>,
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
            tls,
            statements: Vec::new(),
            session: None,
            outstanding: None,
            answered: Rc::new(|| {}),
        })
    }

    /// Calls `answered` at each reply: a slow partition is told from a frozen one by it.
    #[must_use]
    pub fn on_answer(mut self, answered: impl Fn() + 'static) -> Self {
        self.answered = Rc::new(answered);
        self
    }

    async fn session(&mut self) -> Result<&mut Session, HostError> {
        match &mut self.session {
            Some(session) => Ok(session),
            none => {
                self.outstanding = None;
                Ok(none.insert(Session::open(&self.config, &self.tls, &self.answered).await?))
            }
        }
    }

    /// Forgets the connection when `result` says that it is gone.
    fn note<T>(&mut self, result: Result<T, HostError>) -> Result<T, HostError> {
        if result.as_ref().is_err_and(HostError::is_disconnected) {
            self.session = None;
            self.outstanding = None;
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

    async fn query_inner(
        &mut self,
        sql: &str,
        params: &[Param],
        max_rows: u32,
        wait: Duration,
    ) -> Result<Rows, HostError> {
        let session = self.session().await?;
        let reply = if params.is_empty() {
            session.ask(sql, wait, |id| Request::sql(id, sql, max_rows)).await?
        } else {
            let make = |id| Request::prepare_execute(id, sql, parameters(params), max_rows);
            session.ask(sql, wait, make).await?
        };
        let handle = reply.envelope.id.clone();
        let rows = rows(session, reply)?;
        if !rows.done {
            session.ask("sqlclose", wait, |id| Request::close(id, handle)).await?;
        }
        Ok(rows)
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
        let make = |id| Request::execute(id, handle, parameters(params), rows);
        let asked = session.send(&sql, wait, make).await?;
        Ok(Outstanding { asked, statement, wait })
    }

    async fn finish_inner(&mut self) -> Result<Rows, HostError> {
        let (Some(mut outstanding), Some(session)) = (self.outstanding.take(), self.session.as_mut()) else {
            let reason = "the request was lost with the previous connection".to_owned();
            return Err(HostError::Dropped { address: self.config.address.clone(), reason });
        };
        outstanding.asked.renew();
        let reply = session.receive(&outstanding.asked).await?;
        let rows = rows(session, reply)?;
        if !rows.done {
            let handle = session.handles[outstanding.statement.0 as usize].take().unwrap_or_default();
            session.ask("sqlclose", outstanding.wait, |id| Request::close(id, handle)).await?;
        }
        Ok(rows)
    }
}

fn parameters(params: &[Param]) -> Vec<Parameter<'_>> {
    params
        .iter()
        .map(|param| match param {
            Param::Null => Parameter::Null,
            Param::Text(text) => Parameter::Text(Cow::Borrowed(text)),
            Param::Int(number) => Parameter::Integer(*number),
        })
        .collect()
}

/// The rows of a successful reply's text, without a connection: what the benchmarks measure.
///
/// # Errors
/// The text is no Mapepire reply.
pub fn reply_rows(text: bytes::Bytes) -> Result<Rows, Malformed> {
    let envelope = envelope::read(&text)?;
    Ok(located(text, envelope))
}

fn located(text: bytes::Bytes, mut envelope: envelope::Envelope) -> Rows {
    let (data, index) = envelope.data.take().unwrap_or_default();
    Rows { text, data, index, done: envelope.done.unwrap_or(true) }
}

/// The rows of a reply, or the error it stands for.
fn rows(session: &Session, reply: Reply) -> Result<Rows, HostError> {
    let Reply { text, envelope } = reply;
    if !envelope.success {
        return Err(session.failure(envelope));
    }
    Ok(located(text, envelope))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> MapepireConfig {
        MapepireConfig {
            address: address.to_owned(),
            user: "muster".to_owned(),
            password: Password::new("secret".to_owned()),
            trust: Trust::Pin([0; 32]),
        }
    }

    #[test]
    fn an_address_is_host_and_port() {
        for (address, host, port) in [("prod01:8076", "prod01", 8076), ("[::1]:1", "::1", 1)] {
            let config = config(address);
            assert_eq!((config.host(), config.port()), (host, Ok(port)));
        }
        for address in ["prod01", "prod01:", "prod01:0", "prod01:99999", ""] {
            assert!(matches!(Mapepire::new(config(address)), Err(HostError::Config(_))), "{address}");
        }
    }

    #[test]
    fn the_password_is_never_printed() {
        assert!(!format!("{:?}", config("prod01:8076")).contains("secret"));
    }
}
