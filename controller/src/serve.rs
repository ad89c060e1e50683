//! Starts and stops a controller.

use crate::app::App;
use crate::audit_log::{Actor, AuditError, AuditLog, Outgoing};
use crate::backup::{self, Backups};
use crate::config::{Config, FirstStart};
use crate::event_hub::{self, EventHub};
use crate::fleet::history::{History, record_each_span};
use crate::fleet::{Fleet, effective};
use crate::gateway::front::{self, Front, FrontError};
use crate::gateway::{self, outbox::Farewell, overload::Gates};
use crate::http::idempotency::Answers;
use crate::http::metrics::MetricsCache;
use crate::identity::authority::{Authority, AuthorityError};
use crate::identity::file::{self, FileError, failed};
use crate::identity::life;
use crate::identity::pending::Pending;
use crate::identity::secret;
use crate::identity::tls::{AgentVerifier, ServerCertificate, TlsError};
use crate::incarnation::{IncarnationError, Incarnations};
use crate::lease::{self, Leases};
use crate::licence::{self, LicenceKeeper};
use crate::package::{self, Packages};
use crate::policy::PolicyBook;
use crate::proposal::Proposals;
use crate::restore::{self, Unfinished};
use crate::rollout::{self, Rollouts};
use crate::store::schema::{self, SchemaError};
use crate::store::{Batch, SharedStore, SledStore, StoreError};
use crate::user::{self, ADMIN, Accounts, UserError};
use jiff::Timestamp;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// How often effective configurations that nobody runs are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Connections that the system holds until they are accepted; it may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
/// How often it is looked whether counted refusals are to be told.
const REFUSALS_EVERY: Duration = Duration::from_secs(5);
/// How often the files of the company's certificate are looked at.
const FILES_EVERY: Duration = Duration::from_secs(10);

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}; is another program, or another controller, using it?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The incarnation.
    #[error(transparent)]
    Incarnation(#[from] IncarnationError),
    /// A restore that did not end.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// The store.
    #[error("the store in the data folder failed; is another controller using this data folder?")]
    Store(#[from] StoreError),
    /// The store is of another release, or cannot be brought forward.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The packages.
    #[error(transparent)]
    Packages(#[from] package::OpenError),
    /// The first user.
    #[error("the first user could not be made")]
    User(#[from] UserError),
}

/// A controller that runs.
pub struct Running {
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// Certificate of its authority, PEM: what clients trust.
    pub ca_pem: String,
    /// SHA-256 fingerprint of that certificate in hex: what `muster login --fingerprint` compares.
    pub ca_sha256: String,
    /// One-time password of the user `admin`; only at the first start.
    pub admin_password: Option<Zeroizing<String>>,
    app: Arc<App>,
    front: Front,
    renewal: JoinHandle<()>,
    watcher: JoinHandle<()>,
    files: JoinHandle<()>,
    history: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    rollouts: JoinHandle<()>,
    leases: JoinHandle<()>,
    licence: JoinHandle<()>,
    backups: JoinHandle<()>,
    upgrades: JoinHandle<()>,
    refusals: JoinHandle<()>,
}

impl Running {
    /// Reads the company's certificate again.
    pub fn reload_certificate(&self) {
        reload(&self.app, true);
    }

    /// Ends all sessions and connections, and closes the store.
    pub async fn stop(self) {
        self.app.stopping.store(true, Ordering::Relaxed);
        self.app.ending.cancel();
        self.renewal.abort();
        self.watcher.abort();
        self.app.events.close();
        self.files.abort();
        self.history.abort();
        self.sweeping.abort();
        self.rollouts.abort();
        self.leases.abort();
        self.licence.abort();
        self.backups.abort();
        self.upgrades.abort();
        self.refusals.abort();
        self.app.fleet.each(|agent| agent.outbox.end(Farewell::Shutdown));
        // While the threads live: their tasks are the sessions.
        self.app.links.close();
        if tokio::time::timeout(front::SHUTDOWN, self.app.links.wait()).await.is_err() {
            tracing::info!(
                agents = self.app.links.len(),
                "agents that did not end their sessions are cut off"
            );
        }
        self.front.close().await;
        licence::look(&self.app).await;
        self.app.tell_refusals(Timestamp::now(), true).await;
        self.app.store.close();
        tracing::info!("controller stopped");
    }
}

/// Starts a controller. It runs until [`Running::stop`]; needs a tokio runtime.
///
/// # Errors
/// What could not be opened, and what to do.
pub async fn serve(config: Config) -> Result<Running, ServeError> {
    // Another provider may be installed by the program around: nothing here relies on the default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let now = Timestamp::now();
    file::private_folder(&config.data_dir)?;
    restore::look(&config.data_dir)?;
    let listener = TcpListener::bind(config.listen)
        .map_err(|source| ServeError::Listen { address: config.listen, source })?;
    // The standard library asks for 128, which a fleet that returns overruns; then each lost attempt costs
    // a second or more.
    socket2::SockRef::from(&listener)
        .listen(BACKLOG)
        .map_err(|source| ServeError::Listen { address: config.listen, source })?;
    let addr =
        listener.local_addr().map_err(|source| ServeError::Listen { address: config.listen, source })?;
    let store = schema::open(&config.data_dir, now).await?;
    let app = Arc::new(assemble(config, addr, store, now)?);
    app.audit.drain().await;
    app.incarnation.keep(&*app.store).await?;
    let mut old = Batch::new();
    life::forget_old_blocks(&*app.store, &mut old, now)?;
    app.store.apply(old).await?;
    let front = front::listen(&app, listener).map_err(|error| match error {
        FrontError::Tls(error) => ServeError::Tls(error),
        FrontError::Io(source) => ServeError::Listen { address: addr, source },
    })?;
    // Last of what can fail: a password that was shown is the one that is stored.
    let admin_password = first_user(&app, now).await?;
    let renewal = tokio::spawn(renew_certificate(Arc::clone(&app)));
    let watcher = tokio::spawn(event_hub::watcher::run(Arc::clone(&app)));
    let files = tokio::spawn(watch_files(Arc::clone(&app)));
    let history = tokio::spawn(record_each_span(Arc::clone(&app)));
    let sweeping = tokio::spawn(sweep_texts(Arc::clone(&app)));
    // Stored before anybody is served: the evaluation begins once.
    app.licence.look(&app.fleet, now).await?;
    let licence = tokio::spawn(licence::watch(Arc::clone(&app)));
    let rollouts = tokio::spawn(rollout::driver::run(Arc::clone(&app)));
    let upgrades = tokio::spawn(package::driver::run(Arc::clone(&app)));
    let leases = tokio::spawn(lease::driver::run(Arc::clone(&app)));
    let backups = tokio::spawn(backup::run(Arc::clone(&app)));
    let refusals = tokio::spawn(tell_refusals(Arc::clone(&app)));
    if let Some(path) = &app.config.port_file {
        file::write(path, 0o644, format!("{addr}\n").as_bytes())?;
    }
    let ca_sha256 = ca_sha256(&app);
    tracing::info!(%addr, agents = app.fleet.len(), user = ADMIN, ca_sha256, "controller listens");
    let ca_pem = app.authority.trust().serving().pem().to_owned();
    Ok(Running {
        addr,
        ca_pem,
        ca_sha256,
        admin_password,
        app,
        front,
        renewal,
        watcher,
        files,
        history,
        sweeping,
        rollouts,
        leases,
        licence,
        backups,
        upgrades,
        refusals,
    })
}

fn assemble(
    config: Config,
    address: SocketAddr,
    store: SharedStore,
    now: Timestamp,
) -> Result<App, ServeError> {
    // Some agents read 0 as "no heartbeats at all".
    let config = Config { heartbeat_seconds: config.heartbeat_seconds.max(1), ..config };
    let authority = Authority::load(&config.data_dir, &*store, now)?;
    let trust = authority.trust();
    let verifier = Arc::new(AgentVerifier::new(&trust)?);
    let host = host_name();
    let names = config.certificate_names(host.as_deref());
    let certificate = Arc::new(ServerCertificate::new(&trust, names, config.tls_files.clone(), now)?);
    let book = PolicyBook::load(&*store)?;
    let rollouts = Rollouts::load(Arc::clone(&store), now)?;
    let fleet = Fleet::load(&*store, &book, &rollouts.staged())?;
    let licence = LicenceKeeper::load(Arc::clone(&store), &fleet, config.licence_pace, now)?;
    let leases = Leases::load(&*store)?;
    let incarnation = Incarnations::load(&*store, &trust)?;
    let backups = Backups::open(config.backup.clone(), &*store)?;
    let proposals = Proposals::new(Arc::clone(&store));
    let answers = Answers::new(Arc::clone(&store));
    let events = EventHub::default();
    let audit = AuditLog::open(&config.data_dir.join("audit"), Arc::clone(&store), events.clone())?;
    let pending = Pending::load(&*store, now)?;
    let accounts = Accounts::new(Arc::clone(&store))?;
    let history_folder = config.data_dir.join("history");
    let history =
        History::open(&history_folder, config.history_bytes).map_err(failed("made", &history_folder))?;
    let package_folder = config.data_dir.join("packages");
    let packages = Packages::open(&package_folder, &*store, config.packages, now)?;
    Ok(App {
        urls: config.urls(address, host.as_deref()),
        max_sessions: gateway::max_sessions(config.open_files),
        gates: Gates::new(config.limits),
        config,
        address,
        authority,
        verifier,
        certificate,
        store,
        fleet,
        pending,
        book,
        accounts,
        inspect: crate::inspect::Inspector::default(),
        history,
        audit,
        refusals: std::sync::Mutex::default(),
        answers,
        proposals,
        incarnation,
        backups,
        licence,
        leases,
        rollouts,
        packages,
        events,
        metrics: MetricsCache::default(),
        started: now,
        stopping: AtomicBool::new(false),
        ending: tokio_util::sync::CancellationToken::new(),
        sessions: AtomicUsize::new(0),
        links: tokio_util::task::TaskTracker::new(),
        bodies: tokio::sync::Semaphore::new(crate::gateway::body::MAX_BODIES),
    })
}

/// Makes the first user if there is none. Its password is shown, then stored: a crash between the two makes
/// another one at the next start.
async fn first_user(app: &App, now: Timestamp) -> Result<Option<Zeroizing<String>>, ServeError> {
    if !app.accounts.is_empty()? {
        return Ok(None);
    }
    let password = user::one_time_password();
    let batch = app.accounts.set_admin(&password, now)?;
    match &app.config.admin_password_file {
        Some(path) => file::write(path, 0o600, format!("{}\n", password.as_str()).as_bytes())?,
        None => {
            if let Some(show) = app.config.show_first_start {
                show(&FirstStart { addr: app.address, password: &password, ca_sha256: &ca_sha256(app) });
            }
        }
    }
    app.store.apply(batch).await?;
    Ok(Some(password))
}

fn ca_sha256(app: &App) -> String {
    secret::sha256_hex(app.authority.trust().serving().certificate())
}

/// Gives the user `admin` a new one-time password: it is written to `password_file`, or given to `show` if
/// there is none, before it is stored. The controller must not run: the store is opened by one program at a time.
///
/// # Errors
/// If there is no controller's state in the folder, or it cannot be changed.
pub async fn reset_admin(
    data_dir: &Path,
    password_file: Option<&Path>,
    show: impl FnOnce(&str),
) -> Result<(), ServeError> {
    let folder = data_dir.join("store");
    // Opening would make an empty one.
    std::fs::metadata(&folder).map_err(failed("read", &folder))?;
    let store: SharedStore = Arc::new(SledStore::open(&folder)?);
    schema::check(&*store, &folder)?;
    let accounts = Accounts::new(Arc::clone(&store))?;
    let audit = AuditLog::open(&data_dir.join("audit"), Arc::clone(&store), EventHub::default())?;
    let password = user::one_time_password();
    let mut batch = accounts.set_admin(&password, Timestamp::now())?;
    let nowhere = std::net::IpAddr::from([127, 0, 0, 1]);
    Outgoing::by_user(Actor::new("offline", nowhere), "password.reset", ADMIN).add_to(&mut batch);
    match password_file {
        Some(path) => file::write(path, 0o600, format!("{}\n", password.as_str()).as_bytes())?,
        None => show(&password),
    }
    store.apply(batch).await?;
    audit.drain().await;
    store.close();
    Ok(())
}

/// Has the audit log tell how many refusals it left out.
async fn tell_refusals(app: Arc<App>) {
    let mut every = tokio::time::interval(REFUSALS_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        app.tell_refusals(Timestamp::now(), false).await;
    }
}

/// The host's name, where the system tells it.
fn host_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim();
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    valid.then(|| name.to_owned())
}

/// Deletes effective configurations that nobody runs any more and uploads that nobody goes on with, from time to time.
async fn sweep_texts(app: Arc<App>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        if let Err(error) = effective::sweep(&app).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "unused effective configurations stay");
        }
        app.packages.sweep(Timestamp::now());
    }
}

/// Looks for a changed certificate of the company's.
async fn watch_files(app: Arc<App>) {
    let mut every = tokio::time::interval(FILES_EVERY);
    loop {
        every.tick().await;
        reload(&app, false);
    }
}

fn reload(app: &App, forced: bool) {
    match app.certificate.reload(forced) {
        Ok(true) => tracing::info!("the company's certificate was read again"),
        Ok(false) => {}
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the company's certificate cannot be used, the one before stays"
        ),
    }
}

/// Replaces the controller's own certificate in time.
async fn renew_certificate(app: Arc<App>) {
    loop {
        tokio::time::sleep(ServerCertificate::renewal_period()).await;
        match app.certificate.renew(&app.authority.trust(), Timestamp::now()) {
            Ok(()) => tracing::info!("the controller's certificate was renewed"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the controller's certificate was not renewed"
            ),
        }
    }
}
