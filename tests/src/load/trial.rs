//! A controller as a process of its own with a swarm of load agents: the steps that the benchmark of the fleet
//! and its story share, each with what it measures.

use super::agent::Order;
use super::api::Api;
use super::content;
use super::dial::Target;
use super::swarm::Swarm;
use super::tally::Spread;
use crate::sandbox::{Controller, Sandbox};
use anyhow::{Context as _, ensure};
use muster_proto::api::{Amount, FleetView, PolicyText, RolloutRequest, RolloutState, RolloutStrategy};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, block_in_place};

/// Most uses of one token.
const TOKEN_USES: usize = 10_000;
/// Agents that enrol at the same time.
const ENROL_AT_ONCE: usize = 64;
/// Pause between two looks at the store's size.
const LOOK_AT_STORE_EVERY: Duration = Duration::from_millis(100);
/// Pause between two requests of the client that watches the API.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// What the watching client asks for, in turn.
const PROBES: [&str; 3] = ["/fleet", "/agents?limit=100", "/policies/load/status"];

/// A controller with its agents.
pub struct Trial {
    /// The controller's process.
    pub controller: Controller,
    /// Its API.
    pub api: Api,
    /// Its agents.
    pub swarm: Swarm,
    /// Its memory before the first agent, in bytes.
    pub empty_bytes: u64,
    address: SocketAddr,
    ca_pem: String,
    variant: u64,
    _sandbox: Sandbox,
}

/// Slowest answers of the API that are told.
const SLOWEST: usize = 5;

/// What a restart showed.
#[derive(Debug, Clone)]
pub struct Restarted {
    /// From the kill until the controller listened.
    pub listening: Duration,
    /// From the kill until the controller showed all agents as connected.
    pub all_back: Duration,
    /// From the kill until each agent was answered.
    pub back: Spread,
    /// Answers of the API from listening until all were back.
    pub api: Spread,
    /// The slowest of them.
    pub slowest: Vec<Answer>,
}

impl Trial {
    /// Starts a controller without agents.
    ///
    /// # Errors
    /// If it cannot be used.
    pub async fn start(name: &str, options: &[&str]) -> anyhow::Result<Self> {
        let sandbox = Sandbox::new(name);
        let controller = block_in_place(|| sandbox.controller_with(options));
        let address = SocketAddr::from(([127, 0, 0, 1], controller.port));
        let ca_pem = std::fs::read_to_string(controller.ca_file()).context("the CA's file")?;
        let password = controller.admin_password();
        let api = Api::login(address, &ca_pem, "admin", &password).await?;
        let swarm = Swarm::new(Target::new(address), &ca_pem)?;
        let empty_bytes = controller.process.resident_bytes().context("the controller's memory")?;
        Ok(Self { controller, api, swarm, empty_bytes, address, ca_pem, variant: 0, _sandbox: sandbox })
    }

    /// Enrols `count` agents through tokens of many uses; tells how long it took in all and for each.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn enrol(&mut self, count: usize) -> anyhow::Result<(Duration, Spread)> {
        let mut times = Vec::with_capacity(count);
        let began = Instant::now();
        while times.len() < count {
            let some = (count - times.len()).min(TOKEN_USES);
            let token = self.api.token(u32::try_from(some)?).await?;
            times.extend(self.swarm.enrol(&token, some, ENROL_AT_ONCE).await?);
        }
        Ok((began.elapsed(), Spread::of(times)))
    }

    /// Connects all enrolled agents and waits until the controller shows them.
    ///
    /// # Errors
    /// If it does not within `limit`.
    pub async fn connect(&mut self, limit: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.swarm.forget_told();
        self.swarm.start();
        self.swarm.all_active(limit).await?;
        // Each is offered what it should run when it connects the first time.
        self.swarm.all_applied(limit).await?;
        self.await_fleet("all are connected", limit, |fleet| fleet.connected == fleet.agents).await?;
        Ok(began.elapsed())
    }

    /// Publishes another policy of 4 KB; tells when each agent's APPLIED was stored, counted from the request.
    ///
    /// # Errors
    /// If not all apply it within `limit`.
    pub async fn push(&mut self, limit: Duration) -> anyhow::Result<Spread> {
        self.variant += 1;
        self.swarm.forget_told();
        let text = content::policy(self.variant);
        let began = Instant::now();
        let published = self.api.publish(&text).await?;
        let agents = self.swarm.len();
        ensure!(published.changed && published.agents == agents as u64, "published: {published:?}");
        let told = self.swarm.all_applied(limit).await?;
        let status = self.api.policy_status("load").await?;
        ensure!(
            status.applied == agents as u64,
            "the controller counts {} of {agents} as applied",
            status.applied
        );
        Ok(Spread::of(told.iter().map(|t| t.at.duration_since(began)).collect()))
    }

    /// Rolls another policy out in canaries and `waves` equal waves, each watched for `soak`, with all gates on; tells
    /// how long it took beyond that watching.
    ///
    /// # Errors
    /// If it is not done within `limit`, or not all run it then.
    pub async fn roll_out(&mut self, waves: u8, soak: Duration, limit: Duration) -> anyhow::Result<Duration> {
        self.variant += 1;
        let share = |wave: u8| u32::from(wave) * 100 / u32::from(waves);
        let strategy = RolloutStrategy {
            canaries: 10,
            waves: (1..=waves).map(|wave| u8::try_from(share(wave)).unwrap_or(100)).collect(),
            max_unavailable: Amount::Percent(100),
            soak_seconds: soak.as_secs(),
            ..RolloutStrategy::default()
        };
        let text = PolicyText { text: content::policy(self.variant), ..PolicyText::default() };
        let request = RolloutRequest { documents: vec![text], strategy, ..RolloutRequest::default() };
        let began = Instant::now();
        let started = self.api.start_rollout(&request).await?;
        let watched = soak * u32::try_from(started.waves.len())?;
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let view = self.api.rollout(started.id).await?;
            if view.state == RolloutState::Done {
                break;
            }
            let told = || format!("{:?}: {:?} {:?}", view.state, view.waiting, view.log.last());
            ensure!(
                view.state == RolloutState::Running && began.elapsed() < limit,
                "the rollout: {}",
                told()
            );
        }
        let took = began.elapsed().saturating_sub(watched);
        let status = self.api.policy_status("load").await?;
        ensure!(status.applied == self.swarm.len() as u64, "{} run it when it is done", status.applied);
        Ok(took)
    }

    /// Processor time that the controller takes while nothing but heartbeats happens, in percent of one core.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn idle_percent(&self, window: Duration) -> anyhow::Result<f64> {
        let used = || self.controller.process.cpu_seconds().context("the controller's processor time");
        let (before, began) = (used()?, Instant::now());
        tokio::time::sleep(window).await;
        Ok((used()? - before) / began.elapsed().as_secs_f64() * 100.0)
    }

    /// Kills the controller with signal 9, starts it again and waits until all agents are back, while a client
    /// uses the API.
    ///
    /// # Errors
    /// If they are not back within `limit`, or something that was answered for is gone.
    pub async fn crash(&mut self, limit: Duration) -> anyhow::Result<Restarted> {
        let before = self.kept().await?;
        self.swarm.forget_answered();
        let killed = Instant::now();
        block_in_place(|| self.controller.crash_and_restart());
        let listening = killed.elapsed();
        let watching = Arc::new(AtomicBool::new(true));
        let probing = watch_from_aside(self.api.clone(), Arc::clone(&watching))?;
        let back = self.swarm.all_answered(limit).await;
        let back = match back {
            Ok(_) => {
                self.await_fleet("all are connected", limit, |fleet| fleet.connected == fleet.agents).await?;
                back
            }
            Err(_) => back,
        };
        let all_back = killed.elapsed();
        watching.store(false, Ordering::Relaxed);
        let answers = probing.await.context("the client that watches the API ended early")?;
        let api = Spread::of(answers.iter().map(|answer| answer.took).collect());
        let slowest = answers.into_iter().take(SLOWEST).collect();
        let back = back?.into_iter().map(|at| at.duration_since(killed)).collect();
        let after = self.kept().await?;
        ensure!(before.len() == after.len(), "{} of {} agents are left", after.len(), before.len());
        if let Some((was, is)) = before.iter().zip(&after).find(|(was, is)| was != is) {
            anyhow::bail!("state was lost: before {was}, after {is}");
        }
        Ok(Restarted { listening, all_back, back: Spread::of(back), api, slowest })
    }

    /// What the controller answers for of every agent, without what changes by itself.
    async fn kept(&self) -> anyhow::Result<Vec<Value>> {
        let mut agents = self.api.agents().await?;
        for agent in &mut agents {
            let Some(fields) = agent.as_object_mut() else { continue };
            fields.retain(|key, _| !["connection", "last_seen", "rates", "lag_ms"].contains(&key.as_str()));
        }
        Ok(agents)
    }

    /// Waits until the view of the fleet is as wanted.
    ///
    /// # Errors
    /// If it is not within `limit`.
    pub async fn await_fleet(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&FleetView) -> bool,
    ) -> anyhow::Result<FleetView> {
        let end = Instant::now() + limit;
        loop {
            let fleet = self.api.fleet().await?;
            if wanted(&fleet) {
                return Ok(fleet);
            }
            ensure!(Instant::now() < end, "not within {limit:?}: {what}: {fleet:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One simulated week: what the agents of a fleet do in seven days, one thing after the other.
    ///
    /// # Errors
    /// If the controller does not keep up within `limit` a step.
    pub async fn week(&mut self, week: &Week, limit: Duration) -> anyhow::Result<()> {
        for day in 0..week.days {
            for _ in 0..week.health_changes_a_day {
                self.swarm.order(Order::ChangeHealth).await?;
            }
            self.push(limit).await?;
            self.swarm.forget_answered();
            self.swarm.order(Order::Reconnect).await?;
            self.swarm.all_answered(limit).await?;
            if week.renewal_days.contains(&day) {
                let renewed = self.swarm.counts().renewed.load(Ordering::Relaxed);
                self.swarm.forget_answered();
                self.swarm.order(Order::Renew).await?;
                self.swarm.all_renewed(renewed + self.swarm.len(), limit).await?;
                self.swarm.all_answered(limit).await?;
            }
        }
        self.swarm.all_active(limit).await?;
        Ok(())
    }

    /// Bytes of the controller's store on disk.
    ///
    /// # Errors
    /// If they cannot be counted.
    pub fn store_bytes(&self) -> anyhow::Result<u64> {
        folder_bytes(&self.store_folder())
    }

    fn store_folder(&self) -> PathBuf {
        self.controller.data_dir().join("store")
    }

    /// A week as [`Trial::week`] has it, and the most bytes that the store took on disk in it: at its end alone
    /// a store that is written anew now and then could be met at a good moment.
    ///
    /// # Errors
    /// If an agent does not come through within `limit`, or the store cannot be counted.
    pub async fn week_with_peak(&mut self, week: &Week, limit: Duration) -> anyhow::Result<u64> {
        let folder = self.store_folder();
        let mut peak = folder_bytes(&folder)?;
        let mut look = tokio::time::interval(LOOK_AT_STORE_EVERY);
        let mut churn = std::pin::pin!(self.week(week, limit));
        loop {
            tokio::select! {
                done = &mut churn => break done?,
                _ = look.tick() => peak = peak.max(folder_bytes(&folder)?),
            }
        }
        Ok(peak.max(folder_bytes(&folder)?))
    }

    /// Memory of the controller for each agent, in KiB: its peak without what it had before the first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn kib_per_agent(&self) -> anyhow::Result<f64> {
        let peak = self.controller.process.peak_resident_bytes().context("the controller's memory")?;
        #[allow(clippy::cast_precision_loss)] // far below 53 bits
        let per_agent = peak.saturating_sub(self.empty_bytes) as f64 / self.swarm.len() as f64 / 1_024.0;
        Ok(per_agent)
    }

    /// Address and authority of the controller.
    #[must_use]
    pub fn place(&self) -> (SocketAddr, &str) {
        (self.address, &self.ca_pem)
    }
}

/// What happens in a simulated week.
#[derive(Debug, Clone)]
pub struct Week {
    /// Days; each has one policy and one reconnect for every agent.
    pub days: u32,
    /// Changes of health of every agent on a day.
    pub health_changes_a_day: u32,
    /// Days on which every agent renews its certificate.
    pub renewal_days: Vec<u32>,
}

impl Default for Week {
    /// Two changes of health, one policy and one reconnect a day; certificates of seven days are renewed every
    /// 4.7 days.
    fn default() -> Self {
        Self { days: 7, health_changes_a_day: 2, renewal_days: vec![1, 6] }
    }
}

/// Has the API watched from a thread of its own: among ten thousand agents of this process a client would measure how
/// long they keep it waiting, not the controller.
fn watch_from_aside(api: Api, watching: Arc<AtomicBool>) -> anyhow::Result<oneshot::Receiver<Vec<Answer>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("api-client".to_owned()).spawn(move || {
        // Nobody listens if the trial failed meanwhile.
        let _ = tell.send(runtime.block_on(probe(api, watching)));
    })?;
    Ok(told)
}

/// Asks the API at a steady pace, whether or not it answered the request before, until told to stop; gives the
/// answers, slowest first.
async fn probe(api: Api, watching: Arc<AtomicBool>) -> Vec<Answer> {
    let start = Instant::now();
    let mut requests = JoinSet::new();
    let mut tick = tokio::time::interval(PROBE_EVERY);
    let mut asked = 0;
    while watching.load(Ordering::Relaxed) {
        tick.tick().await;
        let (api, path) = (api.clone(), PROBES[asked % PROBES.len()]);
        asked += 1;
        requests.spawn(async move {
            let began = Instant::now();
            // An error counts with the time that it took, at least a minute: it must not look good.
            let took = api.timed_get(path).await.unwrap_or_else(|error| {
                eprintln!("the API did not answer {path}: {error:#}");
                began.elapsed().max(Duration::from_secs(60))
            });
            Answer { at: began.duration_since(start), path, took }
        });
    }
    let mut answers = requests.join_all().await;
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.took));
    answers
}

/// An answer of the API.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// When it was asked, from the moment at which the controller listened.
    pub at: Duration,
    /// For what.
    pub path: &'static str,
    /// How long it took.
    pub took: Duration,
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let entries = match std::fs::read_dir(folder) {
        // What the store deletes meanwhile counts nothing.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.with_context(|| folder.display().to_string())?,
    };
    for entry in entries {
        let Ok(entry) = entry else { continue };
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { folder_bytes(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
