//! What runs: sources, destinations, lanes; and how one policy follows another.

use super::Overview;
use super::launch::{DestinationHandle, Environment, SourceHandle};
use super::sources;
use crate::destination::DestinationConfig;
use crate::health::{HealthSink, HealthState};
use crate::lane::Lane;
use crate::pipeline::Output;
use crate::policy::PolicyChange;
use crate::source::actor::{LaneSlot, Mailbox};
use crate::spool::orphans;
use crate::state::{CursorKeeper, Lost, Watch};
use crate::status::{CursorStatus, DestinationStatus, SourceStatus};
use crate::supervisor::{Child, Children};
use crate::telemetry::DestinationFigures;
use actix::Addr;
use arc_swap::ArcSwap;
use futures_util::future::{LocalBoxFuture, join_all};
use muster_shared::cursor::{Cursor, CursorKey};
use muster_shared::format::FormatContext;
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::model::{EffectivePolicy, PolicySpec, SourceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Longest time that a source may take to end: its loop is cancelled, so it is a matter of milliseconds.
const STOP_SOURCE: Duration = Duration::from_secs(5);

/// Longest time that a destination may take to end: it flushes for 5 s at most.
const STOP_DESTINATION: Duration = Duration::from_secs(10);

/// A child without progress for this long is frozen: a source stamps at least every 20 s when idle, and its
/// longest request has a deadline of a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// Component of spools that belong to no source.
const SPOOL_COMPONENT: &str = "state/spool";

/// A policy that was checked whole: nothing in it can fail to start.
pub struct Prepared {
    /// The policy.
    pub policy: EffectivePolicy,
    compiled: Arc<CompiledPolicy>,
    destinations: BTreeMap<String, DestinationConfig>,
}

/// Builds what a checked policy needs from this machine, without changing anything.
///
/// # Errors
/// What is missing or cannot be used here, for the operator who published it.
pub fn prepare(env: &Environment, change: &PolicyChange) -> Result<Prepared, String> {
    let policy = EffectivePolicy::clone(&change.policy);
    let context = FormatContext { partition: env.facts.get(), product_version: env.version.clone() };
    let mut destinations = BTreeMap::new();
    for (name, spec) in &policy.spec.destinations {
        let config =
            DestinationConfig::build(name, spec, &env.secrets_dir).map_err(|error| error.to_string())?;
        Output::new(&config, &context).map_err(|error| format!("destination {name}: {error}"))?;
        destinations.insert(name.clone(), config);
    }
    for (name, spec) in &policy.spec.sources {
        sources::check(env, spec).map_err(|error| format!("source {name}: {error}"))?;
    }
    Ok(Prepared { policy, compiled: Arc::clone(&change.compiled), destinations })
}

/// See the module.
pub(super) struct Running {
    spec: PolicySpec,
    revision: u64,
    compiled: Arc<ArcSwap<CompiledPolicy>>,
    sources: BTreeMap<String, SourceHandle>,
    destinations: BTreeMap<String, DestinationHandle>,
    lanes: BTreeMap<CursorKey, Arc<Lane>>,
    /// One per source key; the lanes of a source wake its loop through it.
    wakes: BTreeMap<String, Arc<Notify>>,
    /// Cursors of lanes that are not run at the moment, from disk or from before.
    parked: BTreeMap<CursorKey, Cursor>,
    /// Which lanes without a cursor have lost it; the keeper's store decides by the same rules.
    lost: Lost,
    keeper: Addr<CursorKeeper>,
}

impl Running {
    /// Nothing.
    pub(super) fn new(env: &Environment) -> Self {
        let policy = EffectivePolicy::default();
        let compiled = CompiledPolicy::compile(&policy).expect("an empty policy compiles");
        Self {
            spec: policy.spec,
            revision: 0,
            compiled: Arc::new(ArcSwap::from_pointee(compiled)),
            sources: BTreeMap::new(),
            destinations: BTreeMap::new(),
            lanes: BTreeMap::new(),
            wakes: BTreeMap::new(),
            parked: env.loaded.cursors().clone(),
            lost: env.loaded.lost().clone(),
            keeper: env.keeper.clone(),
        }
    }

    /// When only filters, routes and severities differ, puts them in force and says so.
    pub(super) fn exchange_filters(&mut self, env: &Environment, prepared: &Prepared) -> bool {
        let new = &prepared.policy.spec;
        let same = self.spec.sources == new.sources && self.spec.destinations == new.destinations;
        let started = !self.sources.is_empty() || new.sources.is_empty();
        if !(same && started) {
            return false;
        }
        for name in new.sources.keys() {
            env.telemetry.source(name).set_rules(prepared.compiled.rule_names());
        }
        self.adopt(env, prepared);
        true
    }

    fn adopt(&mut self, env: &Environment, prepared: &Prepared) {
        self.spec = prepared.policy.spec.clone();
        self.revision = prepared.policy.revision;
        env.revision.store(self.revision, std::sync::atomic::Ordering::Relaxed);
        self.compiled.store(Arc::clone(&prepared.compiled));
        env.inspect.adopt(&prepared.policy, &prepared.compiled);
    }

    /// Tells the present destinations what a policy takes from them; nothing to do where it takes nothing.
    pub(super) fn announce(&self, revision: u64, narrows: &[String]) -> LocalBoxFuture<'static, ()> {
        if narrows.is_empty() {
            return Box::pin(async {});
        }
        let told: Vec<_> =
            self.destinations.values().map(|handle| handle.announce(revision, narrows.join("; "))).collect();
        Box::pin(async move {
            join_all(told).await;
        })
    }

    /// Stops every source, and the destinations that the new policy does not keep as they are.
    pub(super) fn stop_for(
        &mut self,
        children: &mut Children,
        prepared: &Prepared,
    ) -> LocalBoxFuture<'static, ()> {
        let gone: Vec<String> = self
            .destinations
            .iter()
            .filter(|(name, handle)| prepared.destinations.get(*name) != Some(&handle.config))
            .map(|(name, _)| name.clone())
            .collect();
        self.stop(children, gone)
    }

    /// Stops everything.
    pub(super) fn stop_all(&mut self, children: &mut Children) -> LocalBoxFuture<'static, ()> {
        let all = self.destinations.keys().cloned().collect();
        self.stop(children, all)
    }

    fn stop(&mut self, children: &mut Children, destinations: Vec<String>) -> LocalBoxFuture<'static, ()> {
        let mut sources_end = Vec::new();
        for (name, handle) in std::mem::take(&mut self.sources) {
            take_child(children, &format!("source/{name}"));
            let ended = handle.ended();
            sources_end.push(async move {
                if tokio::time::timeout(STOP_SOURCE, ended.cancelled()).await.is_err() {
                    warn!(source = name, "source does not end and is left behind");
                }
            });
        }
        let mut handles = Vec::new();
        for name in destinations {
            take_child(children, &format!("destination/{name}"));
            handles.extend(self.destinations.remove(&name));
        }
        Box::pin(async move {
            join_all(sources_end).await;
            let ends = handles.iter().map(|handle| tokio::time::timeout(STOP_DESTINATION, handle.stop()));
            for (handle, end) in handles.iter().zip(join_all(ends).await) {
                if end.is_err() {
                    warn!(destination = handle.config.name, "destination does not end and is left behind");
                }
                for lane in &handle.lanes {
                    lane.set_open(false);
                    lane.rewind();
                }
            }
        })
    }

    /// Keys of all lanes that a policy needs: every source to every destination.
    fn lane_keys(&self, spec: &PolicySpec) -> BTreeSet<CursorKey> {
        let keys = spec.sources.values().flat_map(|source| {
            let key = source.key();
            spec.destinations
                .keys()
                .map(move |name| CursorKey { source: key.as_str().into(), destination: name.as_str().into() })
        });
        keys.collect()
    }

    /// Starts what the new policy needs and does not run yet.
    pub(super) fn start(&mut self, env: &Arc<Environment>, children: &mut Children, prepared: Prepared) {
        self.adopt(env, &prepared);
        self.forget_unnamed(env);
        self.tell_orphans(env);
        let wanted = self.lane_keys(&self.spec);
        for (key, lane) in self.lanes.extract_if(.., |key, _| !wanted.contains(key)) {
            self.parked.extend(lane.committed().map(|cursor| (key, cursor)));
        }
        self.lost = std::mem::take(&mut self.lost).settled(&wanted).without(&self.parked);
        for key in wanted {
            let wake = Arc::clone(self.wakes.entry(key.source.to_string()).or_default());
            let parked = &self.parked;
            self.lanes.entry(key).or_insert_with_key(|key| {
                Arc::new(Lane::with_wake(key.clone(), parked.get(key).cloned(), wake))
            });
        }
        self.keeper.do_send(Watch(self.lanes.values().cloned().collect()));
        let sources = self.spec.sources.iter().map(|(name, spec)| (spec.key(), name.clone())).collect();
        env.leases.set_sources(&sources, self.lanes.values().cloned().collect());
        for (name, config) in prepared.destinations {
            let lanes = self.lanes_of(&name);
            match self.destinations.get_mut(&name) {
                Some(handle) => handle.set_lanes(lanes),
                None => self.start_destination(env, children, config, lanes),
            }
        }
        let figures = self.destinations.iter().map(|(name, handle)| {
            (name.clone(), DestinationFigures { stats: handle.stats(), lanes: handle.lanes.clone() })
        });
        env.telemetry.set_destinations(figures.collect());
        let configs = self.destinations.values().map(|handle| handle.config.clone()).collect();
        let configs: Arc<Vec<DestinationConfig>> = Arc::new(configs);
        for (name, spec) in self.spec.sources.clone() {
            self.start_source(env, children, &name, &spec, &configs);
        }
    }

    fn lanes_of(&self, destination: &str) -> Vec<Arc<Lane>> {
        let of = self.lanes.iter().filter(|(key, _)| key.destination == destination);
        of.map(|(_, lane)| Arc::clone(lane)).collect()
    }

    fn forget_unnamed(&self, env: &Environment) {
        for health in env.health.snapshot() {
            let named = match health.component.split_once('/') {
                Some(("source", name)) => self.spec.sources.contains_key(name),
                Some(("destination", name)) => self.spec.destinations.contains_key(name),
                _ => true,
            };
            if !named {
                env.health.forget(&health.component);
            }
        }
        for name in env.telemetry.snapshot().keys() {
            if !self.spec.sources.contains_key(name) {
                env.telemetry.forget(name);
            }
        }
    }

    /// What was taken out of a queue that no source names any more lies on this disk and nowhere else.
    fn tell_orphans(&self, env: &Environment) {
        let keys: Vec<String> = self.spec.sources.values().map(SourceSpec::key).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let orphans = orphans(&env.config.state_dir, &keys);
        if orphans.is_empty() {
            env.health.forget(SPOOL_COMPONENT);
            return;
        }
        let reason = format!(
            "entries of queues that no source of the policy names lie in the state folder below spool: {}; they are \
             delivered when a policy names the queue again. Delete the folder if nobody needs them",
            orphans.join(", ")
        );
        warn!(reason, "spools without a source");
        env.health.report(SPOOL_COMPONENT, HealthState::Degraded, &reason);
    }

    fn start_destination(
        &mut self,
        env: &Arc<Environment>,
        children: &mut Children,
        config: DestinationConfig,
        lanes: Vec<Arc<Lane>>,
    ) {
        let handle = DestinationHandle::new(env, config, lanes);
        let component = handle.config.component();
        let factory = handle.factory(env.destination_arbiter.clone());
        self.destinations.insert(handle.config.name.clone(), handle);
        children.add(Child::start(&component, PATIENCE, factory));
    }

    fn start_source(
        &mut self,
        env: &Arc<Environment>,
        children: &mut Children,
        name: &str,
        spec: &SourceSpec,
        configs: &Arc<Vec<DestinationConfig>>,
    ) {
        let key = spec.key();
        let slots: Vec<LaneSlot> = configs
            .iter()
            .enumerate()
            .filter_map(|(index, config)| {
                let key = CursorKey { source: key.as_str().into(), destination: config.name.as_str().into() };
                let mailbox: Arc<Mailbox> = Arc::clone(&self.destinations.get(&config.name)?.mailbox);
                let lane = Arc::clone(self.lanes.get(&key)?);
                Some(LaneSlot { lane, destination: index, mailbox, lost: self.lost.covers(&key) })
            })
            .collect();
        env.telemetry.source(name).set_rules(self.compiled.load().rule_names());
        let wake = Arc::clone(self.wakes.entry(key).or_default());
        let handle = SourceHandle {
            name: name.to_owned(),
            spec: spec.clone(),
            slots,
            wake,
            policy: Arc::clone(&self.compiled),
            configs: Arc::clone(configs),
            ended: Arc::new(ArcSwap::from_pointee(CancellationToken::new())),
        };
        let factory = handle.factory(Arc::clone(env));
        children.add(Child::start(&format!("source/{name}"), PATIENCE, factory));
        self.sources.insert(name.to_owned(), handle);
    }

    /// The actor that stores cursors.
    pub(super) fn keeper(&self) -> Addr<CursorKeeper> {
        self.keeper.clone()
    }

    /// For `show-state` and the uplink.
    pub(super) fn overview(&self, env: &Environment) -> Overview {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let sources = env
            .telemetry
            .snapshot()
            .into_iter()
            .map(|(name, s)| {
                let status = SourceStatus {
                    received: s.received,
                    kept: s.kept,
                    dropped: s.dropped,
                    dropped_by_rule: s.rules.dropped,
                    kept_by_rule: s.rules.kept,
                    throttled_by_rule: s.rules.held_back,
                    expression_faults: s.rules.faults,
                    dropped_by_type: s.by_type,
                    unknown: s.unknown,
                    short: s.short,
                    bad_rows: s.bad_rows,
                    gaps: s.gaps,
                    lag_ms: s.lag_ms,
                };
                (name, status)
            })
            .collect();
        let destinations = self
            .destinations
            .iter()
            .map(|(name, handle)| {
                let delivered = handle.lanes.iter().map(|lane| lane.delivered()).sum();
                let replayed = handle.lanes.iter().map(|lane| lane.replayed()).sum();
                let truncated = handle.lanes.iter().map(|lane| lane.truncated()).sum();
                let lost_datagrams = handle.stats().snapshot().lost_datagrams;
                let lag_ms = handle.lanes.iter().filter_map(|lane| lane.lag_ms(now_us)).max();
                (name.clone(), DestinationStatus { delivered, replayed, truncated, lost_datagrams, lag_ms })
            })
            .collect();
        let cursors = self
            .lanes
            .iter()
            .map(|(key, lane)| CursorStatus { key: key.clone(), cursor: lane.committed() })
            .collect();
        Overview { revision: self.revision, sources, destinations, cursors }
    }
}

fn take_child(children: &mut Children, component: &str) {
    if let Some(child) = children.take(component) {
        child.stop();
    }
}
