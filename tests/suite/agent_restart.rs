//! An agent that is told to restart: same process, new run, nothing lost.

use crate::fleet::partition;
use muster_tests::eventually::eventually;
use muster_tests::policies;
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::Sandbox;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_agent_begins_anew_on_command_and_loses_nothing() {
    let host = partition("AGAIN");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("agent-restart");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let home = sandbox.agent("again", &host.at(), None);
    let id = controller.enrol(&home, &[]);
    let mut agent = home.run();
    let boot = controller.await_agent(&id, "is connected", LIMIT, |view| {
        let boot = view["attributes"]["muster.boot_id"].as_str()?.to_owned();
        (view["summary"]["connection"] == "connected").then_some(boot)
    });
    let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    let _ = controller.publish(&policies::document("all", &content));
    host.append_mix(30);
    let arrived = || {
        let seen = receiver
            .messages()
            .iter()
            .filter_map(|message| read(Dialect::Leef, message).ok())
            .collect::<Vec<_>>();
        seen.into_iter().filter(|seen| !seen.event_id.starts_with("MUSTER")).count()
    };
    let at_least = |count: usize| match arrived() {
        got if got >= count => Ok(()),
        got => Err(got.to_string()),
    };
    eventually("the first events arrive", LIMIT, || at_least(30));
    // when it is told to restart; so soon after its start it may not listen yet
    eventually("it begins anew", LIMIT, || {
        let _ = controller.muster(&["agents", "restart", &id]);
        let now =
            controller.agent(&id)["attributes"]["muster.boot_id"].as_str().unwrap_or_default().to_owned();
        if now == boot { Err(now) } else { Ok(()) }
    });
    host.append_mix(20);
    // then the process is the same, and what follows arrives
    eventually("events after the restart arrive", LIMIT, || at_least(50));
    assert!(agent.is_running(), "a service manager notices nothing");
}
