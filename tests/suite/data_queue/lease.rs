//! Two agents of one partition: the queue goes on with the other one, and what the first had taken is delivered when it is
//! back, though it only stands by.

use super::*;
use crate::fleet;
use muster_tests::receiver::Port;
use serde_json::Value;

#[test]
fn what_a_dead_agent_had_taken_arrives_when_it_is_back() {
    let mut receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("dtaq-lease");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let partition = fleet::partition("SHARED");
    partition.create_data_queue(QueuePlan::new(QUEUE)).expect("created");
    let homes = ["first", "second"].map(|name| sandbox.agent(name, &partition.at(), None));
    for home in &homes {
        home.allow(&[QUEUE]);
    }
    let first_id = controller.enrol(&homes[0], &[]);
    let key = controller.agent(&first_id)["partition"].as_str().expect("known since it enrolled").to_owned();
    let mut first = homes[0].run();
    controller.await_agent(&first_id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    let content = policy(&[PAYROLL], &[("siem", policies::tcp(&receiver.address()), "{kind: leef2}")])
        + "    replay_window_ms: 1000\n";
    let told = controller.publish(&policies::document("queues", &content));
    assert!(told.contains("applied"), "{told}");
    let token = homes[1].folder.join("token").display().to_string();
    let _ = controller.muster_ok(&["token", "create", "--for", &key, "--output-file", &token]);
    let output = homes[1].call("enrol", &["--token-file", &token]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _second = homes[1].run();
    homes[1].await_health(SOURCE, "healthy", "standing by", LIMIT);
    // given a first agent with entries that no receiver has
    send(&partition, QUEUE, "order=0");
    eventually("the first one arrives", LIMIT, || {
        if arrived(&receiver.messages()).is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    receiver.kill();
    for number in 1..50 {
        send(&partition, QUEUE, &format!("order={number}"));
    }
    let waiting = || partition.data_queues()[0].entries;
    let emptied = || if waiting() == 0 { Ok(()) } else { Err(format!("{} left", waiting())) };
    eventually("the first agent empties the queue", LIMIT, emptied);
    first.kill();
    // when a receiver is there again, more comes, and the other one takes over
    receiver.restart();
    for number in 50..60 {
        send(&partition, QUEUE, &format!("order={number}"));
    }
    let has = |messages: &[_], range: std::ops::Range<usize>| {
        let arrived = arrived(messages);
        let missing: Vec<usize> = range.filter(|number| !arrived.contains_key(number)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing {missing:?}")) }
    };
    eventually("the other one goes on", Duration::from_secs(120), || has(&receiver.messages(), 50..60));
    assert!(has(&receiver.messages(), 1..50).is_err(), "what the first has is on its disk only");
    // then the first one, back, delivers what it has, while it stands by
    receiver.kill();
    let _first = homes[0].run();
    homes[0].await_health(SOURCE, "degraded", "still to be delivered", LIMIT);
    let shown = controller.await_component(&first_id, "payroll", "degraded", "still to be delivered", LIMIT);
    assert!(shown.contains("standing by"), "{shown}");
    receiver.restart();
    eventually("everything is there", LIMIT, || has(&receiver.messages(), 0..60));
    homes[0].await_health(SOURCE, "healthy", "standing by", LIMIT);
    let lease: Value = controller.muster_json(&["lease", "list"]);
    assert_eq!(lease[0]["epoch"], 2, "{lease}");
    for (number, ids) in arrived(&receiver.messages()) {
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), 1, "entry {number} has several ids: {ids:?}");
    }
}
