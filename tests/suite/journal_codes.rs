//! Entries of every journal code reach the SIEM: what applications write (U), and what the journal says of itself (J).

use ibmi_sim::InjectSpec;
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::Sandbox;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A rule for the journal's note that a receiver ends. `NR` alone would be an audit entry type.
const RULES: &str = "rules:\n  - {name: no-ends, match: {entry_types: [J_NR]}, action: drop}\n";

fn inject(partition: &Partition, text: &str) -> u64 {
    let spec = InjectSpec::parse(text).expect("an entry");
    partition.inject(&spec).expect("written")
}

/// What a SIEM got, by sequence number. Nothing rolls over to a sequence that was there.
fn seen(receiver: &Receiver, dialect: Dialect) -> BTreeMap<u64, Seen> {
    let messages = receiver.messages();
    let seen = messages.iter().filter_map(|message| read(dialect, message).ok());
    let ours = seen.filter(|seen| !seen.event_id.starts_with("MUSTER"));
    ours.filter_map(|seen| Some((seen.values.get("sequence")?.parse().ok()?, seen))).collect()
}

fn assert_values(seen: &Seen, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(seen.values.get(*key).map(String::as_str), Some(*value), "{key} of {seen:?}");
    }
}

#[test]
fn what_applications_write_and_what_the_journal_says_of_itself_arrives() {
    // given an agent that sends LEEF to one SIEM and CEF to another
    let partition = Partition::quiet("codes", 0);
    let (qradar, other) = (Receiver::start(Port::Tcp), Receiver::start(Port::Tcp));
    let sandbox = Sandbox::new("codes");
    let destinations = policies::several(&[
        ("qradar", &policies::tcp(&qradar.address()), "{kind: leef2}"),
        ("other", &policies::tcp(&other.address()), "{kind: cef}"),
    ]);
    let home = sandbox.agent("agent", &partition.at(), Some(&format!("{destinations}{RULES}")));
    let _agent = home.run();
    // when applications write text, CEF and LEEF, the partition restarts and the receiver is changed
    let text = inject(&partition, "PY, code U, user BOB, data=PAYROLL CLOSED");
    let cef = inject(
        &partition,
        "PY, code U, user BOB, data=\"CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|8|suser=ann orderNo=12, 13 cs1=x cs1Label=rule\"",
    );
    let leef = inject(
        &partition,
        "PY, code U, user BOB, data=\"LEEF:2.0|Acme|Payroll|2.1|SAL-8|^|usrName=ann^sev=9^orderNo=14\", ccsid=1208",
    );
    let restart = inject(&partition, "IA, code J, user QSYS");
    partition.roll_over();
    let last = inject(&partition, "AF, violation A, user BOB, PAYROLL/EMP, from [2001:db8::17]:4711");
    // then all of it arrives in both formats, but for what the rule drops
    let put = partition.entries(0..=u64::MAX);
    let ends: Vec<u64> = put.iter().filter(|entry| entry.entry_type == "NR").map(|e| e.sequence).collect();
    assert_eq!(ends.len(), 1);
    let wanted: Vec<u64> = put.iter().map(|entry| entry.sequence).filter(|s| !ends.contains(s)).collect();
    for (receiver, dialect) in [(&qradar, Dialect::Leef), (&other, Dialect::Cef)] {
        eventually("everything arrives", LIMIT, || {
            let seen: Vec<u64> = seen(receiver, dialect).into_keys().collect();
            if seen == wanted { Ok(()) } else { Err(format!("{seen:?}, not {wanted:?}")) }
        });
    }
    let (in_leef, in_cef) = (seen(&qradar, Dialect::Leef), seen(&other, Dialect::Cef));
    let id = |sequence: u64| (in_leef[&sequence].event_id.as_str(), in_cef[&sequence].event_id.as_str());
    assert_eq!((id(text), id(cef), id(leef)), (("U_PY", "U_PY"), ("U_PY", "U_PY"), ("U_PY", "U_PY")));
    assert_eq!((id(restart), id(1), id(last)), (("J_IA", "J_IA"), ("J_PR", "J_PR"), ("AF_A", "AF_A")));
    // and an application's own header, severity and keys are fields, in either format
    let says = [
        ("appFormat", "cef"),
        ("appVendor", "Acme"),
        ("appProduct", "Payroll"),
        ("appEventId", "SAL-7"),
        ("appName", "Salary changed"),
        ("appUser", "ann"),
        ("appOrderNo", "12, 13"),
        ("appRule", "x"),
    ];
    assert_values(&in_leef[&cef], &[&says[..], &[("usrName", "BOB")]].concat());
    assert_values(&in_cef[&cef], &[&says[..], &[("suser", "BOB")]].concat());
    let of_leef = [("appFormat", "leef"), ("appEventId", "SAL-8"), ("appUser", "ann"), ("appOrderNo", "14")];
    assert_values(&in_leef[&leef], &of_leef);
    assert_values(&in_cef[&leef], &of_leef);
    for seen in [&in_leef, &in_cef] {
        let severities = [text, cef, leef, restart].map(|sequence| seen[&sequence].severity.as_str());
        assert_eq!(severities, ["3", "8", "9", "5"]);
        assert_values(&seen[&text], &[("msg", "PAYROLL CLOSED")]);
    }
    // and addresses of version 6 stand under the key that each format has for them
    assert_values(&in_leef[&last], &[("src", "2001:db8::17"), ("srcPort", "4711")]);
    assert_values(&in_cef[&last], &[("c6a2", "2001:db8::17"), ("spt", "4711")]);
    // and the receiver that begins names the one before it
    let begin = put.iter().rfind(|entry| entry.entry_type == "PR").expect("a new receiver").sequence;
    assert_values(&in_leef[&begin], &[("linkedReceiver", "AUDRCV0001"), ("linkedReceiverLibrary", "QGPL")]);
    // and what the rule dropped is counted under the name that the rule has
    eventually_true("the drop is counted", LIMIT, || {
        let state = home.call("show-state", &["--output", "json"]);
        let state = serde_json::from_slice::<serde_json::Value>(&state.stdout).unwrap_or_default();
        let by_rule = &state["sources"]["audit"]["dropped_by_rule"];
        by_rule["no-ends"] == 1
    });
}

#[test]
fn a_list_of_entry_types_leaves_the_journals_own_out_unless_they_are_named() {
    for (types, expected) in [("[AF]", vec!["AF_A"]), ("[AF, NR]", vec!["AF_A", "J_NR"])] {
        let partition = Partition::quiet("listed", 0);
        let siem = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new("listed");
        let policy = policies::one(&policies::tcp(&siem.address()), "{kind: leef2}")
            .replace("start: oldest", &format!("start: oldest\n    entry_types: {types}"));
        let home = sandbox.agent("agent", &partition.at(), Some(&policy));
        let _agent = home.run();
        inject(&partition, "AF, violation A, user BOB");
        partition.roll_over();
        inject(&partition, "PW, violation P, user BOB");
        let last = inject(&partition, "AF, violation A, user ANN");
        eventually("the last one arrives", LIMIT, || match seen(&siem, Dialect::Leef).get(&last) {
            Some(_) => Ok(()),
            None => Err(format!("{:?}", siem.messages())),
        });
        let mut kinds: Vec<String> = seen(&siem, Dialect::Leef).into_values().map(|s| s.event_id).collect();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds, expected, "{types}");
    }
}
