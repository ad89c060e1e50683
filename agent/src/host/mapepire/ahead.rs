//! Statements that were sent without waiting, and their answers.

use super::session::Asked;
use super::{Mapepire, located};
use crate::host::{Answer, HostError, MOST_ASKED, Param, Rows, Ticket};
use std::collections::VecDeque;
use std::time::Duration;

/// A statement whose reply has not come.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    asked: Asked,
    wait: Duration,
}

/// A reply that came and is being made ready.
#[derive(Debug)]
struct Arrived {
    ticket: Ticket,
    rows: Rows,
    /// What is to be closed on the server.
    handle: Option<String>,
    wait: Duration,
}

/// What is under way, what has come, and what cannot come any more.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    last_ticket: u64,
    waiting: Vec<Waiting>,
    arrived: Option<Arrived>,
    failed: VecDeque<(Ticket, HostError)>,
}

impl Ahead {
    fn len(&self) -> usize {
        self.waiting.len() + self.failed.len() + usize::from(self.arrived.is_some())
    }

    fn add(&mut self, asked: Asked, wait: Duration) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiting.push(Waiting { ticket, asked, wait });
        ticket
    }

    /// The connection is gone, and with it every reply.
    pub(super) fn lose(&mut self, error: &HostError) {
        let lost = self.waiting.drain(..).map(|waiting| (waiting.ticket, error.clone()));
        self.failed.extend(lost);
    }

    /// The one whose time ends first.
    fn due(&self) -> Option<&Waiting> {
        self.waiting.iter().min_by_key(|waiting| waiting.asked.deadline())
    }

    fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        Some(self.waiting.remove(at))
    }
}

impl Mapepire {
    pub(super) async fn ask_inner(
        &mut self,
        sql: &str,
        params: &[Param],
        max_rows: u32,
        wait: Duration,
    ) -> Result<Ticket, HostError> {
        if self.ahead.len() >= MOST_ASKED {
            return Err(HostError::Config(format!("more than {MOST_ASKED} statements under way")));
        }
        let asked = self.send(sql, params, max_rows, wait).await?;
        self.session().await?.await_later(&asked);
        Ok(self.ahead.add(asked, wait))
    }

    /// Every step leaves what it has in its place until the last one, so that a future that is dropped loses
    /// nothing.
    pub(super) async fn answer_inner(&mut self) -> Option<Answer> {
        if let Some((ticket, error)) = self.ahead.failed.pop_front() {
            return Some((ticket, Err(error)));
        }
        if self.ahead.arrived.is_none()
            && let Err(failed) = self.await_arrival().await?
        {
            return Some(failed);
        }
        let result = self.make_ready().await;
        let ticket = self.ahead.arrived.take()?.ticket;
        Some((ticket, self.note(result)))
    }

    /// Waits for the next reply. None: nothing is under way.
    async fn await_arrival(&mut self) -> Option<Result<(), Answer>> {
        let due = self.ahead.due()?;
        let (first, asked) = (due.ticket, due.asked.clone());
        let Some(session) = self.session.as_mut() else {
            // Whoever took the connection away told so to what was under way.
            let error = self.lost("the request was lost with the previous connection");
            self.ahead.lose(&error);
            return self.ahead.failed.pop_front().map(|(ticket, error)| Err((ticket, Err(error))));
        };
        let (id, reply) = match session.receive_ahead(&asked).await {
            Ok(arrived) => arrived,
            Err(error) => {
                self.ahead.take(first);
                return Some(Err((first, self.note(Err(error)))));
            }
        };
        let ticket = self.ahead.waiting.iter().find(|waiting| waiting.asked.id() == id)?.ticket;
        let waiting = self.ahead.take(ticket)?;
        if !reply.envelope.success {
            let error = session.failure(reply.envelope);
            return Some(Err((ticket, self.note(Err(error)))));
        }
        let handle = Some(reply.envelope.id.clone());
        self.ahead.arrived = Some(Arrived { ticket, rows: located(reply), handle, wait: waiting.wait });
        Some(Ok(()))
    }

    /// Closes what has arrived on the server and puts in the bytes that the server kept.
    async fn make_ready(&mut self) -> Result<Rows, HostError> {
        let Some(Arrived { rows, handle, wait, .. }) = &self.ahead.arrived else { return Ok(Rows::none()) };
        let (rows, handle, wait) = (rows.clone(), handle.clone(), *wait);
        if let Some(handle) = handle {
            self.end(handle, wait).await;
        }
        if let Some(arrived) = &mut self.ahead.arrived {
            arrived.handle = None;
        }
        self.whole(rows, wait).await
    }
}
