//! Rollouts and the licence through the interface; the program killed while it starts, aborts and installs.

use crate::common::*;
use crate::process::Program;
use muster_proto::api::{
    AuditEntry, LicenceView, PolicyRevisionText, PolicyRevisionView, PolicyText, RevisionStanding,
    RolloutRequest, RolloutState, RolloutStrategy, RolloutSummary, RolloutView,
};
use muster_proto::opamp::RemoteConfigStatuses;
use std::io::Cursor;
use std::time::Duration;

fn document(number: u64) -> PolicyText {
    let text = format!("{{api_version: muster/v1, name: base, description: '{number}', spec: {{}}}}");
    PolicyText { text, ..PolicyText::default() }
}

fn request(number: u64) -> RolloutRequest {
    let strategy = RolloutStrategy { soak_seconds: 0, ..RolloutStrategy::default() };
    RolloutRequest { documents: vec![document(number)], strategy, ..RolloutRequest::default() }
}

/// A policy that gives agents something else in each variant.
pub(crate) fn rules(number: u64) -> PolicyText {
    let text = format!(
        "{{api_version: muster/v1, name: base, spec: {{rules: [{{name: r{number}, match: {{users: [NOBODY]}}, action: drop}}]}}}}"
    );
    PolicyText { text, ..PolicyText::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_what_its_wave_brings_and_goes_back_with_an_abort() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let mut agent = agent;
    let (mut socket, _) = agent.connect().await;
    let _: serde_json::Value = site.api.yaml("/policies", &rules(1).text, 201).await;
    let first = next(&mut socket).await.remote_config.unwrap().config_hash;
    let applied = agent.status(&first, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &applied).await;

    let body = RolloutRequest { documents: vec![rules(2)], ..RolloutRequest::default() };
    let started: RolloutView = site.api.post("/rollouts", &body, 201).await;
    assert_eq!((started.id, started.state, started.waves.len()), (1, RolloutState::Running, 1));
    let second = next(&mut socket).await.remote_config.unwrap().config_hash;
    assert_ne!(first, second);
    let changed = agent.status(&second, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &changed).await;
    let live: PolicyRevisionText = site.api.get("/policies/base").await;
    assert_eq!(live.revision.revision.0, 1, "in force is what was");
    let problem = site
        .api
        .problem("POST", "/rollouts", Some(("application/json", serde_json::to_vec(&body).unwrap())))
        .await;
    assert!(problem.detail.contains("rollout 1 is bringing `base`"), "{problem:?}");

    let order = serde_json::json!({"reason": "a mistake"});
    let aborted: RolloutView = site.api.post("/rollouts/1/abort", &order, 200).await;
    assert_eq!(aborted.state, RolloutState::RollingBack);
    let back = next(&mut socket).await.remote_config.unwrap().config_hash;
    assert_eq!(back, first);
    let again = agent.status(&first, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &again).await;
    eventually("everybody is back", async || {
        let view: RolloutView = site.api.get("/rollouts/1").await;
        (view.state == RolloutState::RolledBack).then_some(())
    })
    .await;
    let history: Vec<PolicyRevisionView> = site.api.all("/policies/base/revisions").await;
    let standings: Vec<_> = history.iter().map(|r| (r.revision.0, r.standing)).collect();
    assert_eq!(standings, [(2, RevisionStanding::Withdrawn), (1, RevisionStanding::InForce)]);
    let problem =
        site.api.problem("POST", "/rollouts/1/pause", Some(("application/json", b"{}".to_vec()))).await;
    assert_eq!((problem.status, problem.code()), (409, "rollout-state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_rollouts_start_and_abort_each_is_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    // One that is never there: a rollout for it waits until it is aborted.
    let token: muster_proto::api::TokenCreated =
        api.post("/tokens", &muster_proto::api::TokenRequest::default(), 201).await;
    TestAgent::new(program.addr, &program.ca).enrol(&token.token).await;
    let mut number = 1;
    for round in 1..=8_u64 {
        let churn = {
            let (api, first) = (api.clone(), number);
            tokio::spawn(async move {
                for variant in first.. {
                    let body = RolloutRequest { documents: vec![rules(variant)], ..request(variant) };
                    if api.try_post("/rollouts", serde_json::to_vec(&body).unwrap()).await != Some(201) {
                        return;
                    }
                    let path = format!("/rollouts/{variant}/abort");
                    if api.try_post(&path, b"{}".to_vec()).await != Some(200) {
                        return;
                    }
                    // It is over when nobody is left to go back, which is at once.
                    loop {
                        let view = api.try_get(&format!("/rollouts/{variant}")).await;
                        match view.as_ref().map(|view| view["state"].as_str().unwrap_or_default().to_owned())
                        {
                            Some(state) if state == "rolled_back" => break,
                            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                            None => return,
                        }
                    }
                }
            })
        };
        eventually("a rollout is there", async || {
            let all: Vec<RolloutSummary> = api.all("/rollouts").await;
            (all.len() as u64 >= number).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros(round * 7_919 % 60_000)).await;
        program.kill();
        churn.await.unwrap();
        program = Program::start(dir.path(), &listen).await;

        // Each rollout has its revision and the other way round, and both say the same of how it ended.
        // The last one may end between two questions: what is compared is of one moment.
        let (rollouts, revisions) = eventually("nothing changes while it is read", async || {
            let before: Vec<RolloutSummary> = api.all("/rollouts").await;
            let revisions: Vec<PolicyRevisionView> = api.all("/policies/base/revisions").await;
            let rollouts: Vec<RolloutSummary> = api.all("/rollouts").await;
            let states = |all: &[RolloutSummary]| all.iter().map(|one| one.state).collect::<Vec<_>>();
            (states(&before) == states(&rollouts)).then_some((rollouts, revisions))
        })
        .await;
        assert_eq!(rollouts.len(), revisions.len(), "round {round}");
        for (rollout, revision) in rollouts.iter().zip(&revisions) {
            assert_eq!((revision.rollout, rollout.changes[0].to), (Some(rollout.id), revision.revision));
            let expected = match rollout.state {
                RolloutState::RolledBack => RevisionStanding::Withdrawn,
                RolloutState::Done => RevisionStanding::InForce,
                _ => RevisionStanding::Staged,
            };
            assert_eq!(revision.standing, expected, "round {round}: {rollout:?}");
        }
        let entries: Vec<AuditEntry> = api.all("/audit").await;
        let started = entries.iter().filter(|e| e.action == "rollout.start").count();
        assert_eq!(started, rollouts.len(), "round {round}");
        // The last one may be under way: it goes on, and can be ended.
        number = rollouts.len() as u64;
        if !rollouts[0].state.is_over() {
            let _ = api.try_post(&format!("/rollouts/{number}/abort"), b"{}".to_vec()).await;
        }
        eventually("the last one is over", async || {
            let all: Vec<RolloutSummary> = api.all("/rollouts").await;
            all[0].state.is_over().then_some(())
        })
        .await;
        number += 1;
    }
}

/// A licence signed with the checked-in key.
fn licence(number: u64) -> String {
    let key = include_str!("../../vendor/keys/licence-dev.key");
    let key = minisign::SecretKeyBox::from_string(key).unwrap().into_unencrypted_secret_key().unwrap();
    let body = format!(
        "format: muster/licence-v1\nid: L-{number}\ncustomer: Test\nseats: {number}\nvalid_from: 2026-01-01\n\
         valid_until: {}-12-31\n",
        2100 + number
    );
    let body = muster_shared::licence::signed_part(&body);
    let signature = minisign::sign(None, &key, Cursor::new(&body), None, None).unwrap();
    muster_shared::licence::file(&body, &signature.into_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_licence_is_installed_the_one_or_the_other_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    let evaluation: LicenceView = api.get("/licence").await;
    assert_eq!((evaluation.seats, evaluation.warnings), (None, Vec::new()));
    let mut counts = 0;
    for round in 1..=6_u64 {
        let churn = {
            let (api, first) = (api.clone(), counts + 1);
            tokio::spawn(async move {
                let mut answered = first - 1;
                for number in first.. {
                    let request = api.request("POST", "/licence", &[]).header("content-type", "text/plain");
                    match request.body(licence(number)).send().await {
                        Ok(response) => {
                            assert_eq!(response.status().as_u16(), 200);
                            answered = number;
                        }
                        Err(_) => break,
                    }
                }
                answered
            })
        };
        tokio::time::sleep(Duration::from_micros(20_000 + round * 7_919 % 30_000)).await;
        program.kill();
        let answered = churn.await.unwrap();
        program = Program::start(dir.path(), &listen).await;
        let view: LicenceView = api.get("/licence").await;
        let seats = u64::from(view.seats.unwrap_or(0));
        assert!(
            seats == answered || seats == answered + 1,
            "round {round}: {answered} answered, {seats} counts"
        );
        assert_eq!(view.id, if seats == 0 { String::new() } else { format!("L-{seats}") });
        let entries: Vec<AuditEntry> = api.all("/audit").await;
        let installed = entries.iter().filter(|e| e.action == "licence.install").count();
        assert_eq!(installed as u64, seats, "round {round}");
        counts = seats;
    }
    assert!(counts > 0, "no round got as far as installing one");
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_are_declared_once() {
    let site = Site::start().await;
    let pair = |a: &str, b: &str| serde_json::json!({"a": a, "b": b});
    let view: LicenceView = site.api.post("/licence/pair", &pair("78A1B2C-1", "78A1B2D-1"), 200).await;
    assert_eq!(view.pairs.len(), 1);
    let again: LicenceView = site.api.post("/licence/pair", &pair("78A1B2D-1", "78A1B2C-1"), 200).await;
    assert_eq!(again.pairs.len(), 1, "the same pair");
    for (a, b, status) in [("78A1B2C-1", "78A1B2E-1", 409), ("78A1B2C-1", "78A1B2C-1", 400)] {
        let body = ("application/json", serde_json::to_vec(&pair(a, b)).unwrap());
        assert_eq!(site.api.problem("POST", "/licence/pair", Some(body)).await.status, status, "{a} {b}");
    }
    let site = site.restarted().await;
    let kept: LicenceView = site.api.get("/licence").await;
    assert_eq!(kept.pairs, view.pairs);
    let none: LicenceView = site.api.post("/licence/unpair", &pair("78A1B2D-1", "78A1B2C-1"), 200).await;
    assert!(none.pairs.is_empty());
}
