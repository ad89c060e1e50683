//! When to connect, to which URL, and how long to wait: a pure state machine. Time and chance are
//! arguments, so that every wait can be tested.

use super::failure::Failure;
use std::time::Duration;

/// Shortest wait after a failed round over all URLs.
pub const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Growth of the wait from round to round.
const GROWTH: f64 = 1.5;
/// Where the growth ends.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Wait after the controller refused this agent: somebody has to act first, and each try costs both sides
/// a handshake.
pub const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// A connection that lived this long was a good one; its loss starts the waits anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);
/// After the loss of a good connection all agents come back within this time: soon enough not to be
/// called offline (5 s), spread enough not to be a herd.
pub const RECONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Where the uplink stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Not started, or stopped for good.
    Stopped,
    /// Reaching for a URL: TCP, TLS, upgrade.
    Connecting {
        /// Index into the list of URLs.
        url: usize,
        /// Failed attempts in a row before this one.
        attempt: u32,
    },
    /// The transport is open and the first report is on its way; no answer yet.
    Greeting {
        /// Index into the list of URLs.
        url: usize,
        /// Failed attempts in a row before this one.
        attempt: u32,
    },
    /// The controller answers.
    Active {
        /// Index into the list of URLs.
        url: usize,
        /// Failed attempts in a row before this one; counts on if the connection dies young.
        attempt: u32,
        /// When the first answer came.
        since: Duration,
    },
    /// Waiting before the next attempt.
    BackingOff {
        /// URL to try next.
        url: usize,
        /// Failed attempts in a row.
        attempt: u32,
        /// When to try.
        until: Duration,
        /// Why the last attempt failed.
        failure: Failure,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Begin.
    Start,
    /// The transport is open.
    Opened,
    /// A message came from the controller.
    Answered,
    /// The attempt failed or the connection is gone.
    Lost(Failure),
    /// The wait is over.
    Woken,
    /// Leave the open connection and reach for this URL: a new credential is to be tried.
    Switch {
        /// Index into the list of URLs.
        url: usize,
    },
    /// End for good.
    Stop,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a step that nobody takes leaves the uplink hanging"]
pub enum Step {
    /// Nothing.
    Stay,
    /// Open a connection to this URL.
    Connect(usize),
    /// Send the first, full report.
    Greet,
    /// Wake me at this time.
    WakeAt(Duration),
    /// Close what is open.
    Close,
}

/// What a decision depends on beside state and event.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Now, on any monotonic clock.
    pub now: Duration,
    /// A random number from 0 to below 1.
    pub jitter: f64,
    /// Number of URLs, at least 1.
    pub urls: usize,
}

impl State {
    /// The state after `event`, and what to do. Events that make no sense in a state change nothing: they
    /// are late messages of a connection that is already given up.
    pub fn step(self, event: Event, around: Surroundings) -> (Self, Step) {
        match (self, event) {
            (_, Event::Stop) => (Self::Stopped, Step::Close),
            (Self::Stopped, Event::Start) => connect(0, 0),
            (Self::Connecting { url, attempt }, Event::Opened) => {
                (Self::Greeting { url, attempt }, Step::Greet)
            }
            (Self::Greeting { url, attempt }, Event::Answered) => {
                (Self::Active { url, attempt, since: around.now }, Step::Stay)
            }
            (Self::Connecting { url, attempt } | Self::Greeting { url, attempt }, Event::Lost(failure)) => {
                lost(url, attempt, failure, around)
            }
            (Self::Active { url, attempt, since }, Event::Lost(failure)) => {
                let stable = around.now.saturating_sub(since) >= STABLE_AFTER;
                match failure {
                    Failure::Busy { .. } | Failure::Refused(_) => lost(url, attempt, failure, around),
                    Failure::Unreachable(_)
                    | Failure::Untrusted(_)
                    | Failure::Protocol(_)
                    | Failure::TooLarge(_)
                    | Failure::Superseded(_)
                        if stable =>
                    {
                        let until = around.now + RECONNECT_WITHIN.mul_f64(around.jitter);
                        (Self::BackingOff { url, attempt: 0, until, failure }, Step::WakeAt(until))
                    }
                    Failure::Unreachable(_)
                    | Failure::Untrusted(_)
                    | Failure::Protocol(_)
                    | Failure::TooLarge(_)
                    | Failure::Superseded(_) => {
                        let round = attempt / count(around.urls);
                        back_off(
                            url,
                            attempt.saturating_add(1),
                            wait(&failure, round, around.jitter),
                            failure,
                            around,
                        )
                    }
                }
            }
            (Self::Greeting { attempt, .. } | Self::Active { attempt, .. }, Event::Switch { url }) => {
                connect(url, attempt)
            }
            (Self::BackingOff { url, attempt, until, failure }, Event::Woken) => {
                if around.now >= until {
                    connect(url, attempt)
                } else {
                    (Self::BackingOff { url, attempt, until, failure }, Step::WakeAt(until))
                }
            }
            (
                state @ Self::Stopped,
                Event::Opened | Event::Answered | Event::Lost(_) | Event::Woken | Event::Switch { .. },
            )
            | (
                state @ Self::Connecting { .. },
                Event::Start | Event::Answered | Event::Woken | Event::Switch { .. },
            )
            | (state @ Self::Greeting { .. }, Event::Start | Event::Opened | Event::Woken)
            | (state @ Self::Active { .. }, Event::Start | Event::Opened | Event::Answered | Event::Woken)
            | (
                state @ Self::BackingOff { .. },
                Event::Start | Event::Opened | Event::Answered | Event::Lost(_) | Event::Switch { .. },
            ) => (state, Step::Stay),
        }
    }
}

fn connect(url: usize, attempt: u32) -> (State, Step) {
    (State::Connecting { url, attempt }, Step::Connect(url))
}

/// An attempt failed: the next URL at once while the round lasts, then a wait. A busy controller is
/// obeyed, not walked around: the others serve the same fleet.
fn lost(url: usize, attempt: u32, failure: Failure, around: Surroundings) -> (State, Step) {
    let next = (url + 1) % around.urls.max(1);
    let failed = attempt.saturating_add(1);
    let round_over = failed.is_multiple_of(count(around.urls));
    match failure {
        Failure::Unreachable(_)
        | Failure::Untrusted(_)
        | Failure::Protocol(_)
        | Failure::TooLarge(_)
        | Failure::Superseded(_)
        | Failure::Refused(_)
            if !round_over =>
        {
            connect(next, failed)
        }
        Failure::Unreachable(_)
        | Failure::Untrusted(_)
        | Failure::Protocol(_)
        | Failure::TooLarge(_)
        | Failure::Superseded(_)
        | Failure::Refused(_)
        | Failure::Busy { .. } => {
            let round = (failed / count(around.urls)).saturating_sub(1);
            let pause = wait(&failure, round, around.jitter);
            back_off(next, failed, pause, failure, around)
        }
    }
}

fn back_off(
    url: usize,
    attempt: u32,
    pause: Duration,
    failure: Failure,
    around: Surroundings,
) -> (State, Step) {
    let until = around.now + pause;
    (State::BackingOff { url, attempt, until, failure }, Step::WakeAt(until))
}

/// The wait after a failed round. Jitter is a share of the wait (half to one and a half) and is applied
/// after the cap, so that a large fleet stays spread however long the outage. A time that the controller
/// named is never undercut.
#[must_use]
pub fn wait(failure: &Failure, round: u32, jitter: f64) -> Duration {
    let grown = FIRST_WAIT.as_secs_f64() * GROWTH.powi(i32::try_from(round.min(64)).unwrap_or(64));
    let own = grown.min(LONGEST_WAIT.as_secs_f64());
    match failure {
        Failure::Unreachable(_)
        | Failure::Untrusted(_)
        | Failure::Protocol(_)
        | Failure::TooLarge(_)
        | Failure::Superseded(_) => share(own, jitter),
        Failure::Refused(_) => share(own.max(REFUSED_WAIT.as_secs_f64()), jitter),
        Failure::Busy { retry_after, .. } => match retry_after {
            Some(asked) => share(own, jitter).max(asked.mul_f64(1.0 + jitter / 2.0)),
            None => share(own, jitter),
        },
    }
}

fn share(seconds: f64, jitter: f64) -> Duration {
    Duration::from_secs_f64(seconds * (0.5 + jitter))
}

fn count(urls: usize) -> u32 {
    u32::try_from(urls.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gone() -> Failure {
        Failure::Unreachable("gone".to_owned())
    }

    fn refused() -> Failure {
        Failure::Refused("who are you".to_owned())
    }

    fn superseded() -> Failure {
        Failure::Superseded("old".to_owned())
    }

    fn busy(retry_after: Option<Duration>) -> Failure {
        Failure::Busy { retry_after, text: String::new() }
    }

    fn around(now: Duration, urls: usize) -> Surroundings {
        Surroundings { now, jitter: 0.5, urls }
    }

    fn waiting(url: usize, attempt: u32, until: Duration, failure: Failure) -> (State, Step) {
        (State::BackingOff { url, attempt, until, failure }, Step::WakeAt(until))
    }

    #[test]
    fn transitions() {
        use State::{Active, Connecting, Greeting, Stopped};
        let ms = Duration::from_millis;
        let cases: Vec<(&str, State, Event, (State, Step))> = vec![
            ("start", Stopped, Event::Start, (Connecting { url: 0, attempt: 0 }, Step::Connect(0))),
            (
                "opened",
                Connecting { url: 1, attempt: 3 },
                Event::Opened,
                (Greeting { url: 1, attempt: 3 }, Step::Greet),
            ),
            (
                "answered",
                Greeting { url: 1, attempt: 3 },
                Event::Answered,
                (Active { url: 1, attempt: 3, since: secs(100) }, Step::Stay),
            ),
            (
                "second URL of the round at once",
                Connecting { url: 0, attempt: 0 },
                Event::Lost(gone()),
                (Connecting { url: 1, attempt: 1 }, Step::Connect(1)),
            ),
            (
                "refused by one, the other may know us",
                Greeting { url: 0, attempt: 0 },
                Event::Lost(refused()),
                (Connecting { url: 1, attempt: 1 }, Step::Connect(1)),
            ),
            (
                "replaced by a restored one, which the next URL may be",
                Connecting { url: 0, attempt: 0 },
                Event::Lost(superseded()),
                (Connecting { url: 1, attempt: 1 }, Step::Connect(1)),
            ),
            (
                "only old controllers: asked again soon, for the restored one may be about to start",
                Connecting { url: 1, attempt: 1 },
                Event::Lost(superseded()),
                waiting(0, 2, ms(100_500), superseded()),
            ),
            (
                "round over",
                Connecting { url: 1, attempt: 1 },
                Event::Lost(gone()),
                waiting(0, 2, ms(100_500), gone()),
            ),
            (
                "second round over",
                Greeting { url: 1, attempt: 3 },
                Event::Lost(gone()),
                waiting(0, 4, ms(100_750), gone()),
            ),
            (
                "round of refusals",
                Greeting { url: 1, attempt: 1 },
                Event::Lost(refused()),
                waiting(0, 2, secs(160), refused()),
            ),
            (
                "busy waits in the middle of a round",
                Connecting { url: 0, attempt: 0 },
                Event::Lost(busy(Some(secs(8)))),
                waiting(1, 1, secs(110), busy(Some(secs(8)))),
            ),
            (
                "good connection lost",
                Active { url: 1, attempt: 7, since: secs(90) },
                Event::Lost(gone()),
                waiting(1, 0, ms(100_500), gone()),
            ),
            (
                "young connection lost: the waits go on growing",
                Active { url: 1, attempt: 7, since: secs(91) },
                Event::Lost(gone()),
                waiting(1, 8, ms(100_000) + secs(1).mul_f64(0.5 * 1.5 * 1.5 * 1.5), gone()),
            ),
            (
                "good connection shed",
                Active { url: 0, attempt: 0, since: secs(1) },
                Event::Lost(busy(Some(secs(4)))),
                waiting(1, 1, secs(105), busy(Some(secs(4)))),
            ),
            (
                "revoked while connected: the other controller is asked once",
                Active { url: 0, attempt: 0, since: secs(1) },
                Event::Lost(refused()),
                (Connecting { url: 1, attempt: 1 }, Step::Connect(1)),
            ),
            (
                "woken",
                State::BackingOff { url: 1, attempt: 3, until: secs(100), failure: gone() },
                Event::Woken,
                (Connecting { url: 1, attempt: 3 }, Step::Connect(1)),
            ),
            (
                "woken too early",
                State::BackingOff { url: 1, attempt: 3, until: secs(101), failure: gone() },
                Event::Woken,
                waiting(1, 3, secs(101), gone()),
            ),
            (
                "a new credential",
                Active { url: 1, attempt: 2, since: secs(1) },
                Event::Switch { url: 0 },
                (Connecting { url: 0, attempt: 2 }, Step::Connect(0)),
            ),
            ("stop", Active { url: 0, attempt: 0, since: secs(1) }, Event::Stop, (Stopped, Step::Close)),
        ];
        for (name, from, event, expected) in cases {
            assert_eq!(from.step(event, around(secs(100), 2)), expected, "{name}");
        }
    }

    #[test]
    fn late_events_change_nothing() {
        let back = State::BackingOff { url: 0, attempt: 1, until: secs(9), failure: gone() };
        let cases = [
            (State::Stopped, Event::Lost(gone())),
            (State::Stopped, Event::Woken),
            (State::Connecting { url: 0, attempt: 0 }, Event::Answered),
            (State::Greeting { url: 0, attempt: 0 }, Event::Opened),
            (State::Active { url: 0, attempt: 0, since: secs(1) }, Event::Answered),
            (back.clone(), Event::Lost(gone())),
            (back.clone(), Event::Switch { url: 0 }),
            (State::Connecting { url: 0, attempt: 0 }, Event::Switch { url: 0 }),
            (back, Event::Opened),
        ];
        for (state, event) in cases {
            assert_eq!(
                state.clone().step(event.clone(), around(secs(2), 1)),
                (state, Step::Stay),
                "{event:?}"
            );
        }
    }

    #[test]
    fn waits_grow_and_keep_their_jitter_at_the_cap() {
        let at = |round, jitter| wait(&gone(), round, jitter);
        assert_eq!(at(0, 0.5), FIRST_WAIT);
        assert_eq!(at(0, 0.0), FIRST_WAIT / 2);
        assert_eq!(at(1, 0.5), Duration::from_millis(750));
        assert_eq!(at(1_000, 0.0), secs(30));
        assert_eq!(at(1_000, 0.5), secs(60));
        assert_eq!(at(u32::MAX, 0.75), secs(75));
    }

    #[test]
    fn what_the_controller_asks_is_never_undercut() {
        for step in 0..10 {
            let jitter = f64::from(step) / 10.0;
            assert!(wait(&busy(Some(secs(10))), 0, jitter) >= secs(10));
            assert!(wait(&busy(Some(secs(10))), 0, jitter) < secs(15));
            assert!(wait(&busy(Some(secs(1))), 20, jitter) >= secs(30), "own wait is longer");
        }
        assert_eq!(wait(&busy(None), 0, 0.5), FIRST_WAIT);
    }

    fn failures() -> impl proptest::strategy::Strategy<Value = Failure> {
        use proptest::prelude::*;
        prop_oneof![
            Just(gone()),
            Just(refused()),
            Just(Failure::TooLarge(String::new())),
            Just(busy(None)),
            (0_u64..4_000).prop_map(|asked| busy(Some(secs(asked)))),
        ]
    }

    proptest::proptest! {
        /// However long the outage and whatever the controller asked, two agents with different luck wait
        /// differently: no cap is applied after the jitter.
        #[test]
        fn jitter_is_never_clamped_away(
            failure in failures(),
            round in 0_u32..u32::MAX,
            luck in 0.0_f64..0.98,
            more in 0.01_f64..0.02,
        ) {
            let (one, other) = (wait(&failure, round, luck), wait(&failure, round, luck + more));
            proptest::prop_assert!(other > one, "{one:?} {other:?}");
            // And nobody waits much longer than the longest wait or what was asked for.
            let asked = match failure {
                Failure::Busy { retry_after: Some(asked), .. } => asked,
                _ => Duration::ZERO, // the others ask for nothing
            };
            proptest::prop_assert!(other <= LONGEST_WAIT.max(REFUSED_WAIT).max(asked).mul_f64(1.5));
        }

        /// A connection that dies young does not start the waits anew, however often it comes up.
        #[test]
        fn short_lived_connections_do_not_reset_the_backoff(
            attempt in 0_u32..10_000,
            urls in 1_usize..5,
            lived in 0_u64..10_000,
            failure in failures(),
        ) {
            let around = Surroundings { now: secs(1_000), jitter: 0.5, urls };
            let since = around.now - Duration::from_millis(lived).min(STABLE_AFTER - Duration::from_millis(1));
            let (next, _) = State::Active { url: 0, attempt, since }.step(Event::Lost(failure), around);
            let counted = match next {
                State::BackingOff { attempt, .. } | State::Connecting { attempt, .. } => attempt,
                State::Stopped | State::Greeting { .. } | State::Active { .. } => 0,
            };
            proptest::prop_assert_eq!(counted, attempt + 1);
        }
    }
}
