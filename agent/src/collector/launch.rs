//! How sources and destinations are started, each by a factory that its supervision calls again.

use super::sources::{self, Pace};
use super::spooled::Parts;
use super::{FactsBook, OutageWatch, SignOnGate};
use crate::config::Config;
use crate::destination::{
    Announce, Destination, DestinationActor, DestinationConfig, DestinationParts, HeartbeatFacts,
    HeartbeatSource, STOP_LIMIT, SetLanes, Stats, Stop,
};
use crate::health::HealthBook;
use crate::inspect::Watches;
use crate::lane::Lane;
use crate::lease::LeaseBook;
use crate::pipeline::{Output, Pipeline};
use crate::source::actor::{Connect, Connected, LaneSlot, Leftover, Mailbox, SourceActor, SourceTask, Store};
use crate::source::sign_on::SignOn;
use crate::source::{Source, SourceError};
use crate::state::{CursorKeeper, Flush, GapBook, Loaded};
use crate::supervisor::{Factory, Progress, Running};
use crate::telemetry::Telemetry;
use actix::prelude::*;
use arc_swap::ArcSwap;
use muster_shared::format::FormatContext;
use muster_shared::partition::Partition;
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::model::SourceSpec;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What sources and destinations share.
pub struct Environment {
    /// The local configuration.
    pub config: Config,
    /// Facts of the partition.
    pub facts: FactsBook,
    /// Health of all components.
    pub health: Arc<HealthBook>,
    /// Counters.
    pub telemetry: Telemetry,
    /// Notices that the partition is about to be powered down.
    pub outage: Arc<OutageWatch>,
    /// What the controller may look at.
    pub inspect: Arc<Watches>,
    /// Cursors as they were found at the start.
    pub loaded: Loaded,
    /// The actor that stores them.
    pub keeper: Addr<CursorKeeper>,
    /// Gaps that the sources met.
    pub gaps: Arc<GapBook>,
    /// Which sources this agent collects.
    pub leases: Arc<LeaseBook>,
    /// Asked before each sign-on to the partition.
    pub gate: Arc<SignOnGate>,
    /// Folder of local secrets.
    pub secrets_dir: PathBuf,
    /// Version of this program.
    pub version: String,
    /// Policy revision in force.
    pub revision: AtomicU64,
    /// Thread of the sources.
    pub source_arbiter: ArbiterHandle,
    /// Thread of the destinations.
    pub destination_arbiter: ArbiterHandle,
}

impl Environment {
    fn format_context(&self) -> FormatContext {
        FormatContext { partition: self.facts.get(), product_version: self.version.clone() }
    }
}

impl HeartbeatSource for Environment {
    fn facts(&self) -> Option<HeartbeatFacts> {
        // The agent that collects has one: beside it another would hide that it fell silent.
        (self.facts.known() && !self.leases.stands_by()).then(|| HeartbeatFacts {
            context: self.format_context(),
            policy_revision: self.revision.load(Ordering::Relaxed),
            dropped: self.telemetry.dropped(),
            lag_ms: Some(self.telemetry.lag_ms()),
        })
    }
}

/// A destination that runs.
pub(super) struct DestinationHandle {
    /// Its settings.
    pub config: DestinationConfig,
    /// Its lanes.
    pub lanes: Vec<Arc<Lane>>,
    /// Where sources send.
    pub mailbox: Arc<Mailbox>,
    parts: DestinationParts,
    address: Arc<Mutex<Option<Addr<DestinationActor>>>>,
}

impl DestinationHandle {
    /// The parts of a destination; the factory starts it.
    pub(super) fn new(env: &Arc<Environment>, config: DestinationConfig, lanes: Vec<Arc<Lane>>) -> Self {
        let health: Arc<HealthBook> = Arc::clone(&env.health);
        let facts: Arc<Environment> = Arc::clone(env);
        let parts = DestinationParts::new(config.clone(), lanes.clone(), health, facts);
        Self { config, lanes, mailbox: Arc::default(), parts, address: Arc::default() }
    }

    /// Makes its actor, now and after each death.
    pub(super) fn factory(&self, arbiter: ArbiterHandle) -> Factory {
        let (parts, mailbox, address) =
            (self.parts.clone(), Arc::clone(&self.mailbox), Arc::clone(&self.address));
        Box::new(move || {
            let actor = Destination::start_in(parts.clone(), &arbiter);
            mailbox.set(actor.clone().recipient());
            *address.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor.clone());
            Box::new(RunningDestination(actor))
        })
    }

    /// Its figures.
    pub(super) fn stats(&self) -> Arc<Stats> {
        self.parts.stats()
    }

    fn address(&self) -> Option<Addr<DestinationActor>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Joins it to other lanes.
    pub(super) fn set_lanes(&mut self, lanes: Vec<Arc<Lane>>) {
        self.lanes.clone_from(&lanes);
        if let Some(address) = self.address() {
            address.do_send(SetLanes(lanes));
        }
    }

    /// Tells it of a change of policy; completes when that is written or cannot be.
    pub(super) fn announce(
        &self,
        policy_revision: u64,
        reason: String,
    ) -> impl Future<Output = ()> + 'static {
        let address = self.address();
        async move {
            if let Some(address) = address {
                // An error means that it has ended: nobody can be told.
                let _ = address.send(Announce { policy_revision, reason }).await;
            }
        }
    }

    /// Flushes and ends it.
    pub(super) fn stop(&self) -> impl Future<Output = ()> + 'static {
        let address = self.address();
        async move {
            if let Some(address) = address {
                // An error means that it has ended already.
                let _ = address.send(Stop { limit: STOP_LIMIT }).await;
            }
        }
    }
}

struct RunningDestination(Addr<DestinationActor>);

impl Running for RunningDestination {
    fn alive(&self) -> bool {
        self.0.connected()
    }
    // Its link waits for the network in many places, each with a deadline of its own.
    fn idle_for(&self) -> Option<Duration> {
        None
    }
    fn stop(&self) {}
}

/// A source that runs.
pub(super) struct SourceHandle {
    /// Name in the policy.
    pub name: String,
    /// Its settings.
    pub spec: SourceSpec,
    /// Its lanes.
    pub slots: Vec<LaneSlot>,
    /// Wakes its loop.
    pub wake: Arc<Notify>,
    /// The policy in force.
    pub policy: Arc<ArcSwap<CompiledPolicy>>,
    /// All destinations, in the policy's order.
    pub configs: Arc<Vec<DestinationConfig>>,
    /// Cancelled when the present actor's loop has ended.
    pub ended: Arc<ArcSwap<CancellationToken>>,
}

impl SourceHandle {
    /// Cancelled when its loop has ended.
    pub(super) fn ended(&self) -> CancellationToken {
        CancellationToken::clone(&self.ended.load())
    }

    /// Makes its actor, now and after each death.
    pub(super) fn factory(&self, env: Arc<Environment>) -> Factory {
        let (name, spec, slots) = (self.name.clone(), self.spec.clone(), self.slots.clone());
        let (wake, policy, configs) =
            (Arc::clone(&self.wake), Arc::clone(&self.policy), Arc::clone(&self.configs));
        let current = Arc::clone(&self.ended);
        Box::new(move || {
            let progress = Progress::new();
            let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
            current.store(Arc::new(ended.clone()));
            let seed = TaskSeed {
                env: Arc::clone(&env),
                name: name.clone(),
                key: spec.key(),
                spec: spec.clone(),
                slots: slots.clone(),
                wake: Arc::clone(&wake),
                policy: Arc::clone(&policy),
                configs: Arc::clone(&configs),
                progress: progress.clone(),
                stop: stop.clone(),
                ended,
            };
            let actor = SourceActor::start_on(&env.source_arbiter, move || seed.task());
            Box::new(RunningSource { actor, progress, stop })
        })
    }
}

struct RunningSource {
    actor: Addr<SourceActor>,
    progress: Progress,
    stop: CancellationToken,
}

impl Running for RunningSource {
    fn alive(&self) -> bool {
        self.actor.connected()
    }
    fn idle_for(&self) -> Option<Duration> {
        Some(self.progress.age())
    }
    fn stop(&self) {
        self.stop.cancel();
    }
}

/// What crosses to the sources' thread, where the task is made.
struct TaskSeed {
    env: Arc<Environment>,
    name: String,
    key: String,
    spec: SourceSpec,
    slots: Vec<LaneSlot>,
    wake: Arc<Notify>,
    policy: Arc<ArcSwap<CompiledPolicy>>,
    configs: Arc<Vec<DestinationConfig>>,
    progress: Progress,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl TaskSeed {
    fn task(self) -> SourceTask {
        let counters = self.env.telemetry.source(&self.name);
        let pace = Pace::of(&self.spec);
        let on_partition = sources::on_partition(&self.spec);
        let keeps_spool = sources::keeps_spool(&self.spec);
        let sign_on = SignOn(on_partition.then(|| Arc::clone(&self.env.gate)));
        let source_key = self.key.clone();
        let spooled = keeps_spool.then(|| {
            Arc::new(Parts {
                env: Arc::clone(&self.env),
                name: self.name.clone(),
                key: self.key.clone(),
                spec: self.spec.clone(),
                lanes: self.slots.iter().map(|slot| Arc::clone(&slot.lane)).collect(),
                wake: Arc::clone(&self.wake),
                progress: self.progress.clone(),
            })
        });
        let recipe = Arc::new(Recipe {
            env: Arc::clone(&self.env),
            name: self.name.clone(),
            key: self.key,
            spec: self.spec,
            policy: Arc::clone(&self.policy),
            configs: self.configs,
            progress: self.progress.clone(),
            spooled,
        });
        let left = Arc::clone(&recipe);
        let leftover = keeps_spool.then(|| -> Leftover {
            Box::new(move || {
                let recipe = Arc::clone(&left);
                Box::pin(async move { recipe.leftover().await })
            })
        });
        let connect: Connect = Box::new(move || {
            let recipe = Arc::clone(&recipe);
            Box::pin(async move { recipe.connect().await })
        });
        let keeper = self.env.keeper.clone();
        let store: Store = Box::new(move || {
            let flushed = keeper.send(Flush);
            Box::pin(async move {
                flushed.await.unwrap_or_else(|_| Err("the keeper of cursors has ended".to_owned()))
            })
        });
        let (known, met) = (Arc::clone(&self.env), Arc::clone(&self.env));
        SourceTask {
            // One with a spool goes on without the partition, once it knows which one it is.
            signs_on: Box::new(move || on_partition && !(keeps_spool && met.facts.known())),
            on_partition,
            leftover,
            lease: self.env.leases.lease(&source_key),
            partition_known: Box::new(move || known.facts.known()),
            name: self.name,
            connect,
            store,
            sign_on,
            gaps: Arc::clone(&self.env.gaps),
            lanes: self.slots,
            wake: self.wake,
            policy: self.policy,
            counters,
            health: self.env.health.clone(),
            progress: self.progress,
            stop: self.stop,
            ended: self.ended,
            poll_interval: pace.poll_interval,
            batch_rows: pace.batch_rows,
        }
    }
}

/// How a source is connected.
struct Recipe {
    env: Arc<Environment>,
    name: String,
    key: String,
    spec: SourceSpec,
    policy: Arc<ArcSwap<CompiledPolicy>>,
    configs: Arc<Vec<DestinationConfig>>,
    progress: Progress,
    /// For a source that keeps a spool.
    spooled: Option<Arc<Parts>>,
}

impl Recipe {
    async fn connect(&self) -> Result<Connected, SourceError> {
        let (source, assumed) = match &self.spec {
            SourceSpec::DataQueue(_) | SourceSpec::ExitPoint(_) => (self.open_spooled().await?, None),
            SourceSpec::ControllerAudit(log) => {
                (sources::open_controller_audit(&self.env.config, log)?, None)
            }
            spec => {
                let book = &self.env.facts;
                let last = book.known().then(|| book.get());
                let progress = self.progress.clone();
                let (source, facts) =
                    sources::open_on_partition(&self.env.config, spec, last.as_deref(), progress).await?;
                book.learn(facts.partition);
                self.env.outage.connected(jiff::Timestamp::now().as_microsecond());
                (source, facts.assumed)
            }
        };
        Ok(Connected { source, pipeline: self.pipeline()?, assumed })
    }

    /// Needs the partition once, to know which one it is.
    async fn open_spooled(&self) -> Result<Box<dyn Source>, SourceError> {
        let Some(parts) = &self.spooled else {
            return Err(SourceError::Setup("this source keeps no spool".to_owned()));
        };
        let book = &self.env.facts;
        if book.known() {
            return parts.open(Partition::clone(&book.get()), None).await;
        }
        let (host, facts) = sources::dial(&self.env.config, None, self.progress.clone()).await?;
        book.learn(facts.partition.clone());
        parts.open(facts.partition.clone(), Some((host, facts))).await
    }

    /// What an earlier turn left behind, without the partition.
    async fn leftover(&self) -> Result<Option<Connected>, SourceError> {
        let (Some(parts), book) = (&self.spooled, &self.env.facts) else { return Ok(None) };
        if !book.known() {
            return Err(SourceError::Setup("it is not known yet which partition this is".to_owned()));
        }
        match parts.open_leftover(&book.get()).await? {
            Some(source) => Ok(Some(Connected { source, pipeline: self.pipeline()?, assumed: None })),
            None => Ok(None),
        }
    }

    fn pipeline(&self) -> Result<Pipeline, SourceError> {
        let context = self.env.format_context();
        let outputs: Result<Vec<Output>, _> =
            self.configs.iter().map(|config| Output::new(config, &context)).collect();
        let outputs = outputs.map_err(|error| SourceError::Setup(error.to_string()))?;
        let pipeline = Pipeline::new(
            &self.name,
            &self.key,
            Arc::clone(&context.partition),
            self.policy.load_full(),
            outputs,
            self.env.telemetry.source(&self.name),
        );
        let pipeline =
            pipeline.noticing(Arc::clone(&self.env.outage)).under_lease(self.env.leases.epoch(&self.key));
        Ok(match self.env.config.inspect {
            true => pipeline.watched(self.env.inspect.source(&self.name)),
            false => pipeline,
        })
    }
}
