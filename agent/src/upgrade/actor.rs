//! The actor that carries an upgrade through: it asks the pure parts what to do, does it, and says how far it is.

use super::book::{self, Book, Verdict};
use super::confirm;
use super::disk::{Disk, RealDisk};
use super::offer::{self, Decision, Misunderstood, Offer, OfferedFile};
use super::phase::{Phase, statuses};
use super::stage;
use super::work::{Bench, Reached, Work};
use super::{Access, LOOK_EVERY, PackageHandler, ReportPackages, UpgradeSettings, formats};
use crate::health::{HealthBook, HealthSink as _, HealthState};
use actix::prelude::*;
use muster_package::admit::Host;
use muster_package::keys::Trust;
use muster_package::progress::{COMPONENT, Step};
use muster_package::slots::{CONNECTED, FORMAT, HEALTHY, Launch, Layout, Order, Slot, Trial, UNWELL};
use muster_proto::opamp::PackagesAvailable;
use semver::Version;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

/// How long the controller is given to hear that the agent switches, before it does.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the upgrader needs to know when it starts.
pub struct UpgraderSettings {
    /// Version of this build.
    pub version: Version,
    /// `[upgrade]` of the configuration.
    pub settings: UpgradeSettings,
    /// State folder of the agent.
    pub state_dir: PathBuf,
    /// Configuration file, for the new version's check of itself.
    pub config_file: PathBuf,
    /// Health of the components.
    pub health: Arc<HealthBook>,
    /// Whether the policy in force names a component.
    pub in_policy: Box<dyn Fn(&str) -> bool>,
    /// Notified when this process has to end so that the launcher can switch.
    pub switch: Arc<Notify>,
}

/// The actor.
pub struct Upgrader {
    bench: Arc<Bench>,
    version: Version,
    in_policy: Box<dyn Fn(&str) -> bool>,
    switch: Arc<Notify>,
    trust: Trust,
    launch: Launch,
    book: Book,
    phase: Phase,
    worker: Option<SpawnHandle>,
    uplink: Option<Recipient<ReportPackages>>,
    /// The connected controller.
    access: watch::Sender<Option<Access>>,
    trial: confirm::Trial,
    said_healthy: bool,
    said_connected: bool,
    said_unwell: Option<String>,
}

/// Message: where to say how far it is.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReportTo(pub Recipient<ReportPackages>);

/// Message: a controller heard this agent.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Connected(pub Access);

/// Message: the connection ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Disconnected;

/// Message: the controller offers something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Offered(pub PackagesAvailable, pub Access);

/// The actor's address, as the uplink sees it.
pub struct ToUpgrader(pub Addr<Upgrader>);

impl PackageHandler for ToUpgrader {
    fn connected(&self, access: Access) {
        self.0.do_send(Connected(access));
    }

    fn disconnected(&self) {
        self.0.do_send(Disconnected);
    }

    fn offered(&self, available: PackagesAvailable, access: Access) {
        self.0.do_send(Offered(available, access));
    }
}

impl Upgrader {
    /// An upgrader that takes up where the last process ended.
    #[must_use]
    pub fn new(settings: UpgraderSettings) -> Self {
        let UpgraderSettings { version, settings, state_dir, config_file, health, in_policy, switch } =
            settings;
        let layout = Layout::new(&state_dir);
        let mut trust = Trust::shipped();
        stage::recall_statement(&layout, &mut trust);
        let mut book = Book::load(&layout);
        // What cannot be read says nothing: neither what is on trial, nor what runs.
        let (launch, known) = match book::launch(&layout) {
            Ok(launch) => (launch, true),
            Err(error) => {
                warn!(error, "upgrades");
                (Launch::default(), false)
            }
        };
        let confirming = in_trial(&launch, &version).is_some();
        if known && launch.current == Slot::Installed && !confirming {
            book.installed = Some(version.clone());
        }
        if book.learn(&launch) && book.verdict == Some(Verdict::Done) {
            book.done();
        }
        let kept = stage::kept(&layout, &trust);
        book.floor = Some(stage::floor(&version, book.floor.as_ref(), &kept));
        let phase = if confirming { Phase::Confirming } else { Phase::Idle };
        let staging = Arc::default();
        let bench = Bench { layout, disk: Arc::new(RealDisk), settings, config_file, health, staging };
        Self {
            bench: Arc::new(bench),
            version,
            in_policy,
            switch,
            trust,
            launch,
            book,
            phase,
            worker: None,
            uplink: None,
            access: watch::Sender::new(None),
            trial: confirm::Trial::default(),
            said_healthy: false,
            said_connected: false,
            said_unwell: None,
        }
    }

    fn host(&self) -> Host {
        Host {
            name: muster_package::AGENT.to_owned(),
            platform: muster_package::this_platform(),
            version: self.version.clone(),
            previous: self.book.previous(&self.launch).map(|(version, _)| version),
            formats: formats(),
            floor: stage::floor(&self.version, self.book.floor.as_ref(), &[]),
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.phase.step() != phase.step() {
            info!(step = phase.step().map_or("none", Step::word), "upgrade");
        }
        self.phase = phase;
        self.report();
    }

    /// Says how far it is: to the controller, and as a component of the agent's health.
    fn report(&self) {
        match self.phase.step() {
            Some(step) => self.bench.health.report(COMPONENT, HealthState::Healthy, step.word()),
            None => self.bench.health.forget(COMPONENT),
        }
        if let Some(uplink) = &self.uplink {
            uplink.do_send(ReportPackages(statuses(&self.book, &self.phase, &self.version)));
        }
    }

    fn store(&mut self) -> Result<(), String> {
        let Bench { layout, disk, .. } = &*self.bench;
        self.book.store(layout, &**disk).map_err(|error| {
            format!("what is being upgraded cannot be noted in {}: {error}", layout.root().display())
        })
    }

    fn settle(&mut self, verdict: Verdict) {
        match &verdict {
            Verdict::Done => info!(version = %self.version, "upgrade done"),
            Verdict::RolledBack(reason) | Verdict::Failed(reason) => warn!(reason, "upgrade failed"),
        }
        if verdict == Verdict::Done {
            self.book.done()
        } else {
            self.book.verdict = Some(verdict)
        }
        if let Err(reason) = self.store() {
            // It is decided again after a restart.
            warn!(reason, "what became of an upgrade was not stored");
        }
        self.set_phase(Phase::Idle);
    }

    fn take_offer(&mut self, available: &PackagesAvailable, ctx: &mut Context<Self>) {
        match offer::read(available) {
            Ok(Some(offer)) => self.consider(offer, ctx),
            Ok(None) => {}
            Err(Misunderstood { reason, offer }) => {
                warn!(reason, "offered package refused");
                let idle = self.phase == Phase::Idle;
                if let Some(offer) = offer.filter(|_| idle) {
                    self.book.begin(*offer);
                    self.settle(Verdict::Failed(reason));
                }
            }
        }
    }

    fn consider(&mut self, offer: Offer, ctx: &mut Context<Self>) {
        if self.phase == Phase::Switching || self.phase == Phase::Confirming {
            // What is under way comes to its end first; the controller offers again.
            return self.report();
        }
        let known = self.book.offer.as_ref().is_some_and(|last| last.hash == offer.hash);
        let decision = self.decide(&offer);
        if decision == Decision::Known {
            return self.report();
        }
        if let Some(worker) = self.worker.take() {
            ctx.cancel_future(worker);
        }
        if !known {
            self.book.begin(offer.clone());
        }
        if let Err(reason) = self.store() {
            return self.settle(Verdict::Failed(reason));
        }
        match decision {
            Decision::Known => {}
            Decision::Runs => self.settle(Verdict::Done),
            Decision::Refuse(reason) => self.settle(Verdict::Failed(reason)),
            Decision::Switch(slot) => self.begin(offer, None, slot, ctx),
            Decision::Fetch(file) => {
                let slot = Slot::Package { version: offer.version.clone() };
                self.begin(offer, Some(file), slot, ctx);
            }
        }
    }

    fn decide(&self, offer: &Offer) -> Decision {
        let kept = stage::kept(&self.bench.layout, &self.trust);
        let kept: Vec<Version> = kept.into_iter().map(|manifest| manifest.version).collect();
        let under_way = self.worker.is_some();
        offer::decide(offer, &self.book, under_way, &self.host(), &self.trust, &self.launch, &kept)
    }

    fn begin(&mut self, offer: Offer, file: Option<OfferedFile>, slot: Slot, ctx: &mut Context<Self>) {
        info!(version = %offer.version, fetch = file.is_some(), "upgrade begins");
        self.set_phase(Phase::Waiting);
        let (host, trust) = (self.host(), self.trust.clone());
        let (bench, access) = (Arc::clone(&self.bench), self.access.subscribe());
        let accepted = self.launch.accepted.get(&offer.version).cloned();
        let work = Work { bench, host, trust, offer, accepted, access, tell: ctx.address().recipient() };
        let work = async move { work.run(file).await }.into_actor(self);
        self.worker = Some(ctx.spawn(work.map(move |worked, act, ctx| {
            act.worker = None;
            match worked {
                Ok(trust) => {
                    act.trust = trust;
                    act.order(slot, ctx);
                }
                Err(reason) => {
                    // A statement that came with the package counts, whatever became of the package.
                    stage::recall_statement(&act.bench.layout, &mut act.trust);
                    act.settle(Verdict::Failed(reason));
                }
            }
        })));
    }

    /// The new version is ready: asks the launcher for it, and ends this process.
    fn order(&mut self, to: Slot, ctx: &mut Context<Self>) {
        let Some(offer) = self.book.offer.clone() else { return };
        let kept = stage::kept(&self.bench.layout, &self.trust);
        self.book.floor = Some(stage::floor(&self.version, self.book.floor.as_ref(), &kept));
        if let (Slot::Package { version }, Some(file)) = (&to, &offer.file) {
            self.book.contents.insert(version.clone(), file.sha256.clone());
        }
        let settings = &self.bench.settings;
        let order = Order {
            format: FORMAT,
            offer: offer.hash,
            to,
            to_version: offer.version,
            from_version: self.version.clone(),
            worked: confirm::working(&self.bench.health.snapshot()),
            connected: self.access.borrow().is_some(),
            healthy_seconds: settings.healthy_seconds,
            connected_seconds: settings.connected_seconds.max(settings.healthy_seconds),
            probation_seconds: settings.probation_seconds,
        };
        self.book.orders += 1;
        let ordered = self.store().and_then(|()| write_order(&self.bench, &order));
        if let Err(reason) = ordered {
            return self.settle(Verdict::Failed(reason));
        }
        self.set_phase(Phase::Switching);
        ctx.run_later(FAREWELL, |act, _| act.switch.notify_one());
    }

    /// While a new version shows itself: says to the launcher what is so, and looks what it decides.
    fn look(&mut self) {
        let launch = match book::launch(&self.bench.layout) {
            Ok(launch) => launch,
            // It may be read the next time; until then nothing is known.
            Err(error) => return warn!(error, "upgrades"),
        };
        let Some(trial) = in_trial(&launch, &self.version).cloned() else {
            self.launch = launch;
            self.book.learn(&self.launch);
            // The launcher said nothing about it: it runs, whatever became of the order.
            let verdict = self.book.verdict.clone().unwrap_or(Verdict::Done);
            let done = verdict == Verdict::Done;
            self.settle(verdict);
            if done {
                self.tidy_up();
            }
            return;
        };
        let health = self.bench.health.snapshot();
        let now_us = jiff::Timestamp::now().as_microsecond();
        let unwell = self.trial.unwell(&trial.order.worked, &health, &self.in_policy, now_us);
        if unwell.is_none() && !self.said_healthy {
            self.said_healthy = true;
            info!("all works again that worked before the upgrade");
            say(HEALTHY);
            #[cfg(feature = "bad-build")]
            crate::bad_build::healthy();
        }
        if let Some(unwell) = unwell.filter(|_| !self.said_healthy)
            && self.said_unwell.as_ref() != Some(&unwell)
        {
            say(&format!("{UNWELL}{}", unwell.replace(['\r', '\n'], " ")));
            self.said_unwell = Some(unwell);
        }
        if self.access.borrow().is_some() && !self.said_connected {
            self.said_connected = true;
            say(CONNECTED);
        }
    }

    /// Two versions are kept, the running one and the one before; and what is being upgraded to.
    fn tidy_up(&self) {
        let open = self.book.offer.as_ref().filter(|_| self.book.verdict.is_none());
        let keep = kept_versions(&self.launch, &self.version, open);
        let digest = open.and_then(|offer| offer.file.as_ref()).map(|file| file.sha256.as_str());
        if let Err(error) = stage::tidy_up(&self.bench.layout, &*self.bench.disk, &keep, digest) {
            warn!(%error, "what is left over of upgrades cannot be removed");
        }
    }
}

/// Versions that something may still go to, or go back to.
fn kept_versions(launch: &Launch, running: &Version, open: Option<&Offer>) -> BTreeSet<Version> {
    let trial = launch.trial.as_ref();
    let slots = [
        Some(&launch.current),
        launch.previous.as_ref(),
        trial.map(|trial| &trial.order.to),
        trial.and_then(|trial| trial.probation.as_ref()?.previous.as_ref()),
    ];
    let packages = slots.into_iter().flatten().filter_map(|slot| match slot {
        Slot::Installed => None,
        Slot::Package { version } => Some(version),
    });
    packages.chain([running]).chain(open.map(|offer| &offer.version)).cloned().collect()
}

/// The trial of this version that still has to be confirmed.
fn in_trial<'l>(launch: &'l Launch, version: &Version) -> Option<&'l Trial> {
    let trial = launch.trial.as_ref()?;
    let open = trial.probation.is_none();
    (open && trial.order.to_version == *version).then_some(trial)
}

fn write_order(bench: &Bench, order: &Order) -> Result<(), String> {
    let path = bench.layout.order();
    let text = serde_json::to_vec_pretty(order).map_err(|error| error.to_string())?;
    super::disk::replace(&*bench.disk, &path, &text).map_err(|error| {
        format!("the launcher cannot be asked to switch: writing {}: {error}", path.display())
    })
}

/// Says a line to the launcher. One that does not listen any more will end this agent by other means.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// An order that no launcher took is from a process that was made anew before it ended: it is made again.
fn forget_order(layout: &Layout, disk: &dyn Disk) {
    let path: &Path = &layout.order();
    if let Err(error) = disk.remove(path) {
        error!(%error, path = %path.display(), "an old order to the launcher cannot be removed");
    }
}

impl Actor for Upgrader {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        forget_order(&self.bench.layout, &*self.bench.disk);
        if let Err(reason) = self.store() {
            warn!(reason, "the book of upgrades");
        }
        match self.phase {
            Phase::Confirming => {
                info!(version = %self.version, "this version is on trial");
                ctx.run_interval(LOOK_EVERY, |act, _| {
                    if act.phase == Phase::Confirming {
                        act.look();
                    }
                });
            }
            _ => self.tidy_up(),
        }
        self.report();
    }
}

impl Handler<ReportTo> for Upgrader {
    type Result = ();

    fn handle(&mut self, ReportTo(uplink): ReportTo, _: &mut Self::Context) {
        self.uplink = Some(uplink);
        self.report();
    }
}

impl Handler<Connected> for Upgrader {
    type Result = ();

    fn handle(&mut self, Connected(access): Connected, ctx: &mut Self::Context) {
        self.access.send_replace(Some(access));
        // What a restart interrupted goes on by itself.
        let open = self.book.verdict.is_none() && self.worker.is_none();
        if let Some(offer) = self.book.offer.clone().filter(|_| open) {
            self.consider(offer, ctx);
        }
    }
}

impl Handler<Disconnected> for Upgrader {
    type Result = ();

    fn handle(&mut self, _: Disconnected, _: &mut Self::Context) {
        self.access.send_replace(None);
    }
}

impl Handler<Offered> for Upgrader {
    type Result = ();

    fn handle(&mut self, Offered(available, access): Offered, ctx: &mut Self::Context) {
        self.access.send_replace(Some(access));
        self.take_offer(&available, ctx);
    }
}

impl Handler<Reached> for Upgrader {
    type Result = ();

    fn handle(&mut self, Reached(phase): Reached, _: &mut Self::Context) {
        if self.worker.is_some() {
            self.set_phase(phase);
        }
    }
}
