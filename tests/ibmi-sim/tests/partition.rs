//! The simulated partition as a client sees it: sign-on, paging, the journal, errors, faults.

mod generations;

use std::sync::Arc;

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use ibmi_sim::{ExitProgram, Fault, InjectSpec, JournalPlan, Options, Scenario, SimHandle, Simulator};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

async fn tls(sim: &SimHandle, ca: &str) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a root");
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
    let stream = TcpStream::connect(sim.addr).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn open(sim: &SimHandle, login: Option<&str>) -> Result<Socket, Error> {
    let stream = tls(sim, &sim.current_ca_pem()).await?;
    let mut request = format!("wss://localhost:{}/db/", sim.addr.port()).into_client_request()?;
    if let Some(login) = login {
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login));
        request.headers_mut().insert("authorization", value.parse().expect("a header"));
    }
    Ok(tokio_tungstenite::client_async(request, stream).await?.0)
}

async fn ask_text(socket: &mut Socket, request: Value) -> Option<String> {
    socket.send(Message::text(request.to_string())).await.ok()?;
    match socket.next().await? {
        Ok(Message::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

async fn ask(socket: &mut Socket, request: Value) -> Value {
    let text = ask_text(socket, request).await.expect("a reply");
    assert!(text.ends_with("}\n\n"), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn sql(socket: &mut Socket, sql: &str) -> Value {
    ask(socket, json!({"id": "s", "type": "sql", "sql": sql, "rows": 100, "terse": true})).await
}

async fn connected(sim: &SimHandle) -> Socket {
    let mut socket = open(sim, Some("MUSTER:muster1")).await.expect("opens");
    let reply =
        ask(&mut socket, json!({"id": "c", "type": "connect", "technique": "tcp", "props": ""})).await;
    assert_eq!(reply["success"], true, "{reply}");
    socket
}

async fn start(journal: JournalPlan) -> SimHandle {
    Simulator::start(Scenario { journal, ..Scenario::default() }, Options::default()).await.expect("starts")
}

fn assert_error(reply: &Value, text: &str, state: Value, code: i64) {
    assert_eq!(reply["success"], false, "{reply}");
    assert!(reply["error"].as_str().expect("text").starts_with(text), "{reply}");
    assert_eq!((&reply["sql_state"], &reply["sql_rc"]), (&state, &json!(code)), "{reply}");
}

/// The statement that the agent prepares.
const AGENT: &str = "select D.RECEIVER_LIBRARY, D.RECEIVER_NAME, D.SEQUENCE_NUMBER, D.ENTRY_TIMESTAMP, D.JOURNAL_CODE, \
    D.JOURNAL_ENTRY_TYPE, D.\"CURRENT_USER\", D.JOB_NAME, D.JOB_USER, D.JOB_NUMBER, D.PROGRAM_LIBRARY, D.PROGRAM_NAME, \
    D.REMOTE_ADDRESS, D.REMOTE_PORT, D.OBJECT, length(D.ENTRY_DATA), hex(rtrim(cast(substr(D.ENTRY_DATA, 1, \
    min(length(D.ENTRY_DATA), 16336)) as varchar(16336) for bit data))) from table(QSYS2.DISPLAY_JOURNAL(\
    JOURNAL_LIBRARY => ?, JOURNAL_NAME => ?, STARTING_RECEIVER_LIBRARY => ?, STARTING_RECEIVER_NAME => ?, \
    STARTING_SEQUENCE => ?, ENDING_RECEIVER_LIBRARY => ?, ENDING_RECEIVER_NAME => ?, JOURNAL_CODES => 'T,U')) as D \
    fetch first 2000 rows only";

fn parameters(receiver: &str, sequence: u64) -> Value {
    json!(["QSYS", "QAUDJRN", "QGPL", receiver, sequence, "QGPL", receiver])
}

async fn execute(socket: &mut Socket, receiver: &str, sequence: u64) -> Value {
    ask(
        socket,
        json!({"id": "e", "type": "execute", "cont_id": "p", "rows": 2000, "terse": true,
               "parameters": parameters(receiver, sequence)}),
    )
    .await
}

#[tokio::test]
async fn the_upgrade_wants_basic_and_the_password_is_checked_at_connect() {
    let sim = start(JournalPlan::default()).await;
    match open(&sim, None).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 403);
            assert_eq!(response.body().as_deref(), Some(b"Authorization header missing".as_slice()));
        }
        other => panic!("not refused: {:?}", other.map(|_| ())),
    }
    for (count, reason) in
        [(1, "incorrect"), (2, "incorrect"), (3, "incorrect"), (4, "incorrect"), (5, "incorrect")]
    {
        let mut socket = open(&sim, Some("MUSTER:wrong")).await.expect("upgraded all the same");
        let reply = ask(&mut socket, json!({"id": "1", "type": "connect", "technique": "tcp"})).await;
        assert_error(
            &reply,
            "java.sql.SQLNonTransientConnectionException: The application server",
            Value::Null,
            0,
        );
        assert!(reply["error"].as_str().expect("text").contains(reason));
        assert_eq!(sim.profile("MUSTER"), (count, count >= 5));
    }
    let mut socket = open(&sim, Some("MUSTER:muster1")).await.expect("upgraded");
    let reply = ask(&mut socket, json!({"id": "1", "type": "connect", "technique": "tcp"})).await;
    assert!(reply["error"].as_str().expect("text").contains("disabled"), "{reply}");
    let reply = ask(&mut socket, json!({"id": "2", "type": "ping"})).await;
    assert_eq!((&reply["alive"], &reply["error"]), (&json!(true), &json!("Not connected")));
    sim.stop().await;
}

#[tokio::test]
async fn version_is_told_over_plain_http() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sim = start(JournalPlan::default()).await;
    let root = reqwest::Certificate::from_pem(sim.ca_pem.as_bytes()).expect("PEM");
    let client = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
    let url = format!("https://localhost:{}/version", sim.addr.port());
    let text = client.get(url).send().await.expect("answers").text().await.expect("text");
    assert_eq!(text, "{\"version\":\"2.3.5\"}");
    sim.stop().await;
}

#[tokio::test]
async fn the_agents_statement_brings_what_was_put_in() {
    let sim = start(JournalPlan::default()).await;
    let mut socket = connected(&sim).await;
    let reply =
        ask(&mut socket, json!({"id": "p", "type": "prepare_sql", "sql": AGENT, "terse": true})).await;
    assert_eq!(reply["parameter_count"], 7, "{reply}");
    let spec = InjectSpec::parse("AF, violation A, user BOB, PAYROLL/EMP, from 10.1.2.3:4711").expect("good");
    let sequence = sim.inject(&spec).expect("written");
    let reply = execute(&mut socket, "AUDRCV0001", sequence).await;
    let row = &reply["data"][0];
    let put = &sim.entries(sequence..=sequence)[0];
    assert_eq!(row[0], "QGPL");
    assert_eq!(row[2].to_string(), sequence.to_string());
    assert_eq!(row[3], put.timestamp);
    assert_eq!((&row[5], &row[6]), (&json!("AF"), &json!("BOB")));
    assert_eq!((&row[12], &row[13]), (&json!("10.1.2.3"), &json!(4711)));
    assert_eq!(row[15], put.data_length);
    let hex = row[16].as_str().expect("hex");
    assert!(hex.starts_with("C1C5D4D740404040404040D7C1E8D9D6D3D3404040"), "{hex}");
    assert!(hex.len() / 2 < put.data_length, "the blank tail stays behind");
    assert_eq!((&reply["is_done"], put.field("Object name")), (&json!(true), Some("EMP")));
    sim.stop().await;
}

#[tokio::test]
async fn a_walk_over_many_entries_misses_none() {
    let sim = start(JournalPlan { receiver_size: 3_000, hole_every: 97, ..JournalPlan::default() }).await;
    assert_eq!(sim.append_mix(7_000), 7_000);
    let mut socket = connected(&sim).await;
    ask(&mut socket, json!({"id": "p", "type": "prepare_sql", "sql": AGENT})).await;
    let (mut read, mut last) = (Vec::new(), 0);
    for receiver in ["AUDRCV0001", "AUDRCV0002", "AUDRCV0003"] {
        let first = sim.status().receivers.iter().find(|r| r.name == receiver).expect("there").first;
        last = last.max(first);
        loop {
            let reply = execute(&mut socket, receiver, last).await;
            let rows = reply["data"].as_array().unwrap_or_else(|| panic!("{reply}"));
            let new: Vec<u64> = rows
                .iter()
                .filter_map(|row| row[2].as_u64())
                .filter(|sequence| Some(sequence) > read.last())
                .collect();
            let Some(end) = new.last() else { break };
            last = *end;
            read.extend(new);
        }
    }
    let asked_for = sim.entries(0..=u64::MAX).into_iter().filter(|entry| entry.code != "J");
    let put: Vec<u64> = asked_for.map(|entry| entry.sequence).collect();
    assert_eq!(read.len(), 7_000);
    assert_eq!(read, put);
    sim.stop().await;
}

#[tokio::test]
async fn sql_is_evaluated_and_typed() {
    let sim = start(JournalPlan::default()).await;
    let mut socket = connected(&sim).await;
    for (text, data) in [
        ("select count(*), max(bonus) from sample.employee where bonus > 500", json!([[21, 800.00]])),
        (
            "select empno from sample.employee where workdept in ('A00','B01') and empno < '000300' order by empno desc \
          fetch first 2 rows only",
            json!([["000290"], ["000160"]]),
        ),
        (
            "select deptno from sample.department where deptname like 'BRANCH%' and mgrno is null",
            json!([["J22"]]),
        ),
        (
            "values (1 + 2 * 3, 'a' || 'b', case when 1 = 2 then 'x' else 'y' end, coalesce(null, 7))",
            json!([[7, "ab", "y", 7]]),
        ),
        (
            "select hex(substr(x'C1C2C3', 2, 1)), hex(rtrim(x'C14040')), length(rtrim('a  ')) from sysibm.sysdummy1",
            json!([["C2", "C1", 1]]),
        ),
        (
            "select current_character_value from qsys2.system_value_info where system_value_name = 'QUTCOFFSET'",
            json!([["+0000"]]),
        ),
        (
            "select current_numeric_value from qsys2.system_value_info where system_value_name = 'QCCSID'",
            json!([[37]]),
        ),
        ("select serial_number, partition_id from qsys2.system_status_info", json!([["7800001", 1]])),
        ("select os_version, os_release from sysibmadm.env_sys_info", json!([["7", "5"]])),
        (
            "select column_name from qsys2.syscolumns2 where table_name = 'DEPARTMENT' and ordinal_position = 1",
            json!([["DEPTNO"]]),
        ),
        (
            "select count(*) from qsys2.sysparms where specific_name = 'DISPLAY_JOURNAL' and row_type = 'R' and \
          parameter_name in ('REMOTE_ADDRESS', 'ENTRY_DATA')",
            json!([[2]]),
        ),
        (
            "select attached_journal_receiver_name from qsys2.journal_info where journal_library = 'QSYS'",
            json!([["AUDRCV0001"]]),
        ),
        ("select first_sequence_number, status from qsys2.journal_receiver_info", json!([[1, "ATTACHED"]])),
    ] {
        let reply = sql(&mut socket, text).await;
        assert_eq!(reply["data"], data, "{text}: {reply}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn errors_are_those_of_db2_for_i() {
    let sim = start(JournalPlan::default()).await;
    let mut socket = connected(&sim).await;
    for (text, error, state, code) in [
        (
            "select * from mapepire.faketable",
            "[SQL0204] FAKETABLE in MAPEPIRE type *FILE not found.",
            "42704",
            -204,
        ),
        ("select * from faketable", "[SQL0204] FAKETABLE in MUSTER type *FILE not found.", "42704", -204),
        ("", "A string parameter value with zero length was detected.", "43617", -99999),
        ("select * frm x", "[SQL0104] Token ", "42601", -104),
        (
            "select nose from sample.employee",
            "[SQL0206] Column or global variable NOSE not found",
            "42703",
            -206,
        ),
        ("delete from sample.employee", "[SQL0551] Not authorized to object", "42501", -551),
        (
            "select hex(entry_data) from table(qsys2.display_journal('QSYS', 'NOJRN')) as d",
            "[SQL0443] CPF9801",
            "38501",
            -443,
        ),
        (
            "select 1 from table(qsys2.display_journal('QSYS', 'QAUDJRN', starting_receiver_library => 'QGPL', \
          starting_receiver_name => 'GONE')) as d",
            "[SQL0443] CPF7053",
            "38501",
            -443,
        ),
        (
            "select 1 from table(qsys2.display_journal('QSYS', 'QAUDJRN', starting_sequence => 999)) as d",
            "[SQL0443] CPF7054",
            "38501",
            -443,
        ),
    ] {
        assert_error(&sql(&mut socket, text).await, error, json!(state), code);
    }
    let one = "select * from sample.employee where empno = ?";
    for (values, error, state) in [
        (json!([]), "The number of parameter values", "07001"),
        (json!([1, 2]), "Descriptor index not valid. (2>1)", "07009"),
    ] {
        let reply = ask(
            &mut socket,
            json!({"id": "q", "type": "prepare_sql_execute", "sql": one, "parameters": values}),
        )
        .await;
        assert_error(&reply, error, json!(state), -99999);
        assert_eq!(reply["parameter_count"], 1);
    }
    let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": "none"})).await;
    assert_eq!(reply["error"], "Bad request: invalid correlation ID");
    assert!(reply.get("sql_rc").is_none());
    let reply = ask(&mut socket, json!({"id": "d", "type": "dance"})).await;
    assert_eq!(reply["error"], "Unknown request type: dance");
    let reply = ask(&mut socket, json!({"type": "sql"})).await;
    assert_eq!(reply["id"], "incomplete_1");
    let reply = ask(&mut socket, json!({"id": "l", "type": "cl", "cmd": "NOSUCH A(B)"})).await;
    assert_error(&reply, "[CPF0006] Errors occurred in command.", json!("38501"), -443);
    assert_eq!(reply["data"][2]["MESSAGE_ID"], "CPF0006");
    sim.stop().await;
}

#[tokio::test]
async fn a_block_of_exactly_n_rows_is_not_done() {
    let sim = start(JournalPlan::default()).await;
    let mut socket = connected(&sim).await;
    let text = "select deptno, deptno from sample.department order by 1";
    let reply = ask(&mut socket, json!({"id": "h", "type": "sql", "sql": text, "rows": 14})).await;
    assert_eq!((reply["data"].as_array().expect("rows").len(), &reply["is_done"]), (14, &json!(false)));
    assert_eq!(reply["data"][0], json!({"DEPTNO": "A00"}));
    let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": "h", "rows": 14})).await;
    assert_eq!((&reply["data"], &reply["is_done"]), (&json!([]), &json!(true)));
    assert_eq!(
        ask(&mut socket, json!({"id": "x", "type": "sqlclose", "cont_id": "h"})).await["success"],
        true
    );
    let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": "h"})).await;
    assert_eq!(reply["error"], "Bad request: invalid correlation ID");
    sim.stop().await;
}

#[tokio::test]
async fn faults_show_and_go_away() {
    let sim = start(JournalPlan::default()).await;
    let journal = "select 1 from table(qsys2.display_journal('QSYS', 'QAUDJRN')) as d";
    let mut socket = connected(&sim).await;
    sim.set_fault(Fault::NoAuthority).expect("set");
    assert_error(
        &sql(&mut socket, journal).await,
        "[SQL0551] Not authorized to object QAUDJRN in QSYS type *JRN.",
        json!("42501"),
        -551,
    );
    sim.set_fault(Fault::Clear).expect("set");
    sim.set_fault(Fault::NotJson).expect("set");
    let text =
        ask_text(&mut socket, json!({"id": "1", "type": "sql", "sql": journal})).await.expect("a reply");
    assert!(serde_json::from_str::<Value>(&text).is_err());
    sim.set_fault(Fault::Clear).expect("set");
    sim.set_fault(Fault::JournalDetached).expect("set");
    assert!(sim.inject(&InjectSpec::new("PW", "BOB")).is_err());
    let reply = sql(&mut socket, "select attached_journal_receiver_name from qsys2.journal_info").await;
    assert_eq!(reply["data"], json!([[null]]));
    sim.set_fault(Fault::Clear).expect("set");
    sim.set_fault(Fault::TruncatedData { bytes: 5 }).expect("set");
    let sequence = sim.inject(&InjectSpec::new("AF", "BOB")).expect("written");
    let put = sim.entries(sequence..=sequence);
    assert!(put[0].damaged && put[0].data_length == 5);
    sim.set_fault(Fault::Clear).expect("set");
    sim.set_fault(Fault::DropSocket).expect("set");
    assert_eq!(ask_text(&mut socket, json!({"id": "2", "type": "ping"})).await, None);
    let old = sim.current_ca_pem();
    sim.set_fault(Fault::CertificateChanged).expect("set");
    assert!(tls(&sim, &old).await.is_err());
    connected(&sim).await;
    sim.stop().await;
}

#[tokio::test]
async fn an_endless_reply_goes_on_until_the_client_leaves() {
    let sim = start(JournalPlan::default()).await;
    let mut socket = connected(&sim).await;
    sim.set_fault(Fault::EndlessReply).expect("set");
    let request = json!({"id": "1", "type": "sql", "sql": "values (1)"});
    socket.send(Message::text(request.to_string())).await.expect("sent");
    // The client's own limit of a message ends it.
    assert!(matches!(socket.next().await, Some(Err(Error::Capacity(_)))));
    sim.stop().await;
}

#[tokio::test]
async fn pruned_and_created_anew_journals_look_like_it() {
    let sim = start(JournalPlan { receiver_size: 10, ..JournalPlan::default() }).await;
    sim.append_mix(25);
    let before = sim.status().receivers;
    assert_eq!(before.len(), 3);
    assert_eq!(sim.prune_oldest().as_deref(), Some("AUDRCV0001"));
    assert_eq!(sim.status().receivers[0].name, "AUDRCV0002");
    sim.recreate_journal();
    let after = sim.status().receivers;
    assert_eq!((after.len(), after[0].name.as_str(), after[0].first), (1, "AUDRCV0001", 1));
    assert!(after[0].attached_us > before[0].attached_us);
    sim.stop().await;
}

#[test]
fn the_scenarios_that_come_with_it_are_usable() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut pages = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let scenario =
            Scenario::read(&file.expect("a file").path()).unwrap_or_else(|error| panic!("{error}"));
        pages.push(scenario.system.ccsid);
    }
    pages.sort_unstable();
    assert_eq!(pages, [37, 37, 37, 273, 297, 870, 1148, 5035]);
}

#[tokio::test]
async fn exit_programs_come_and_go_in_the_views() {
    let sim = Simulator::start(Scenario::default(), Options::default()).await.expect("starts");
    let mut socket = connected(&sim).await;
    let programs = "select EXIT_POINT_NAME, EXIT_POINT_FORMAT, EXIT_PROGRAM_NUMBER, EXIT_PROGRAM_LIBRARY, \
                    EXIT_PROGRAM, TEXT_DESCRIPTION, hex(EXIT_PROGRAM_DATA) as DATA from QSYS2.EXIT_PROGRAM_INFO";
    assert_eq!(sql(&mut socket, programs).await["data"], json!([]));
    let program = ExitProgram {
        exit_point: "QIBM_QTMF_SERVER_REQ".into(),
        format: "VLRQ0100".into(),
        program: "MUSTER/MUSTERXV".into(),
        number: 4320,
        text: "Muster: FTP server".into(),
    };
    sim.add_exit_program(program).expect("free");
    assert_eq!(
        sql(&mut socket, programs).await["data"],
        json!([["QIBM_QTMF_SERVER_REQ", "VLRQ0100", 4320, "MUSTER", "MUSTERXV", "Muster: FTP server", null]])
    );
    let points = "select EXIT_POINT_FORMAT, REGISTERED, EXIT_PROGRAMS, MAXIMUM_EXIT_PROGRAMS \
                  from QSYS2.EXIT_POINT_INFO where EXIT_POINT_NAME = 'QIBM_QTMF_SERVER_REQ'";
    assert_eq!(sql(&mut socket, points).await["data"], json!([["VLRQ0100", "YES", 1, 1]]));
    sim.remove_exit_program("QIBM_QTMF_SERVER_REQ", "VLRQ0100", 4320).expect("there");
    assert_eq!(sql(&mut socket, programs).await["data"], json!([]));
    sim.stop().await;
}
