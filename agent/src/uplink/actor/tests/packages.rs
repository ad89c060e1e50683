//! The checklist's cases of packages, with the agent's own upgrader behind the uplink. The agent has one package, its own.
//! What becomes of one that can be fetched is tested in `upgrade`.

use super::*;
use crate::health::HealthBook;
use crate::upgrade::UpgradeSettings;
use crate::upgrade::actor::{ReportTo, ToUpgrader, Upgrader, UpgraderSettings};
use muster_package::{AGENT, Version};
use muster_proto::opamp::capability::ServerCapabilities;
use muster_proto::opamp::{
    DownloadableFile, PackageAvailable, PackageStatus, PackageStatusEnum, PackageStatuses, PackagesAvailable,
};
use std::collections::BTreeMap;

/// No download begins within a test.
const NEVER: u64 = 1_000_000_000;

/// An uplink with an upgrader of version 0.1.0, connected to a server that takes statuses of packages.
struct Stage {
    server: Server,
    setting: Setting,
    last: Arrival,
    _state_dir: tempfile::TempDir,
}

fn greeting() -> ServerToAgent {
    let packages = ServerCapabilities::OFFERS_PACKAGES.0 | ServerCapabilities::ACCEPTS_PACKAGES_STATUS.0;
    ServerToAgent { capabilities: hello().capabilities | packages, ..ServerToAgent::default() }
}

/// An offer of the agent's package, with everything that belongs to it.
fn offer(version: &str, number: u8) -> PackagesAvailable {
    let file = DownloadableFile {
        download_url: "https://elsewhere.example/agent".to_owned(),
        content_hash: vec![0xc0 + number; 32],
        signature: b"signature".to_vec(),
        ..DownloadableFile::default()
    };
    let package = PackageAvailable {
        version: version.to_owned(),
        file: Some(file),
        hash: vec![number; 32],
        ..PackageAvailable::default()
    };
    PackagesAvailable {
        packages: [(AGENT.to_owned(), package)].into(),
        all_packages_hash: vec![0x50 + number; 32],
    }
}

/// Checks what holds for every report; gives the status of the agent's package.
fn own(statuses: &PackageStatuses) -> &PackageStatus {
    assert_eq!(statuses.packages.keys().collect::<Vec<_>>(), [AGENT], "all that it has, every time");
    let status = &statuses.packages[AGENT];
    assert_eq!((status.name.as_str(), status.agent_has_version.as_str()), (AGENT, "0.1.0"));
    assert_eq!(
        status.error_message.is_empty(),
        status.status() != PackageStatusEnum::InstallFailed,
        "{status:?}"
    );
    let downloading = status.status() == PackageStatusEnum::Downloading;
    assert_eq!(status.download_details.is_some(), downloading, "{status:?}");
    status
}

impl Stage {
    async fn new(kind: TransportKind, jitter_seconds: u64) -> Self {
        let authority = Authority::new();
        let mut server = Server::start(&authority, kind).await;
        let state_dir = tempfile::tempdir().unwrap();
        let upgrader = Upgrader::new(UpgraderSettings {
            version: Version::new(0, 1, 0),
            settings: UpgradeSettings { jitter_seconds, ..UpgradeSettings::default() },
            state_dir: state_dir.path().to_owned(),
            config_file: state_dir.path().join("agent.toml"),
            health: Arc::new(HealthBook::default()),
            in_policy: Box::new(|_| false),
            switch: Arc::default(),
        })
        .start();
        let settings = settings(&[&server.url], kind, authority.agent_keys(false));
        let setting =
            start_with(settings, |uplink| uplink.with_packages(Rc::new(ToUpgrader(upgrader.clone()))));
        upgrader.send(ReportTo(setting.uplink.clone().recipient())).await.unwrap();
        let first = server.message().await;
        assert_eq!(first.message.capabilities, 0xbd07 | PACKAGE_CAPABILITIES.0);
        first.say(greeting()).await;
        setting.sink.until(HealthState::Healthy).await;
        let statuses = first.message.package_statuses.as_ref().expect("the first report says everything");
        assert_eq!(statuses.server_provided_all_packages_hash, Vec::<u8>::new());
        let status = own(statuses);
        assert_eq!(
            (status.status(), status.server_offered_version.as_str()),
            (PackageStatusEnum::Installed, "")
        );
        let mut stage = Self { server, setting, last: first, _state_dir: state_dir };
        stage.next_exchange("connected").await;
        stage
    }

    /// Over HTTP an answer ends the exchange: news bring the next one.
    async fn next_exchange(&mut self, news: &str) {
        if self.setting.kind == TransportKind::Http {
            let health = component("source/audit", HealthState::Degraded, news);
            self.setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
            self.last = self.server.message().await;
            assert_eq!(self.last.message.package_statuses, None, "{news}");
        }
    }

    async fn offer(&mut self, available: &PackagesAvailable) {
        let message = ServerToAgent { packages_available: Some(available.clone()), ..greeting() };
        self.last.say(message).await;
    }

    /// Waits until it stands so with the offer of this hash: its status and the hash of the set that it echoes.
    async fn told(&mut self, kind: PackageStatusEnum, hash: &[u8]) -> (PackageStatus, Vec<u8>) {
        loop {
            self.last = self.server.message().await;
            if let Some(statuses) = &self.last.message.package_statuses {
                let status = own(statuses);
                if status.status() == kind && status.server_offered_hash == hash {
                    return (status.clone(), statuses.server_provided_all_packages_hash.clone());
                }
            }
            self.last.say(greeting()).await;
        }
    }

    /// Nothing that was offered before had a consequence: the next message is about this policy.
    async fn is_quiet(&mut self, policy: &str) {
        self.next_exchange(policy).await;
        let policy = policy_offer(policy.as_bytes().to_vec());
        let before = self.last.message.sequence_num;
        self.last.say(ServerToAgent { remote_config: Some(policy.clone()), ..greeting() }).await;
        for word in [RemoteConfigStatuses::Applying, RemoteConfigStatuses::Applied] {
            let next = self.server.message().await;
            assert_eq!(next.message.package_statuses, None);
            let status = next.message.remote_config_status.as_ref().unwrap();
            assert_eq!((status.status(), &status.last_remote_config_hash), (word, &policy.config_hash));
            if word == RemoteConfigStatuses::Applying {
                assert_eq!(next.message.sequence_num, before + 1);
                next.say(greeting()).await;
            }
            self.last = next;
        }
    }

    /// Everything is asked for; gives the status of the agent's package in it.
    async fn asked_for_all(&mut self) -> PackageStatus {
        self.last.say(ServerToAgent { flags: ServerFlags::REPORT_FULL_STATE.0, ..greeting() }).await;
        self.last = self.server.message().await;
        assert!(self.last.message.agent_description.is_some());
        own(self.last.message.package_statuses.as_ref().unwrap()).clone()
    }
}

/// What runs already is not fetched; that it is the offered one is told.
pub(super) async fn add(kind: TransportKind) {
    let mut stage = Stage::new(kind, NEVER).await;
    let offer = offer("0.1.0", 1);
    stage.offer(&offer).await;
    let (status, set) = stage.told(PackageStatusEnum::Installed, &[1; 32]).await;
    assert_eq!(set, offer.all_packages_hash);
    assert_eq!((status.agent_has_hash, status.server_offered_version.as_str()), (vec![1; 32], "0.1.0"));
    stage.offer(&offer).await;
    stage.is_quiet("the same set is no news").await;
}

/// A changed set takes the place of the one that is being worked on.
pub(super) async fn change(kind: TransportKind) {
    let mut stage = Stage::new(kind, NEVER).await;
    for (version, number) in [("0.2.0", 1), ("0.3.0", 2), ("0.3.0", 3)] {
        let offer = offer(version, number);
        stage.offer(&offer).await;
        let (status, set) = stage.told(PackageStatusEnum::InstallPending, &[number; 32]).await;
        assert_eq!((status.server_offered_version.as_str(), &set), (version, &offer.all_packages_hash));
        assert_eq!(status.agent_has_hash, Vec::<u8>::new(), "no server brought what runs");
    }
}

/// The agent never removes itself, whatever a set leaves out.
pub(super) async fn remove(kind: TransportKind) {
    let mut stage = Stage::new(kind, NEVER).await;
    let strange = PackageAvailable { hash: vec![9; 32], ..PackageAvailable::default() };
    let sets = [("empty", BTreeMap::new()), ("of others", [("strange".to_owned(), strange)].into())];
    for (name, packages) in sets {
        stage.offer(&PackagesAvailable { packages, all_packages_hash: vec![9; 32] }).await;
        stage.is_quiet(name).await;
        assert_eq!(stage.asked_for_all().await.status(), PackageStatusEnum::Installed, "{name}");
    }
}

/// A failure is told with its reason, once; another hash is another try.
pub(super) async fn fail(kind: TransportKind) {
    let mut stage = Stage::new(kind, 0).await;
    for number in [1, 2] {
        let offer = offer("0.2.0", number);
        stage.offer(&offer).await;
        let (status, set) = stage.told(PackageStatusEnum::InstallFailed, &[number; 32]).await;
        assert!(status.error_message.contains("is no place of packages"), "{}", status.error_message);
        assert_eq!(set, offer.all_packages_hash);
        stage.offer(&offer).await;
        stage.is_quiet(&format!("failed {number}")).await;
    }
}

/// A lower version is an offer as every other one; where it cannot be had, that is told.
pub(super) async fn downgrade(kind: TransportKind) {
    let mut stage = Stage::new(kind, NEVER).await;
    stage.offer(&offer("0.0.9", 1)).await;
    let (status, _) = stage.told(PackageStatusEnum::InstallPending, &[1; 32]).await;
    assert_eq!(status.server_offered_version, "0.0.9");
    // Back to a version that it should have kept.
    let mut kept = offer("0.0.8", 2);
    kept.packages.get_mut(AGENT).unwrap().file = None;
    stage.offer(&kept).await;
    let (status, _) = stage.told(PackageStatusEnum::InstallFailed, &[2; 32]).await;
    assert!(status.error_message.contains("0.0.8 is not kept on this host"), "{}", status.error_message);
}

/// Trap 6: every report lists the package, also one that is being fetched; only another hash is another try.
pub(super) async fn trap_06(kind: TransportKind) {
    let mut stage = Stage::new(kind, NEVER).await;
    assert_eq!(stage.asked_for_all().await.status(), PackageStatusEnum::Installed);
    stage.offer(&offer("0.2.0", 1)).await;
    stage.told(PackageStatusEnum::InstallPending, &[1; 32]).await;
    // The same package in a set of another hash: the package's own hash tells that it is known.
    let partial = PackagesAvailable { all_packages_hash: vec![7; 32], ..offer("0.2.0", 1) };
    stage.offer(&partial).await;
    stage.is_quiet("the same package").await;
    let status = stage.asked_for_all().await;
    assert_eq!(
        (status.status(), status.server_offered_hash),
        (PackageStatusEnum::InstallPending, vec![1; 32])
    );
    stage.offer(&offer("0.2.0", 2)).await;
    stage.told(PackageStatusEnum::InstallPending, &[2; 32]).await;
}
