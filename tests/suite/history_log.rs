//! The history log: what is written there reaches a SIEM in two formats, in the partition's language; nothing is lost
//! or doubled over files that are switched, late messages and a clock that is set back; and what is bad is told.

use ibmi_sim::{Fault, MessageSpec, Options, Scenario, SimHandle, Simulator};
use muster_agent::host::facts;
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust};
use muster_agent::source::history_log::HistoryLog;
use muster_agent::source::{Read, Source};
use muster_shared::cursor::Cursor;
use muster_shared::event::{Event, field};
use muster_shared::policy::model::HistoryLogSpec;
use muster_tests::eventually::eventually;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::Sandbox;
use muster_tests::siem::Siem;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const SOURCE: &str = "source/history";

/// A job whose name tells one message from others.
fn job(number: usize) -> String {
    format!("{number:06}/STORY/M{number:06}")
}

fn start_of(number: usize) -> MessageSpec {
    MessageSpec::new("CPF1124").from_job(&job(number)).with("subsystem", "QBATCH")
}

fn quiet(name: &str, language: &str) -> Partition {
    let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
    scenario.traffic.rate = 0.0;
    scenario.system.language = language.to_owned();
    scenario.system.utc_offset_minutes = 60;
    Partition::start(scenario)
}

#[test]
fn what_is_logged_reaches_rsyslog_as_leef_and_cef_within_two_seconds() {
    // given an agent with default settings
    let partition = quiet("history", "DEU");
    let sandbox = Sandbox::new("history");
    let siem = Siem::start(&sandbox);
    let policy = format!("sources:\n  history: {{kind: history_log}}\n{}", siem.destinations());
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let _agent = home.run();
    home.await_health(SOURCE, "healthy", "", LIMIT);

    // when messages of each kind are logged
    let kinds: Vec<MessageSpec> = vec![
        start_of(1),
        MessageSpec::new("CPF1164").from_job(&job(2)).with("cpu", "0,024").with("code", "30"),
        MessageSpec::new("CPF1393").from_job(&job(3)).with("user", "MÜLLER"),
        MessageSpec::new("CPF1397")
            .from_job(&job(4))
            .with("device", "DSP01")
            .with("subsystem", "QINTER")
            .with("user", "BOB"),
        MessageSpec::new("CPIAD09")
            .from_job(&job(5))
            .with("client", "10.1.2.3")
            .with("job", "900002/QUSER/QZDASOINIT"),
        MessageSpec::new("TCP2617").from_job(&job(6)).with("client", "10.1.2.3").with("code", "2"),
        MessageSpec::new("CPF1103").from_job(&job(7)).with("subsystem", "QINTER"),
        MessageSpec::impromptu("Schöne Grüße = 100 %").from_job(&job(8)),
    ];
    for spec in &kinds {
        partition.log_messages(std::slice::from_ref(spec)).expect("it is logged");
    }

    // then each arrives in both formats, with its fields and the partition's words
    type Case<'c> = (usize, &'c str, &'c str, &'c [(&'c str, &'c str)], &'c str);
    let cases: [Case<'_>; 8] = [
        (1, "CPF1124", "2", &[("subsystem", "QBATCH")], "im Subsystem QBATCH in QSYS gestartet"),
        (2, "CPF1164", "5", &[("jobCpuMs", "24"), ("jobEndCode", "30")], "Sekunden verbraucht; Endecode 30"),
        (3, "CPF1393", "8", &[("targetUser", "MÜLLER")], "Benutzerprofil MÜLLER wurde inaktiviert"),
        (
            4,
            "CPF1397",
            "8",
            &[("deviceName", "DSP01"), ("subsystem", "QINTER"), ("targetUser", "BOB")],
            "DSP01",
        ),
        (5, "CPIAD09", "2", &[("src", "10.1.2.3"), ("relatedJobName", "QZDASOINIT")], "vom Client 10.1.2.3"),
        (6, "TCP2617", "3", &[("src", "10.1.2.3")], "Verbindung mit fernem System 10.1.2.3"),
        (7, "CPF1103", "2", &[], "Subsystem QINTER wurde gestartet."),
        (8, "IMPROMPTU", "2", &[], "Schöne Grüße = 100 %"),
    ];
    for (number, id, severity, values, words) in cases {
        for seen in siem.await_mark(&format!("M{number:06}"), LIMIT) {
            assert_eq!((seen.event_id.as_str(), seen.severity.as_str()), (id, severity), "{seen:?}");
            assert_eq!(seen.values["jobNumber"], format!("{number:06}"));
            for (key, value) in values {
                // CEF has keys of its own for these.
                let cef = match *key {
                    "targetUser" => "duser",
                    "deviceName" => "shost",
                    same => same,
                };
                let found = seen.values.get(*key).or_else(|| seen.values.get(cef));
                assert_eq!(found.map(String::as_str), Some(*value), "{key}: {seen:?}");
            }
            assert!(seen.values["msg"].contains(words), "{words:?} in {seen:?}");
        }
    }
    let ids: Vec<_> = siem.seen(Dialect::Cef).into_iter().map(|seen| seen.event_id).collect();
    assert_eq!(ids.len(), cases.len(), "each once, in order: {ids:?}");

    // and soon
    let count = if full_size() { 300 } else { 40 };
    let spread = siem.measure("latency_p99_ms_history_log", count, |number| {
        partition.log_messages(&[start_of(1_000 + number)]).expect("it is logged");
        format!("M{:06}", 1_000 + number)
    });
    assert!(spread.p99 < Duration::from_secs(2), "{spread:?}");
}

#[test]
fn a_killed_agent_loses_nothing_of_the_log() {
    let (bursts, kills) = if full_size() { (200, 10) } else { (60, 2) };
    // given an agent that delivers over TCP with a replay window of one second
    let partition = quiet("history-crash", "ENU");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("history-crash");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}").replace(
        "  audit:\n    kind: audit_journal\n    start: oldest\n",
        "  history: {kind: history_log}\n",
    );
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let mut agent = home.run();
    home.await_health(SOURCE, "healthy", "", LIMIT);

    // when it is killed at random moments while bursts of one time are logged, some late, and files are switched
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let (mut number, mut killed, mut unharmed) = (0, 0, 1);
    for burst in 0..bursts {
        let late = if burst % 5 == 0 { 1_500 } else { 0 };
        partition.set_fault(Fault::LateMessages { ms: late }).expect("a fault");
        let next = number + random.random_range(1..80);
        let specs: Vec<_> = (number + 1..=next).map(start_of).collect();
        number = next;
        partition.log_messages(&specs).expect("it is logged");
        if burst % 9 == 0 {
            partition.switch_history();
        }
        if burst % (bursts / kills) == bursts / kills / 2 {
            agent.kill();
            agent = home.run();
            (killed, unharmed) = (killed + 1, number + 1);
        }
        // The traffic's own pace, not a wait for something.
        std::thread::sleep(Duration::from_millis(random.random_range(10..120)));
    }

    // then every message arrives
    let duplicates = await_repeats(number, killed, unharmed, || ids_by_job(&receiver));
    result("crash_history_log_lost", 0);
    result("crash_history_log_duplicates", duplicates);
}

/// Waits until messages with the numbers up to `last` have arrived, each at most once more for each time that the agent was
/// killed, as the same event, and those from `unharmed` on, which came after the last time, not again at all. Gives how
/// many came again.
pub(crate) fn await_repeats(
    last: usize,
    killed: usize,
    unharmed: usize,
    ids_by_job: impl Fn() -> BTreeMap<String, Vec<String>>,
) -> usize {
    let job = |number: usize| format!("M{number:06}");
    let ids = eventually("every message arrives", Duration::from_secs(120), || {
        let ids = ids_by_job();
        let missing = (1..=last).filter(|number| !ids.contains_key(&job(*number))).count();
        if missing == 0 { Ok(ids) } else { Err(format!("{missing} of {last} are missing")) }
    });
    let mut duplicates = 0;
    for (job, ids) in &ids {
        assert!(ids.len() <= 1 + killed, "{job} came {} times", ids.len());
        assert!(ids.iter().all(|id| *id == ids[0]), "{job}: {ids:?}");
        duplicates += ids.len() - 1;
    }
    for number in unharmed..=last {
        assert_eq!(ids[&job(number)].len(), 1, "message {number}");
    }
    duplicates
}

/// Ids of the events of each job's start, in order of arrival.
fn ids_by_job(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in receiver.messages() {
        let Ok(seen) = read(Dialect::Leef, &message) else { continue };
        if seen.event_id == "CPF1124" {
            ids.entry(seen.values["jobName"].clone()).or_default().push(seen.values["eventId"].clone());
        }
    }
    ids
}

#[test]
fn a_destination_that_was_down_catches_up_and_a_new_one_begins_now() {
    // given two receivers, one of which goes down
    let partition = quiet("history-lanes", "ENU");
    let (steady, mut failing, late) =
        (Receiver::start(Port::Tcp), Receiver::start(Port::Tcp), Receiver::start(Port::Tcp));
    let sandbox = Sandbox::new("history-lanes");
    let destinations = [
        ("steady", policies::tcp(&steady.address())),
        ("failing", policies::tcp(&failing.address())),
        ("late", policies::tcp(&late.address())),
    ];
    let policy = |count: usize| {
        let named: Vec<_> = destinations
            .iter()
            .take(count)
            .map(|(name, transport)| (*name, transport.as_str(), "{kind: leef2}"))
            .collect();
        policies::several(&named).replace(
            "  audit:\n    kind: audit_journal\n    start: oldest\n",
            "  history: {kind: history_log, batch_rows: 50}\n",
        )
    };
    let home = sandbox.agent("agent", &partition.at(), Some(&policy(2)));
    let mut agent = home.run();
    home.await_health(SOURCE, "healthy", "", LIMIT);
    let await_all = |receiver: &Receiver, from: usize, to: usize| {
        eventually(&format!("messages {from} to {to} arrive"), LIMIT, || {
            let ids = ids_by_job(receiver);
            let missing = (from..=to).filter(|number| !ids.contains_key(&format!("M{number:06}"))).count();
            if missing == 0 { Ok(ids) } else { Err(format!("{missing} are missing")) }
        })
    };
    partition.log_messages(&specs(1..20)).expect("logged");
    await_all(&steady, 1, 19);
    await_all(&failing, 1, 19);
    failing.kill();

    // when more is logged than one look brings, and a third destination is added meanwhile
    partition.log_messages(&specs(20..400)).expect("logged");
    await_all(&steady, 20, 399);
    assert!(agent.terminate(LIMIT).success());
    let home = sandbox.agent("agent", &partition.at(), Some(&policy(3)));
    let _agent = home.run();
    home.await_health("destination/late", "healthy", "", LIMIT);
    home.await_health(SOURCE, "healthy", "", LIMIT);
    eventually("the new destination has a place", LIMIT, || {
        partition.log_messages(&[start_of(9_999)]).expect("logged");
        if late.count() > 0 { Ok(()) } else { Err("nothing came".to_owned()) }
    });
    partition.log_messages(&specs(400..420)).expect("logged");
    await_all(&late, 400, 419);
    failing.restart();

    // then the one that was down has all, the steady one each once, and the new one nothing of before
    let caught_up = await_all(&failing, 1, 419);
    partition.log_messages(&specs(420..430)).expect("logged");
    for receiver in [&steady, &failing, &late] {
        await_all(receiver, 420, 429);
    }
    let ids = ids_by_job(&steady);
    for number in 1..430 {
        let job = format!("M{number:06}");
        assert!(ids[&job].iter().all(|id| *id == ids[&job][0]), "{job}");
        assert!(caught_up.get(&job).is_none_or(|other| other[0] == ids[&job][0]), "{job}");
    }
    for number in 400..430 {
        assert_eq!(ids[&format!("M{number:06}")].len(), 1, "message {number}");
    }
    let ids = ids_by_job(&late);
    let early: Vec<_> = ids.keys().filter(|job| job.as_str() < "M000400").collect();
    assert!(early.is_empty(), "{early:?}");
}

#[test]
fn a_history_log_that_may_not_be_read_is_told_and_the_other_source_goes_on() {
    let partition = quiet("history-refused", "ENU");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("history-refused");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}")
        .replace("sources:\n", "sources:\n  history: {kind: history_log}\n");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let _agent = home.run();
    home.await_health(SOURCE, "healthy", "", LIMIT);
    let find = |mark: &str| {
        eventually(&format!("{mark} arrives"), LIMIT, || {
            let found = receiver.messages().into_iter().find(|line| line.contains(mark));
            found.ok_or_else(|| format!("{} messages", receiver.count()))
        })
    };
    partition.set_fault(Fault::HistoryRefused).expect("a fault");
    partition.log_messages(&[start_of(1)]).expect("it is logged");
    let reason = home.await_health(SOURCE, "failed", "MUSTER may not read the history log", LIMIT);
    assert!(reason.contains("DSPOBJAUT OBJ(QSYS2/QDBSSUDF2)"), "{reason}");
    partition.inject(&ibmi_sim::InjectSpec::new("AF", "OTHER1")).expect("an entry");
    find("OTHER1");
    assert_eq!(home.health("source/audit").map(|(state, _)| state).as_deref(), Some("healthy"));
    partition.set_fault(Fault::Clear).expect("well again");
    find("M000001");
    home.await_health(SOURCE, "healthy", "", LIMIT);
}

#[test]
fn what_is_bad_in_a_message_is_told_and_the_rest_goes_on() {
    let partition = quiet("history-bad", "ENU");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("history-bad");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}")
        .replace("sources:\n", "sources:\n  history: {kind: history_log}\n");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let _agent = home.run();
    home.await_health(SOURCE, "healthy", "", LIMIT);
    let cases = [
        (Fault::GarbledText, "its text holds characters that cannot be printed"),
        (Fault::OverlongText, "its text is longer than the 1024 that the service declares"),
        (
            Fault::TruncatedData { bytes: 30 },
            "its replacement data has 30 bytes, and what is documented of it 68",
        ),
        (Fault::ForeignPage { ccsid: 1025 }, "its replacement data holds no name where subsystem lies"),
    ];
    let find = |mark: &str| {
        eventually(&format!("{mark} arrives"), LIMIT, || {
            let found = receiver.messages().into_iter().find(|line| line.contains(mark));
            found.ok_or_else(|| format!("{} messages", receiver.count()))
        })
    };
    for (number, (fault, reason)) in cases.into_iter().enumerate() {
        partition.set_fault(fault).expect("a fault");
        // No name has a blank in it, in whatever page it is read.
        let spec = MessageSpec::new("CPF1124").from_job(&job(number)).with("subsystem", "Щ ЖЩ");
        partition.log_messages(&[spec]).expect("it is logged");
        let reason = home.await_health(SOURCE, "degraded", reason, LIMIT);
        assert!(reason.contains("CPF1124") && reason.contains(&job(number)), "{reason}");
        let line = find(&format!("M{number:06}"));
        assert!(read(Dialect::Leef, &line).is_ok(), "{line}");
        partition.set_fault(Fault::Clear).expect("well again");
        // The other source goes on meanwhile, and so does this one.
        let sequence =
            partition.inject(&ibmi_sim::InjectSpec::new("AF", &format!("OTHER{number}"))).expect("an entry");
        assert!(find(&format!("OTHER{number}")).contains(&format!("sequence={sequence}")));
        partition.log_messages(&[start_of(100 + number)]).expect("it is logged");
        find(&format!("M{:06}", 100 + number));
        assert_eq!(home.health("source/audit").map(|(state, _)| state).as_deref(), Some("healthy"));
    }
}

async fn simulator() -> SimHandle {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut scenario = Scenario::default();
    scenario.system.utc_offset_minutes = -300;
    Simulator::start(scenario, Options::default()).await.expect("the partition starts")
}

async fn source(sim: &SimHandle, start: &str) -> HistoryLog {
    let config = MapepireConfig {
        address: sim.addr.to_string(),
        user: "MUSTER".to_owned(),
        password: Password::new("muster1".to_owned()),
        trust: Trust::Authorities(sim.ca_pem.clone()),
    };
    let mut host = Mapepire::new(config).expect("a good configuration");
    let facts = facts::read(&mut host, None, None).await.expect("facts");
    let spec = HistoryLogSpec { start: start.to_owned(), batch_rows: 16, ..HistoryLogSpec::default() };
    HistoryLog::new(&spec, Box::new(host), &facts.partition).expect("good settings")
}

/// Names of the jobs that are read until nothing is new.
async fn drain(source: &mut HistoryLog, cursor: &mut Cursor) -> Vec<String> {
    let mut jobs = Vec::new();
    loop {
        match source.read(cursor, None, false).await.expect("it can be read") {
            Read::Records { records, last, trouble, .. } => {
                assert_eq!(trouble, None);
                for index in 0..records.count() {
                    let mut event = Event::new();
                    records.fill(index, &mut event);
                    jobs.push(event.get(field::JOB_NAME).expect("a job").to_owned());
                }
                *cursor = last;
            }
            Read::Moved(next) => *cursor = next,
            Read::Idle => return jobs,
            Read::Gap { gap, .. } => panic!("no gap expected: {gap:?}"),
            Read::Entries { .. } => panic!("records expected"),
        }
    }
}

fn specs(numbers: std::ops::Range<usize>) -> Vec<MessageSpec> {
    numbers.map(start_of).collect()
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("M{number:06}")).collect()
}

#[tokio::test]
async fn messages_of_one_time_fill_many_replies_and_files_are_switched_between() {
    let sim = simulator().await;
    sim.log_messages(&specs(0..5)).expect("logged");
    let mut first = source(&sim, "now").await;
    let mut cursor = first.start(false).await.expect("a place");
    assert_eq!(drain(&mut first, &mut cursor).await, names(0..0), "what was there is not wanted");
    // More of one time than a reply holds, over two files.
    sim.log_messages(&specs(5..100)).expect("logged");
    sim.switch_history();
    sim.log_messages(&specs(100..400)).expect("logged");
    assert_eq!(drain(&mut first, &mut cursor).await, names(5..400));
    assert_eq!(drain(&mut first, &mut cursor).await, names(0..0));
    // Another connection goes on where this one stood, also when the file it read last is gone.
    sim.switch_history();
    sim.log_messages(&specs(400..410)).expect("logged");
    let mut second = source(&sim, "now").await;
    assert_eq!(drain(&mut second, &mut cursor).await, names(400..410));
    // A message that shows up late is read, before and after others.
    sim.set_fault(Fault::LateMessages { ms: 300 }).expect("a fault");
    sim.log_messages(&specs(410..411)).expect("logged");
    sim.set_fault(Fault::Clear).expect("well");
    sim.log_messages(&specs(411..412)).expect("logged");
    assert_eq!(drain(&mut second, &mut cursor).await, names(411..412));
    let late = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let jobs = drain(&mut second, &mut cursor).await;
            if !jobs.is_empty() {
                return jobs;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(late.await.expect("it shows up"), names(410..411));
    sim.stop().await;
}

#[tokio::test]
async fn a_first_read_begins_where_it_is_told_and_a_lost_place_at_the_oldest() {
    let sim = simulator().await;
    sim.log_messages(&specs(0..3)).expect("logged");
    sim.switch_history();
    // Which offset the partition had then is not known: it begins an hour earlier.
    sim.set_fault(Fault::ClockJump { seconds: 4_000 }).expect("a fault");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4_000);
    sim.log_messages(&specs(3..5)).expect("logged");
    for (start, lost, from) in [
        ("now".to_owned(), false, 5),
        ("oldest".to_owned(), false, 0),
        (later.to_string(), false, 3),
        ("now".to_owned(), true, 0),
    ] {
        let mut source = source(&sim, &start).await;
        let mut cursor = source.start(lost).await.expect("a place");
        assert_eq!(drain(&mut source, &mut cursor).await, names(from..5), "{start} {lost}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_loses_nor_doubles() {
    let sim = simulator().await;
    let mut first = source(&sim, "now").await;
    let mut cursor = first.start(false).await.expect("a place");
    sim.log_messages(&specs(0..30)).expect("logged");
    assert_eq!(drain(&mut first, &mut cursor).await, names(0..30));
    // What is logged just before is not read yet.
    sim.log_messages(&specs(30..40)).expect("logged");
    sim.set_fault(Fault::ClockJump { seconds: -3_600 }).expect("a fault");
    sim.log_messages(&specs(40..50)).expect("logged");
    let mut second = source(&sim, "now").await;
    assert_eq!(drain(&mut second, &mut cursor).await, names(30..50));
    sim.log_messages(&specs(50..60)).expect("logged");
    assert_eq!(drain(&mut second, &mut cursor).await, names(50..60));
    // And forward again: the hour that came twice is over.
    sim.set_fault(Fault::ClockJump { seconds: 3_700 }).expect("a fault");
    sim.log_messages(&specs(60..70)).expect("logged");
    let mut third = source(&sim, "now").await;
    assert_eq!(drain(&mut third, &mut cursor).await, names(60..70));
    sim.stop().await;
}

#[tokio::test]
async fn files_that_were_deleted_before_they_were_read_are_a_gap() {
    let sim = simulator().await;
    let mut first = source(&sim, "now").await;
    let mut cursor = first.start(false).await.expect("a place");
    sim.log_messages(&specs(0..3)).expect("logged");
    assert_eq!(drain(&mut first, &mut cursor).await, names(0..3));
    // The agent is away for longer than a moment, and the file that it read last is deleted with what followed.
    sim.log_messages(&specs(3..6)).expect("logged");
    sim.switch_history();
    sim.delete_history();
    sim.set_fault(Fault::ClockJump { seconds: 600 }).expect("a fault");
    sim.log_messages(&specs(6..9)).expect("logged");
    let mut second = source(&sim, "now").await;
    let Read::Gap { gap, next } = second.read(&cursor, None, false).await.expect("it can be read") else {
        panic!("a gap expected")
    };
    assert_eq!(gap.receiver, "QHST");
    assert!(gap.from < gap.to.expect("an end"), "{gap:?}");
    assert!(gap.reason.contains("may have been removed before they were read"), "{gap:?}");
    cursor = next;
    assert_eq!(drain(&mut second, &mut cursor).await, names(6..9));
    sim.stop().await;
}
