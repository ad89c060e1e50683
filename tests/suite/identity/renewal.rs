//! Certificates that agents renew by themselves.

use super::*;
use muster_tests::eventually::{eventually_true, never};

#[test]
fn an_agent_renews_its_certificate_with_a_new_key_and_keeps_collecting() {
    // given an agent whose certificate lives 12 s
    let partition = partition("RENEW");
    let sandbox = Sandbox::new("renewal");
    let mut controller = controller(&sandbox, "12");
    let agent = home(&sandbox, &partition, "renew");
    let id = controller.enrol(&agent, &["env=test"]);
    let mut process = agent.run();
    connected(&controller, &id);
    let key = controller.agent(&id)["certificate"]["key_sha256"].clone();
    let first = serial(&controller, &id);
    // when two thirds are over, then it has another certificate for another key, and stays connected
    let second = await_renewal(&controller, &id, &first);
    assert_ne!(controller.agent(&id)["certificate"]["key_sha256"], key);
    eventually_true("the agent has forgotten the old key", LIMIT, || {
        !agent.folder.join("state/renewal").exists()
    });
    let shown = agent.call("show-state", &[]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("certificate until") && shown.contains("renewed at"), "{shown}");
    // and does so again after it was killed in the middle of it all
    process.kill();
    let mut process = agent.run();
    let third = await_renewal(&controller, &id, &second);
    // and after the controller was
    controller.crash_and_restart();
    let fourth = await_renewal(&controller, &id, &third);
    // and nobody took that for a second agent
    let view = controller.agent(&id);
    assert_eq!(view["summary"]["life"], "active", "{view}");
    assert!(audited(&controller, "agent.renew", &id).len() >= 3);
    assert_ne!(fourth, first);
    assert!(process.is_running());
}

#[test]
fn a_partition_that_was_away_for_three_weeks_comes_back_by_itself() {
    // given an agent that was stopped, and a week that lasts 3 s
    let partition = partition("HOLIDAY");
    let sandbox = Sandbox::new("three-weeks");
    let controller = controller(&sandbox, "3");
    let agent = home(&sandbox, &partition, "holiday");
    let id = controller.enrol(&agent, &["env=test"]);
    let mut process = agent.run();
    connected(&controller, &id);
    assert!(process.terminate(LIMIT).success());
    let view = controller.agent(&id);
    let (serial, expires) = (view["certificate"]["serial"].clone(), time(&view["certificate"]["expires_at"]));
    // when three weeks are over
    let back = expires + jiff::SignedDuration::from_secs(6);
    eventually_true("three weeks are over", LIMIT, || now() >= back);
    let process = agent.run();
    // then it renews the certificate that expired, and takes part again
    connected(&controller, &id);
    let after = await_renewal(&controller, &id, serial.as_str().unwrap_or_default());
    assert_ne!(serial, after.as_str());
    let log = audited(&controller, "agent.renew", &id);
    let told = log.iter().any(|entry| {
        entry["detail"].as_str().is_some_and(|d| d.contains("by a certificate that expired at"))
    });
    assert!(told, "{log:?}");
    drop(process);
}

#[test]
fn an_agent_that_was_away_for_too_long_says_what_to_do() {
    // given an agent away for more than 90 days, which are 12.9 s where a week lasts one
    let partition = partition("LOST");
    let sandbox = Sandbox::new("too-long");
    let controller = controller(&sandbox, "1");
    let agent = home(&sandbox, &partition, "lost");
    let id = controller.enrol(&agent, &["env=test"]);
    let expires = time(&controller.agent(&id)["certificate"]["expires_at"]);
    let over = expires + jiff::SignedDuration::from_secs(14);
    eventually_true("the grace is over", LIMIT, || now() >= over);
    // when it runs, then it is refused and says so
    let process = agent.run();
    agent.await_health("uplink", "failed", "too long ago to renew it", LIMIT);
    agent.await_health("certificate", "failed", "expired at", LIMIT);
    never("it gets a certificate", Duration::from_secs(1), || {
        audited(&controller, "agent.renew", &id).pop().map(|entry| entry.to_string())
    });
    drop(process);
    // and after a new enrolment with a token that names its partition it is back, with its id
    let file = agent.folder.join("token2").display().to_string();
    let named = controller.agent(&id)["partition"].as_str().expect("known since the enrolment").to_owned();
    let _ = controller.muster_ok(&["token", "create", "--for", &named, "--output-file", &file]);
    let output = agent.call("enrol", &["--token-file", &file, "--replace"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&id));
    let _process = agent.run();
    connected(&controller, &id);
}
