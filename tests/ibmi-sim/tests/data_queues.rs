//! Data queues as a client sees them: looking at entries leaves them, receiving takes each away once.

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use ibmi_sim::{Options, QueuePlan, QueueSequence, Scenario, SentEntry, SimHandle, Simulator};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

const QUEUE: &str = "PAYROLL/EVENTS";

async fn start() -> SimHandle {
    let keyed = QueuePlan::new("PAYROLL/BYKEY").keyed(3);
    let lifo =
        QueuePlan { sequence: QueueSequence::Lifo, sender_id: false, ..QueuePlan::new("PAYROLL/STACK") };
    let scenario = Scenario { data_queues: vec![QueuePlan::new(QUEUE), keyed, lifo], ..Scenario::default() };
    Simulator::start(scenario, Options::default()).await.expect("starts")
}

async fn connected(sim: &SimHandle) -> Socket {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sim.ca_pem.as_bytes()).expect("PEM")).expect("a root");
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
    let stream = TcpStream::connect(sim.addr).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let mut request =
        format!("wss://localhost:{}/db/", sim.addr.port()).into_client_request().expect("a request");
    let login = base64::engine::general_purpose::STANDARD.encode("MUSTER:muster1");
    request.headers_mut().insert("authorization", format!("Basic {login}").parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
    let reply =
        ask(&mut socket, json!({"id": "c", "type": "connect", "technique": "tcp", "props": ""})).await;
    assert_eq!(reply["success"], true, "{reply}");
    socket
}

async fn ask(socket: &mut Socket, request: Value) -> Value {
    socket.send(Message::text(request.to_string())).await.expect("sent");
    match socket.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("no reply: {other:?}"),
    }
}

async fn sql(socket: &mut Socket, text: &str) -> Value {
    let reply = ask(socket, json!({"id": "s", "type": "sql", "sql": text, "rows": 100, "terse": true})).await;
    assert_eq!(reply["success"], true, "{text}: {reply}");
    reply["data"].clone()
}

async fn complaint(socket: &mut Socket, text: &str) -> String {
    let reply = ask(socket, json!({"id": "s", "type": "sql", "sql": text, "rows": 100, "terse": true})).await;
    assert_eq!((&reply["success"], &reply["sql_rc"]), (&json!(false), &json!(-443)), "{text}: {reply}");
    reply["error"].as_str().expect("text").to_owned()
}

fn put(sim: &SimHandle, queue: &str, key: &str, text: &str) {
    let sent = SentEntry {
        data: sim.bytes(text),
        key: sim.bytes(key),
        job: "123456/BOB/NIGHT".to_owned(),
        user: "PAYAPP".to_owned(),
    };
    sim.send_data_queue(queue, sent).expect("the queue takes it");
}

fn left(sim: &SimHandle, queue: &str) -> usize {
    sim.data_queues().iter().find(|state| state.queue == queue).expect("there").entries
}

fn receive(queue: &str, rest: &str) -> String {
    let (library, name) = queue.split_once('/').expect("LIBRARY/NAME");
    format!(
        "select hex(message_data_binary) from table(qsys2.receive_data_queue(data_queue => '{name}', \
         data_queue_library => '{library}'{rest})) as q"
    )
}

#[tokio::test]
async fn looking_leaves_entries_and_receiving_takes_each_once() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    for text in ["A", "B", "C", "D", "E"] {
        put(&sim, QUEUE, "", text);
    }
    let look = "select ordinal_position, message_data, hex(message_data_binary), length(message_data_binary), \
                sender_job_name, sender_current_user, key_data, \
                case when message_enqueue_timestamp is null then 0 else 1 end \
                from table(qsys2.data_queue_entries('EVENTS', 'PAYROLL')) as q fetch first 2 rows only";
    let rows = json!([
        [1, "A", "C1", 1, "123456/BOB/NIGHT", "PAYAPP", null, 1],
        [2, "B", "C2", 1, "123456/BOB/NIGHT", "PAYAPP", null, 1]
    ]);
    assert_eq!(sql(&mut socket, look).await, rows);
    assert_eq!(left(&sim, QUEUE), 5);
    // REMOVE => 'NO' leaves it too
    assert_eq!(sql(&mut socket, &receive(QUEUE, ", remove => 'NO'")).await, json!([["C1"]]));
    assert_eq!(left(&sim, QUEUE), 5);
    // one entry for each time that it stands in the statement
    assert_eq!(sql(&mut socket, &receive(QUEUE, "")).await, json!([["C1"]]));
    let twice = [receive(QUEUE, ""), receive(QUEUE, "")].join(" union all ");
    assert_eq!(sql(&mut socket, &twice).await, json!([["C2"], ["C3"]]));
    assert_eq!(left(&sim, QUEUE), 2);
    // whatever is made of the row, it is taken
    let unseen = format!("{} where 1 = 0", receive(QUEUE, ""));
    assert_eq!(sql(&mut socket, &unseen).await, json!([]));
    assert_eq!(left(&sim, QUEUE), 1);
    // more than there are
    let many = vec![receive(QUEUE, ""); 4].join(" union all ");
    assert_eq!(sql(&mut socket, &many).await, json!([["C5"]]));
    assert_eq!(sql(&mut socket, &receive(QUEUE, ", wait_time => 0")).await, json!([]));
    sim.stop().await;
}

#[tokio::test]
async fn prepared_statements_take_anew_each_time() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    for text in ["A", "B", "C"] {
        put(&sim, QUEUE, "", text);
    }
    let text = receive(QUEUE, "");
    let reply = ask(&mut socket, json!({"id": "p", "type": "prepare_sql", "sql": text, "terse": true})).await;
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(left(&sim, QUEUE), 3, "preparing takes nothing");
    for expected in ["C1", "C2", "C3"] {
        let execute = json!({"id": "e", "type": "execute", "cont_id": "p", "rows": 10, "terse": true});
        assert_eq!(ask(&mut socket, execute).await["data"], json!([[expected]]));
    }
    sim.stop().await;
}

#[tokio::test]
async fn keys_and_orders() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    for (key, text) in [("K2", "B"), ("K1", "A"), ("K2", "C"), ("K3", "D")] {
        put(&sim, "PAYROLL/BYKEY", key, text);
        put(&sim, "PAYROLL/STACK", "", text);
    }
    // by key, and of one key the first one in first
    let look =
        "select message_data, hex(key_data) from table(qsys2.data_queue_entries('BYKEY', 'PAYROLL')) as q";
    let rows = json!([["A", "D2F140"], ["B", "D2F240"], ["C", "D2F240"], ["D", "D2F340"]]);
    assert_eq!(sql(&mut socket, look).await, rows);
    let by = |key: &str, order: &str| {
        receive("PAYROLL/BYKEY", &format!(", key_data => {key}, key_order => '{order}'"))
    };
    assert_eq!(sql(&mut socket, &by("x'D2F240'", "EQ")).await, json!([["C2"]]));
    assert_eq!(sql(&mut socket, &by("'K2'", "EQ")).await, json!([["C3"]]));
    assert_eq!(sql(&mut socket, &by("'K2'", "GT")).await, json!([["C4"]]));
    assert_eq!(sql(&mut socket, &by("'K2'", "GT")).await, json!([]));
    // last in, first out; no sender is kept
    let stack = "select message_data, sender_job_name from table(qsys2.data_queue_entries('STACK', 'PAYROLL')) as q \
                 fetch first 2 rows only";
    assert_eq!(sql(&mut socket, stack).await, json!([["D", null], ["C", null]]));
    assert_eq!(sql(&mut socket, &receive("PAYROLL/STACK", "")).await, json!([["C4"]]));
    let info = "select data_queue_name, sequence, key_length, include_sender_id, current_messages, \
                maximum_message_length from qsys2.data_queue_info where data_queue_library = 'PAYROLL' order by 1";
    let rows = json!([
        ["BYKEY", "KEYED", 3, "YES", 1, 1024],
        ["EVENTS", "FIFO", null, "YES", 0, 1024],
        ["STACK", "LIFO", null, "NO", 3, 1024]
    ]);
    assert_eq!(sql(&mut socket, info).await, rows);
    sim.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_takes_nothing() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    put(&sim, QUEUE, "", "A");
    let gone = complaint(&mut socket, &receive("PAYROLL/NONE", "")).await;
    assert!(gone.contains("CPF9801: Object NONE in library PAYROLL not found."), "{gone}");
    let key = complaint(&mut socket, &receive(QUEUE, ", key_data => 'K', key_order => 'EQ'")).await;
    assert!(key.contains("CPF9506"), "{key}");
    sim.deny_data_queue(QUEUE, true).expect("it is there");
    let denied = complaint(&mut socket, &receive(QUEUE, "")).await;
    assert!(denied.contains("CPF9802: Not authorized to object EVENTS in PAYROLL."), "{denied}");
    let shown = sql(&mut socket, "select count(*) from qsys2.data_queue_info").await;
    assert_eq!(shown, json!([[2]]), "a view shows what the profile may see");
    sim.deny_data_queue(QUEUE, false).expect("it is there");
    sim.lock_data_queue(QUEUE, true).expect("it is there");
    let locked = complaint(&mut socket, &receive(QUEUE, "")).await;
    assert!(locked.contains("CPF9503: Cannot lock data queue EVENTS in PAYROLL."), "{locked}");
    sim.lock_data_queue(QUEUE, false).expect("it is there");
    assert_eq!(left(&sim, QUEUE), 1);
    let long = SentEntry { data: vec![0; 1_025], ..SentEntry::default() };
    assert!(sim.send_data_queue(QUEUE, long).is_err_and(|error| error.to_string().starts_with("CPF9502")));
    sim.delete_data_queue(QUEUE).expect("it is there");
    let gone = complaint(&mut socket, &receive(QUEUE, "")).await;
    assert!(gone.contains("CPF9801"), "{gone}");
    sim.stop().await;
}

#[tokio::test]
async fn an_answer_can_be_lost_or_late() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    put(&sim, QUEUE, "", "A");
    put(&sim, QUEUE, "", "B");
    sim.slow_data_queues(Duration::from_millis(200));
    let began = std::time::Instant::now();
    assert_eq!(sql(&mut socket, "values (1)").await, json!([[1]]));
    assert!(began.elapsed() < Duration::from_millis(200), "other statements are not slow");
    assert_eq!(sql(&mut socket, &receive(QUEUE, ", remove => 'NO'")).await, json!([["C1"]]));
    assert!(began.elapsed() >= Duration::from_millis(200));
    sim.slow_data_queues(Duration::ZERO);
    sim.lose_next_answer(QUEUE).expect("it is there");
    assert_eq!(sql(&mut socket, &receive(QUEUE, ", remove => 'NO'")).await, json!([["C1"]]));
    assert!(sim.loses_answers(), "looking loses no answer");
    let request = json!({"id": "s", "type": "sql", "sql": receive(QUEUE, ""), "rows": 100, "terse": true});
    socket.send(Message::text(request.to_string())).await.expect("sent");
    let waited = tokio::time::timeout(Duration::from_millis(500), socket.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!((left(&sim, QUEUE), sim.loses_answers()), (1, false));
    drop(socket);
    let mut socket = connected(&sim).await;
    assert_eq!(sql(&mut socket, &receive(QUEUE, "")).await, json!([["C2"]]));
    sim.stop().await;
}

#[tokio::test]
async fn entries_are_sent_by_sql_too() {
    let sim = start().await;
    let mut socket = connected(&sim).await;
    for text in [
        "call qsys2.send_data_queue('Hi', 'EVENTS', 'PAYROLL')",
        "call qsys2.send_data_queue_utf8(message_data => 'Hi', data_queue => 'EVENTS')",
        "call qsys2.send_data_queue_binary(message_data => x'00FF', data_queue => 'EVENTS')",
        "call qsys2.send_data_queue(message_data => 'K', data_queue => 'BYKEY', key_data => 'K1')",
    ] {
        let reply = ask(&mut socket, json!({"id": "s", "type": "sql", "sql": text})).await;
        assert_eq!(reply["success"], true, "{text}: {reply}");
    }
    let look = "select hex(message_data_binary), sender_current_user, sender_job_name from \
                table(qsys2.data_queue_entries('EVENTS', 'PAYROLL')) as q";
    let rows = sql(&mut socket, look).await;
    let data: Vec<&Value> = rows.as_array().expect("rows").iter().map(|row| &row[0]).collect();
    assert_eq!(data, [&json!("C889"), &json!("4869"), &json!("00FF")]);
    assert_eq!(rows[0][1], "MUSTER");
    assert!(rows[0][2].as_str().is_some_and(|job| job.matches('/').count() == 2), "{rows}");
    let keys = "select hex(key_data) from table(qsys2.data_queue_entries('BYKEY', 'PAYROLL')) as q";
    assert_eq!(sql(&mut socket, keys).await, json!([["D2F140"]]));
    let missing = json!({"id": "s", "type": "sql", "sql": "call qsys2.send_data_queue('Hi')"});
    assert_eq!(ask(&mut socket, missing).await["sql_rc"], -440);
    let clear = json!({"id": "s", "type": "sql", "sql": "call qsys2.clear_data_queue('EVENTS', 'PAYROLL')"});
    assert_eq!(ask(&mut socket, clear).await["success"], true);
    assert_eq!((left(&sim, QUEUE), left(&sim, "PAYROLL/BYKEY")), (0, 1));
    sim.stop().await;
}
