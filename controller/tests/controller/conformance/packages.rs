//! The checklist's cases of packages. Agents have one package, their own, so the complete set that is offered has one.
//! Each case has a controller of its own, since a rollout is about the whole fleet.

use super::wire::Over;
use crate::common::*;
use crate::package::{package, upload};
use crate::upgrade::{ends, request};
use crate::upgrader::Upgrader;
use muster_package::AGENT;
use muster_proto::api::{RolloutOrder, RolloutState, RolloutView, UpgradeStep};
use muster_proto::opamp::{
    PackageAvailable, PackageStatus, PackageStatusEnum, PackageType, PackagesAvailable,
};
use std::collections::BTreeMap;

/// A controller with packages of these versions, and an agent that runs `running`.
async fn stage(over: Over, running: &str, versions: &[&str]) -> (Site, Upgrader) {
    let site = Site::start().await;
    for version in versions {
        upload(&site.api, &package(version, ">=0.1.0", 1_000)).await.unwrap();
    }
    let agent = Upgrader::join(&site, over, running, &[]).await;
    assert_eq!(agent.view(&site).await.summary.version, running);
    (site, agent)
}

async fn start(site: &Site, version: &str) -> u64 {
    let started: RolloutView = site.api.post("/rollouts", &request(version), 201).await;
    started.id
}

/// Starts a rollout that the agent follows to its end; gives what it was offered.
async fn brought(site: &Site, agent: &mut Upgrader, version: &str) -> PackagesAvailable {
    let rollout = start(site, version).await;
    let offered = agent.offered().await;
    agent.follow(&offered.packages[AGENT]).await;
    ends(site, rollout, RolloutState::Done).await;
    offered
}

/// Hashes of the file, the package and the set.
fn hashes(offered: &PackagesAvailable) -> [Vec<u8>; 3] {
    let package = &offered.packages[AGENT];
    let content = package.file.clone().unwrap_or_default().content_hash;
    [content, package.hash.clone(), offered.all_packages_hash.clone()]
}

pub async fn add(_: &Site, over: Over) {
    let (site, mut agent) = stage(over, "0.1.0", &["0.2.0"]).await;
    assert_eq!(agent.beat().await, None, "nothing was wanted yet");
    let rollout = start(&site, "0.2.0").await;
    let offered = agent.offered().await;
    let offer = &offered.packages[AGENT];
    assert_eq!((offer.r#type(), offer.version.as_str()), (PackageType::TopLevel, "0.2.0"));
    let file = offer.file.as_ref().unwrap();
    assert!(file.download_url.starts_with(&format!("https://{}/v1/packages/", site.addr())), "{file:?}");
    assert!(!file.signature.is_empty());
    for hash in hashes(&offered) {
        assert_eq!(hash.len(), 32);
    }
    for kind in
        [PackageStatusEnum::InstallPending, PackageStatusEnum::Downloading, PackageStatusEnum::Installing]
    {
        assert_eq!(agent.beat().await, None, "not again while it is being done");
        agent.say(offer, kind, "").await;
    }
    agent.follow(offer).await;
    ends(&site, rollout, RolloutState::Done).await;
    agent.reaches(&site, UpgradeStep::Done).await;
    assert_eq!(agent.beat().await, None);
    agent.reconnect().await;
    assert_eq!(agent.beat().await, None, "it has it, over whatever connection");
    site.running.stop().await;
}

pub async fn change(_: &Site, over: Over) {
    let (site, mut agent) = stage(over, "0.1.0", &["0.2.0", "0.3.0"]).await;
    let first = hashes(&brought(&site, &mut agent, "0.2.0").await);
    let second = hashes(&brought(&site, &mut agent, "0.3.0").await);
    for (before, after) in first.iter().zip(&second) {
        assert_ne!(before, after);
    }
    assert_eq!(agent.view(&site).await.summary.version, "0.3.0");
    site.running.stop().await;
}

pub async fn remove(_: &Site, over: Over) {
    let (site, mut agent) = stage(over, "0.1.0", &["0.2.0"]).await;
    // It has one more, which no set names: that is how a server says that it goes.
    let strange = PackageStatus {
        name: "strange".to_owned(),
        agent_has_version: "1".to_owned(),
        status: PackageStatusEnum::Installed.into(),
        ..PackageStatus::default()
    };
    agent.report_packages([(strange.name.clone(), strange)].into()).await;
    let rollout = start(&site, "0.2.0").await;
    assert_eq!(agent.offer().await.version, "0.2.0");
    // Its own is in every set: what is taken back is another version, and no empty set that would remove the agent.
    let _: RolloutView =
        site.api.post(&format!("/rollouts/{rollout}/abort"), &RolloutOrder::default(), 200).await;
    let stay = agent.offer().await;
    assert_eq!(stay.version, "0.1.0");
    agent.follow(&stay).await;
    assert_eq!(agent.beat().await, None, "and nothing is wanted of it any more");
    site.running.stop().await;
}

/// Lets the offered version fail, and follows the way back.
async fn fails(site: &Site, agent: &mut Upgrader, rollout: u64, offer: &PackageAvailable) {
    agent.say(offer, PackageStatusEnum::Installing, "").await;
    agent.say(offer, PackageStatusEnum::InstallFailed, "no such instruction").await;
    let back = agent.offer().await;
    assert_eq!(back.version, agent.version, "the way back, and not the same once more");
    agent.follow(&back).await;
    let view = ends(site, rollout, RolloutState::RolledBack).await;
    assert!(view.reason.contains("no such instruction"), "{view:?}");
}

pub async fn fail(_: &Site, over: Over) {
    let (site, mut agent) = stage(over, "0.1.0", &["0.2.0"]).await;
    let rollout = start(&site, "0.2.0").await;
    let offer = agent.offer().await;
    fails(&site, &mut agent, rollout, &offer).await;
    let upgrade = agent.reaches(&site, UpgradeStep::RolledBack).await.upgrade.unwrap();
    assert!(upgrade.reason.contains("no such instruction"), "{upgrade:?}");
    for _ in 0..3 {
        agent.reconnect().await;
        assert_eq!(agent.beat().await, None, "what failed is not tried again by itself");
    }
    site.running.stop().await;
}

pub async fn downgrade(_: &Site, over: Over) {
    let (site, mut agent) = stage(over, "0.3.0", &["0.2.0"]).await;
    let offered = brought(&site, &mut agent, "0.2.0").await;
    assert_eq!(offered.packages[AGENT].version, "0.2.0", "an offer as every other one");
    assert_eq!(agent.view(&site).await.summary.version, "0.2.0");
    site.running.stop().await;
}

/// Trap 6, over one transport.
pub async fn trap_06(over: Over) {
    let (site, mut agent) = stage(over, "0.1.0", &["0.2.0"]).await;
    let rollout = start(&site, "0.2.0").await;
    let first = agent.offered().await;
    let offer = &first.packages[AGENT];
    // Downloading is known, and tells how far it is.
    agent.say(offer, PackageStatusEnum::Downloading, "").await;
    agent.reaches(&site, UpgradeStep::Downloading).await;
    // A report that leaves the package out says that it has none. It is told again, but in no loop: over another connection,
    // or, where there are none, half a minute later.
    agent.report_packages(BTreeMap::new()).await;
    assert_eq!(agent.beat().await, None, "{over:?}: no loop of offers");
    agent.status = None;
    agent.reconnect().await;
    match over {
        Over::WebSocket => assert_eq!(agent.offered().await, first, "complete, and the same"),
        Over::Http => assert_eq!(agent.beat().await, None),
    }
    fails(&site, &mut agent, rollout, offer).await;
    // The same version again: other hashes make it another try, for the content is as it was.
    let again = start(&site, "0.2.0").await;
    let second = agent.offered().await;
    let ([content, package, set], [content_again, package_again, set_again]) =
        (hashes(&first), hashes(&second));
    assert_eq!(content, content_again, "{over:?}");
    assert!(package != package_again && set != set_again, "{over:?}: {second:?}");
    agent.follow(&second.packages[AGENT]).await;
    ends(&site, again, RolloutState::Done).await;
    site.running.stop().await;
}
