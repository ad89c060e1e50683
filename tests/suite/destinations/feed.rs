//! A destination with one lane, and a source that feeds it numbered messages as a real one would.

use actix::prelude::*;
use muster_agent::destination::{
    Delivery, Destination, DestinationActor, DestinationConfig, DestinationParts, DestinationStats,
    HeartbeatFacts, HeartbeatSource, Mark, Stats, Stop,
};
use muster_agent::health::{HealthSink, HealthState};
use muster_agent::lane::Lane;
use muster_shared::cursor::{Cursor, CursorKey, JournalCursor, ReceiverId};
use muster_shared::format::FormatContext;
use muster_shared::partition::Partition;
use muster_shared::policy::model::{DestinationSpec, FormatSpec, TransportSpec};
use muster_tests::eventually::{eventually, eventually_true};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Window of the tests.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// The message with a number: about 400 bytes.
pub(super) fn text(number: u64) -> String {
    format!("<109>1 2026-11-22T00:00:00Z host app - - - seq={number} {}", "x".repeat(340))
}

/// The number of a message.
pub(super) fn number(message: &str) -> Option<u64> {
    message.split_once("seq=")?.1.split(' ').next()?.parse().ok()
}

fn at(sequence: u64) -> Cursor {
    let receiver = ReceiverId { library: "QGPL".into(), name: "AUDRCV0001".into(), attached_us: 1 };
    Cursor::Journal(JournalCursor { receiver, sequence })
}

fn sequence(cursor: &Cursor) -> u64 {
    cursor.journal().expect("a journal").sequence
}

#[derive(Default)]
struct Health(Mutex<Vec<(HealthState, String)>>);

impl HealthSink for Health {
    fn report(&self, _: &str, state: HealthState, reason: &str) {
        self.0.lock().unwrap().push((state, reason.to_owned()));
    }
}

struct Facts;

impl HeartbeatSource for Facts {
    fn facts(&self) -> Option<HeartbeatFacts> {
        let partition =
            Partition { system_name: "PROD01".into(), host_name: "prod01".into(), ..Partition::default() };
        Some(HeartbeatFacts {
            context: FormatContext { partition: Arc::new(partition), product_version: "0.1.0".to_owned() },
            policy_revision: 7,
            dropped: 0,
            lag_ms: None,
        })
    }
}

/// A destination that runs.
pub(super) struct Rig {
    pub(super) lane: Arc<Lane>,
    pub(super) config: Arc<DestinationConfig>,
    pub(super) secrets: tempfile::TempDir,
    stats: Arc<Stats>,
    health: Arc<Health>,
    address: Addr<DestinationActor>,
    arbiter: Arbiter,
    runner: actix::SystemRunner,
}

impl Rig {
    /// Without heartbeats, so that messages can be counted.
    pub(super) fn start(transport: &TransportSpec) -> Self {
        Self::start_with(transport, |_| {})
    }

    pub(super) fn start_with(transport: &TransportSpec, change: impl FnOnce(&mut DestinationSpec)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), transport, change)
    }

    pub(super) fn start_in(
        secrets: tempfile::TempDir,
        transport: &TransportSpec,
        change: impl FnOnce(&mut DestinationSpec),
    ) -> Self {
        let mut spec = DestinationSpec {
            transport: transport.clone(),
            format: FormatSpec::default(),
            heartbeat_seconds: 0,
            replay_window_ms: WINDOW.as_millis() as u64,
            receiver_buffer_bytes: None,
        };
        change(&mut spec);
        let config = DestinationConfig::build("siem", &spec, Path::new(secrets.path())).unwrap();
        let key = CursorKey { source: "audit_journal:QSYS/QAUDJRN".into(), destination: "siem".into() };
        let lane = Arc::new(Lane::new(key, Some(at(0))));
        let health = Arc::new(Health::default());
        let sink: Arc<dyn HealthSink + Send + Sync> = health.clone();
        let parts = DestinationParts::new(config, vec![Arc::clone(&lane)], sink, Arc::new(Facts));
        let (config, stats) = (Arc::clone(parts.config()), parts.stats());
        let runner = actix::System::new();
        let arbiter = Arbiter::new();
        let address = Destination::start_in(parts, &arbiter.handle());
        Self { lane, config, secrets, stats, health, address, arbiter, runner }
    }

    pub(super) fn stats(&self) -> DestinationStats {
        self.stats.snapshot()
    }

    pub(super) fn committed(&self) -> u64 {
        self.lane.committed().as_ref().map_or(0, sequence)
    }

    pub(super) fn await_committed(&self, number: u64, limit: Duration) {
        eventually(&format!("{number} is committed"), limit, || match self.committed() {
            at if at >= number => Ok(()),
            at => Err(format!("{at} is")),
        });
    }

    /// All reports so far.
    pub(super) fn reports(&self) -> Vec<(HealthState, String)> {
        self.health.0.lock().unwrap().clone()
    }

    /// Waits until the latest report is this.
    pub(super) fn await_health(&self, state: HealthState, part: &str, limit: Duration) -> String {
        eventually(&format!("health {state:?} {part:?}"), limit, || match self.reports().last() {
            Some((is, reason)) if *is == state && reason.contains(part) => Ok(reason.clone()),
            other => Err(format!("{other:?}")),
        })
    }

    /// Stops the destination; returns how long that took.
    pub(super) fn stop(&self, limit: Duration) -> Duration {
        let begun = Instant::now();
        let _ = self.runner.block_on(self.address.send(Stop { limit }));
        let took = begun.elapsed();
        eventually_true("the actor has ended", Duration::from_secs(5), || !self.address.connected());
        took
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

/// Feeds messages 1..=total at a rate until dropped, and again what a rewind asks for.
pub(super) struct Feed {
    running: Arc<AtomicBool>,
    produced: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// `per_second` 0: as fast as the lane has credit.
    pub(super) fn start(rig: &Rig, total: u64, per_second: u64) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let produced = Arc::new(AtomicU64::new(0));
        let source = Source {
            lane: Arc::clone(&rig.lane),
            config: Arc::clone(&rig.config),
            address: rig.address.clone(),
            total,
            per_second,
            produced: Arc::clone(&produced),
        };
        let flag = Arc::clone(&running);
        let thread = Some(std::thread::spawn(move || source.run(&flag)));
        Self { running, produced, thread }
    }

    /// The highest number produced so far.
    pub(super) fn produced(&self) -> u64 {
        self.produced.load(Ordering::Acquire)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Source {
    lane: Arc<Lane>,
    config: Arc<DestinationConfig>,
    address: Addr<DestinationActor>,
    total: u64,
    per_second: u64,
    produced: Arc<AtomicU64>,
}

impl Source {
    fn run(&self, running: &AtomicBool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let begun = Instant::now();
        while running.load(Ordering::Acquire) {
            let (epoch, from) = self.lane.position();
            let from = from.as_ref().map_or(0, sequence);
            let exists = if self.per_second == 0 {
                self.total
            } else {
                self.total.min((begun.elapsed().as_secs_f64() * self.per_second as f64) as u64)
            };
            if from >= exists || !self.lane.ready() {
                // The journal is polled; nothing announces a new entry of it.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let to = exists.min(from + 2_000);
            let delivery = self.delivery(epoch, from, to);
            self.produced.fetch_max(to, Ordering::AcqRel);
            let bytes = delivery.bytes.len();
            self.lane.advance(epoch, at(to));
            self.lane.add_queued(bytes);
            if runtime.block_on(self.address.send(delivery)).is_err() {
                self.lane.take_queued(bytes);
                return;
            }
        }
    }

    fn delivery(&self, epoch: u64, from: u64, to: u64) -> Delivery {
        let (mut bytes, mut ends, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut framer = self.config.framer();
        for number in from + 1..=to {
            framer.message(&mut bytes, &mut ends, |out| out.extend_from_slice(text(number).as_bytes()));
            if ends.len() % 256 == 0 || number == to {
                marks.push(Mark { offset: bytes.len(), events: ends.len() as u32, cursor: at(number) });
            }
        }
        Delivery { lane: Arc::clone(&self.lane), epoch, bytes, ends, marks, newest_us: to as i64 }
    }
}

/// How often each number arrived.
pub(super) fn tally(messages: &[String]) -> BTreeMap<u64, u64> {
    let mut tally = BTreeMap::new();
    for message in messages {
        if let Some(number) = number(message) {
            *tally.entry(number).or_default() += 1;
        }
    }
    tally
}

/// Checks that 1..=total all arrived and returns how many came more than once.
pub(super) fn assert_all_arrived(messages: &[String], total: u64) -> u64 {
    let tally = tally(messages);
    let missing: Vec<u64> = (1..=total).filter(|number| !tally.contains_key(number)).collect();
    assert!(
        missing.is_empty(),
        "{} of {total} are missing, first {:?}",
        missing.len(),
        &missing[..missing.len().min(5)]
    );
    tally.values().map(|times| times - 1).sum()
}
