//! All load agents of a process.

use super::agent::{Agent, EnrolFailure, Enrolled, Order, enrol};
use super::dial::Target;
use super::identity::Trust;
use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};
use muster_agent::uplink::failure::Failure;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Orders that may wait for an agent.
const ORDERS: usize = 2;
/// Pause between two looks at the counters.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Kinds of failures that are remembered with their text.
const MAX_TEXTS: usize = 20;

/// An agent's APPLIED was answered by the controller, so it is stored there.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which agent.
    pub number: usize,
    /// Hash of the policy.
    pub hash: Vec<u8>,
    /// When the answer came.
    pub at: Instant,
}

/// What the agents count together.
#[derive(Debug, Default)]
pub struct Counts {
    /// Agents that the controller answers.
    pub active: AtomicUsize,
    /// Requests for the full state.
    pub full_states: AtomicUsize,
    /// Certificates that were renewed.
    pub renewed: AtomicUsize,
    told: Mutex<Vec<Told>>,
    answered: Mutex<Vec<Instant>>,
    failures: Mutex<BTreeMap<String, usize>>,
}

impl Counts {
    pub(super) fn told(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }

    pub(super) fn answered(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    pub(super) fn lost(&self, failure: &Failure) {
        let text = match failure {
            Failure::Busy { text, .. } => format!("busy: {text}"),
            Failure::Unreachable(text)
            | Failure::Untrusted(text)
            | Failure::Refused(text)
            | Failure::TooLarge(text)
            | Failure::Superseded(text)
            | Failure::Protocol(text) => text.clone(),
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if failures.len() < MAX_TEXTS || failures.contains_key(&text) {
            text
        } else {
            "others".to_owned()
        };
        *failures.entry(key).or_default() += 1;
    }
}

/// Fetches a file; waits as long as the controller asks for, and up to half as long again.
async fn fetch(client: &reqwest::Client, url: &str, bytes: u64) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let mut response = client.get(url).send().await?;
        if response.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
            let asked = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
            let asked: f64 = asked.context("a busy controller says when to come again")?;
            tokio::time::sleep(Duration::from_secs_f64(asked * (1.0 + rand::random::<f64>() / 2.0))).await;
            continue;
        }
        let mut got = 0;
        response.error_for_status_ref()?;
        while let Some(piece) = response.chunk().await? {
            got += piece.len() as u64;
        }
        anyhow::ensure!(got == bytes, "{got} of {bytes} bytes came");
        return Ok(began.elapsed());
    }
}

/// Many agents.
pub struct Swarm {
    target: Target,
    trust: Arc<Trust>,
    counts: Arc<Counts>,
    waiting: Vec<Enrolled>,
    orders: Vec<mpsc::Sender<Order>>,
    tasks: JoinSet<()>,
}

impl Swarm {
    /// None yet.
    ///
    /// # Errors
    /// If the authority's certificate is none.
    pub fn new(target: Target, ca_pem: &str) -> anyhow::Result<Self> {
        Ok(Self {
            target,
            trust: Arc::new(Trust::new(ca_pem)?),
            counts: Arc::default(),
            waiting: Vec::new(),
            orders: Vec::new(),
            tasks: JoinSet::new(),
        })
    }

    /// All agents that are not connected fetch a file at once, and come again when they are told to; how long each took.
    ///
    /// # Errors
    /// If one cannot, or gets something else.
    pub async fn download(&self, path: &str, bytes: u64) -> anyhow::Result<Vec<Duration>> {
        let url = format!("{}{path}", self.target.https());
        let mut tasks = JoinSet::new();
        for agent in &self.waiting {
            let (client, url) = (agent.client()?, url.clone());
            tasks.spawn(async move { fetch(&client, &url, bytes).await });
        }
        let mut times = Vec::with_capacity(self.waiting.len());
        while let Some(done) = tasks.join_next().await {
            times.push(done??);
        }
        Ok(times)
    }

    /// Number of agents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.orders.len()
    }

    /// No agents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they count.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Enrols `count` more agents, `at_once` of them at a time; one that is told to wait waits. Tells how long
    /// each took.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn enrol(
        &mut self,
        token: &str,
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        let first = self.len();
        let (target, trust) = (&self.target, &self.trust);
        let one = |number: usize| async move {
            let began = Instant::now();
            loop {
                match enrol(target, trust, token, number).await {
                    Ok(enrolled) => return Ok((enrolled, began.elapsed())),
                    Err(EnrolFailure::Uplink(Failure::Busy { retry_after, .. })) => {
                        let wait = retry_after.unwrap_or(Duration::from_secs(1));
                        tokio::time::sleep(wait.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let mut all = stream::iter(first..first + count).map(one).buffer_unordered(at_once);
        let mut times = Vec::with_capacity(count);
        while let Some(result) = all.next().await {
            let (enrolled, time) = result.with_context(|| format!("agent {} of {count}", times.len()))?;
            times.push(time);
            self.waiting.push(enrolled);
        }
        Ok(times)
    }

    /// Has all enrolled agents connect, as fast as they can.
    pub fn start(&mut self) {
        for enrolled in self.waiting.drain(..) {
            let (sender, orders) = mpsc::channel(ORDERS);
            self.orders.push(sender);
            let agent = Agent::new(
                enrolled,
                Arc::clone(&self.trust),
                self.target.clone(),
                Arc::clone(&self.counts),
                orders,
            );
            self.tasks.spawn(agent.run());
        }
    }

    /// Gives an order to every agent; those that are busy with another one get it later.
    ///
    /// # Errors
    /// If an agent's task is gone.
    pub async fn order(&self, order: Order) -> anyhow::Result<()> {
        for agent in &self.orders {
            agent.send(order).await.context("an agent's task ended")?;
        }
        Ok(())
    }

    /// Gives an order to `count` agents beginning with the one numbered `from`; after the last comes the first again.
    ///
    /// # Errors
    /// If an agent's task is gone.
    pub async fn order_some(&self, order: Order, from: usize, count: usize) -> anyhow::Result<()> {
        for agent in self.orders.iter().cycle().skip(from % self.orders.len().max(1)).take(count) {
            agent.send(order).await.context("an agent's task ended")?;
        }
        Ok(())
    }

    /// Waits until the controller answers all agents.
    ///
    /// # Errors
    /// If it does not within `limit`.
    pub async fn all_active(&self, limit: Duration) -> anyhow::Result<()> {
        let counts = &self.counts;
        await_count("active agents", self.orders.len(), limit, || counts.active.load(Ordering::Relaxed))
            .await
            .with_context(|| format!("failures so far: {:?}", self.failures()))
    }

    /// Forgets what was told as applied.
    pub fn forget_told(&self) {
        self.counts.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until all agents told the same policy as applied since the last [`Swarm::forget_told`], and gives
    /// when.
    ///
    /// # Errors
    /// If they do not within `limit`.
    pub async fn all_applied(&self, limit: Duration) -> anyhow::Result<Vec<Told>> {
        let told = || self.counts.told.lock().unwrap_or_else(PoisonError::into_inner);
        await_count("agents that applied", self.orders.len(), limit, || told().len()).await?;
        let all = std::mem::take(&mut *told());
        let agents: std::collections::BTreeSet<usize> = all.iter().map(|t| t.number).collect();
        let hashes: std::collections::BTreeSet<&[u8]> = all.iter().map(|t| t.hash.as_slice()).collect();
        anyhow::ensure!(
            agents.len() == self.orders.len() && hashes.len() == 1,
            "{} agents applied {} different policies in {} reports",
            agents.len(),
            hashes.len(),
            all.len()
        );
        Ok(all)
    }

    /// Forgets which connections were answered.
    pub fn forget_answered(&self) {
        self.counts.answered.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until as many new connections were answered as there are agents, and gives when.
    ///
    /// # Errors
    /// If they are not within `limit`.
    pub async fn all_answered(&self, limit: Duration) -> anyhow::Result<Vec<Instant>> {
        let answered = || self.counts.answered.lock().unwrap_or_else(PoisonError::into_inner);
        await_count("agents that are back", self.orders.len(), limit, || answered().len())
            .await
            .with_context(|| format!("failures so far: {:?}", self.failures()))?;
        Ok(std::mem::take(&mut *answered()))
    }

    /// Waits until `count` certificates were renewed in all.
    ///
    /// # Errors
    /// If they are not within `limit`.
    pub async fn all_renewed(&self, count: usize, limit: Duration) -> anyhow::Result<()> {
        await_count("renewed", count, limit, || self.counts.renewed.load(Ordering::Relaxed)).await
    }

    /// Why connections failed or ended since the last call, with how often.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.counts.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends all agents; each says goodbye as its socket allows.
    pub async fn stop(mut self) {
        self.orders.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn await_count(
    what: &str,
    wanted: usize,
    limit: Duration,
    count: impl Fn() -> usize,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    loop {
        let now = count();
        if now >= wanted {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < end, "not within {limit:?}: {what}: {now} of {wanted}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
