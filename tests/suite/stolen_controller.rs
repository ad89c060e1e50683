//! Whoever holds the controller still cannot blind the SIEM: the agent's own limits stand, and what they leave
//! open is told to the SIEM before it takes effect.

use crate::fleet::partition;
use minisign::KeyPair;
use muster_tests::eventually::{eventually, eventually_true, never};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const QUICK: &[&str] = &["--heartbeat-seconds", "1"];

/// What a SIEM got, in order.
fn seen(receiver: &Receiver) -> Vec<Seen> {
    receiver.messages().iter().filter_map(|message| read(Dialect::Leef, message).ok()).collect()
}

fn count(receiver: &Receiver, entry_type: &str) -> usize {
    seen(receiver).iter().filter(|event| event.event_id.starts_with(entry_type)).count()
}

fn of_type(partition: &Partition, entry_type: &str) -> usize {
    partition.entries(0..=u64::MAX).iter().filter(|entry| entry.entry_type == entry_type).count()
}

/// A document that sends to a receiver.
fn document(receiver: &Receiver, more: &str) -> String {
    let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    policies::document("fleet", &format!("{content}{more}"))
}

/// Publishes what an attacker would, and tells where the agent stands with it.
fn publish(sandbox: &Sandbox, controller: &Controller, id: &str, text: &str) -> Value {
    let file = sandbox.write("attack.yaml", text).display().to_string();
    let _ = controller.muster(&["policy", "apply", &file, "--wait", "30s"]);
    controller.agent(id)["summary"]["policy"].clone()
}

fn append(home: &AgentHome, lines: &str) {
    let config = std::fs::read_to_string(&home.config).expect("the configuration is there");
    std::fs::write(&home.config, format!("{config}{lines}")).expect("the configuration is written");
}

fn await_connected(controller: &Controller, id: &str) {
    controller.await_agent(id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
}

/// An enrolled agent with limits, and its id.
fn start(sandbox: &Sandbox, controller: &Controller, at: &Partition, limits: &str) -> (AgentHome, String) {
    let home = sandbox.agent("guarded", &at.at(), None);
    if !limits.is_empty() {
        append(&home, &format!("[limits]\n{limits}"));
    }
    std::fs::create_dir(home.folder.join("secrets")).expect("the folder is made");
    std::fs::write(home.folder.join("secrets/qradar.crt"), "a certificate").expect("it is written");
    std::fs::write(home.folder.join("secrets/qradar.key"), "hunter2").expect("it is written");
    let id = controller.enrol(&home, &[]);
    (home, id)
}

#[test]
fn limits_stand_against_a_stolen_controller() {
    // given an agent whose own configuration says where events may go and which are never dropped
    let partition = partition("GUARDED");
    let (siem, attacker) = (Receiver::start(Port::Tcp), Receiver::start(Port::Tcp));
    let sandbox = Sandbox::new("stolen-controller");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let limits = format!(
        "destinations = [\"tcp://{}\"]\njournals = [\"QSYS/QAUDJRN\"]\nnever_drop = [\"AF\", \"PW\"]\n",
        siem.address()
    );
    let (home, id) = start(&sandbox, &controller, &partition, &limits);
    let _agent = home.run();
    await_connected(&controller, &id);
    let told = controller.publish(&document(&siem, ""));
    assert!(told.contains("applied"), "{told}");
    partition.append_mix(200);
    let all = |partition: &Partition| partition.entries(0..=u64::MAX).len();
    eventually_true("the SIEM has them", LIMIT, || seen(&siem).len() >= all(&partition));
    // and its limits are shown, with the names of its secrets and nothing of their content
    let shown = controller.muster_ok(&["agents", "show", "GUARDED"]);
    for word in ["limit destinations", &siem.address(), "limit never_drop", "AF PW", "secrets", "qradar"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");

    // when an attacker publishes what would blind the SIEM
    let attacks = [
        ("events go to him", document(&attacker, ""), attacker.address()),
        (
            "a rule drops what matters",
            document(&siem, "rules:\n  - {name: hush, match: {entry_types: [AF]}, action: drop}\n"),
            "limit `never_drop`: spec.rules[hush]: may drop AF".to_owned(),
        ),
        (
            "a user is excluded",
            document(&siem, "exclude:\n  - {users: [MALLORY]}\n"),
            "limit `never_drop`: spec.exclude[0]: drops every entry type, so also AF".to_owned(),
        ),
        (
            "nothing is routed",
            document(&siem, "routes:\n  r: {match: {entry_types: [ZZ]}, destinations: [siem]}\n"),
            "limit `never_drop`: spec.routes: no route takes every AF".to_owned(),
        ),
        (
            "another journal is read",
            document(&siem, "")
                .replace("kind: audit_journal", "kind: audit_journal\n      journal: QGPL/EMPTY"),
            "limit `journals`: spec.sources.audit.journal: QGPL/EMPTY".to_owned(),
        ),
        (
            "nothing is collected",
            "api_version: muster/v1\nname: fleet\nspec: {}\n".to_owned(),
            "no source fetches AF".to_owned(),
        ),
    ];
    for (what, text, part) in attacks {
        // then it is warned of beforehand, refused with the limit and the value
        let file = sandbox.write("attack.yaml", &text).display().to_string();
        let preview = controller.muster_ok(&["policy", "preview", "-f", &file]);
        assert!(preview.contains("GUARDED would refuse it") && preview.contains(&part), "{what}: {preview}");
        let policy = publish(&sandbox, &controller, &id, &text);
        assert_eq!(policy["state"], "failed", "{what}: {policy}");
        let reason = policy["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("local limits") && reason.contains(&part), "{what}: {reason}");
        // and the policy before runs on
        let before = seen(&siem).len();
        partition.append_mix(20);
        eventually_true(what, LIMIT, || seen(&siem).len() >= before + 20);
    }
    assert_eq!(count(&siem, "MUSTER_POLICY_CHANGED"), 0, "nothing changed");
    assert_eq!(attacker.connections(), 0, "the attacker saw nothing");

    // when he drops what no limit protects
    let quiet = document(&siem, "rules:\n  - {name: hush-reads, match: {entry_types: [ZR]}, action: drop}\n");
    let policy = publish(&sandbox, &controller, &id, &quiet);
    assert_eq!(policy["state"], "applied", "{policy}");
    // then the SIEM was told, before
    partition.append_mix(200);
    let kept = |partition: &Partition| of_type(partition, "AF");
    eventually("what is protected still arrives", LIMIT, || match count(&siem, "AF") {
        got if got >= kept(&partition) => Ok(()),
        got => Err(format!("{got} of {}", kept(&partition))),
    });
    let events = seen(&siem);
    let notice = events.iter().position(|e| e.event_id.starts_with("MUSTER_POLICY_CHANGED"));
    let notice = notice.unwrap_or_else(|| panic!("no notice among {} events", events.len()));
    let told = format!("{:?}", events[notice]);
    assert!(told.contains("rule hush-reads drops and is new or changed"), "{told}");
    let reads_after = events[notice..].iter().filter(|e| e.event_id.starts_with("ZR")).count();
    assert_eq!(reads_after, 0, "the notice came before the first drop");
}

#[test]
fn an_agent_that_asks_for_signatures_runs_signed_documents_only() {
    // given an agent that trusts one key, which the controller never sees
    let partition = partition("GUARDED");
    let (siem, attacker) = (Receiver::start(Port::Tcp), Receiver::start(Port::Tcp));
    let sandbox = Sandbox::new("signed");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let (ours, his) = (KeyPair::generate_unencrypted_keypair(), KeyPair::generate_unencrypted_keypair());
    let (ours, his) = (ours.expect("a key"), his.expect("a key"));
    let home = sandbox.agent("guarded", &partition.at(), None);
    append(
        &home,
        &format!("[policy]\nrequire_signature = true\ntrusted_keys = [\"{}\"]\n", ours.pk.to_base64()),
    );
    let id = controller.enrol(&home, &[]);
    let _agent = home.run();
    await_connected(&controller, &id);
    let sign = |key: &KeyPair, text: &str| {
        let signature =
            minisign::sign(Some(&key.pk), &key.sk, text.as_bytes(), None, None).expect("it is signed");
        let _ = sandbox.write("attack.yaml.minisig", &signature.into_string());
    };
    // when a document is published without a signature, then it is refused
    let good = document(&siem, "");
    let policy = publish(&sandbox, &controller, &id, &good);
    let reason = policy["reason"].as_str().unwrap_or_default();
    assert!(policy["state"] == "failed" && reason.contains("takes signed policies only"), "{policy}");
    // when it is signed, then it runs
    sign(&ours, &good);
    assert_eq!(publish(&sandbox, &controller, &id, &good)["state"], "applied");
    partition.append_mix(20);
    eventually_true("the SIEM has them", LIMIT, || seen(&siem).len() >= 20);
    // when somebody else signs another one, or our signature is put on it, then it is refused
    let evil = document(&attacker, "");
    sign(&his, &evil);
    for what in ["his signature", "our signature of another text"] {
        let policy = publish(&sandbox, &controller, &id, &evil);
        let reason = policy["reason"].as_str().unwrap_or_default();
        assert!(
            policy["state"] == "failed" && reason.contains("fits none of the 1 key(s)"),
            "{what}: {policy}"
        );
        sign(&ours, &good);
    }
    // and events go where they went
    let before = seen(&siem).len();
    partition.append_mix(20);
    eventually_true("the SIEM has them", LIMIT, || seen(&siem).len() >= before + 20);
    assert_eq!(attacker.connections(), 0);
}

#[test]
fn without_limits_the_siem_is_told_before_it_is_left() {
    // given an agent without limits
    let partition = partition("GUARDED");
    let (siem, attacker) = (Receiver::start(Port::Tcp), Receiver::start(Port::Tcp));
    let sandbox = Sandbox::new("left-siem");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let (home, id) = start(&sandbox, &controller, &partition, "");
    let _agent = home.run();
    await_connected(&controller, &id);
    let _ = controller.publish(&document(&siem, ""));
    partition.append_mix(50);
    eventually_true("the SIEM has them", LIMIT, || seen(&siem).len() >= 50);
    // when an attacker sends its events elsewhere
    let policy = publish(&sandbox, &controller, &id, &document(&attacker, ""));
    assert_eq!(policy["state"], "applied", "{policy}");
    // then the old SIEM has the difference as the last thing that it hears
    let left = format!("destination siem leaves {} for {}", siem.address(), attacker.address());
    eventually("the SIEM is told", LIMIT, || {
        let events = seen(&siem);
        match events.last() {
            Some(last) if last.event_id.starts_with("MUSTER_POLICY_CHANGED") => {
                assert!(format!("{last:?}").contains(&left), "{left} in {last:?}");
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    });
    partition.append_mix(20);
    eventually_true("the attacker gets the events", LIMIT, || seen(&attacker).len() >= 20);
    never("the old SIEM hears more", Duration::from_millis(500), || {
        let last = seen(&siem).last().map(|e| e.event_id.clone()).unwrap_or_default();
        (!last.starts_with("MUSTER_POLICY_CHANGED")).then_some(last)
    });
}
