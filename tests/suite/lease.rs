//! Two agents of one partition: one collects, the other stands by and goes on where the first stopped, whatever
//! happened to that.

use crate::fleet::partition;
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::namespace::Namespace;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::process::Process;
use muster_tests::proxy::ConnectProxy;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
/// Events a second while these stories run.
const RATE: usize = 50;
/// After a start of the controller no lease lapses for so long.
const START_GRACE: Duration = Duration::from_secs(25);
/// Between two looks at what has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Renewals are so far apart.
const RENEWAL: Duration = Duration::from_secs(3);
/// Replay window of the stories' policy, and what commits and machines add to it.
const WINDOW: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(2);

/// A partition with two agents, of which the first collects.
struct Stage {
    partition: Partition,
    key: String,
    homes: [AgentHome; 2],
    ids: [String; 2],
    agents: [Process; 2],
    controller: Controller,
    receiver: Receiver,
    started: Instant,
    _sandbox: Sandbox,
}

impl Stage {
    fn new(story: &str) -> Self {
        Self::with(story, |_| {}, |home, _, _| home.run())
    }

    /// `prepare` changes the first agent's home before it enrols; `run` starts it.
    fn with(
        story: &str,
        prepare: impl FnOnce(&AgentHome),
        run: impl FnOnce(&AgentHome, &Sandbox, &[u16]) -> Process,
    ) -> Self {
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new(story);
        let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
        let started = Instant::now();
        controller.login();
        let partition = partition("SHARED");
        let homes = ["first", "second"].map(|name| sandbox.agent(name, &partition.at(), None));
        prepare(&homes[0]);
        let first_id = controller.enrol(&homes[0], &[]);
        let key =
            controller.agent(&first_id)["partition"].as_str().expect("known since it enrolled").to_owned();
        let port = |address: &str| address.rsplit_once(':').expect("a port").1.parse().expect("a port");
        let ports = [controller.port, port(partition.at().address), port(&receiver.address())];
        let first = run(&homes[0], &sandbox, &ports);
        let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
        controller.await_agent(&first_id, "connected", LIMIT, connected);
        let told = controller.publish(&policies::document("shared", &content));
        assert!(told.contains("applied"), "{told}");
        // A token that names the partition: somebody wants a second agent there.
        let token = homes[1].folder.join("token").display().to_string();
        let _ = controller.muster_ok(&["token", "create", "--for", &key, "--output-file", &token]);
        let output = homes[1].call("enrol", &["--token-file", &token]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let second_id = told.lines().find_map(|line| line.strip_prefix("enrolled as ")?.split(' ').next());
        let ids = [first_id, second_id.expect("the id is told").to_owned()];
        let second = homes[1].run();
        let stage = Self {
            partition,
            key,
            homes,
            ids,
            agents: [first, second],
            controller,
            receiver,
            started,
            _sandbox: sandbox,
        };
        stage.await_holder(0, 1);
        stage.homes[1].await_health("source/audit", "healthy", "standing by", LIMIT);
        stage
    }

    fn lease(&self) -> Value {
        let all = self.controller.muster_json(&["lease", "list"]);
        all[0].clone()
    }

    /// Waits until this agent holds the lease of this epoch, and renewed it.
    fn await_holder(&self, agent: usize, epoch: u64) {
        eventually(&format!("agent {agent} holds the lease {epoch}"), LIMIT, || {
            let output = self.controller.muster(&["lease", "list", "--output", "json"]);
            let all: Value = serde_json::from_slice(&output.stdout)
                .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
            let lease = &all[0];
            let held = lease["holder"]["id"] == self.ids[agent].as_str() && lease["epoch"] == epoch;
            if held && lease["moving_to"].is_null() { Ok(()) } else { Err(lease.to_string()) }
        });
    }

    /// Writes events at the pace of the story until `done`; gives how many.
    fn write_until(&self, mut done: impl FnMut(usize) -> bool) -> usize {
        let began = Instant::now();
        let mut written = 0;
        while !done(written) {
            written += self.partition.append_mix(RATE / 10);
            // The traffic's own pace, not a wait for something.
            let due = began + Duration::from_secs_f64(written as f64 / RATE as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            assert!(began.elapsed() < LIMIT, "{written} events written and it is not done: {}", self.lease());
        }
        written
    }

    fn write_for(&self, time: Duration) {
        let began = Instant::now();
        self.write_until(|_| began.elapsed() >= time);
    }

    /// Writes events until leases can lapse: after its start a controller gives its agents time to return.
    fn write_past_grace(&self) {
        self.write_until(|_| self.started.elapsed() >= START_GRACE);
    }

    /// Events that arrived, by id: the epochs under which they came.
    fn arrived(&self) -> BTreeMap<String, Vec<u64>> {
        let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for seen in self.receiver.messages().iter().filter_map(|message| read(Dialect::Leef, message).ok()) {
            if !seen.event_id.starts_with("MUSTER") {
                let id = seen.values.get("eventId").expect("each event has an id").clone();
                all.entry(id).or_default().push(epoch(&seen));
            }
        }
        all
    }

    fn newest_epoch(&self) -> u64 {
        self.arrived().into_values().flatten().max().unwrap_or(0)
    }

    /// Waits until every event has arrived; gives the events that came more than once.
    fn await_all(&self) -> Vec<Vec<u64>> {
        let written = self.partition.entries(0..=u64::MAX).len();
        let began = Instant::now();
        while self.arrived().len() < written && began.elapsed() < LIMIT {
            std::thread::sleep(LOOK_AGAIN);
        }
        let lost = written - self.arrived().len();
        result("lease_lost", lost);
        assert_eq!(lost, 0, "of {written} events");
        self.arrived().into_values().filter(|epochs| epochs.len() > 1).collect()
    }

    fn audited(&self, action: &str) -> bool {
        self.controller.muster_ok(&["audit-log", "list"]).contains(action)
    }
}

fn connected(view: &Value) -> Option<()> {
    (view["summary"]["connection"] == "connected").then_some(())
}

/// Epoch of an event; 0 before there was a lease.
fn epoch(seen: &Seen) -> u64 {
    seen.values.get("leaseEpoch").map_or(0, |text| text.parse().expect("a number"))
}

/// Repeated events of so much time are allowed.
fn allowed(time: Duration) -> usize {
    (time.as_secs_f64() * RATE as f64) as usize
}

#[test]
fn the_stand_by_goes_on_when_the_agent_is_killed() {
    let mut stage = Stage::new("lease-killed");
    stage.write_past_grace();
    // when the agent that collects is killed while events are written
    stage.agents[0].kill();
    let killed = Instant::now();
    let mut took = None;
    stage.write_until(|_| {
        if stage.newest_epoch() >= 2 {
            took.get_or_insert_with(|| killed.elapsed());
        }
        took.is_some()
    });
    let took = took.expect("the loop ends with it");
    result("lease_takeover_s", format!("{:.1}", took.as_secs_f64()));
    // then the other goes on in time, nothing is lost and little repeated
    assert!(took < Duration::from_secs(15), "{took:?}");
    stage.await_holder(1, 2);
    let doubles = stage.await_all();
    result("lease_duplicates", doubles.len());
    assert!(doubles.len() <= allowed(RENEWAL + WINDOW + SLACK), "{} events came twice", doubles.len());
    assert!(stage.audited("lease.take-over"));
    let source = |agent: &str| {
        let shown = stage.controller.agent(agent);
        shown["components"].as_array().expect("a list").iter().find(|c| c["name"] == "audit").cloned()
    };
    assert_eq!(source(&stage.ids[1]).expect("its source")["status"], "healthy");
    // and when the first comes back, it stands by
    stage.agents[0] = stage.homes[0].run();
    stage.homes[0].await_health("source/audit", "healthy", "standing by", LIMIT);
    let before = stage.arrived().len();
    stage.write_for(Duration::from_secs(2));
    let doubles = stage.await_all().len();
    assert!(stage.arrived().len() > before);
    // What it read before it was told may have come twice.
    assert!(doubles <= allowed(2 * (RENEWAL + WINDOW + SLACK)), "{doubles} events came twice");
}

#[test]
fn an_agent_that_was_frozen_stands_by_when_it_thaws() {
    let stage = Stage::new("lease-frozen");
    stage.write_past_grace();
    stage.agents[0].signal("STOP");
    let frozen = Instant::now();
    stage.write_until(|_| stage.newest_epoch() >= 2);
    result("lease_takeover_s", format!("{:.1}", frozen.elapsed().as_secs_f64()));
    assert!(frozen.elapsed() < Duration::from_secs(15), "{:?}", frozen.elapsed());
    stage.write_for(Duration::from_secs(2));
    // when it thaws, then it is told, and its late commits change nothing
    stage.agents[0].signal("CONT");
    stage.write_for(Duration::from_secs(3));
    stage.homes[0].await_health("source/audit", "healthy", "standing by", LIMIT);
    stage.await_holder(1, 2);
    let doubles = stage.await_all();
    assert!(doubles.len() <= allowed(2 * (RENEWAL + WINDOW + SLACK)), "{} events came twice", doubles.len());
}

#[test]
fn an_agent_that_is_cut_off_from_everything_stands_by_when_it_returns() {
    if !Namespace::possible() {
        return;
    }
    let mut namespace = None;
    let stage = Stage::with(
        "lease-isolated",
        |_| {},
        |home, sandbox, ports| {
            let made = namespace.insert(Namespace::new(sandbox.path(), ports));
            home.run_in(made)
        },
    );
    let namespace = namespace.expect("made above");
    stage.write_past_grace();
    // when every packet of the agent is dropped
    namespace.cut();
    let cut = Instant::now();
    stage.write_until(|_| stage.newest_epoch() >= 2);
    result("lease_takeover_s", format!("{:.1}", cut.elapsed().as_secs_f64()));
    assert!(cut.elapsed() < Duration::from_secs(15), "{:?}", cut.elapsed());
    stage.write_for(Duration::from_secs(2));
    namespace.connect();
    stage.write_for(Duration::from_secs(2));
    // then it comes back as a stand-by
    stage.homes[0].await_health("source/audit", "healthy", "standing by", LIMIT);
    stage.await_holder(1, 2);
    let doubles = stage.await_all();
    assert!(doubles.len() <= allowed(2 * (RENEWAL + WINDOW + SLACK)), "{} events came twice", doubles.len());
}

#[test]
fn an_agent_that_only_misses_its_controller_goes_on_and_doubles_tell_their_lease() {
    let proxy = ConnectProxy::start(None);
    let address = proxy.address();
    let through = |home: &AgentHome| {
        let text = std::fs::read_to_string(&home.config).expect("the configuration");
        let text = format!("{text}[controller]\nproxy = \"http://{address}\"\n");
        std::fs::write(&home.config, text).expect("the configuration is written");
    };
    let stage = Stage::with("lease-alone", through, |home, _, _| home.run());
    stage.write_past_grace();
    proxy.refuse();
    stage.write_until(|_| stage.newest_epoch() >= 2);
    // then both collect: a double is better than a loss
    let before = stage.arrived().len();
    stage.write_for(Duration::from_secs(3));
    let doubles = stage.await_all();
    assert!(stage.arrived().len() > before);
    assert!(doubles.len() >= allowed(Duration::from_secs(2)), "only {} events came twice", doubles.len());
    let told = doubles.iter().filter(|epochs| epochs.contains(&1) && epochs.contains(&2)).count();
    assert!(told >= allowed(Duration::from_secs(2)), "{told} of {} doubles tell their lease", doubles.len());
    stage.await_holder(1, 2);
}

#[test]
fn a_lease_moves_without_a_loss_or_a_double() {
    let stage = Stage::new("lease-moved");
    stage.write_for(Duration::from_secs(3));
    let mut command = stage.controller.muster_command(&["lease", "move", &stage.key]);
    let mut moving = command.stdout(std::process::Stdio::piped()).spawn().expect("muster starts");
    stage.write_until(|_| !matches!(moving.try_wait(), Ok(None)));
    let output = moving.wait_with_output().expect("muster ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&stage.ids[1]) && told.contains("(epoch 2)"), "{told}");
    stage.write_for(Duration::from_secs(2));
    let doubles = stage.await_all();
    assert!(doubles.is_empty(), "{doubles:?}");
    // and it says what cannot be done
    for (words, part) in [
        (vec!["lease", "move", "78X-1"], "no agent of partition 78X-1 stands by"),
        (vec!["lease", "move", &stage.key, "--to", &stage.ids[1]], "already"),
        (vec!["lease", "move", &stage.key, "--to", "ffff"], "no agent of partition"),
    ] {
        let output = stage.controller.muster(&words);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(part), "{words:?}: {complaint}");
    }
    // when the holder is removed, then the other goes on at once
    let _ = stage.controller.muster_ok(&["agents", "revoke", &stage.ids[1], "--reason", "stolen"]);
    stage.await_holder(0, 3);
}

#[test]
fn a_controller_that_is_killed_while_a_lease_moves_leaves_one_holder() {
    let rounds = if full_size() { 8 } else { 2 };
    let mut stage = Stage::new("lease-crash");
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let before = stage.lease();
        let holder = before["holder"]["id"].as_str().expect("a holder").to_owned();
        let to = stage.ids.iter().find(|id| **id != holder).expect("two agents").clone();
        let (key, epoch) = (stage.key.clone(), before["epoch"].as_u64().expect("a number"));
        let mut command = stage.controller.muster_command(&["lease", "move", &key, "--to", &to, "--no-wait"]);
        let mut moving = command.stderr(std::process::Stdio::null()).spawn().expect("muster starts");
        let moment = Instant::now() + Duration::from_millis(random.random_range(0..2_500));
        stage.write_until(|_| Instant::now() >= moment);
        stage.controller.crash_and_restart();
        let _ = moving.wait();
        // then it is held by the one or the other, and both agents do what that says
        let lease = eventually(&format!("round {round}: one holds it"), LIMIT, || {
            let lease = stage.lease();
            if lease["moving_to"].is_null() { Ok(lease) } else { Err(lease.to_string()) }
        });
        let moved = lease["holder"]["id"] == to.as_str();
        assert_eq!(lease["epoch"], epoch + u64::from(moved), "{lease}");
        assert!(moved || lease["holder"]["id"] == holder.as_str(), "{lease}");
        let standing = stage.ids.iter().position(|id| lease["holder"]["id"] != id.as_str()).expect("one");
        stage.homes[standing].await_health("source/audit", "healthy", "standing by", LIMIT);
        eventually_true("the holder reads", LIMIT, || {
            let health = stage.homes[1 - standing].health("source/audit");
            health.is_some_and(|(state, reason)| state == "healthy" && reason.is_empty())
        });
    }
    let doubles = stage.await_all();
    result("lease_crash_duplicates", doubles.len());
    // A move that was called off reads again what was not confirmed yet.
    assert!(doubles.len() <= rounds * allowed(WINDOW + SLACK), "{} events came twice", doubles.len());
}

#[test]
fn without_a_controller_everybody_does_what_it_did_also_after_a_restart() {
    let mut stage = Stage::new("lease-without");
    stage.write_for(Duration::from_secs(3));
    stage.controller.process.kill();
    for agent in &mut stage.agents {
        agent.kill();
    }
    stage.agents = [stage.homes[0].run(), stage.homes[1].run()];
    let before = stage.arrived().len();
    stage.write_for(Duration::from_secs(3));
    let doubles = stage.await_all();
    assert!(stage.arrived().len() > before, "the first collects");
    stage.homes[1].await_health("source/audit", "healthy", "standing by", LIMIT);
    assert!(doubles.iter().flatten().all(|epoch| *epoch <= 1), "only the first did: {doubles:?}");
    // and when a controller is back, after it stood still for longer than a lease lives, nothing has changed
    stage.started = Instant::now();
    stage.controller.restart();
    stage.write_past_grace();
    stage.controller.process.signal("STOP");
    stage.write_for(Duration::from_secs(14));
    stage.controller.process.signal("CONT");
    stage.write_for(Duration::from_secs(3));
    stage.await_holder(0, 1);
    stage.homes[1].await_health("source/audit", "healthy", "standing by", LIMIT);
    stage.await_all();
}

#[test]
fn a_lease_is_moved_away_from_an_agent_that_cannot_read() {
    let mut stage = Stage::new("lease-unread");
    stage.write_for(Duration::from_secs(2));
    // given a holder whose password is wrong since its last start
    stage.agents[0].kill();
    std::fs::write(stage.homes[0].folder.join("password"), "WRONG\n").expect("the file is written");
    stage.agents[0] = stage.homes[0].run();
    stage.homes[0].await_health("source/audit", "failed", "", LIMIT);
    let told = stage.controller.muster_ok(&["lease", "move", &stage.key]);
    assert!(told.contains("(epoch 2)"), "{told}");
    stage.homes[0].await_health("source/audit", "healthy", "standing by", LIMIT);
    stage.write_for(Duration::from_secs(2));
    stage.await_all();
}
