//! Each condition with what meets it and what does not.

use super::*;
use crate::event::{Event, EventKind, FieldId, MessageId, MessageOrigin, dictionary, field};
use crate::policy::expression::ExpressionFault;

/// An event with these fields; keywords that this build's dictionary lacks are left out.
fn event(fields: &[(&str, &str)]) -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
    event.name = "Authority failure";
    event.severity = Severity::clamped(7);
    // A Wednesday.
    event.time_us = "2026-11-25T18:30:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond();
    for (keyword, value) in fields {
        if let Some(id) = dictionary().find(keyword) {
            event.push(id, value);
        }
    }
    event
}

fn compiled(when: &str) -> CompiledMatch {
    let when: Match = serde_saphyr::from_str(when).unwrap_or_else(|error| panic!("{when}: {error}"));
    CompiledMatch::compile(&when, &PolicySpec::default()).unwrap_or_else(|error| panic!("{when:?}: {error}"))
}

fn holds(when: &str, event: &Event) -> Holds {
    let compiled = compiled(when);
    // The partition's clock is two hours ahead.
    compiled.matches(&Subject::new(event, EventSource::new("audit", 7_200), compiled.asked()))
}

/// Conditions, fields of an event, and whether they hold.
type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

fn check(cases: &[Case]) {
    for (when, fields, expected) in cases {
        let keyword_missing = fields.iter().any(|(keyword, _)| dictionary().find(keyword).is_none());
        assert!(!keyword_missing, "{when}: the dictionary lacks a field of {fields:?}");
        assert_eq!(holds(when, &event(fields)), Holds::from(*expected), "{when} of {fields:?}");
    }
}

#[test]
fn names() {
    check(&[
        ("{target_users: [EVE]}", &[("target_user", "EVE")], true),
        ("{target_users: [EVE]}", &[("user", "EVE")], false),
        ("{target_users: ['E*', BOB]}", &[("target_user", "EVE")], true),
        ("{target_users: ['*ALL']}", &[("target_user", "EVE")], true),
        ("{target_users: ['*ALL']}", &[("user", "EVE")], false),
        ("{users: ['*ALL']}", &[], true),
        ("{object_types: ['*FILE', '*PGM']}", &[("object_type", "*PGM")], true),
        ("{object_types: ['*file']}", &[("object_type", "*FILE")], true),
        ("{object_types: ['*FILE']}", &[("object_type", "*USRPRF")], false),
        ("{object_types: ['*FILE']}", &[], false),
        ("{programs: [QCMD]}", &[("program", "QCMD"), ("program_library", "QSYS")], true),
        ("{programs: [QSYS/QCMD]}", &[("program", "QCMD"), ("program_library", "QSYS")], true),
        ("{programs: [QGPL/QCMD]}", &[("program", "QCMD"), ("program_library", "QSYS")], false),
        ("{programs: ['Q*']}", &[("program", "QCMD")], true),
        ("{programs: ['*ALL']}", &[("user", "A")], false),
        ("{jobs: [QZDASOINIT]}", &[("job_name", "QZDASOINIT")], true),
        ("{jobs: [QUSER/QZDA*]}", &[("job_name", "QZDASOINIT"), ("job_user", "QUSER")], true),
        ("{jobs: [BOB/QZDA*]}", &[("job_name", "QZDASOINIT"), ("job_user", "QUSER")], false),
        (
            "{jobs: [012345/*ALL/*ALL]}",
            &[("job_name", "A"), ("job_user", "B"), ("job_number", "012345")],
            true,
        ),
        (
            "{jobs: [012346/*ALL/*ALL]}",
            &[("job_name", "A"), ("job_user", "B"), ("job_number", "012345")],
            false,
        ),
        ("{jobs: ['*ALL']}", &[], false),
        ("{system_values: [QSECURITY]}", &[("system_value", "QSECURITY")], true),
        ("{system_values: ['QPWD*']}", &[("system_value", "QPWDMINLEN")], true),
        ("{system_values: ['QPWD*']}", &[("system_value", "QSECURITY")], false),
        ("{message_ids: [cpf1124]}", &[("message_id", "CPF1124")], true),
        ("{message_ids: ['CPF*', MCH0601]}", &[("message_id", "CPI1125")], false),
        ("{message_ids: ['CPF*']}", &[("user", "CPF1124")], false),
    ]);
}

#[test]
fn paths_texts_and_ids() {
    check(&[
        ("{paths: [/etc/passwd]}", &[("path", "/etc/passwd")], true),
        ("{paths: [/etc/passwd]}", &[("path", "/ETC/passwd")], false),
        ("{paths: ['/home/*']}", &[("path", "/home/bob/x")], true),
        ("{paths: ['/home/*']}", &[("path", "/homes")], false),
        // Any of several paths.
        ("{paths: ['/new*']}", &[("path", "/old"), ("path", "/new")], true),
        ("{paths: ['*']}", &[], false),
        ("{contains: [strsql]}", &[("command", "STRSQL NAMING(*SYS)")], true),
        ("{contains: [dltf, sql]}", &[("command", "STRSQL")], true),
        ("{contains: ['L N']}", &[("command", "STRSQL"), ("job_name", "NAMING")], false),
        ("{contains: [x]}", &[], false),
        ("{events: [AF_A]}", &[], true),
        ("{events: [af_*]}", &[], true),
        ("{events: ['A*', PW]}", &[], true),
        ("{events: [AF]}", &[], false),
        ("{events: ['PW*']}", &[], false),
        ("{events: ['*ALL']}", &[], true),
    ]);
    let mut login = event(&[]);
    login.kind = EventKind::Controller(crate::event::controller_action("login.failed"));
    assert_eq!(holds("{events: [CONTROLLER_LOGIN_FAILED]}", &login), Holds::Yes);
    assert_eq!(holds("{events: ['CONTROLLER_LOGIN*']}", &login), Holds::Yes);
    assert_eq!(holds("{events: [CONTROLLER_LOGIN]}", &login), Holds::No);
    assert_eq!(holds("{sources: [controller_audit]}", &login), Holds::Yes);
    let mut message = event(&[]);
    message.kind = EventKind::Message { origin: MessageOrigin::Queue, id: MessageId::parse("CPF1124") };
    assert_eq!(holds("{events: [CPF1124]}", &message), Holds::Yes);
    assert_eq!(holds("{events: ['CPF*'], sources: [message_queue]}", &message), Holds::Yes);
    assert_eq!(holds("{events: ['CPF*'], sources: [history_log]}", &message), Holds::No);
    assert_eq!(holds("{entry_types: [CP]}", &message), Holds::No);
}

#[test]
fn addresses_and_ports() {
    check(&[
        ("{remote_addresses: [10.0.0.0/8]}", &[("remote_address", "10.1.2.3")], true),
        ("{remote_addresses: [10.0.0.0/8]}", &[("remote_address", "11.1.2.3")], false),
        ("{remote_addresses: [10.1.2.3]}", &[("remote_address", "10.1.2.3")], true),
        ("{remote_addresses: [10.1.2.3]}", &[("remote_address", "10.1.2.30")], false),
        ("{remote_addresses: ['2001:db8::/32']}", &[("remote_address", "2001:DB8:0::1")], true),
        ("{remote_addresses: ['2001:db8::/32']}", &[("remote_address", "2001:db9::1")], false),
        ("{remote_addresses: ['2001:db8::/32', 192.0.2.0/24]}", &[("remote_address", "192.0.2.9")], true),
        // The same address in its other form.
        ("{remote_addresses: [10.0.0.0/8]}", &[("remote_address", "::ffff:10.1.2.3")], true),
        ("{remote_addresses: ['::ffff:10.1.2.3']}", &[("remote_address", "10.1.2.3")], true),
        ("{remote_addresses: [0.0.0.0/0]}", &[("remote_address", "::1")], false),
        ("{remote_addresses: [0.0.0.0/0]}", &[("remote_address", "TERMINAL01")], false),
        ("{remote_addresses: [0.0.0.0/0, '::/0']}", &[], false),
        ("{remote_ports: [22]}", &[("remote_port", "22")], true),
        ("{remote_ports: [22, 1024-65535]}", &[("remote_port", "8471")], true),
        ("{remote_ports: [1024-65535]}", &[("remote_port", "1023")], false),
        ("{remote_ports: [22]}", &[("local_port", "22")], false),
        ("{local_ports: ['8470-8476']}", &[("local_port", "8476")], true),
        ("{local_ports: [0-65535]}", &[("local_port", "70000")], false),
        ("{local_ports: [0-65535]}", &[], false),
    ]);
}

#[test]
fn times() {
    check(&[
        // 20:30 of the partition's Wednesday.
        ("{when: [{days: [wed]}]}", &[], true),
        ("{when: [{days: [tue, thu]}]}", &[], false),
        ("{when: [{from: '20:30', to: '20:31'}]}", &[], true),
        ("{when: [{from: '18:00', to: '19:00'}]}", &[], false),
        ("{when: [{days: [wed], from: '20:00', to: '06:00'}]}", &[], true),
        ("{when: [{days: [mon]}, {days: [wed], to: '21:00'}]}", &[], true),
    ]);
}

#[test]
fn not_and_all_together() {
    check(&[
        ("{not: {users: [BOB]}}", &[("user", "BOB")], false),
        ("{not: {users: [BOB]}}", &[("user", "EVE")], true),
        ("{not: {users: [BOB], paths: ['/etc/*']}}", &[("user", "BOB"), ("path", "/tmp/x")], true),
        ("{not: {users: [BOB], paths: ['/etc/*']}}", &[("user", "BOB"), ("path", "/etc/x")], false),
        ("{not: {not: {users: [BOB]}}}", &[("user", "BOB")], true),
        ("{users: ['B*'], not: {users: [BOB]}}", &[("user", "BEN")], true),
        ("{users: ['B*'], not: {users: [BOB]}}", &[("user", "BOB")], false),
        ("{not: {entry_types: [AF]}}", &[], false),
        ("{not: {min_severity: 8}}", &[], true),
        (
            "{entry_types: [AF], users: [BOB], not: {remote_addresses: [10.0.0.0/8]}}",
            &[("user", "BOB")],
            true,
        ),
    ]);
}

#[test]
fn an_expression_that_fails_leaves_the_answer_open() {
    let bare = event(&[]);
    let failing = "event.remote_port > 1024";
    assert_eq!(holds(&format!("{{expression: '{failing}'}}"), &bare), Holds::Unknown);
    assert_eq!(holds(&format!("{{not: {{expression: '{failing}'}}}}"), &bare), Holds::Unknown);
    // Another condition decides.
    assert_eq!(holds(&format!("{{users: [BOB], expression: '{failing}'}}"), &bare), Holds::No);
    assert_eq!(holds(&format!("{{not: {{users: [BOB], expression: '{failing}'}}}}"), &bare), Holds::Yes);
    assert_eq!(
        holds(&format!("{{not: {{expression: '{failing}'}}, expression: 'event.severity > 9'}}"), &bare),
        Holds::No
    );
    let when = compiled(&format!("{{expression: '{failing}'}}"));
    let subject = Subject::new(&bare, EventSource::default(), when.asked());
    assert_eq!(when.matches(&subject), Holds::Unknown);
    let fault: ExpressionFault = subject.take_fault().unwrap();
    assert_eq!(fault.to_string(), "the event has no remote_port; ask has(event.remote_port) first");
    assert_eq!(
        holds(&format!("{{expression: '{failing}'}}"), &event(&[("remote_port", "8471")])),
        Holds::Yes
    );
}

#[test]
fn queues_and_exit_points() {
    check(&[
        ("{queues: ['QSYS/QSYS*']}", &[("message_queue", "QSYS/QSYSOPR")], true),
        ("{queues: ['QSYS/QSYS*']}", &[("message_queue", "QGPL/QSYSOPR")], false),
        ("{queues: [QGPL/AUDIT]}", &[("queue", "QGPL/AUDIT")], true),
        ("{queues: ['*ALL/*ALL']}", &[("user", "QGPL/AUDIT")], false),
        ("{exit_points: ['QIBM_QTMF_*']}", &[("exit_point", "QIBM_QTMF_SERVER_REQ")], true),
        ("{exit_points: [QIBM_QTMF_SERVER_REQ]}", &[("exit_point", "QIBM_QTMF_SERVER_REQ")], true),
        ("{exit_points: ['QIBM_QTMF_*']}", &[("exit_point", "QIBM_QZDA_INIT")], false),
        ("{exit_functions: ['retr*', DELE]}", &[("exit_function", "RETRIEVE")], true),
        ("{exit_functions: ['retr*']}", &[("exit_function", "STORE")], false),
        ("{exit_functions: ['retr*']}", &[], false),
        ("{outcomes: [refused]}", &[("outcome", "refused")], true),
        ("{outcomes: [allowed, unknown]}", &[("outcome", "refused")], false),
        ("{outcomes: [unknown]}", &[("outcome", "unknown")], true),
        ("{outcomes: [allowed, refused, unknown]}", &[], false),
    ]);
}

#[test]
fn the_first_value_counts_and_what_is_not_asked_for_is_not_looked_up() {
    let two = event(&[("user", "BOB"), ("user", "EVE")]);
    assert_eq!(holds("{users: [BOB]}", &two), Holds::Yes);
    assert_eq!(holds("{users: [EVE]}", &two), Holds::No);
    let mut many = event(&[]);
    for number in 0..200 {
        many.push(FieldId(200 + number % 50), "x");
    }
    many.push(field::TARGET_USER, "EVE");
    assert_eq!(holds("{target_users: [EVE]}", &many), Holds::Yes);
}
