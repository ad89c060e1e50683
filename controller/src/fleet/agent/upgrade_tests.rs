//! What an agent is offered of packages, and where it is seen to stand.

use super::tests::agent;
use super::upgrade::{Ground, Hindrance};
use super::*;
use crate::fleet::record::Pin;
use crate::package::decide::Shelf;
use crate::package::testing::{package, version};
use muster_package::AGENT;
use muster_proto::api::{UpgradeStep, UpgradeView};
use muster_proto::opamp::{
    AgentDescription, ComponentHealth, PackageDownloadDetails, PackageStatus, PackageStatusEnum,
    PackageStatuses, PackagesAvailable,
};
use std::collections::BTreeSet;

const CAPABLE: u64 = AgentCapabilities::REPORTS_STATUS.0
    | AgentCapabilities::REPORTS_HEALTH.0
    | AgentCapabilities::ACCEPTS_PACKAGES.0
    | AgentCapabilities::REPORTS_PACKAGE_STATUSES.0;
const URL: &str = "wss://muster.example:4320/v1/opamp";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn message(capabilities: u64) -> AgentToServer {
    AgentToServer { capabilities, ..AgentToServer::default() }
}

fn describes(running: &str, capabilities: u64) -> AgentToServer {
    AgentToServer {
        agent_description: Some(AgentDescription {
            identifying_attributes: vec![attribute::text(attribute::SERVICE_VERSION, running)],
            non_identifying_attributes: vec![attribute::text(attribute::PLATFORM, "linux")],
        }),
        ..message(capabilities)
    }
}

fn says(offer: &PackagesAvailable, kind: PackageStatusEnum, error: &str, step: &str) -> AgentToServer {
    let details = PackageDownloadDetails { download_percent: 41.0, ..Default::default() };
    let status = PackageStatus {
        name: AGENT.to_owned(),
        server_offered_hash: offer.packages[AGENT].hash.clone(),
        status: kind.into(),
        error_message: error.to_owned(),
        download_details: (kind == PackageStatusEnum::Downloading).then_some(details),
        ..PackageStatus::default()
    };
    let component = ComponentHealth { healthy: true, status: step.to_owned(), ..ComponentHealth::default() };
    AgentToServer {
        package_statuses: Some(PackageStatuses {
            packages: [(AGENT.to_owned(), status)].into(),
            ..PackageStatuses::default()
        }),
        health: Some(ComponentHealth {
            healthy: true,
            component_health_map: [("upgrade".to_owned(), component)].into(),
            ..ComponentHealth::default()
        }),
        ..message(CAPABLE)
    }
}

/// Plans, and stores that.
fn plan(agent: &mut Agent, now: Timestamp) {
    let shelf = Shelf::of([package("0.2.0", ">=0.1"), package("0.3.0", ">=0.2"), package("0.1.0", "*")]);
    let active = BTreeSet::from([7, 8]);
    let ground = Ground { shelf: &shelf, standings: &[], active: &active };
    if agent.plan_upgrade(&ground, now) {
        let version = agent.add_unstored(&mut Batch::new());
        agent.persisted(version);
    }
}

fn told(running: &str, to: &str) -> Agent {
    let mut agent = agent();
    agent.receive(&describes(running, CAPABLE), at(0));
    agent.upgrade_to(7, &version(to));
    plan(&mut agent, at(0));
    agent
}

#[test]
fn an_offer_is_repeated_until_it_is_answered() {
    let mut agent = told("0.1.0", "0.2.0");
    let offer = agent.offer_packages(URL, at(0)).unwrap();
    assert_eq!(offer.packages.keys().collect::<Vec<_>>(), [AGENT], "the complete set");
    assert_eq!(agent.offer_packages(URL, at(29)), None);
    assert_eq!(agent.offer_packages(URL, at(30)).as_ref(), Some(&offer));
    agent.attach(2, Link::Socket { address: "127.0.0.1:2".parse().unwrap() });
    assert_eq!(
        agent.offer_packages(URL, at(31)).as_ref(),
        Some(&offer),
        "the old connection may have lost it"
    );
    agent.receive(&says(&offer, PackageStatusEnum::InstallPending, "", ""), at(32));
    for second in [33, 100, 1_000] {
        assert_eq!(agent.offer_packages(URL, at(second)), None);
    }
    // What failed is not offered again, unless another rollout brings it.
    agent.receive(&says(&offer, PackageStatusEnum::InstallFailed, "the disk is full", ""), at(1_001));
    plan(&mut agent, at(1_002));
    assert_eq!(agent.offer_packages(URL, at(2_000)), None);
    agent.upgrade_to(8, &version("0.2.0"));
    plan(&mut agent, at(2_001));
    let again = agent.offer_packages(URL, at(2_002)).unwrap();
    assert_ne!(again.packages[AGENT].hash, offer.packages[AGENT].hash);
}

#[test]
fn who_does_not_answer_is_told_once() {
    let mut agent = agent();
    let silent = CAPABLE & !AgentCapabilities::REPORTS_PACKAGE_STATUSES.0;
    agent.receive(&describes("0.1.0", silent), at(0));
    agent.upgrade_to(7, &version("0.2.0"));
    plan(&mut agent, at(0));
    let told = [0, 31, 1_000].map(|second| agent.offer_packages(URL, at(second)).is_some());
    assert_eq!(told, [true, false, false]);
}

#[test]
fn nothing_is_offered_before_it_is_stored() {
    let mut agent = agent();
    agent.receive(&describes("0.1.0", CAPABLE), at(0));
    agent.upgrade_to(7, &version("0.2.0"));
    let (shelf, active) = (Shelf::of([package("0.2.0", ">=0.1")]), BTreeSet::from([7]));
    assert!(agent.plan_upgrade(&Ground { shelf: &shelf, standings: &[], active: &active }, at(0)));
    let version = agent.add_unstored(&mut Batch::new());
    assert_eq!(agent.offer_packages(URL, at(1)), None);
    agent.persisted(version);
    assert!(agent.offer_packages(URL, at(2)).is_some());
}

type Change = fn(&mut Agent, Pin, Hold);

#[test]
fn agents_that_cannot_or_shall_not_upgrade_are_left_alone() {
    let old = CAPABLE & !AgentCapabilities::ACCEPTS_PACKAGES.0;
    let pin = Pin { version: "0.1.0".to_owned(), at: at(0), by: "vera".to_owned(), reason: String::new() };
    let hold = Hold { at: at(0), by: "vera".to_owned(), reason: String::new() };
    let cases: [(u64, Change, Option<Hindrance>); 5] = [
        (old, |_, _, _| (), Some(Hindrance::Unable)),
        (CAPABLE, |agent, pin, _| agent.record.pin = Some(pin), Some(Hindrance::Pinned)),
        (CAPABLE, |agent, _, _| agent.record.foreign = Some("t".to_owned()), Some(Hindrance::Foreign)),
        (CAPABLE, |agent, _, hold| agent.record.life = Life::Revoked(hold), Some(Hindrance::Revoked)),
        (CAPABLE, |agent, _, hold| agent.record.life = Life::Quarantined(hold), None),
    ];
    for (capabilities, change, hindrance) in cases {
        let mut agent = agent();
        agent.receive(&describes("0.1.0", capabilities), at(0));
        change(&mut agent, pin.clone(), hold.clone());
        assert_eq!(agent.hindrance(), hindrance);
        agent.upgrade_to(7, &version("0.2.0"));
        plan(&mut agent, at(0));
        assert_eq!(agent.offer_packages(URL, at(1)), None, "{hindrance:?}");
    }
    let mut silent = agent();
    silent.receive(&message(CAPABLE), at(0));
    assert_eq!(silent.hindrance(), Some(Hindrance::Unknown));
}

#[test]
fn one_step_after_the_other_and_back_again() {
    let mut agent = told("0.1.0", "0.3.0");
    let first = agent.offer_packages(URL, at(1)).unwrap();
    assert_eq!(first.packages[AGENT].version, "0.2.0");
    // The new version runs, and has to show itself: the next one waits.
    agent.receive(&describes("0.2.0", CAPABLE), at(10));
    agent.receive(&says(&first, PackageStatusEnum::Installing, "", "confirming"), at(11));
    plan(&mut agent, at(12));
    assert_eq!(agent.offer_packages(URL, at(13)), None);
    agent.receive(&says(&first, PackageStatusEnum::Installed, "", ""), at(20));
    plan(&mut agent, at(21));
    let second = agent.offer_packages(URL, at(22)).unwrap();
    assert_eq!(second.packages[AGENT].version, "0.3.0");
    agent.receive(&says(&second, PackageStatusEnum::Downloading, "", ""), at(23));
    // Back to what ran before the rollout, though the second step has not happened yet.
    agent.upgrade_back(7);
    plan(&mut agent, at(30));
    let back = agent.offer_packages(URL, at(31)).unwrap();
    assert_eq!(back.packages[AGENT].version, "0.1.0");
    assert!(!back.packages[AGENT].file.as_ref().unwrap().download_url.is_empty());
    assert_eq!(agent.package_state(7, &version("0.3.0"), false), ChangeState::New, "not back yet");
    agent.receive(&describes("0.1.0", CAPABLE), at(40));
    agent.receive(&says(&back, PackageStatusEnum::Installed, "", ""), at(41));
    plan(&mut agent, at(42));
    assert_eq!(agent.package_state(7, &version("0.3.0"), false), ChangeState::Old);
    let view = agent.upgrade_view(at(43)).unwrap();
    assert_eq!((view.step, view.reason.as_str()), (UpgradeStep::RolledBack, "rollout 7 was taken back"));
    assert_eq!(agent.offer_packages(URL, at(200)), None);
}

#[test]
fn where_it_stands_is_told_exactly_and_who_is_away_is_away() {
    use PackageStatusEnum as S;
    use UpgradeStep as U;
    let mut agent = told("0.1.0", "0.2.0");
    let new = version("0.2.0");
    let view = |agent: &Agent, second| agent.upgrade_view(at(second)).unwrap();
    let facts = |view: &UpgradeView| (view.step, view.percent, view.since, view.deadline, view.overdue);
    assert_eq!(facts(&view(&agent, 1)), (U::Offered, None, None, None, false));
    assert_eq!(agent.package_state(7, &new, true), ChangeState::Old);
    let offer = agent.offer_packages(URL, at(10)).unwrap();
    assert_eq!(facts(&view(&agent, 11)), (U::Offered, None, Some(at(10)), Some(at(70)), false));
    let cases = [
        (S::InstallPending, "", U::Waiting, None, Some(1_200)),
        (S::Downloading, "", U::Downloading, Some(41), Some(3_600)),
        (S::Installing, "verified", U::Verified, None, Some(300)),
        (S::Installing, "staged", U::Staged, None, Some(60)),
        (S::Installing, "switching", U::Switching, None, Some(120)),
        (S::Installing, "confirming", U::Confirming, None, Some(1_800)),
    ];
    for (number, (kind, word, step, percent, limit)) in cases.into_iter().enumerate() {
        let second = 20 + i64::try_from(number).unwrap();
        agent.receive(&says(&offer, kind, "", word), at(second));
        let deadline = limit.map(|limit| at(second + limit));
        assert_eq!(facts(&view(&agent, second)), (step, percent, Some(at(second)), deadline, false));
        assert_eq!(agent.package_state(7, &new, true), ChangeState::Changing, "{word}");
    }
    let late = 25 + 1_801;
    agent.last_seen = Some(at(late));
    assert!(view(&agent, late).overdue);
    agent.link = Link::Closed { at: at(late) };
    let away = view(&agent, late + 60);
    assert_eq!(facts(&away), (U::Away, None, Some(at(late)), None, false));
    assert_eq!(away.reason, "it was confirming when it left");
    agent.attach(2, Link::Socket { address: "127.0.0.1:2".parse().unwrap() });
    let late = late + 100;
    agent.receive(&says(&offer, S::InstallFailed, "rolled back: it died after 20 s", ""), at(late));
    let failed = view(&agent, late);
    assert_eq!((failed.step, failed.reason.as_str()), (U::RolledBack, "it died after 20 s"));
    assert_eq!(agent.package_state(7, &new, true), ChangeState::Refused("it died after 20 s".to_owned()));
    // Taken back, it is told why at last.
    agent.upgrade_back(7);
    plan(&mut agent, at(late + 1));
    assert_eq!(agent.package_state(7, &new, false), ChangeState::Old, "it is there already");
    let back = agent.offer_packages(URL, at(late + 2)).unwrap();
    agent.receive(&says(&back, S::Installed, "", ""), at(late + 3));
    let end = view(&agent, late + 4);
    assert_eq!((end.step, end.reason.as_str()), (U::RolledBack, "it died after 20 s"));
}

#[test]
fn who_cannot_come_to_it_says_why() {
    let mut agent = told("0.1.0", "0.9.0");
    let view = agent.upgrade_view(at(1)).unwrap();
    assert_eq!(view.step, UpgradeStep::Blocked);
    assert!(view.reason.contains("no package of 0.9.0"), "{}", view.reason);
    assert_eq!(agent.package_state(7, &version("0.9.0"), true), ChangeState::Old, "it has its time");
    let pin =
        Pin { version: "0.1.0".to_owned(), at: at(2), by: "vera".to_owned(), reason: "audit".to_owned() };
    agent.record.pin = Some(pin);
    plan(&mut agent, at(3));
    let view = agent.upgrade_view(at(4)).unwrap();
    assert_eq!((view.step, view.reason.as_str()), (UpgradeStep::Pinned, "audit"));
}
