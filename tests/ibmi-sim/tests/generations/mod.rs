//! What the generations of the server do differently, and what they have in common but few expect.

use super::{Socket, ask, ask_text, assert_error, connected, open, sql};
use futures_util::{SinkExt as _, StreamExt as _};
use ibmi_sim::{Fault, Generation, Options, Scenario, SimHandle, Simulator, User};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{Error, Message};

async fn start(change: impl FnOnce(&mut Scenario)) -> SimHandle {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut scenario = Scenario::default();
    change(&mut scenario);
    Simulator::start(scenario, Options::default()).await.expect("starts")
}

async fn of(generation: Generation) -> SimHandle {
    start(|scenario| scenario.server.generation = generation).await
}

fn user(name: &str, password: &str) -> User {
    User { name: name.into(), password: password.into(), reads_audit: true, expired: false, disabled: false }
}

fn https(sim: &SimHandle) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(sim.ca_pem.as_bytes()).expect("PEM");
    reqwest::Client::builder().tls_certs_only([root]).build().expect("a client")
}

/// Status and body of a plain request.
async fn get(sim: &SimHandle, path: &str, login: Option<(&str, &str)>) -> (u16, Vec<u8>) {
    let mut request = https(sim).get(format!("https://localhost:{}{path}", sim.addr.port()));
    if let Some((user, password)) = login {
        request = request.basic_auth(user, Some(password));
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.bytes().await.expect("a body").to_vec())
}

const ME: Option<(&str, &str)> = Some(("MUSTER", "muster1"));

/// The next message that is text.
async fn receive(socket: &mut Socket) -> Value {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("a reply, not {other:?}"),
    }
}

async fn send(socket: &mut Socket, request: Value) {
    socket.send(Message::text(request.to_string())).await.expect("sent");
}

#[tokio::test]
async fn each_generation_describes_columns_and_commands_its_own_way() {
    // generation, version, table of a column, keys of a prepared column, job in rows of cl, GET /source
    let cases = [
        (Generation::G1, "2.3.2", None, 4, true, 404),
        (Generation::G1b, "2.3.5", Some("DEPARTMENT"), 11, false, 200),
        (Generation::G2, "2.3.6", Some("DEPARTMENT"), 11, false, 200),
    ];
    for (generation, version, table, keys, job, source) in cases {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        let statement = "select deptno as NR, 1 from sample.department";
        let reply = ask(&mut socket, json!({"id": "1", "type": "sql", "sql": statement, "rows": 1})).await;
        let column = &reply["metadata"]["columns"][0];
        assert_eq!(column["table"].as_str(), table, "{generation:?} {column}");
        assert_eq!((&column["name"], &column["precision"]), (&json!("NR"), &json!(3)));
        assert_eq!(reply["metadata"]["columns"][1]["name"], "00002", "an expression without a name");
        let reply = ask(&mut socket, json!({"id": "2", "type": "prepare_sql", "sql": statement})).await;
        let column = reply["metadata"]["columns"][0].as_object().expect("a column");
        assert_eq!(column.len(), keys, "{generation:?} {column:?}");
        let reply = ask(&mut socket, json!({"id": "3", "type": "cl", "cmd": "DSPLIBL"})).await;
        let row = reply["data"][1].as_object().expect("a row");
        assert_eq!(row.contains_key("QUALIFIED_JOB_NAME"), job, "{generation:?}");
        assert_eq!(row["SUMMARY"], "CPC9801 [COMP]: Command DSPLIBL completed.");
        assert_eq!(ask(&mut socket, json!({"id": "4", "type": "getversion"})).await["version"], version);
        let told = get(&sim, "/version", None).await;
        assert_eq!(told, (200, format!("{{\"version\":\"{version}\"}}").into_bytes()));
        assert_eq!(get(&sim, "/source", None).await.0, source, "{generation:?}");
        sim.stop().await;
    }
    let older = start(|scenario| scenario.server.version = Some("2.3.4".into())).await;
    assert_eq!(get(&older, "/source", None).await.0, 404, "2.3.5 was the first to tell");
    older.stop().await;
}

#[tokio::test]
async fn bytes_come_as_hex_or_are_kept_for_one_fetch() {
    let statement =
        "values (cast(x'C1C200FF' as varbinary(9)), x'40C1', hex(x'C1'), cast(null as varbinary(1)), 'x')";
    for generation in [Generation::G1, Generation::G1b] {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        assert_eq!(sql(&mut socket, statement).await["data"], json!([["C1C200FF", "40C1", "C1", null, "x"]]));
        assert_eq!(get(&sim, "/blob/6ba7b810-9dad-41d1-80b4-00c04fd430c8", ME).await.0, 404);
        sim.stop().await;
    }
    let sim = start(|scenario| {
        scenario.server.generation = Generation::G2;
        scenario.users.push(user("OTHER", "other1"));
    })
    .await;
    let mut socket = connected(&sim).await;
    let reply = sql(&mut socket, statement).await;
    let row = &reply["data"][0];
    assert_eq!((&row[2], &row[3], &row[4]), (&json!("C1"), &Value::Null, &json!("x")));
    assert_eq!((&row[0]["size"], &row[1]["size"]), (&json!(4), &json!(2)));
    let path = |cell: &Value| cell["blob_url"].as_str().expect("a path").to_owned();
    let first = path(&row[0]);
    assert_eq!(first.len(), "/blob/".len() + 36, "{first}");
    assert_eq!(get(&sim, &first, ME).await, (200, vec![0xC1, 0xC2, 0x00, 0xFF]));
    assert_eq!(get(&sim, &first, ME).await.0, 404, "it works once");
    assert_eq!(get(&sim, "/blob/", ME).await.0, 400, "no token");
    assert_eq!(get(&sim, "/blob/6ba7b810-9dad-41d1-80b4-00c04fd430c8", ME).await.0, 404, "never given");
    for stranger in [None, Some(("OTHER", "other1")), Some(("MUSTER", "wrong"))] {
        let reply = sql(&mut socket, "values (x'C1')").await;
        let path = path(&reply["data"][0][0]);
        assert_eq!(get(&sim, &path, stranger).await.0, 401, "{stranger:?}");
        assert_eq!(get(&sim, &path, ME).await.0, 404, "a stranger's try ends it");
    }
    let reply = ask(&mut socket, json!({"id": "c", "type": "cl", "cmd": "DSPLIBL", "terse": true})).await;
    assert_eq!(reply["data"][1][25]["size"], 4, "MESSAGE_KEY: {reply}");
    let counts = sim.counts();
    assert_eq!(counts.blobs_fetched, 1);
    sim.stop().await;
    let hasty = start(|scenario| {
        scenario.server.generation = Generation::G2;
        scenario.server.blob_token_ttl = 0;
    })
    .await;
    let mut socket = connected(&hasty).await;
    let reply = sql(&mut socket, "values (x'C1')").await;
    assert_eq!(get(&hasty, &path(&reply["data"][0][0]), ME).await.0, 404, "its time is over");
    hasty.stop().await;
}

#[tokio::test]
async fn byte_parameters_are_hex_or_base64() {
    for (generation, good, wrong) in [
        (Generation::G1, "00FBFF", "APv/"),
        (Generation::G1b, "00FBFF", "APv/"),
        (Generation::G2, "APv/", "00FBF"),
    ] {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        let statement = "select hex(cast(? as varbinary(3))), hex(cast(? as varchar(3) for bit data)) from sysibm.sysdummy1";
        let request = |value: &str| {
            json!({"id": "p", "type": "prepare_sql_execute", "sql": statement, "terse": true,
                   "parameters": [value, "C140"]})
        };
        let reply = ask(&mut socket, request(good)).await;
        assert_eq!(reply["data"], json!([["00FBFF", "C140"]]), "{generation:?} {reply}");
        assert_eq!(reply["output_parms"][0]["type"], "VARBINARY");
        let reply = ask(&mut socket, request(wrong)).await;
        assert_eq!(reply["success"], false, "{generation:?} {reply}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn statements_without_a_result_tell_what_they_changed() {
    for (_, generation) in Generation::ALL {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        let reply = sql(&mut socket, "insert into sample.notes (id, text) values (1, 'a'), (2, 'b  ')").await;
        assert_eq!((&reply["has_results"], &reply["update_count"]), (&json!(false), &json!(2)), "{reply}");
        for absent in ["data", "is_done", "metadata"] {
            assert!(reply.get(absent).is_none(), "{absent} in {reply}");
        }
        // a batch
        let insert = "insert into sample.notes values (?, ?, null)";
        let batch = json!([[3, "c"], ["4", null], [5, "e"]]);
        let request = json!({"id": "b", "type": "prepare_sql_execute", "sql": insert, "parameters": batch});
        let reply = ask(&mut socket, request).await;
        assert_eq!((&reply["batch_added"], &reply["update_count"]), (&json!(3), &json!(3)), "{reply}");
        assert_eq!(reply["parameter_count"], 2);
        let kinds: Vec<&str> = reply["metadata"]["parameters"]
            .as_array()
            .expect("parameters")
            .iter()
            .filter_map(|parameter| parameter["type"].as_str())
            .collect();
        assert_eq!(kinds, ["INTEGER", "VARCHAR"]);
        // the prepared handle once more, alone and as a batch
        let run = |values: Value| json!({"id": "x", "type": "execute", "cont_id": "b", "parameters": values});
        assert_eq!(ask(&mut socket, run(json!([6, "f"]))).await["update_count"], 1);
        let reply = ask(&mut socket, run(json!([[7, "g"], [8, "h"]]))).await;
        assert_eq!((&reply["batch_added"], &reply["update_count"]), (&json!(2), &json!(2)));
        let reply = ask(&mut socket, run(json!([[9, "i"], [10]]))).await;
        assert_error(&reply, "The number of parameter values", json!("07001"), -99999);
        let reply = ask(&mut socket, run(json!([null, "i"]))).await;
        assert_error(&reply, "[SQL0407]", json!("23502"), -407);
        let reply =
            sql(&mut socket, "select id, text from sample.notes where id in (2, 4, 9) order by id").await;
        assert_eq!(reply["data"], json!([[2, "b  "], [4, null], [9, "i"]]), "VARCHAR keeps its blanks");
        assert_eq!(sql(&mut socket, "delete from sample.notes where id > 4").await["update_count"], 5);
        // a batch for a query
        let request = json!({"id": "q", "type": "prepare_sql_execute", "sql": "values (cast(? as integer))",
                             "parameters": [[1], [2]]});
        assert_eq!(ask(&mut socket, request).await["success"], false);
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_call_gives_its_parameters_back() {
    let sim = of(Generation::G1b).await;
    let mut socket = connected(&sim).await;
    let call = "call sample.measure(?, ?, calls => ?)";
    let reply = ask(&mut socket, json!({"id": "p", "type": "prepare_sql", "sql": call})).await;
    let modes: Vec<&Value> =
        reply["metadata"]["parameters"].as_array().expect("parameters").iter().map(|p| &p["mode"]).collect();
    assert_eq!(modes, ["INOUT", "OUT", "INOUT"], "{reply}");
    assert!(reply["metadata"].get("columns").is_none(), "{reply}");
    let values = json!(["  a b ", 0, "12345678901234567890"]);
    let text =
        ask_text(&mut socket, json!({"id": "x", "type": "execute", "cont_id": "p", "parameters": values}))
            .await
            .expect("a reply");
    assert!(text.contains("\"value\":12345678901234567891}"), "all digits: {text}");
    let reply: Value = serde_json::from_str(&text).expect("JSON");
    let outputs = &reply["output_parms"];
    assert_eq!((&outputs[0]["value"], &outputs[1]["value"]), (&json!("a b"), &json!(6)), "trimmed: {reply}");
    assert_eq!((&reply["has_results"], &reply["update_count"]), (&json!(false), &json!(0)));
    let reply = sql(&mut socket, "call qsys2.qcmdexc('NOSUCH')").await;
    assert_error(&reply, "[CPF0006]", json!("38501"), -443);
    assert_eq!(sql(&mut socket, "call qsys2.qcmdexc('DSPLIBL')").await["success"], true);
    assert_error(&sql(&mut socket, "call qsys2.nothing(1)").await, "[SQL0440]", json!("42884"), -440);
    sim.stop().await;
}

#[tokio::test]
async fn a_password_with_a_colon_is_one_for_later_servers_only() {
    for (generation, accepted) in [(Generation::G1, false), (Generation::G1b, false), (Generation::G2, true)]
    {
        let sim = start(|scenario| {
            scenario.server.generation = generation;
            scenario.users.push(user("COLON", "a:b:c"));
        })
        .await;
        match open(&sim, Some("COLON:a:b:c")).await {
            Ok(mut socket) => {
                assert!(accepted, "{generation:?}");
                let reply = ask(&mut socket, json!({"id": "1", "type": "connect", "technique": "tcp"})).await;
                assert_eq!(reply["success"], true);
            }
            Err(Error::Http(response)) => {
                assert_eq!((response.status().as_u16(), accepted), (403, false), "{generation:?}");
            }
            Err(other) => panic!("{other}"),
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_socket() {
    assert_eq!(Generation::G1.manners().message_limit, 50 * 1024 * 1024);
    for (generation, limit, answered) in [
        (Generation::G1, Some(2_000), false),
        (Generation::G2, Some(2_000), false),
        (Generation::G2, None, true),
    ] {
        let sim = start(|scenario| {
            scenario.server.generation = generation;
            scenario.server.max_message_bytes = limit;
        })
        .await;
        let mut socket = connected(&sim).await;
        let long = format!("values ('{}')", "x".repeat(3_000));
        let reply = ask_text(&mut socket, json!({"id": "1", "type": "sql", "sql": long})).await;
        assert_eq!(reply.is_some(), answered, "{generation:?} {limit:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn replies_that_belong_to_no_request_and_requests_that_end_the_socket() {
    let sim = of(Generation::G1b).await;
    let mut socket = connected(&sim).await;
    for (text, id, field, error) in [
        ("{no json", "unparseable_1", "unparseable", "Non-parseable request: '{no json'"),
        ("\"a\"", "unparseable_2", "unparseable", "Non-parseable request: '\"a\"'"),
        (
            r#"{"id":"5"}"#,
            "incomplete_3",
            "incomplete",
            "Request is missing required fields (most likely 'id' or 'type'): '{\"id\":\"5\"}'",
        ),
        (r#"{"id":"6","type":"dance"}"#, "6", "", "Unknown request type: dance"),
    ] {
        socket.send(Message::text(text)).await.expect("sent");
        let reply = receive(&mut socket).await;
        assert_eq!((&reply["id"], &reply["error"]), (&json!(id), &json!(error)));
        assert_eq!(reply["success"], false);
        if !field.is_empty() {
            assert_eq!(reply[field], *text);
        }
    }
    for kind in ["sqlmore", "sqlclose", "execute"] {
        let mut socket = connected(&sim).await;
        let reply = ask(&mut socket, json!({"id": "7", "type": kind})).await;
        assert_eq!(reply["error"], "Bad request: Correlation ID not specified");
        assert!(reply.get("sql_rc").is_none());
        assert_eq!(ask_text(&mut socket, json!({"id": "8", "type": "ping"})).await, None, "{kind}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn a_second_connect_forgets_the_first() {
    let sim = of(Generation::G1b).await;
    let mut socket = connected(&sim).await;
    let first = ask(&mut socket, json!({"id": "j", "type": "getdbjob"})).await["job"].clone();
    let query = json!({"id": "h", "type": "sql", "sql": "select * from sample.department", "rows": 1});
    assert_eq!(ask(&mut socket, query).await["is_done"], false);
    let reply = ask(&mut socket, json!({"id": "c2", "type": "connect", "technique": "TCP"})).await;
    assert_eq!(reply["success"], true, "the technique in any case");
    assert_ne!(reply["job"], first);
    let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": "h"})).await;
    assert_eq!(reply["error"], "Bad request: invalid correlation ID");
    assert_eq!(sim.counts().sign_ons, 2);
    let reply = ask(&mut socket, json!({"id": "c3", "type": "connect", "technique": "odbc"})).await;
    assert_eq!(reply["error"], "Invalid connection technique specified");
    sim.stop().await;
}

#[tokio::test]
async fn blocks_of_rows_end_as_they_do_on_every_server() {
    for (_, generation) in Generation::ALL {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        let statement = "select deptno from sample.department";
        // rows asked for: rows got, done
        for (rows, got, done) in [
            (json!(0), 0, false),
            (json!(-5), 0, false),
            (json!("many"), 14, true),
            (json!(13), 13, false),
            (json!(14), 14, false),
            (json!(15), 14, true),
        ] {
            let query = json!({"id": "h", "type": "sql", "sql": statement, "rows": rows, "terse": true});
            let reply = ask(&mut socket, query).await;
            let data = reply["data"].as_array().expect("rows");
            assert_eq!((data.len(), &reply["is_done"]), (got, &json!(done)), "{generation:?} {rows}");
            // From there on to the end, and beyond it.
            for expected in [14 - got, 0] {
                let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": "h"})).await;
                let more = reply["data"].as_array().expect("rows");
                assert_eq!(
                    (more.len(), &reply["is_done"]),
                    (expected, &json!(true)),
                    "{generation:?} {rows}"
                );
            }
        }
        // The id of `execute` is no handle, and one that was only prepared has no rows.
        let reply = ask(&mut socket, json!({"id": "p", "type": "prepare_sql", "sql": statement})).await;
        assert_eq!(reply["success"], true);
        let run = json!({"id": "e", "type": "execute", "cont_id": "p", "rows": 2});
        assert_eq!(ask(&mut socket, run).await["is_done"], false);
        for (handle, error) in [("e", "Bad request: invalid correlation ID"), ("p", "Result set was null")] {
            let reply = ask(&mut socket, json!({"id": "m", "type": "sqlmore", "cont_id": handle})).await;
            assert_eq!(reply["error"], error, "{handle}");
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn values_are_written_as_on_every_server() {
    for (_, generation) in Generation::ALL {
        let sim = of(generation).await;
        let mut socket = connected(&sim).await;
        let statement = "select cast('A ' as char(4)) as C, 'B ' as V, cast('12345678901234567890' as decimal(21, 0)) as D, \
            cast(1.5 as decimal(9, 2)) as E, cast(null as char(1)) as N, '<a>=&''' as H, \
            cast('2026-01-02-03.04.05.000006' as timestamp) as T, 1, 2 from sysibm.sysdummy1";
        let text = ask_text(&mut socket, json!({"id": "1", "type": "sql", "sql": statement, "terse": true}))
            .await
            .expect("a reply");
        let wanted = "\"data\":[[\"A\",\"B \",12345678901234567890,1.50,null,\
            \"\\u003ca\\u003e\\u003d\\u0026\\u0027\",\"2026-01-02 03:04:05.000006\",1,2]]";
        assert!(text.contains(wanted), "{generation:?} {text}");
        assert!(text.ends_with("}\n\n"), "two line ends");
        // Columns of one name are one in objects and two in arrays.
        let twice = "select 1 as X, 2 as X from sysibm.sysdummy1";
        let reply = ask(&mut socket, json!({"id": "2", "type": "sql", "sql": twice})).await;
        assert_eq!(reply["data"], json!([{"X": 2}]));
        assert_eq!(sql(&mut socket, twice).await["data"], json!([[1, 2]]));
        sim.stop().await;
    }
}

#[tokio::test]
async fn replies_change_places_when_they_are_made_to() {
    let sim = of(Generation::G1b).await;
    let mut socket = connected(&sim).await;
    sim.set_fault(Fault::Reorder { ms: 5_000 }).expect("set");
    for round in 0..3 {
        send(&mut socket, json!({"id": "first", "type": "sql", "sql": "values (1)"})).await;
        let held = tokio::time::timeout(Duration::from_millis(200), socket.next()).await;
        assert!(held.is_err(), "{round}: it waits for another to pass: {held:?}");
        send(&mut socket, json!({"id": "second", "type": "sql", "sql": "values (2)"})).await;
        for id in ["second", "first"] {
            assert_eq!(receive(&mut socket).await["id"], id, "{round}");
        }
    }
    // One alone comes when its time is over.
    sim.set_fault(Fault::Reorder { ms: 50 }).expect("set");
    assert_eq!(sql(&mut socket, "values (1)").await["data"], json!([[1]]));
    sim.stop().await;
}

#[tokio::test]
async fn a_half_open_socket_is_silent_and_others_are_not() {
    let sim = of(Generation::G1b).await;
    let mut old = connected(&sim).await;
    sim.set_fault(Fault::HalfOpen).expect("set");
    send(&mut old, json!({"id": "1", "type": "ping"})).await;
    let mut new = connected(&sim).await;
    assert_eq!(ask(&mut new, json!({"id": "1", "type": "ping"})).await["db_alive"], true);
    let silent = tokio::time::timeout(Duration::from_millis(500), old.next()).await;
    assert!(silent.is_err(), "neither a reply nor an end: {silent:?}");
    sim.stop().await;
}

#[tokio::test]
async fn profiles_can_be_disabled_while_it_runs() {
    let sim = of(Generation::G1b).await;
    let mut socket = connected(&sim).await;
    sim.set_fault(Fault::ProfileDisabled).expect("set");
    assert_eq!(sql(&mut socket, "values (1)").await["success"], true, "who is in stays in");
    let mut other = open(&sim, Some("MUSTER:muster1")).await.expect("upgraded");
    let reply = ask(&mut other, json!({"id": "1", "type": "connect", "technique": "tcp"})).await;
    assert!(reply["error"].as_str().expect("text").contains("User ID is disabled"), "{reply}");
    let counts = sim.counts();
    assert_eq!((counts.sign_ons, counts.refused_sign_ons), (1, 1));
    sim.stop().await;
}
