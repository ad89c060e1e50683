//! UDP: best effort, and it says so. What was sent is committed at once; the only thing ever heard of a
//! receiver is that nobody listens there.

use super::link::{End, Link};
use super::session::SETTLED;
use super::stats::Stats;
use super::writing::Writing;
use crate::health::HealthState;
use std::io;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

/// Said while everything seems well.
pub(super) const BEST_EFFORT: &str = "best effort: UDP does not tell whether anything arrives";

/// A loss is shown for this long.
const LOSS_SHOWN: Duration = Duration::from_secs(30);

/// How far the socket has proved to be of use. A socket can be opened and connected where every datagram is
/// refused (a packet filter answers EPERM): tried again at once, that would be a loop without a pause.
#[derive(Debug, Clone, Copy)]
struct Standing {
    opened: Instant,
    sent: bool,
}

impl Standing {
    fn settled(self, now: Instant) -> bool {
        self.sent && now >= self.opened + SETTLED
    }

    /// When it can be called well: something went out, or nobody had anything to send for a while.
    fn well(self, now: Instant) -> bool {
        self.sent || now >= self.opened + SETTLED
    }
}

/// Sends until the socket is of no use or the destination is stopped.
pub(super) async fn run(link: &mut Link, socket: UdpSocket) -> End {
    let mut standing = Standing { opened: Instant::now(), sent: false };
    let mut said_well = false;
    let mut noted = link.losses();
    let mut lost_at: Option<Instant> = None;
    let mut heard = [0; 64];
    loop {
        let now = Instant::now();
        if lost_at.is_some_and(|at| now >= at + LOSS_SHOWN) {
            lost_at = None;
            link.report(HealthState::Healthy, BEST_EFFORT);
        }
        match send_waiting(link, &socket, &mut standing.sent).await {
            Ok(None) => {}
            Ok(Some(loss)) => {
                lost_at = Some(Instant::now());
                link.report(HealthState::Degraded, loss);
            }
            Err(error) => {
                let settled = standing.settled(Instant::now());
                return End::Broken { reason: format!("cannot send: {error}"), settled };
            }
        }
        if !said_well && lost_at.is_none() && standing.well(Instant::now()) {
            said_well = true;
            link.report(HealthState::Healthy, BEST_EFFORT);
        }
        let now_noted = link.losses();
        if said_well && lost_at.is_none() && noted != now_noted {
            link.report(HealthState::Healthy, BEST_EFFORT);
        }
        noted = now_noted;
        if link.superseded() || link.shared().stop_at().is_some() {
            return End::Stopped;
        }
        let settling = (!said_well && lost_at.is_none()).then_some(standing.opened + SETTLED);
        let deadline = [lost_at.map(|at| at + LOSS_SHOWN), link.heartbeat_due(), settling]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + Duration::from_secs(60));
        let shared = link.shared();
        tokio::select! {
            // Reading yields the error that an earlier datagram met.
            read = socket.recv(&mut heard) => if read.is_err() {
                Stats::add(&link.stats().lost_datagrams, 1);
                lost_at = Some(Instant::now());
                link.report(HealthState::Degraded, NOBODY_LISTENS);
            },
            () = shared.wake.notified() => {}
            () = sleep_until(deadline.into()) => {}
        }
    }
}

const NOBODY_LISTENS: &str =
    "the receiver's host says that nobody listens on this port; datagrams are lost until the receiver runs";
const NOT_SENT: &str = "some datagrams could not be sent and are lost (too long for the path, or no memory)";

/// Sends what waits. Returns what to say when something was lost; an error when nothing can be sent at all.
async fn send_waiting(
    link: &mut Link,
    socket: &UdpSocket,
    sent: &mut bool,
) -> io::Result<Option<&'static str>> {
    let mut loss = None;
    while let Some(word) = link.word(Instant::now()) {
        loss = send(socket, &word, link.stats()).await?.or(loss);
        *sent = true;
    }
    while let Some(delivery) = link.next_delivery() {
        let mut writing = Writing::new(delivery);
        while let Some(message) = writing.next_message() {
            loss = send(socket, message, link.stats()).await?.or(loss);
            *sent = true;
            let length = message.len();
            writing.sent(length, link.stats());
        }
        // Marks of a delivery without messages.
        writing.sent(0, link.stats());
        if link.shared().stop_at().is_some_and(|at| Instant::now() >= at) {
            break;
        }
    }
    Ok(loss)
}

async fn send(socket: &UdpSocket, message: &[u8], stats: &Stats) -> io::Result<Option<&'static str>> {
    let mut loss = None;
    // The first error may belong to an earlier datagram: this one then was not sent, so once more.
    for _ in 0..2 {
        match socket.send(message).await {
            Ok(_) => return Ok(loss),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => loss = Some(NOBODY_LISTENS),
                io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::PermissionDenied => return Err(error),
                // One bad datagram must not hold up the others.
                _ => loss = Some(NOT_SENT),
            },
        }
        Stats::add(&stats.lost_datagrams, 1);
    }
    Ok(loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_sent_nothing_never_counts_as_having_worked() {
        let opened = Instant::now();
        let cases = [
            // A packet filter: the first datagram is refused at once, or after a long silence.
            (false, Duration::ZERO, false, false),
            (false, SETTLED * 60, false, true),
            // The receiver's route goes away within the first second, and later.
            (true, SETTLED / 2, false, true),
            (true, SETTLED, true, true),
        ];
        for (sent, after, settled, well) in cases {
            let standing = Standing { opened, sent };
            assert_eq!(standing.settled(opened + after), settled, "{sent} {after:?}");
            assert_eq!(standing.well(opened + after), well, "{sent} {after:?}");
        }
    }
}
