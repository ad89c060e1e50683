//! `muster-agent run`: wiring, from configuration to a running agent, and its end.

use super::check::policy_in_force;
use super::{agent_facts, make_state_dir};
use crate::collector::{
    Apply, Collector, Credentials, Environment, FactsBook, GetOverview, OutageWatch, Overview, Shutdown,
    SignOnGate,
};
use crate::config::Config;
use crate::enrol::{Identity, KeyRing};
use crate::health::{HealthBook, HealthSink, HealthState};
use crate::inspect::Inspector;
use crate::lease::{self, LeaseBook, Place};
use crate::policy::check::Guards;
use crate::policy::store::PolicyStore;
use crate::policy::{ApplyPolicy, PolicyChange, PolicyKeeper};
use crate::program::Program;
use crate::state::{CursorKeeper, CursorStore, GapBook, StateDir};
use crate::status::Status;
use crate::telemetry::Telemetry;
use crate::upgrade::actor::{ReportTo, ToUpgrader, Upgrader, UpgraderSettings};
use crate::uplink::actor::{Uplink, UplinkSettings};
use crate::uplink::connection::ConnectionFile;
use crate::uplink::incarnation::IncarnationFile;
use crate::uplink::transport::Deadlines;
use crate::uplink::{
    DescribePartition, Disconnect, GetUplinkState, LeaseHandler, PolicyHandler, ReportHealth,
};
use actix::prelude::*;
use anyhow::{Context as _, bail};
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use muster_package::slots;
use muster_proto::session::lease::LeaseOrder;
use muster_shared::partition::PartitionKey;
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::model::EffectivePolicy;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};
use uuid::Uuid;

/// Pause between two writes of the status file.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Pause between two looks at the parts without which the agent is none.
const VITALS_EVERY: Duration = Duration::from_secs(1);

/// Pause between heartbeats to the controller until it sets one.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Longest time for an orderly end; what is not stored by then is sent again after the next start.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);

/// Runs the agent until SIGTERM or Ctrl-C.
///
/// # Errors
/// What keeps it from starting, and what to do.
pub fn run(config: Config, program: Program) -> anyhow::Result<()> {
    make_state_dir(&config.state_dir)?;
    let identity = identity(&config)?;
    let executable = std::env::current_exe();
    let system = System::new();
    let end = system.block_on(async move {
        let agent = Agent::start(config, identity, program).await?;
        let dead = tokio::select! {
            signal = stop_signal() => {
                info!(signal, "stopping");
                Ok(End::Stopped)
            }
            () = agent.restart.notified() => Ok(End::Restart),
            () = agent.switch.notified() => {
                info!("ending, so that the launcher starts another version");
                Ok(End::Stopped)
            }
            () = launcher_gone() => {
                warn!("the launcher ended, so the agent ends too; start the launcher again");
                Ok(End::Stopped)
            }
            part = first_dead(&agent.vitals) => Err(part),
        };
        agent.stop().await;
        match dead {
            Ok(end) => Ok(end),
            Err(part) => {
                error!(part, "a vital part of the agent ended unexpectedly, so the agent ends");
                bail!("the {part} ended unexpectedly; the service manager should start the agent again, see its log")
            }
        }
    })?;
    match end {
        End::Stopped => Ok(()),
        End::Restart => Err(begin_anew(executable.context("the path of this program cannot be told")?)),
    }
}

/// How the agent ended.
enum End {
    /// It was asked to.
    Stopped,
    /// The controller wants it to begin anew.
    Restart,
}

/// Puts a new run of the program in place of this one: the process stays, so no service manager notices. Comes
/// back only if that fails.
fn begin_anew(program: std::path::PathBuf) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    info!(program = %program.display(), "beginning anew");
    let failed = std::process::Command::new(&program).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(failed).context(format!("{} cannot be started again", program.display()))
}

/// Identity of an enrolled agent; None for a stand-alone one.
fn identity(config: &Config) -> anyhow::Result<Option<Identity>> {
    let enrolled = Identity::exists(&config.state_dir);
    match (enrolled, &config.policy) {
        (true, None) => Ok(Some(Identity::load(&config.state_dir)?)),
        (false, Some(_)) => Ok(None),
        (true, Some((file, _))) => bail!(
            "this agent is enrolled, and its configuration also names a local policy ({}): an enrolled agent \
             runs the controller's policy; remove [policy] file, or use another state_dir to run stand-alone",
            file.display()
        ),
        (false, None) => bail!(
            "nothing to run: this agent is not enrolled and has no local policy. Enrol it with `muster-agent \
             enrol --token-file FILE` (make a token with `muster token create`), or name a policy in [policy] file"
        ),
    }
}

async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt => "SIGINT",
        },
        Err(_) => {
            // Only Ctrl-C then; the service manager would kill, which loses nothing either.
            let _ = interrupt.await;
            "SIGINT"
        }
    }
}

/// Whether a launcher started this agent.
fn under_launcher() -> bool {
    std::env::var_os(slots::ENV).is_some_and(|value| value == "1")
}

/// Completes when the launcher that started this agent is gone; never where there was none.
async fn launcher_gone() {
    if !under_launcher() {
        return std::future::pending().await;
    }
    let gone = Arc::new(Notify::new());
    let tell = Arc::clone(&gone);
    // A thread: reading cannot be cut off, and must not hold up the end of the process.
    std::thread::spawn(move || {
        // Nothing is ever said; an error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tell.notify_one();
    });
    gone.notified().await;
}

/// A part that nothing else watches, and whether it lives.
type Vital = (&'static str, Box<dyn Fn() -> bool>);

fn vital<A: Actor<Context = Context<A>>>(part: &'static str, address: &Addr<A>) -> Vital {
    let address = address.clone();
    (part, Box::new(move || address.connected()))
}

/// Completes when one of the parts has ended. Sources and destinations are the collector's to watch; what
/// watches them is watched here, and the remedy is the plainest one: a new process.
async fn first_dead(vitals: &[Vital]) -> &'static str {
    let mut every = tokio::time::interval(VITALS_EVERY);
    loop {
        every.tick().await;
        if let Some((part, _)) = vitals.iter().find(|(_, alive)| !alive()) {
            return part;
        }
    }
}

struct Agent {
    vitals: Vec<Vital>,
    env: Arc<Environment>,
    collector: Addr<Collector>,
    uplink: Option<Addr<Uplink>>,
    arbiters: [Arbiter; 2],
    /// Notified when the controller wants a restart.
    restart: Arc<Notify>,
    /// Notified when the launcher shall start another version.
    switch: Arc<Notify>,
    /// Holds the lock on the state directory.
    _state: StateDir,
}

impl Agent {
    async fn start(config: Config, identity: Option<Identity>, program: Program) -> anyhow::Result<Self> {
        let state = StateDir::open(&config.state_dir)?;
        for warning in &config.warnings {
            warn!(warning, "configuration");
        }
        let (store, loaded) = CursorStore::open(&state);
        for note in &loaded.notes {
            warn!(note, "cursors");
        }
        let health: Arc<HealthBook> = Arc::default();
        let keeper = CursorKeeper::new(Arc::new(Mutex::new(store)), Vec::new(), health.clone()).start();
        let arbiters = [Arbiter::new(), Arbiter::new()];
        let credentials = Credentials {
            host: format!("{}:{}", config.host, config.port),
            user: config.user.clone(),
            password_stamp: config.password_stamp,
        };
        let outage = Arc::new(OutageWatch::new(Arc::clone(&health)));
        let env = Arc::new(Environment {
            facts: FactsBook::load(&config),
            health,
            telemetry: Telemetry::default(),
            inspect: Arc::default(),
            outage,
            loaded,
            gaps: Arc::new(GapBook::load(&config.state_dir)),
            leases: Arc::new(match &identity {
                Some(_) => LeaseBook::load(&config.state_dir),
                None => LeaseBook::alone(),
            }),
            gate: Arc::new(SignOnGate::load(&config.state_dir, credentials)),
            keeper,
            secrets_dir: config.secrets_folder(),
            version: program.version.to_owned(),
            revision: AtomicU64::new(0),
            source_arbiter: arbiters[0].handle(),
            destination_arbiter: arbiters[1].handle(),
            config,
        });
        let collector = Collector::new(Arc::clone(&env)).start();
        info!(version = program.version, state_dir = %env.config.state_dir.display(), "agent starts");
        let mut vitals = vec![vital("collector", &collector), vital("keeper of cursors", &env.keeper)];
        let agent_id = identity.as_ref().map(|identity| identity.agent.to_string()).unwrap_or_default();
        let (restart, switch) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let uplink = match identity {
            Some(identity) => {
                let upgrader = start_upgrader(&env, program, Arc::clone(&switch), &mut vitals)?;
                let wanted = Wanted { restart: Arc::clone(&restart), program };
                Some(start_uplink(&env, &collector, identity, wanted, upgrader, &mut vitals)?)
            }
            None => {
                start_local(&env, &collector).await?;
                None
            }
        };
        actix::spawn(write_status(Arc::clone(&env), collector.clone(), uplink.clone(), agent_id));
        Ok(Self { vitals, env, collector, uplink, arbiters, restart, switch, _state: state })
    }

    /// Sources, then destinations, then the goodbye to the controller.
    async fn stop(self) {
        let orderly = async {
            // An error means that the actor is gone already.
            let _ = self.collector.send(Shutdown).await;
            if let Some(uplink) = &self.uplink {
                let _ = uplink.send(Disconnect).await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_LIMIT, orderly).await.is_err() {
            warn!("not everything ended in time; what is not confirmed is sent again after the next start");
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        info!(state_dir = %self.env.config.state_dir.display(), "agent stopped");
    }
}

async fn start_local(env: &Environment, collector: &Addr<Collector>) -> anyhow::Result<()> {
    let Some((file, spec)) = &env.config.policy else { return Ok(()) };
    // Loading the configuration has checked it.
    let policy = EffectivePolicy { spec: spec.clone(), ..EffectivePolicy::default() };
    let compiled = CompiledPolicy::compile(&policy)?;
    let policy = PolicyChange { policy: Arc::new(policy), compiled: Arc::new(compiled), narrows: Vec::new() };
    let applied = collector.send(Apply(policy)).await.context("the collector ended at its start")?;
    applied.map_err(|reason| anyhow::anyhow!("the policy {} cannot run: {reason}", file.display()))
}

/// The collector, as the policy keeper sees it.
struct ApplyTo(Addr<Collector>);

impl ApplyPolicy for ApplyTo {
    fn apply(&self, change: PolicyChange) -> LocalBoxFuture<'static, Result<(), String>> {
        let collector = self.0.clone();
        Box::pin(async move {
            let answer = collector.send(Apply(change)).await;
            answer.unwrap_or_else(|_| Err("the agent is shutting down".to_owned()))
        })
    }
}

/// Health from the uplink and the policy keeper goes into the book like any other.
struct Sink(Arc<HealthBook>);

impl HealthSink for Sink {
    fn report(&self, component: &str, state: HealthState, reason: &str) {
        self.0.report(component, state, reason);
    }
}

/// The leases, as the uplink sees them.
struct Leases(Arc<LeaseBook>);

impl LeaseHandler for Leases {
    fn connected(&self, knows_leases: bool) {
        self.0.connected(knows_leases);
    }

    fn disconnected(&self) {
        self.0.disconnected();
    }

    fn order(&self, order: &LeaseOrder) {
        self.0.hear(order);
    }
}

/// Which partition the agent reads, as the controller knows it.
fn place(facts: &FactsBook) -> Place {
    if !facts.known() {
        return Place::Unknown;
    }
    let partition = facts.get();
    match PartitionKey::new(&partition.serial_number, partition.partition_id) {
        Some(key) => Place::Known(key.to_string()),
        None => Place::Nameless,
    }
}

/// What the uplink is told beside the rest.
struct Wanted {
    /// Notified when the controller wants a restart.
    restart: Arc<Notify>,
    program: Program,
}

/// The upgrader, where there is a launcher that can switch and switch back.
fn start_upgrader(
    env: &Arc<Environment>,
    program: Program,
    switch: Arc<Notify>,
    vitals: &mut Vec<Vital>,
) -> anyhow::Result<Option<Addr<Upgrader>>> {
    if !under_launcher() || !env.config.upgrade.enabled {
        return Ok(None);
    }
    let known = Arc::clone(env);
    let settings = UpgraderSettings {
        version: program.version.parse().context("this build has no version that can be compared")?,
        settings: env.config.upgrade.clone(),
        state_dir: env.config.state_dir.clone(),
        config_file: env.config.file.clone(),
        health: Arc::clone(&env.health),
        in_policy: Box::new(move |component| names(&known.config, component)),
        switch,
    };
    let upgrader = Upgrader::new(settings).start();
    vitals.push(vital("upgrader", &upgrader));
    Ok(Some(upgrader))
}

/// Whether the policy in force names a component: `source/NAME`, `destination/NAME`.
fn names(config: &Config, component: &str) -> bool {
    let Some(spec) = policy_in_force(config) else { return false };
    match component.split_once('/') {
        Some(("source", name)) => spec.sources.contains_key(name),
        Some(("destination", name)) => spec.destinations.contains_key(name),
        Some(_) | None => false,
    }
}

fn start_uplink(
    env: &Arc<Environment>,
    collector: &Addr<Collector>,
    identity: Identity,
    wanted: Wanted,
    upgrader: Option<Addr<Upgrader>>,
    vitals: &mut Vec<Vital>,
) -> anyhow::Result<Addr<Uplink>> {
    let sink: Rc<dyn HealthSink> = Rc::new(Sink(Arc::clone(&env.health)));
    let store = PolicyStore::open(&env.config.state_dir)?;
    let supervisor = Rc::new(ApplyTo(collector.clone()));
    let keeper = PolicyKeeper::new(store, Guards::of(&env.config), supervisor, Rc::clone(&sink)).start();
    vitals.push(vital("keeper of the policy", &keeper));
    let handler: Rc<dyn PolicyHandler> = Rc::new(keeper);
    let connection = ConnectionFile::new(&env.config.state_dir);
    let incarnations = IncarnationFile::new(&env.config.state_dir);
    let settings = UplinkSettings {
        agent: identity.agent,
        boot: Uuid::new_v4(),
        started: Timestamp::now(),
        facts: agent_facts(&env.config, &env.facts, wanted.program),
        endpoints: identity.endpoints()?,
        kind: env.config.transport,
        proxy: env.config.proxy.clone(),
        keys: KeyRing::open(&env.config.state_dir, identity)?,
        heartbeat: HEARTBEAT,
        deadlines: Deadlines::default(),
        kept: connection.load(),
        keeper: Rc::new(connection),
        met: incarnations.load(),
        incarnations: Rc::new(incarnations),
        restart: wanted.restart,
    };
    let rates = {
        let env = Arc::clone(env);
        Box::new(move || env.telemetry.rates(Timestamp::now().as_microsecond()))
    };
    let controllers = settings.endpoints.iter().map(ToString::to_string).collect();
    let agent_id = settings.agent.to_string();
    let inspector = Inspector::new(Arc::clone(env), collector.clone(), agent_id, controllers);
    let mut uplink = Uplink::new(settings, handler, rates, sink)
        .with_inspect(Rc::new(inspector))
        .with_leases(Rc::new(Leases(Arc::clone(&env.leases))));
    if let Some(upgrader) = &upgrader {
        uplink = uplink.with_packages(Rc::new(ToUpgrader(upgrader.clone())));
    }
    let uplink = uplink.start();
    if let Some(upgrader) = upgrader {
        upgrader.do_send(ReportTo(uplink.clone().recipient()));
    }
    vitals.push(vital("uplink to the controller", &uplink));
    actix::spawn(tell_uplink(Arc::clone(env), uplink.clone()));
    let known = Arc::clone(env);
    actix::spawn(lease::run(
        Arc::clone(&env.leases),
        move || place(&known.facts),
        uplink.clone().recipient(),
    ));
    Ok(uplink)
}

/// Passes on what the uplink should know, as it changes.
async fn tell_uplink(env: Arc<Environment>, uplink: Addr<Uplink>) {
    while uplink.connected() {
        tokio::select! {
            () = env.health.changed() => uplink.do_send(ReportHealth(env.health.snapshot())),
            () = env.facts.changed() => {
                uplink.do_send(DescribePartition((*env.facts.get()).clone()));
                env.leases.nudge();
            }
        }
    }
}

/// Keeps the status file.
async fn write_status(
    env: Arc<Environment>,
    collector: Addr<Collector>,
    uplink: Option<Addr<Uplink>>,
    agent_id: String,
) {
    let mut written: Option<Status> = None;
    loop {
        tokio::time::sleep(STATUS_EVERY).await;
        let Ok(overview) = collector.send(GetOverview).await else { return };
        let certificate = match &uplink {
            // Without an answer the uplink has ended, and the agent ends with it.
            Some(uplink) => uplink.send(GetUplinkState).await.ok().and_then(|state| state.certificate),
            None => None,
        };
        let status = Status { certificate, ..status(&env, &agent_id, overview) };
        let unchanged = written.as_ref().is_some_and(|before| {
            Status { written: String::new(), ..before.clone() }
                == Status { written: String::new(), ..status.clone() }
        });
        if unchanged {
            continue;
        }
        if let Err(error) = status.write(&env.config.state_dir) {
            warn!(%error, "status file cannot be written");
        }
        written = Some(status);
    }
}

fn status(env: &Environment, agent_id: &str, overview: Overview) -> Status {
    Status {
        agent_id: agent_id.to_owned(),
        version: env.version.clone(),
        pid: std::process::id(),
        written: Timestamp::now().to_string(),
        partition: (*env.facts.get()).clone(),
        policy_revision: overview.revision,
        health: env.health.snapshot(),
        sources: overview.sources,
        destinations: overview.destinations,
        cursors: overview.cursors,
        certificate: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Part;
    impl Actor for Part {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Break;
    impl Handler<Break> for Part {
        type Result = ();
        fn handle(&mut self, _: Break, _: &mut Self::Context) {
            panic!("a defect, made for this test");
        }
    }

    #[actix::test]
    async fn a_vital_part_that_panics_is_named() {
        let (well, broken) = (Part.start(), Part.start());
        let vitals = [vital("well", &well), vital("broken", &broken)];
        let limit = Duration::from_secs(10);
        let unharmed = tokio::time::timeout(VITALS_EVERY / 10, first_dead(&vitals)).await;
        assert!(unharmed.is_err(), "{unharmed:?}");
        broken.do_send(Break);
        assert_eq!(tokio::time::timeout(limit, first_dead(&vitals)).await, Ok("broken"));
        assert!(well.connected());
    }
}
