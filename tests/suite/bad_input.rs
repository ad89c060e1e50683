//! What goes wrong at customers: each gives one clear message that says what to do, nothing is lost, nothing
//! crashes, and what was mended goes on by itself.

use crate::fleet::partition;
use ibmi_sim::{Fault, Scenario};
use muster_tests::eventually::{eventually, never};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::process::{Process, program};
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::pki::{Authority, server_config};
use muster_tests::receiver::{Port, Receiver, free_port};
use muster_tests::sandbox::{AgentHome, Controller, PartitionAt, Sandbox};
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const QUICK: &[&str] = &["--heartbeat-seconds", "1"];
/// How a partition differs from the usual one.
type Change = fn(&mut Scenario);

const AUDIT: &str = "source/audit";

/// A stand-alone agent of a quiet partition with one receiver.
pub(crate) struct Rig {
    pub(crate) partition: Partition,
    receiver: Receiver,
    pub(crate) home: AgentHome,
    _sandbox: Sandbox,
}

impl Rig {
    fn new(story: &str) -> Self {
        Self::of(story, Partition::quiet(story, 0))
    }

    pub(crate) fn of(story: &str, partition: Partition) -> Self {
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new(story);
        let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
        let home = sandbox.agent("agent", &partition.at(), Some(&policy));
        Self { partition, receiver, home, _sandbox: sandbox }
    }

    /// Replaces a part of the agent's configuration.
    fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.home.config).expect("the configuration");
        assert!(text.contains(from), "{from:?} in {text}");
        std::fs::write(&self.home.config, text.replace(from, to)).expect("the configuration is written");
    }

    pub(crate) fn await_failed(&self, part: &str) -> String {
        self.home.await_health(AUDIT, "failed", part, LIMIT)
    }

    /// Everything in the journal arrives, each at least once.
    pub(crate) fn await_all(&self) {
        let put: BTreeSet<u64> = self.partition.entries(0..=u64::MAX).iter().map(|e| e.sequence).collect();
        eventually("everything arrives", LIMIT, || {
            let messages = self.receiver.messages();
            let seen: BTreeSet<u64> = messages.iter().filter_map(|message| sequence(message)).collect();
            let missing: Vec<_> = put.difference(&seen).take(3).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("{} arrived, missing {missing:?}", seen.len()))
            }
        });
    }
}

fn sequence(message: &str) -> Option<u64> {
    let seen = read(Dialect::Leef, message).ok()?;
    if seen.event_id.starts_with("MUSTER") {
        return None;
    }
    seen.values.get("eventId")?.rsplit_once('/')?.1.parse().ok()
}

pub(crate) fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

/// Exit code and standard error of a program that failed; the message is one line unless it lists things.
fn refused(output: &Output, code: i32, parts: &[&str]) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    contains(&error, parts);
    error
}

#[test]
fn a_wrong_password_is_tried_once_and_then_waited_for() {
    let rig = Rig::new("password");
    rig.partition.append_mix(5);
    std::fs::write(rig.home.folder.join("password"), "nonsense\n").expect("the password file");
    let mut agent = rig.home.run();
    let reason = rig.await_failed("rejects the sign-on of MUSTER");
    contains(&reason, &["Password is incorrect", "counts against the profile", "correct the password"]);
    never("the password is tried again", Duration::from_secs(9), || {
        let (wrong, disabled) = rig.partition.profile("MUSTER");
        (wrong > 1 || disabled).then(|| format!("{wrong} failed sign-ons, disabled {disabled}"))
    });
    assert_eq!(rig.partition.profile("MUSTER").0, 1);
    assert!(!agent.log().contains("nonsense"), "the password is not told");
    // then, corrected and restarted as the message says, nothing is lost
    std::fs::write(rig.home.folder.join("password"), "muster1\n").expect("the password file");
    assert!(agent.terminate(LIMIT).success());
    let _agent = rig.home.run();
    rig.await_all();
    rig.home.await_health(AUDIT, "healthy", "", LIMIT);
}

#[test]
fn an_expired_password_and_a_disabled_profile_are_told_with_the_command() {
    let cases: [(&str, Change, &[&str]); 2] = [
        (
            "expired",
            |s| s.users[0].expired = true,
            &["Password is expired", "CHGUSRPRF USRPRF(MUSTER) PASSWORD("],
        ),
        ("disabled", |s| s.users[0].disabled = true, &["User ID is disabled", "STATUS(*ENABLED)"]),
    ];
    for (name, change, parts) in cases {
        let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
        change(&mut scenario);
        let rig = Rig::of(name, Partition::start(scenario));
        let _agent = rig.home.run();
        contains(&rig.await_failed("rejects the sign-on of MUSTER"), parts);
        let checked = rig.home.call("check-config", &["--connect"]);
        assert_eq!(checked.status.code(), Some(3));
        contains(&String::from_utf8_lossy(&checked.stdout), parts);
    }
}

#[test]
fn certificates_and_names_of_the_partition_that_do_not_fit() {
    let rig = Rig::new("certificate");
    rig.partition.append_mix(5);
    let check = |parts: &[&str]| {
        let checked = rig.home.call("check-config", &["--connect"]);
        assert_eq!(checked.status.code(), Some(3));
        let told = String::from_utf8_lossy(&checked.stdout).into_owned();
        contains(&told, parts);
        told
    };
    // foreign
    let ca = rig.home.folder.join("ca.pem");
    let good = std::fs::read_to_string(&ca).expect("the authority");
    std::fs::write(&ca, Authority::new("foreign").pem()).expect("another authority");
    let told = check(&["no trusted authority has signed it", "pin_sha256", "ca_file"]);
    let pin = told
        .split("pin_sha256 = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a pin")
        .to_owned();
    let mut agent = rig.home.run();
    rig.await_failed("no trusted authority has signed it");
    agent.kill();
    std::fs::write(&ca, good).expect("the authority again");
    // pin mismatch, then the pin that was shown
    rig.configure("ca_file = \"ca.pem\"", &format!("pin_sha256 = \"{}\"", "ab".repeat(32)));
    check(&["it is not the pinned one", &pin]);
    rig.configure(&"ab".repeat(32), &pin);
    // unknown host
    let address = rig.partition.at().address.to_owned();
    rig.configure(&address, "no-such-partition.invalid:8076");
    check(&["no-such-partition.invalid:8076", "the name does not resolve", "DNS"]);
    rig.configure("no-such-partition.invalid:8076", &address);
    // expired: any TLS server will do, for the agent goes no further
    let authority = Authority::new("old");
    let expired = authority.expired(&["127.0.0.1"]);
    let server = Receiver::start(Port::Tls(server_config(&expired, None)));
    rig.configure(&address, &server.address());
    rig.configure(&format!("pin_sha256 = \"{pin}\""), "ca_file = \"ca.pem\"");
    std::fs::write(&ca, authority.pem()).expect("its authority");
    check(&["it has expired"]);
    // all mended: it reads
    rig.configure(&server.address(), &address);
    rig.configure("ca_file = \"ca.pem\"", &format!("pin_sha256 = \"{pin}\""));
    let _agent = rig.home.run();
    rig.await_all();
}

#[test]
fn a_missing_journal_and_a_lack_of_authority_are_mended_without_a_restart() {
    let rig = Rig::new("setup");
    rig.partition.set_fault(Fault::JournalMissing).expect("the fault");
    let mut agent = rig.home.run();
    let reason = rig.await_failed("journal QSYS/QAUDJRN does not exist");
    contains(&reason, &["CRTJRNRCV", "CRTJRN JRN(QSYS/QAUDJRN)", "QAUDCTL", "next try in"]);
    rig.partition.set_fault(Fault::Clear).expect("mended");
    rig.partition.append_mix(10);
    rig.await_all();
    rig.partition.set_fault(Fault::NoAuthority).expect("the fault");
    let reason = rig.await_failed("may not read journal QSYS/QAUDJRN");
    contains(&reason, &["*USE", "GRTOBJAUT OBJ(QSYS/QAUDJRN) OBJTYPE(*JRN) USER(MUSTER)"]);
    rig.partition.append_mix(10);
    rig.partition.set_fault(Fault::Clear).expect("mended");
    rig.await_all();
    rig.home.await_health(AUDIT, "healthy", "", LIMIT);
    assert!(agent.is_running());
}

#[test]
fn a_partition_that_talks_nonsense_or_breaks_off_costs_nothing() {
    let rig = Rig::new("nonsense");
    let mut agent = rig.home.run();
    rig.partition.append_mix(10);
    rig.await_all();
    for (fault, part) in
        [(Fault::NotJson, "is no Mapepire reply"), (Fault::EndlessReply, "exceeds"), (Fault::DropSocket, "")]
    {
        rig.partition.set_fault(fault).expect("the fault");
        rig.partition.append_mix(10);
        if !part.is_empty() {
            rig.await_failed(part);
        }
        rig.partition.set_fault(Fault::Clear).expect("mended");
        rig.await_all();
        rig.home.await_health(AUDIT, "healthy", "", LIMIT);
    }
    // a restart of the server
    rig.partition.set_fault(Fault::Restart { ms: 5_000 }).expect("the fault");
    rig.await_failed("the Mapepire server may be just starting");
    rig.partition.append_mix(10);
    rig.await_all();
    assert!(agent.is_running());
    assert!(!agent.log().contains("panicked"), "nothing crashed");
}

#[test]
fn a_hung_partition_holds_up_nothing_for_good() {
    let rig = Rig::new("hung");
    let mut agent = rig.home.run();
    rig.partition.append_mix(10);
    rig.await_all();
    rig.partition.set_fault(Fault::Hung).expect("the fault");
    rig.partition.append_mix(10);
    rig.home.await_health(AUDIT, "degraded", "has not answered for", LIMIT);
    rig.partition.set_fault(Fault::Clear).expect("mended");
    // The request that hangs is given up after its deadline, and asked again over a new connection.
    rig.await_all();
    assert!(agent.terminate(LIMIT).success());
}

#[test]
fn damaged_entries_arrive_are_counted_and_told() {
    let rig = Rig::new("damaged");
    let _agent = rig.home.run();
    // what the entries of this partition look like
    rig.partition.append_mix(200);
    rig.await_all();
    rig.home.await_health(AUDIT, "healthy", "", LIMIT);
    for fault in [Fault::TruncatedData { bytes: 3 }, Fault::AbsurdData] {
        rig.partition.set_fault(fault).expect("the fault");
        rig.partition.append_mix(40);
        rig.partition.set_fault(Fault::Clear).expect("mended");
        rig.await_all();
    }
    let reason = rig.home.await_health(AUDIT, "degraded", "entries of the journal came damaged", LIMIT);
    contains(&reason, &["the last one of type", "shorter than others of their type", "`raw`"]);
    eventually("short entries are counted", LIMIT, || {
        let output = rig.home.call("show-state", &["--output", "json"]);
        let state: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
        let source = &state["sources"]["audit"];
        // Three bytes are all that some types need.
        if source["short"].as_u64() >= Some(30) { Ok(()) } else { Err(source.to_string()) }
    });
    let text = rig.home.call("show-state", &[]);
    contains(&String::from_utf8_lossy(&text.stdout), &["shorter than their layout"]);
}

#[test]
fn a_malformed_policy_is_refused_with_line_and_column_and_changes_nothing() {
    // stand-alone
    let rig = Rig::new("malformed");
    let good = std::fs::read_to_string(rig.home.folder.join("policy.yaml")).expect("the policy");
    std::fs::write(rig.home.folder.join("policy.yaml"), good.replace("transport:", "transprt:"))
        .expect("written");
    for subcommand in ["check-config", "run"] {
        refused(
            &rig.home.call(subcommand, &[]),
            2,
            &["policy.yaml", "line 7, column", "unknown field `transprt`"],
        );
    }
    // with a controller
    let sandbox = Sandbox::new("malformed-central");
    let controller = sandbox.controller();
    controller.login();
    let good = policies::document("p", &good);
    let published = controller.publish(&good);
    contains(&published, &["revision 1"]);
    for (bad, parts) in [
        (good.replace("kind: leef2", "kind: leaf2"), ["leaf2"]),
        (good.replace("kind: leef2", "kind: [leef2"), [":"]),
        (good.replace("start: oldest", "start: yesterday"), ["yesterday"]),
    ] {
        let file = sandbox.write("bad.yaml", &bad);
        let output = controller.muster(&["policy", "apply", &file.display().to_string()]);
        let error = refused(&output, 4, &parts);
        contains(&error, &["bad.yaml:", "nothing was changed"]);
        let place = error.split("bad.yaml:").nth(1).unwrap_or_default();
        let mut numbers = place.split(':');
        let mut number = || numbers.next().and_then(|n| n.trim().parse::<u32>().ok());
        assert!(
            number().is_some_and(|line| line > 1) && number().is_some_and(|column| column > 0),
            "{error}"
        );
    }
    let history = controller.muster_json(&["policy", "history"]);
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
}

fn token(controller: &Controller, sandbox: &Sandbox, name: &str, args: &[&str]) -> String {
    let file = sandbox.path().join(name).display().to_string();
    let mut all = vec!["token", "create", "--output-file", &file];
    all.extend(args);
    let _ = controller.muster_ok(&all);
    file
}

#[test]
fn tokens_that_let_nobody_in_say_why() {
    let nobody =
        PartitionAt { address: "127.0.0.1:1", ca_pem: &Authority::new("x").pem(), user: "U", password: "p" };
    let sandbox = Sandbox::new("tokens");
    let controller = sandbox.controller();
    controller.login();
    let [first, second] = ["first", "second"].map(|name| sandbox.agent(name, &nobody, None));
    // used twice
    let once = token(&controller, &sandbox, "once", &[]);
    assert!(first.call("enrol", &["--token-file", &once]).status.success());
    let told =
        refused(&second.call("enrol", &["--token-file", &once]), 1, &["is used up", "muster token create"]);
    assert_eq!(told.matches("muster token create").count(), 1, "said once: {told}");
    // enrolled already
    let more = token(&controller, &sandbox, "more", &["--uses", "2"]);
    refused(&first.call("enrol", &["--token-file", &more]), 1, &["already enrolled as", "--replace"]);
    // known with another key: somebody has to approve it
    let told = refused(
        &first.call("enrol", &["--replace", "--wait", "0", "--token-file", &more]),
        1,
        &["if it waits for approval", "approved and run this command again"],
    );
    assert!(!told.contains("token create"), "the token is well: {told}");
    // expired
    let short = token(&controller, &sandbox, "short", &["--expires", "1s"]);
    eventually("the token expires", LIMIT, || {
        let output = second.call("enrol", &["--token-file", &short]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            std::fs::remove_dir_all(second.folder.join("state")).expect("the state is removed");
        }
        if error.contains("expired at") { Ok(()) } else { Err(error) }
    });
    // none, and one of another controller
    let none = sandbox.write("none", "hello\n").display().to_string();
    refused(&second.call("enrol", &["--token-file", &none]), 1, &["holds no enrolment token", "muster1."]);
    let missing = sandbox.path().join("missing").display().to_string();
    refused(
        &second.call("enrol", &["--token-file", &missing]),
        1,
        &["cannot read the token file", "missing"],
    );
    let deleted = token(&controller, &sandbox, "deleted", &["--note", "gone"]);
    let tokens = controller.muster_json(&["token", "list"]);
    let id =
        tokens.as_array().into_iter().flatten().find(|t| t["note"] == "gone").expect("it is listed")["id"]
            .clone();
    let _ = controller.muster_ok(&["token", "delete", id.as_str().expect("an id")]);
    refused(&second.call("enrol", &["--token-file", &deleted]), 1, &["does not know the enrolment token"]);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("the folder");
    for entry in std::fs::read_dir(from).expect("the folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("the file is copied");
        }
    }
}

#[test]
fn a_copy_of_an_agent_and_a_removed_agent_are_told_so() {
    let partition = partition("ORIGIN");
    let sandbox = Sandbox::new("copy");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let home = sandbox.agent("original", &partition.at(), None);
    let id = controller.enrol(&home, &["env=test"]);
    let copy = sandbox.agent("copy", &partition.at(), None);
    copy_folder(&home.folder.join("state"), &copy.folder.join("state"));
    let _original = home.run();
    let connected = |view: &serde_json::Value| (view["summary"]["connection"] == "connected").then_some(());
    controller.await_agent(&id, "connected", LIMIT, connected);
    // when the copy is started, it is refused and told why
    let mut second = copy.run();
    let told = copy.await_health("uplink", "failed", "uses a copy of its state folder", LIMIT);
    contains(&told, &["stop this one", "delete its state folder", "enrol it with a token of its own"]);
    // and so are the first, and whoever looks at the controller
    home.await_health("uplink", "degraded", "second agent with this identity", LIMIT);
    let view = controller.agent(&id);
    contains(&view["warnings"].to_string(), &["second agent with this identity", "stop the copy"]);
    contains(&controller.muster_ok(&["agents"]), &["quarantined", "second agent with this identity"]);
    assert_eq!(controller.muster_json(&["agents"]).as_array().map(Vec::len), Some(1), "neither is merged");
    assert!(second.terminate(LIMIT).success());

    // when labels are changed, policies follow; when the agent is removed, it is told
    let labelled = controller.muster_ok(&["agents", "label", &id, "site=north", "env-"]);
    assert!(labelled.contains("site=north") && !labelled.contains("env="), "{labelled}");
    let removed = controller.muster(&["agents", "remove", &id]);
    contains(&String::from_utf8_lossy(&removed.stderr), &[&id, "is removed"]);
    assert_eq!(controller.muster(&["agents", "remove", &id]).status.code(), Some(3), "it is gone");
    let told = home.await_health("uplink", "failed", "removed", LIMIT);
    contains(&told, &["enrol", "--replace"]);
    // then it comes back as the message says, with its id
    let back = token(&controller, &sandbox, "back", &[]);
    let output = home.call("enrol", &["--replace", "--token-file", &back]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    contains(&String::from_utf8_lossy(&output.stdout), &[&id]);
}

#[test]
fn a_foreign_controller_at_the_same_address_is_not_talked_to() {
    let partition = partition("LOYAL");
    let sandbox = Sandbox::new("foreign");
    let mut controller = sandbox.controller_with(QUICK);
    controller.login();
    let home = sandbox.agent("agent", &partition.at(), None);
    let id = controller.enrol(&home, &[]);
    let agent = home.run();
    controller.await_agent(&id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    controller.process.kill();
    let other =
        Controller::start(&sandbox.path().join("other"), &format!("127.0.0.1:{}", controller.port), QUICK);
    let told = home.await_health("uplink", "failed", "another authority", LIMIT);
    contains(&told, &["enrol this agent again"]);
    // muster does not trust it either
    let output = controller.muster(&["agents"]);
    refused(&output, 5, &["is not trusted", "--fingerprint"]);
    // and with the right one back, the agent comes back by itself
    drop(other);
    controller.restart();
    home.await_health("uplink", "healthy", "", LIMIT);
    drop(agent);
}

/// Starts a program that is expected to end with an error, and gives what it said.
fn call(name: &str, args: &[&str]) -> Output {
    Command::new(program(name)).args(args).stdin(Stdio::null()).output().expect("the program starts")
}

#[test]
fn places_that_are_taken_or_cannot_be_written() {
    let rig = Rig::new("taken");
    let _agent: Process = rig.home.run();
    rig.home.await_health(AUDIT, "healthy", "", LIMIT);
    refused(&rig.home.call("run", &[]), 1, &["another agent", "folder of its own"]);
    let file = rig.home.folder.join("agent.log").display().to_string();
    rig.configure("state_dir = \"state\"", &format!("state_dir = \"{file}/state\""));
    refused(&rig.home.call("run", &[]), 1, &["agent.log/state"]);

    let sandbox = Sandbox::new("taken-controller");
    let controller = sandbox.controller();
    let (port, data) =
        (format!("127.0.0.1:{}", controller.port), sandbox.path().join("fresh").display().to_string());
    refused(
        &call("muster-controller", &["serve", "--listen", &port, "--data-dir", &data]),
        1,
        &["cannot listen on", "another controller"],
    );
    let data = sandbox.path().join("controller/data").display().to_string();
    refused(
        &call("muster-controller", &["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]),
        1,
        &["another controller using this data folder"],
    );
    let data = format!("{file}/data");
    refused(
        &call("muster-controller", &["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]),
        1,
        &["agent.log/data", "cannot be created"],
    );
}

#[test]
fn destinations_with_foreign_or_wrong_certificates_hold_up_nobody_else() {
    let ours = Authority::new("ours");
    let tls = Receiver::start(Port::Tls(server_config(&ours.identity(&["127.0.0.1", "siem.example"]), None)));
    let plain = Receiver::start(Port::Tcp);
    let partition = Partition::quiet("tls", 0);
    let sandbox = Sandbox::new("tls");
    let pem = |authority: &Authority| serde_json::to_string(&authority.pem()).expect("text");
    let to = |pem: String, more: &str| {
        format!("{{kind: tls, address: \"{}\", ca_pem: {pem}{more}}}", tls.address())
    };
    let policy = policies::several(&[
        ("plain", &policies::tcp(&plain.address()), "{kind: leef2}"),
        ("foreign", &to(pem(&Authority::new("foreign")), ""), "{kind: leef2}"),
        ("name", &to(pem(&ours), ", server_name: other.example"), "{kind: leef2}"),
        ("nobody", &policies::tcp(&format!("127.0.0.1:{}", free_port())), "{kind: leef2}"),
    ]);
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let _agent = home.run();
    partition.append_mix(20);
    plain.wait_for(20, LIMIT);
    home.await_health("destination/foreign", "failed", "put the authority that signed it into ca_pem", LIMIT);
    let told = home.await_health("destination/name", "failed", "not for other.example but for", LIMIT);
    contains(&told, &["siem.example"]);
    home.await_health("destination/nobody", "failed", "check that the receiver runs", LIMIT);
    home.await_health("destination/plain", "healthy", "", LIMIT);
    let checked = home.call("check-config", &["--connect"]);
    assert_eq!(checked.status.code(), Some(3));
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(told.matches("FAIL").count(), 3, "{told}");
}
