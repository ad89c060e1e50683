//! Rollouts of packages through the interface, with agents that say what becomes of them.

use crate::common::*;
use crate::conformance::wire::Over;
use crate::package::{package, security_fix, upload};
use crate::process::Program;
use crate::rollout::rules;
use crate::upgrader::Upgrader;
use muster_package::AGENT;
use muster_proto::api::{
    AgentSummary, AgentView, AuditEntry, Labels, LicenceView, PackageRetire, PackageView, Page, PinRequest,
    Problem, RolloutOrder, RolloutPackage, RolloutPlan, RolloutRequest, RolloutState, RolloutStrategy,
    RolloutSummary, RolloutView, TokenCreated, TokenRequest, UpgradeStep,
};
use muster_proto::opamp::PackageStatusEnum;
use muster_shared::licence::Standing;
use std::time::Duration;

pub(crate) fn request(version: &str) -> RolloutRequest {
    let strategy =
        RolloutStrategy { soak_seconds: 0, canaries: 0, waves: vec![100], ..RolloutStrategy::default() };
    let max_unavailable = "100%".parse().unwrap();
    RolloutRequest {
        package: Some(RolloutPackage { name: AGENT.to_owned(), version: version.to_owned() }),
        strategy: RolloutStrategy { max_unavailable, ..strategy },
        ..RolloutRequest::default()
    }
}

fn with_labels(version: &str, labels: &[(&str, &str)]) -> RolloutRequest {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    RolloutRequest { labels, ..request(version) }
}

async fn refused(site: &Site, request: &RolloutRequest) -> Problem {
    let body = ("application/json", serde_json::to_vec(request).unwrap());
    site.api.problem("POST", "/rollouts", Some(body)).await
}

pub(crate) async fn ends(site: &Site, id: u64, state: RolloutState) -> RolloutView {
    eventually("the rollout is over", async || {
        let view: RolloutView = site.api.get(&format!("/rollouts/{id}")).await;
        assert!(!view.state.is_over() || view.state == state, "{view:?}");
        (view.state == state).then_some(view)
    })
    .await
}

/// Agents are known once their first report was taken.
async fn known(site: &Site, count: usize) {
    eventually("all agents told their version", async || {
        let all: Page<AgentSummary> = site.api.get("/agents?version=*").await;
        (all.items.len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_reaches_the_fleet_step_by_step_and_whoever_comes_later_over_websocket() {
    a_package_reaches_the_fleet(Over::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_reaches_the_fleet_step_by_step_and_whoever_comes_later_over_http() {
    a_package_reaches_the_fleet(Over::Http).await;
}

async fn a_package_reaches_the_fleet(over: Over) {
    let site = Site::start().await;
    for (version, from) in [("0.2.0", ">=0.1.0"), ("0.3.0", ">=0.2.0")] {
        upload(&site.api, &package(version, from, 1_000)).await.unwrap();
    }
    let mut first = Upgrader::join(&site, over, "0.1.0", &[("env", "test")]).await;
    let mut second = Upgrader::join(&site, over, "0.2.0", &[("env", "test")]).await;
    let other = Upgrader::join(&site, over, "0.1.0", &[("env", "prod")]).await;
    // One of an older release, and one that runs it already.
    let mut old = site.agent().await;
    let (mut old_socket, _) = old.connect().await;
    let there = Upgrader::join(&site, over, "0.3.0", &[("env", "test")]).await;
    known(&site, 5).await;
    let request = with_labels("0.3.0", &[("env", "test")]);
    let plan: RolloutPlan = site.api.post("/rollouts/plan", &request, 200).await;
    assert_eq!((plan.partitions, plan.policies.valid), (2, true));
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!(
        (plan.left_out[0].reason.as_str(), &plan.left_out[0].names),
        ("run 0.3.0 already", &vec![there.id()])
    );
    assert!(plan.reasons.iter().any(|reason| reason.contains("deadline of 300 s is short")), "{plan:?}");
    let all: RolloutPlan = site.api.post("/rollouts/plan", &self::request("0.3.0"), 200).await;
    assert!(all.reasons.iter().any(|reason| reason.contains("cannot upgrade themselves")), "{all:?}");
    let started: RolloutView = site.api.post("/rollouts", &request, 201).await;
    assert_eq!(started.package.unwrap().version, "0.3.0");

    let step = first.offer().await;
    assert_eq!(step.version, "0.2.0");
    let file = step.file.as_ref().unwrap();
    let url = format!("https://{}/v1/packages/", site.addr());
    assert!(file.download_url.starts_with(&url), "{}", file.download_url);
    assert_eq!((file.content_hash.len(), step.hash.len()), (32, 32));
    let stored: PackageView = site.api.get("/packages/muster-agent/0.2.0/x86_64-linux").await;
    assert!(file.download_url.ends_with(&stored.sha256));
    first.say(&step, PackageStatusEnum::Downloading, "").await;
    let summary = first.reaches(&site, UpgradeStep::Downloading).await;
    let upgrade = summary.upgrade.unwrap();
    assert_eq!((upgrade.version.as_str(), upgrade.target.as_str()), ("0.2.0", "0.3.0"));
    assert!(upgrade.deadline.is_some() && !upgrade.overdue);
    first.follow(&step).await;
    for agent in [&mut first, &mut second] {
        let step = agent.offer().await;
        assert_eq!(step.version, "0.3.0");
        agent.follow(&step).await;
    }
    ends(&site, started.id, RolloutState::Done).await;
    assert_eq!(first.reaches(&site, UpgradeStep::Done).await.version, "0.3.0");
    assert_eq!(other.view(&site).await.summary.upgrade, None);
    let policies = next(&mut old_socket);
    let silent = tokio::time::timeout(Duration::from_millis(200), policies).await;
    assert!(silent.is_err(), "an agent of an older release hears nothing of it");

    // Enrolled later, it gets there by the same steps.
    let mut late = Upgrader::join(&site, over, "0.1.0", &[("env", "test")]).await;
    for expected in ["0.2.0", "0.3.0"] {
        let step = late.offer().await;
        assert_eq!(step.version, expected);
        late.follow(&step).await;
    }
    assert_eq!(late.reaches(&site, UpgradeStep::Done).await.version, "0.3.0");
    // So does one that returns after the controller was restarted.
    let site = site.restarted().await;
    let mut agent = other.wire.into_agent();
    agent.addr = site.addr();
    let labels = serde_json::json!({"env": "test"});
    let body = Some(("application/json", serde_json::to_vec(&labels).unwrap()));
    let _: AgentView = site.api.json("PUT", &format!("/agents/{}/labels", agent.uid), body, 200).await;
    let mut other = Upgrader::connect(agent, over, "0.1.0", None).await;
    assert_eq!(other.offer().await.version, "0.2.0");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rolls_back_by_itself_takes_the_others_back_over_websocket() {
    one_that_rolls_back(Over::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rolls_back_by_itself_takes_the_others_back_over_http() {
    one_that_rolls_back(Over::Http).await;
}

async fn one_that_rolls_back(over: Over) {
    let site = Site::start().await;
    upload(&site.api, &package("0.2.0", ">=0.1.0", 1_000)).await.unwrap();
    let mut good = Upgrader::join(&site, over, "0.1.0", &[]).await;
    let mut bad = Upgrader::join(&site, over, "0.1.0", &[]).await;
    known(&site, 2).await;
    let started: RolloutView = site.api.post("/rollouts", &request("0.2.0"), 201).await;
    let offer = good.offer().await;
    good.follow(&offer).await;
    good.reaches(&site, UpgradeStep::Done).await;
    // A second one for agents that may be the same would have each judge what the other did.
    let _away = Upgrader::join(&site, over, "0.1.0", &[("site", "zrh")]).await;
    eventually("another one could be upgraded", async || {
        let problem = refused(&site, &with_labels("0.2.0", &[("site", "zrh")])).await;
        (problem.code() == "package-rollout-under-way").then_some(())
    })
    .await;

    let failed = bad.offer().await;
    bad.say(&failed, PackageStatusEnum::Installing, "").await;
    bad.say(&failed, PackageStatusEnum::InstallFailed, "rolled back: source audit did not start").await;
    let back = good.offer().await;
    assert_eq!(back.version, "0.1.0");
    let file = back.file.clone().unwrap();
    assert_eq!((file.download_url.as_str(), file.content_hash.len()), ("", 0), "it keeps that version");
    good.follow(&back).await;
    let stay = bad.offer().await;
    assert_eq!(stay.version, "0.1.0");
    bad.follow(&stay).await;
    let view = ends(&site, started.id, RolloutState::RolledBack).await;
    assert!(view.reason.contains("source audit did not start"), "{view:?}");
    for (agent, reason) in [(&good, "rollout 1 was taken back"), (&bad, "source audit did not start")] {
        let upgrade = agent.reaches(&site, UpgradeStep::RolledBack).await.upgrade.unwrap();
        assert_eq!(upgrade.reason, reason);
    }
    let chosen: Page<AgentSummary> = site.api.get("/agents?upgrade=rolled_back").await;
    assert_eq!(chosen.items.len(), 2);
    // The same version again is another try.
    let again: RolloutView = site.api.post("/rollouts", &request("0.2.0"), 201).await;
    let offer = bad.offer().await;
    assert_ne!(offer.hash, failed.hash);
    let order = RolloutOrder { reason: "enough".to_owned() };
    let _: RolloutView = site.api.post(&format!("/rollouts/{}/abort", again.id), &order, 200).await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_agents_and_retired_packages_are_left_alone() {
    let site = Site::start().await;
    upload(&site.api, &package("0.2.0", ">=0.1.0", 1_000)).await.unwrap();
    let pinned = Upgrader::join(&site, Over::WebSocket, "0.1.0", &[]).await;
    let away = Upgrader::join(&site, Over::WebSocket, "0.1.0", &[]).await;
    known(&site, 2).await;
    let path = format!("/agents/{}/pin", pinned.id());
    let body = |version: Option<&str>| {
        let request = PinRequest { version: version.map(str::to_owned), reason: "audit".to_owned() };
        Some(("application/json", serde_json::to_vec(&request).unwrap()))
    };
    let problem = site.api.problem("PUT", &path, body(Some("0.9.0"))).await;
    assert_eq!((problem.status, problem.code()), (409, "other-version"));
    let view: AgentView = site.api.json("PUT", &path, body(Some("0.1.0")), 200).await;
    assert_eq!(view.summary.pin.unwrap().reason, "audit");
    let Upgrader { wire, version, status, .. } = away;
    let agent = wire.into_agent();
    let started: RolloutView = site.api.post("/rollouts", &request("0.2.0"), 201).await;
    assert_eq!(started.waves.iter().map(|wave| wave.partitions).sum::<u64>(), 1);
    assert!(started.log.iter().any(|note| note.text.contains("pinned to the version")), "{started:?}");
    let retire = "/packages/muster-agent/0.2.0/x86_64-linux/retire";
    let _: PackageView = site.api.post(retire, &PackageRetire::default(), 200).await;
    let problem = refused(&site, &request("0.2.0")).await;
    assert_eq!((problem.status, problem.code()), (422, "package-unknown"));
    // The rollout that is under way goes on with it.
    let mut away = Upgrader::connect(agent, Over::WebSocket, &version, status).await;
    assert_eq!(away.offer().await.version, "0.2.0");
    let (status, _, _) = site.api.raw("DELETE", &path, None).await;
    assert_eq!(status, 204);
    let log: Page<AuditEntry> = site.api.get("/audit?limit=1000").await;
    for action in ["agent.pin", "agent.unpin"] {
        assert_eq!(log.items.iter().filter(|entry| entry.action == action).count(), 1, "{action}");
    }
    for (bad, code) in [
        (RolloutRequest { removals: vec!["base".to_owned()], ..request("0.2.0") }, "package-and-policies"),
        (request("old"), "version"),
        (RolloutRequest { package: None, ..with_labels("0.2.0", &[("a", "b")]) }, "labels"),
    ] {
        assert_eq!(refused(&site, &bad).await.code(), code);
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_licence_is_in_the_way_of_a_security_fix_and_of_going_back() {
    let site = Site::start().await;
    for (version, from) in [("0.2.0", ">=0.1.0"), ("0.3.0", ">=0.1.0")] {
        upload(&site.api, &package(version, from, 1_000)).await.unwrap();
    }
    upload(&site.api, &security_fix("0.2.1", ">=0.1.0")).await.unwrap();
    let fix: PackageView = site.api.get("/packages/muster-agent/0.2.1/x86_64-linux").await;
    assert!(fix.security);
    let _low = Upgrader::join(&site, Over::WebSocket, "0.1.0", &[("env", "low")]).await;
    let _high = Upgrader::join(&site, Over::WebSocket, "0.3.0", &[("env", "high")]).await;
    known(&site, 2).await;
    let _: serde_json::Value = site.api.yaml("/policies", &rules(1).text, 201).await;
    let _: serde_json::Value = site.api.yaml("/policies", &rules(2).text, 201).await;
    // Sixty days of evaluation and thirty of grace are over at once.
    let site = site.restarted_with(|config| config.licence_pace = 100_000_000).await;
    eventually("changes are refused", async || {
        let licence: LicenceView = site.api.get("/licence").await;
        (licence.standing == Standing::Restricted).then_some(())
    })
    .await;
    let low = |version| with_labels(version, &[("env", "low")]);
    for request in [low("0.2.0"), with_labels("0.2.0", &[])] {
        assert_eq!(refused(&site, &request).await.code(), "licence");
    }
    for request in [low("0.2.1"), with_labels("0.2.0", &[("env", "high")])] {
        let started: RolloutView = site.api.post("/rollouts", &request, 201).await;
        assert_eq!(started.waves.iter().map(|wave| wave.partitions).sum::<u64>(), 1, "{started:?}");
    }
    let policy = |number| RolloutRequest { documents: vec![rules(number)], ..RolloutRequest::default() };
    assert_eq!(refused(&site, &policy(3)).await.code(), "licence");
    let _: RolloutView = site.api.post("/rollouts", &policy(1), 201).await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_rollout_of_a_package_starts_it_is_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    upload(&api, &package("0.2.0", ">=0.1.0", 1_000)).await.unwrap();
    let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
    let mut agent = TestAgent::new(program.addr, &program.ca);
    agent.enrol(&token.token).await;
    let mut upgrader = Upgrader::connect(agent, Over::WebSocket, "0.1.0", None).await;
    eventually("its version is known", async || {
        let all: Page<AgentSummary> = api.get("/agents?version=*").await;
        (all.items.len() == 1).then_some(())
    })
    .await;
    let mut started = 0;
    for round in 1..=6_u64 {
        let starting = {
            let api = api.clone();
            let body = serde_json::to_vec(&request("0.2.0")).unwrap();
            tokio::spawn(async move { api.try_post("/rollouts", body).await })
        };
        tokio::time::sleep(Duration::from_micros(round * 7_919 % 30_000)).await;
        program.kill();
        let answered = starting.await.unwrap() == Some(201);
        program = Program::start(dir.path(), &listen).await;
        let all: Vec<RolloutSummary> = api.all("/rollouts").await;
        let entries: Vec<AuditEntry> = api.all("/audit").await;
        let noted = entries.iter().filter(|entry| entry.action == "rollout.start").count();
        assert_eq!(noted, all.len(), "round {round}");
        assert!(!answered || all.len() > started, "round {round}: what was answered is there");
        let Upgrader { wire, version, status, .. } = upgrader;
        upgrader = Upgrader::connect(wire.into_agent(), Over::WebSocket, &version, status).await;
        if all.len() > started {
            // It goes on: the agent is offered the package, and goes back with an abort.
            let offer = upgrader.offer().await;
            assert_eq!(offer.version, "0.2.0");
            let path = format!("/rollouts/{}/abort", all[0].id);
            let _: RolloutView = api.post(&path, &RolloutOrder::default(), 200).await;
            let back = upgrader.offer().await;
            assert_eq!(back.version, "0.1.0");
            upgrader.follow(&back).await;
            eventually("it is over", async || {
                let view: RolloutView = api.get(&format!("/rollouts/{}", all[0].id)).await;
                view.state.is_over().then_some(())
            })
            .await;
        }
        started = all.len();
    }
    assert!(started > 0, "no round got as far as starting one");
}
