//! The launcher as a process, with shell scripts as agents and packages that are signed with the development keys.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod host;

use host::{HEALTHY, Host, SILENT, kill, order};
use muster_package::slots::{Order, OutcomeResult, PROGRAM, Slot};
use rustix::process::Signal;
use std::fs;

/// A host whose installed program runs, and that has a 0.2.0 that does `body`.
fn host(body: &str) -> Host {
    let mut host = Host::new(HEALTHY);
    host.unpack("0.2.0", body);
    host.start();
    host.until_started(&["installed"]);
    host
}

#[test]
fn a_version_that_is_well_is_confirmed_and_stays() {
    let mut host = host(&format!("echo hello\n{HEALTHY}"));
    host.order(&Order { probation_seconds: 1, ..order("0.2.0") });
    assert_eq!(host.outcome(OutcomeResult::Confirmed), "");
    host.until("its probation ends", || host.launch().trial.is_none().then_some(()));
    let launch = host.launch();
    assert_eq!(launch.current, order("0.2.0").to);
    assert_eq!(launch.previous, Some(Slot::Installed));
    assert!(!host.layout.order().exists());
    // Killed now it is started again, also by another launcher.
    kill(host.running().1);
    host.until_started(&["installed", "0.2.0", "0.2.0"]);
    assert!(host.end_launcher(Signal::TERM).success());
    host.start();
    host.until_started(&["installed", "0.2.0", "0.2.0", "0.2.0"]);
    // What it says to others is passed on.
    let output = fs::read_to_string(host.path("output")).unwrap();
    assert!(output.starts_with("hello\n") && !output.contains("muster:"), "{output}");
}

#[test]
fn a_version_that_does_not_show_itself_is_taken_back() {
    let healthy = Order { healthy_seconds: 1, ..order("0.2.0") };
    let connected = Order { connected: true, connected_seconds: 1, ..order("0.2.0") };
    let cases = [
        ("exit 3", order("0.2.0"), "it ended after 0 s (exit status 3)"),
        ("kill -6 $$", order("0.2.0"), "it ended after 0 s (signal 6)"),
        (SILENT, healthy.clone(), "it was not healthy within 1 s"),
        (
            "echo 'muster: unwell: destination/siem does not work'\nexec cat > /dev/null",
            healthy,
            "it was not healthy within 1 s: destination/siem does not work",
        ),
        (HEALTHY, connected, "it was not connected to a controller within 1 s"),
    ];
    for (body, order, reason) in cases {
        let host = host(body);
        host.order(&order);
        assert_eq!(host.outcome(OutcomeResult::RolledBack), reason, "{body}");
        host.until_started(&["installed", "0.2.0", "installed"]);
        let launch = host.launch();
        assert_eq!((launch.current, launch.trial), (Slot::Installed, None), "{body}");
        assert_eq!(launch.last.unwrap().offer, "offer of 0.2.0");
        assert!(!host.layout.order().exists());
        host.until_gone(host.starts()[1].1);
    }
}

#[test]
fn a_version_that_dies_in_its_probation_is_taken_back() {
    let mut host = host(HEALTHY);
    host.order(&order("0.2.0"));
    host.outcome(OutcomeResult::Confirmed);
    // The probation goes on with another launcher.
    host.end_launcher(Signal::TERM);
    host.start();
    host.until_started(&["installed", "0.2.0", "0.2.0"]);
    host.until_log("in its probation");
    kill(host.running().1);
    let reason = host.outcome(OutcomeResult::RolledBack);
    assert!(reason.starts_with("it ended ") && reason.ends_with("in its probation (signal 9)"), "{reason}");
    host.until_started(&["installed", "0.2.0", "0.2.0", "installed"]);
    assert_eq!(host.launch().previous, None);
}

#[test]
fn what_could_not_be_stored_is_stored_while_the_agent_runs() {
    let host = host(&format!("while [ ! -e \"${{3%/*}}/go\" ]; do sleep 0.05; done\n{HEALTHY}"));
    host.order(&order("0.2.0"));
    host.until_started(&["installed", "0.2.0"]);
    // Where the launcher writes lies something that it cannot replace, as on a full disk.
    let beside = host.layout.launch().with_extension("json.new");
    fs::create_dir(&beside).unwrap();
    fs::write(host.path("go"), "").unwrap();
    host.until_log("is confirmed");
    host.until_log("cannot create");
    assert_eq!(host.launch().last, None);
    fs::remove_dir(&beside).unwrap();
    host.outcome(OutcomeResult::Confirmed);
    assert_eq!(host.log().matches("cannot create").count(), 1, "{}", host.log());
    assert_eq!(host.names(), ["installed", "0.2.0"]);
}

type Harm = fn(&Host);

#[test]
fn what_is_not_what_was_signed_is_refused() {
    let cases: [(Harm, &str); 4] = [
        (
            |host| fs::remove_file(host.version("0.2.0").join("manifest.json")).unwrap(),
            "manifest.json is not there",
        ),
        (|host| fs::remove_dir_all(host.version("0.2.0")).unwrap(), "its files cannot be verified"),
        (
            |host| {
                let path = host.version("0.2.0").join(PROGRAM);
                let text = fs::read_to_string(&path).unwrap().replace("started", "STARTED");
                fs::write(path, text).unwrap();
            },
            "bin/muster-agent is not the file that was signed: its digest is another one",
        ),
        (
            |host| {
                host.unpack("0.3.0", HEALTHY);
                fs::remove_dir_all(host.version("0.2.0")).unwrap();
                fs::rename(host.version("0.3.0"), host.version("0.2.0")).unwrap();
            },
            "its manifest is of muster-agent 0.3.0",
        ),
    ];
    for (harm, reason) in cases {
        let host = host(HEALTHY);
        harm(&host);
        host.order(&order("0.2.0"));
        let told = host.outcome(OutcomeResult::Refused);
        assert!(told.contains(reason), "{reason}: {told}");
        host.until_started(&["installed", "installed"]);
        assert!(!host.layout.order().exists());
    }
}

#[test]
fn a_running_version_that_was_changed_is_not_started_again() {
    let mut host = host(HEALTHY);
    host.order(&Order { probation_seconds: 0, ..order("0.2.0") });
    host.until("its probation ends", || {
        (host.launch().trial.is_none() && host.launch().last.is_some()).then_some(())
    });
    host.end_launcher(Signal::TERM);
    fs::write(host.version("0.2.0").join(PROGRAM), "#!/bin/sh\nexit 0").unwrap();
    host.start();
    let told = host.outcome(OutcomeResult::RolledBack);
    assert!(told.contains("is not the file that was signed"), "{told}");
    host.until_started(&["installed", "0.2.0", "installed"]);
    assert_eq!(host.launch().current, Slot::Installed);
}

#[test]
fn a_retired_key_means_nothing_new_by_it() {
    let mut host = host(HEALTHY);
    host.unpack("0.3.0", HEALTHY);
    host.order(&Order { probation_seconds: 0, ..order("0.2.0") });
    host.outcome(OutcomeResult::Confirmed);
    host.until("its probation ends", || host.launch().trial.is_none().then_some(()));
    host.retire_key();
    host.end_launcher(Signal::TERM);
    host.start();
    host.until_started(&["installed", "0.2.0", "0.2.0"]);
    host.order(&order("0.3.0"));
    let told = host.outcome(OutcomeResult::Refused);
    assert!(told.contains("fits none of the keys that count here"), "{told}");
    host.until_started(&["installed", "0.2.0", "0.2.0", "0.2.0"]);
    assert!(!host.log().contains("does not count"), "{}", host.log());
    // Accepted is that manifest with those files, and what a key of the vendor signed.
    host.end_launcher(Signal::TERM);
    let signature = host.version("0.2.0").join("manifest.json.minisig");
    let stranger = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let manifest = fs::File::open(host.version("0.2.0").join("manifest.json")).unwrap();
    let signed = minisign::sign(None, &stranger.sk, manifest, None, None).unwrap();
    fs::write(signature, signed.into_string()).unwrap();
    host.start();
    host.until_started(&["installed", "0.2.0", "0.2.0", "0.2.0", "installed"]);
}

#[test]
fn a_launcher_that_is_killed_goes_on_with_the_trial_three_times() {
    let mut host = host(SILENT);
    host.order(&order("0.2.0"));
    for starts in 1..=3 {
        host.until("the trial is started", || (host.names().len() == 1 + starts).then_some(()));
        let (name, pid) = host.running();
        assert_eq!(name, "0.2.0");
        assert_eq!(host.launch().trial.unwrap().starts as usize, starts);
        host.end_launcher(Signal::KILL);
        // Its standard input has ended.
        host.until_gone(pid);
        host.start();
    }
    let told = host.outcome(OutcomeResult::RolledBack);
    assert!(told.starts_with("it was started 3 times"), "{told}");
    host.until_started(&["installed", "0.2.0", "0.2.0", "0.2.0", "installed"]);
}

#[test]
fn an_agent_that_outlives_its_launcher_is_waited_for() {
    let mut host = Host::new("exec sleep 600");
    host.start();
    host.until_started(&["installed"]);
    let (_, orphan) = host.running();
    host.end_launcher(Signal::KILL);
    host.start();
    host.until_log("an agent of an earlier launcher still runs");
    host.install(SILENT);
    assert_eq!(host.names().len(), 1);
    kill(orphan);
    host.until_started(&["installed", "installed"]);
    host.end_launcher(Signal::TERM);
}

#[test]
fn asked_to_end_it_ends_the_agent_first() {
    let deaf = format!("trap '' TERM\n{SILENT}");
    let cases = [
        (Signal::TERM, SILENT, "the agent ended (signal 15)"),
        (Signal::INT, SILENT, "the agent ended (signal 15)"),
        // Its standard input ends as well.
        (Signal::TERM, deaf.as_str(), "the agent ended (exit status 0)"),
    ];
    for (signal, body, said) in cases {
        let mut host = Host::new(body);
        host.start();
        let (_, pid) = host.running();
        // Not before the program is what it is to be.
        host.until("it reads", || comm(pid).filter(|name| name == "cat"));
        assert_eq!(host.end_launcher(signal).code(), Some(0));
        assert!(!host::is_alive(pid));
        assert!(host.log().contains(said), "{}", host.log());
    }
}

/// The name of the program that a process runs.
fn comm(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

#[test]
fn a_second_launcher_is_told_that_there_is_one() {
    let host = host(HEALTHY);
    let second = host.command().output().unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("another launcher runs with this state folder"), "{told}");
    assert_eq!(host.names(), ["installed"]);
}

#[test]
fn another_installed_program_is_what_is_meant_to_run() {
    let mut host = host(SILENT);
    host.order(&order("0.2.0"));
    host.until_started(&["installed", "0.2.0"]);
    host.end_launcher(Signal::TERM);
    host.install(&format!("# another one\n{HEALTHY}"));
    host.start();
    let told = host.outcome(OutcomeResult::RolledBack);
    assert!(told.contains("the operating system's package brought another program"), "{told}");
    host.until_started(&["installed", "0.2.0", "installed"]);
}

#[test]
fn whatever_lies_there_the_installed_program_runs() {
    let mut host = Host::new(HEALTHY);
    fs::create_dir_all(host.layout.root()).unwrap();
    fs::write(host.layout.launch(), "{\"format\":1,\"current\":").unwrap();
    fs::write(host.layout.order(), "\0\0\0").unwrap();
    host.start();
    host.until_started(&["installed"]);
    host.until_log("launch.json cannot be read, so the installed version runs");
    host.until_log("the order cannot be read, and is removed");
    assert!(!host.layout.order().exists());
    assert_eq!(host.launch().current, Slot::Installed);
    host.end_launcher(Signal::TERM);
}

#[test]
fn a_program_that_ends_at_once_is_started_again_after_a_pause() {
    let mut host = Host::new("exit 1");
    host.start();
    host.until_log("it is started again in 2 s");
    assert_eq!(host.names(), ["installed", "installed"]);
    // In the pause there is no agent to end.
    assert!(host.end_launcher(Signal::TERM).success());
}

#[test]
fn a_wrong_configuration_is_told_by_the_exit_status() {
    let host = Host::new(HEALTHY);
    fs::write(host.path("agent.toml"), "state = 1").unwrap();
    let output = host.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("missing field `state_dir`"));
}
