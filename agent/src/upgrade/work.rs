//! The work on one offer: wait for its turn, fetch, verify, unpack, and have the new program check itself.

use super::disk::Disk;
use super::fetch::Fetch;
use super::offer::{Offer, OfferedFile};
use super::phase::Phase;
use super::stage::{self, Stage};
use super::{Access, UpgradeSettings, confirm};
use crate::health::HealthBook;
use crate::state::chain;
use actix::{Message, Recipient};
use muster_package::admit::Host;
use muster_package::keys::Trust;
use muster_package::progress::Step;
use muster_package::slots::{Layout, PROGRAM};
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Most of what a check of itself prints that is told.
const MAX_COMPLAINT: usize = 600;

/// Message: the work came so far.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reached(pub(super) Phase);

/// What the worker needs; it outlives no actor.
pub(super) struct Bench {
    pub(super) layout: Layout,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: UpgradeSettings,
    pub(super) config_file: PathBuf,
    pub(super) health: Arc<HealthBook>,
    /// One package is unpacked at a time.
    pub(super) staging: Arc<Mutex<()>>,
}

/// The work on one offer, up to where the new version is ready.
pub(super) struct Work {
    pub(super) bench: Arc<Bench>,
    pub(super) host: Host,
    pub(super) trust: Trust,
    pub(super) offer: Offer,
    /// Digest of the offered version's manifest, if it ran here before.
    pub(super) accepted: Option<String>,
    /// The controller that is connected.
    pub(super) access: watch::Receiver<Option<Access>>,
    pub(super) tell: Recipient<Reached>,
}

impl Work {
    /// Gives the keys that count from now on.
    pub(super) async fn run(self, file: Option<OfferedFile>) -> Result<Trust, String> {
        let mut trust = self.trust.clone();
        if let Some(file) = file {
            let jitter = Duration::from_secs(self.bench.settings.jitter_seconds).mul_f64(rand::random());
            tokio::time::sleep(jitter).await;
            let part = self.fetch(&file).await?;
            trust = self.stage(part, file).await?;
        }
        self.say(Reached(Phase::Verified));
        self.check_itself(&trust).await?;
        self.say(Reached(Phase::Staged));
        Ok(trust)
    }

    /// An actor that ended hears nothing, and needs nothing.
    fn say(&self, reached: Reached) {
        self.tell.do_send(reached);
    }

    async fn fetch(&self, file: &OfferedFile) -> Result<PathBuf, String> {
        let folder = self.bench.layout.downloads();
        let made = self.bench.disk.make_dir(&folder);
        made.map_err(|error| format!("the folder {} cannot be made: {error}", folder.display()))?;
        let forgot = stage::forget_downloads(&self.bench.layout, &*self.bench.disk, &file.sha256);
        forgot
            .map_err(|error| format!("old downloads cannot be removed from {}: {error}", folder.display()))?;
        let part = stage::part(&self.bench.layout, &file.sha256);
        let tell = |percent, rate| self.say(Reached(Phase::Downloading { percent, rate }));
        tell(0.0, 0.0);
        let (access, last) = (self.access.clone(), RefCell::default());
        let fetch = Fetch { access, file, part: &part, disk: &*self.bench.disk, tell: &tell, last };
        match within(Step::Downloading, fetch.run()).await {
            Ok(fetched) => fetched?,
            Err(late) => {
                let last = fetch.last.take();
                let why = if last.is_empty() { "no controller was connected".to_owned() } else { last };
                return Err(format!("{late}; at last: {why}"));
            }
        }
        Ok(part)
    }

    async fn stage(&self, part: PathBuf, file: OfferedFile) -> Result<Trust, String> {
        let (bench, host) = (Arc::clone(&self.bench), self.host.clone());
        let (version, mut trust) = (self.offer.version.clone(), self.trust.clone());
        // A job that nobody waits for any more goes on all the same: the next one waits for its end.
        let turn = Arc::clone(&self.bench.staging).lock_owned().await;
        let staged = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let stage = Stage { layout: &bench.layout, disk: &*bench.disk, host: &host };
            let staged = stage
                .verify(&part, &file.sha256, &version, &mut trust)
                .and_then(|manifest| stage.unpack(&part, &manifest));
            // It is unpacked, or of no use.
            let _ = bench.disk.remove(&part);
            staged.map(|()| trust).map_err(|error| chain(&error))
        });
        within(Step::Verified, staged).await?.map_err(|error| format!("verifying the package: {error}"))?
    }

    /// Asks the new program whether it can do its work here, before anything is switched.
    async fn check_itself(&self, trust: &Trust) -> Result<(), String> {
        let version = &self.offer.version;
        let program = self.bench.layout.version(version).join(PROGRAM);
        if !program.exists() {
            // The installed program, which ran here before.
            return Ok(());
        }
        let (layout, of) = (self.bench.layout.clone(), version.clone());
        let (trust, accepted) = (trust.clone(), self.accepted.clone());
        let verified = tokio::task::spawn_blocking(move || {
            stage::verify_unpacked(&layout, &of, &trust, accepted.as_deref())
        });
        within(Step::Verified, verified)
            .await?
            .map_err(|error| error.to_string())
            .and_then(|verified| verified.map_err(|why| why.to_string()))
            .map_err(|why| format!("{version}, as it lies here: {why}"))?;
        let worked = confirm::working(&self.bench.health.snapshot());
        let mut command = tokio::process::Command::new(&program);
        command
            .arg("self-check")
            .arg("--config")
            .arg(&self.bench.config_file)
            .arg("--expect")
            .arg(version.to_string())
            // It ends with this process, whose end closes the pipe.
            .arg("--until-eof")
            .args(worked.iter().flat_map(|name| ["--worked", name.as_str()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{version} cannot be started to check itself: {error}"))?;
        let held = child.stdin.take();
        let output = within(Step::Verified, child.wait_with_output())
            .await
            .map_err(|late| format!("{version} checks itself: {late}"))?
            .map_err(|error| format!("what {version} says of itself cannot be read: {error}"))?;
        drop(held);
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAIL")).collect();
        let told = if failed.is_empty() { text.lines().collect() } else { failed };
        let told: String = told.join("; ").chars().take(MAX_COMPLAINT).collect();
        Err(format!("{version} does not pass its check of itself ({}): {told}", output.status))
    }
}

/// Within the time that a step may take.
async fn within<T>(step: Step, work: impl Future<Output = T>) -> Result<T, String> {
    let limit = step.limit().unwrap_or(Duration::MAX);
    let late = |_| format!("{} took longer than {} minutes", step.word(), limit.as_secs() / 60);
    tokio::time::timeout(limit, work).await.map_err(late)
}
