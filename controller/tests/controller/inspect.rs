//! Looking into agents, history, planned outages: as people ask and as agents answer.

use crate::common::*;
use crate::polling::Poller;
use muster_proto::api::{
    AgentState, AgentView, AuditEntry, Connection, EventDetail, EventDetailView, EventView, FormattedEvent,
    HistoryView, MaintenanceRequest, Page, PreviewView, RecentEvents, TailItem,
};
use muster_proto::opamp::{AgentToServer, CustomCapabilities, ServerToAgent};
use muster_proto::session::inspect::{
    self, Answer, Ask, InspectMessage, InspectRefusalReason, InspectReply, InspectRequest, PreviewReport,
    PreviewSample, RecentEvents as WireRecent, TailEvents,
};
use muster_proto::session::rates::{self, RatesMessage, RatesReport, SourceRates};
use std::time::Duration;

fn event(sequence: u64) -> Vec<u8> {
    let view = EventView {
        id: format!("P/{sequence}"),
        time: "2026-11-25T18:00:00Z".parse().unwrap(),
        system: "PROD01".to_owned(),
        utc_offset_seconds: Some(7_200),
        source: "audit".to_owned(),
        event: "AF_A".to_owned(),
        name: "Authority failure".to_owned(),
        source_kind: "audit_journal".to_owned(),
        severity: 7,
        decoded_severity: Some(7),
        dropped_by: None,
        destinations: vec!["siem".to_owned()],
        fields: [("user".to_owned(), "BOB".to_owned())].into(),
    };
    serde_json::to_vec(&view).unwrap()
}

fn able(agent: &mut TestAgent) -> AgentToServer {
    let capabilities = [rates::CAPABILITY, inspect::CAPABILITY].map(str::to_owned).to_vec();
    AgentToServer { custom_capabilities: Some(CustomCapabilities { capabilities }), ..agent.full() }
}

/// A connected agent that can be looked into.
async fn connected(site: &Site) -> (TestAgent, Socket) {
    let mut agent = site.agent().await;
    let mut socket = agent.dial(None).await.unwrap();
    let report = able(&mut agent);
    let reply = ask(&mut socket, &report).await;
    let capabilities = reply.custom_capabilities.unwrap().capabilities;
    assert!(capabilities.iter().any(|name| name == inspect::CAPABILITY), "{capabilities:?}");
    (agent, socket)
}

fn request_in(message: &ServerToAgent) -> Option<InspectRequest> {
    match InspectMessage::from_custom(message.custom_message.as_ref()?) {
        Ok(InspectMessage::Request(request)) => Some(request),
        Ok(InspectMessage::Reply(_)) | Err(_) => None,
    }
}

/// The next question; answers to reports pass by.
async fn question(socket: &mut Socket) -> InspectRequest {
    loop {
        if let Some(request) = request_in(&next(socket).await) {
            return request;
        }
    }
}

fn part(agent: &mut TestAgent, id: &[u8], part: u32, last: bool, answer: Answer) -> AgentToServer {
    let reply = InspectReply { id: id.to_vec(), part, last, answer: Some(answer) };
    AgentToServer { custom_message: Some(InspectMessage::Reply(reply).to_custom()), ..agent.message() }
}

async fn audited(site: &Site, action: &str) -> Vec<AuditEntry> {
    let page: Page<AuditEntry> = site.api.get("/audit?limit=100").await;
    page.items.into_iter().filter(|entry| entry.action == action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_events_come_in_parts_and_who_looked_is_known() {
    let site = Site::start().await;
    let (mut agent, mut socket) = connected(&site).await;
    let path = format!("/agents/{}/events/recent?filter=user%3DBOB&limit=2", agent.uid);
    let api = site.api.clone();
    let asked = tokio::spawn(async move { api.get::<RecentEvents>(&path).await });
    let request = question(&mut socket).await;
    let Some(Ask::Recent(recent)) = &request.ask else { panic!("{request:?}") };
    assert_eq!((recent.filter.as_str(), recent.limit), ("user=BOB", 2));
    // Another answer under the same id, from an agent whose question it is not, changes nothing.
    let (mut other, mut elsewhere) = connected(&site).await;
    let forged = Answer::Recent(WireRecent { events: vec![event(666)], held: 1, matched: 1 });
    send(&mut elsewhere, &part(&mut other, &request.id, 0, true, forged)).await;
    next(&mut elsewhere).await;
    for (number, last) in [(0, false), (1, true)] {
        let answer = WireRecent { events: vec![event(u64::from(number))], held: 900, matched: 7 };
        send(&mut socket, &part(&mut agent, &request.id, number, last, Answer::Recent(answer))).await;
    }
    let found = asked.await.unwrap();
    assert_eq!((found.held, found.matched), (900, 7));
    let ids: Vec<&str> = found.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["P/0", "P/1"]);
    let entries = audited(&site, "events.recent").await;
    assert_eq!(
        (entries.len(), entries[0].actor.as_str(), entries[0].detail.as_str()),
        (1, "admin", "user=BOB")
    );
    assert_eq!(entries[0].object, agent.uid.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_said() {
    let site = Site::start().await;
    let agent = site.agent().await;
    let path = |what: &str| format!("/agents/{}/{what}", agent.uid);
    let problem = site.api.problem("GET", &path("events/recent"), None).await;
    assert_eq!((problem.status, problem.code()), (409, "agent-away"));
    let problem = site.api.problem("GET", &path("events/recent?filter=nofield%3D1"), None).await;
    assert!(problem.detail.contains("`nofield` is no field"), "{}", problem.detail);
    assert_eq!(site.api.problem("GET", &path("events/recent?limit=0"), None).await.status, 400);
    assert_eq!(site.api.problem("GET", "/events/tail", None).await.code(), "no-agent");
    assert_eq!(site.api.problem("GET", "/events/tail?selector=x", None).await.status, 400);
    // One that does not know the capability.
    let mut plain = site.agent().await;
    let _socket = plain.connect().await;
    let problem = site.api.problem("POST", &format!("/agents/{}/diagnostics", plain.uid), None).await;
    assert_eq!(problem.code(), "agent-unable");
    // One that says no.
    let (mut agent, mut socket) = connected(&site).await;
    let (api, path) = (site.api.clone(), format!("/agents/{}/diagnostics", agent.uid));
    let asked = tokio::spawn(async move { api.problem("POST", &path, None).await });
    let request = question(&mut socket).await;
    let refusal = InspectReply::refusal(&request.id, InspectRefusalReason::SwitchedOff, "not here");
    let custom_message = Some(InspectMessage::Reply(refusal).to_custom());
    send(&mut socket, &AgentToServer { custom_message, ..agent.message() }).await;
    let problem = asked.await.unwrap();
    assert_eq!((problem.status, problem.code()), (403, "switched-off"));
    assert!(problem.detail.ends_with("not here"), "{}", problem.detail);
    assert_eq!(audited(&site, "agent.diagnostics").await.len(), 2, "who asked in vain is known too");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_with_all_that_is_known_of_it() {
    let site = Site::start().await;
    let (mut agent, mut socket) = connected(&site).await;
    let path = format!("/agents/{}/events/one?id=P%2F7", agent.uid);
    let (api, asked_path) = (site.api.clone(), path.clone());
    let asked = tokio::spawn(async move { api.get::<EventDetailView>(&asked_path).await });
    let request = question(&mut socket).await;
    assert!(matches!(&request.ask, Some(Ask::Event(ask)) if ask.event_id == "P/7"), "{request:?}");
    let detail = EventDetail {
        event: serde_json::from_slice(&event(7)).unwrap(),
        raw: Some("C1".to_owned()),
        formats: vec![FormattedEvent {
            format: "cef".to_owned(),
            destination: Some("siem".to_owned()),
            text: "CEF:0|Muster|".to_owned(),
        }],
    };
    let json = serde_json::to_vec(&detail).unwrap();
    let (head, tail) = json.split_at(100);
    for (number, piece) in [head, tail].into_iter().enumerate() {
        let answer = Answer::Event(piece.to_vec());
        send(&mut socket, &part(&mut agent, &request.id, number as u32, number == 1, answer)).await;
    }
    let view = asked.await.unwrap();
    assert_eq!((view.agent.0, &view.detail), (agent.uid, &detail));
    let entries = audited(&site, "events.one").await;
    assert_eq!((entries.len(), entries[0].detail.as_str()), (1, "P/7"));

    // Not in memory any more; and an agent of a release that does not know the question.
    for (reason, text, status, code, words) in [
        (InspectRefusalReason::NotHeld, "it keeps the last 1,000", 404, "not-found", "keeps the last"),
        (
            InspectRefusalReason::Invalid,
            "this agent does not know",
            409,
            "agent-unable",
            "runs version 0.1.0, which",
        ),
    ] {
        let (api, asked_path) = (site.api.clone(), path.clone());
        let asked = tokio::spawn(async move { api.problem("GET", &asked_path, None).await });
        let request = question(&mut socket).await;
        let refusal = InspectReply::refusal(&request.id, reason, text);
        let custom_message = Some(InspectMessage::Reply(refusal).to_custom());
        send(&mut socket, &AgentToServer { custom_message, ..agent.message() }).await;
        let problem = asked.await.unwrap();
        assert_eq!((problem.status, problem.code()), (status, code));
        assert!(problem.detail.contains(words), "{}", problem.detail);
    }
    // Something else than was asked for.
    let asked = tokio::spawn({
        let (api, path) = (site.api.clone(), path.clone());
        async move { api.problem("GET", &path, None).await }
    });
    let request = question(&mut socket).await;
    send(&mut socket, &part(&mut agent, &request.id, 0, true, Answer::Event(b"{}".to_vec()))).await;
    assert_eq!(asked.await.unwrap().status, 502);
    for bad in ["", "id=", "id=a%0Ab"] {
        let path = format!("/agents/{}/events/one?{bad}", agent.uid);
        assert_eq!(site.api.problem("GET", &path, None).await.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_and_a_bundle() {
    let site = Site::start().await;
    let (mut agent, mut socket) = connected(&site).await;
    let candidate = br#"{"revision":3,"spec":{"sources":{"audit":{"kind":"audit_journal"}}}}"#;
    let (api, path) = (site.api.clone(), format!("/agents/{}/preview", agent.uid));
    let body = ("application/json", candidate.to_vec());
    let asked = tokio::spawn(async move { api.json::<PreviewView>("POST", &path, Some(body), 200).await });
    let request = question(&mut socket).await;
    let Some(Ask::Preview(preview)) = &request.ask else { panic!("{request:?}") };
    let text = String::from_utf8(preview.candidate.clone()).unwrap();
    assert!(muster_shared::policy::parse_effective(&text).is_ok_and(|policy| policy.revision == 3), "{text}");
    let sample = PreviewSample { event: event(1), change: "dropped".to_owned(), rule: "r".to_owned() };
    let report = PreviewReport { events: 10, newly_dropped: 4, samples: vec![sample], ..Default::default() };
    send(&mut socket, &part(&mut agent, &request.id, 0, true, Answer::Preview(report))).await;
    let view = asked.await.unwrap();
    assert_eq!((view.events, view.newly_dropped, view.samples[0].event.id.as_str()), (10, 4, "P/1"));

    let (api, path) = (site.api.clone(), format!("/agents/{}/diagnostics", agent.uid));
    let asked = tokio::spawn(async move { api.raw("POST", &path, None).await });
    let request = question(&mut socket).await;
    assert!(matches!(&request.ask, Some(Ask::Diagnostics(ask)) if !ask.with_events));
    for (number, piece) in [r#"{"a":"#, "1}"].into_iter().enumerate() {
        let answer = Answer::Bundle(piece.as_bytes().to_vec());
        send(&mut socket, &part(&mut agent, &request.id, number as u32, number == 1, answer)).await;
    }
    let (status, bytes, headers) = asked.await.unwrap();
    assert_eq!((status, bytes.as_slice()), (200, br#"{"a":1}"#.as_slice()));
    assert!(headers["content-disposition"].to_str().unwrap().contains("muster-diagnostics-"));
}

/// Items of a stream of server-sent events.
struct Items {
    response: reqwest::Response,
    text: String,
}

impl Items {
    async fn open(site: &Site, path: &str) -> Self {
        let client =
            reqwest::Client::builder().tls_backend_preconfigured(tls(site.ca(), None)).build().unwrap();
        let url = format!("https://{}/api/v1{path}", site.addr());
        let request = client.get(url).bearer_auth(site.api.token.as_ref().unwrap());
        let response = request.header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    async fn next(&mut self) -> TailItem {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let data = block.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str(&data).unwrap();
                }
                continue;
            }
            let chunk =
                tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("it is silent").unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.expect("it goes on")).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_over_two_agents_begins_shows_and_ends() {
    let site = Site::start().await;
    let (mut first, mut one) = connected(&site).await;
    let (second, mut two) = connected(&site).await;
    let mut items = Items::open(&site, "/events/tail?filter=type%3DAF").await;
    let asked = [question(&mut one).await, question(&mut two).await];
    for request in &asked {
        let Some(Ask::Tail(tail)) = &request.ask else { panic!("{request:?}") };
        assert_eq!((tail.filter.as_str(), tail.max_per_second), ("type=AF", 100), "the limit is shared");
    }
    let id = &asked[0].id;
    send(&mut one, &part(&mut first, id, 0, false, Answer::Tail(TailEvents::default()))).await;
    let started = items.next().await;
    assert!(
        matches!(&started, TailItem::Started { agent_name, .. } if agent_name == "PROD01"),
        "{started:?}"
    );
    let events = TailEvents { events: vec![event(5), b"garbage".to_vec()], skipped: 40 };
    send(&mut one, &part(&mut first, id, 1, false, Answer::Tail(events))).await;
    let TailItem::Event { event, agent, .. } = items.next().await else { panic!("no event") };
    assert_eq!((event.id.as_str(), agent.0), ("P/5", first.uid));
    let skipped = items.next().await;
    assert!(matches!(skipped, TailItem::Skipped { events: 41, .. }), "{skipped:?}");
    // The other one refuses.
    let refusal = InspectReply::refusal(&asked[1].id, InspectRefusalReason::Busy, "enough");
    let custom_message = Some(InspectMessage::Reply(refusal).to_custom());
    let mut other = second;
    send(&mut two, &AgentToServer { custom_message, ..other.message() }).await;
    let ended = items.next().await;
    assert!(matches!(&ended, TailItem::Ended { reason, .. } if reason.ends_with("enough")), "{ended:?}");
    // The viewer goes away: the agent is told.
    drop(items);
    loop {
        let request = question(&mut one).await;
        if matches!(request.ask, Some(Ask::EndTail(_))) {
            assert_eq!(&request.id, id);
            break;
        }
    }
    assert_eq!(audited(&site, "events.tail").await[0].object, "fleet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_the_next_poll() {
    let site = Site::start().await;
    let mut agent = site.agent().await;
    let poller = Poller::new(&agent);
    let report = able(&mut agent);
    poller.ask(&report).await;
    let asked: Vec<_> = ["user=A", "user=B"]
        .into_iter()
        .map(|filter| {
            let path = format!("/agents/{}/events/recent?filter={filter}", agent.uid);
            let api = site.api.clone();
            tokio::spawn(async move { api.get::<RecentEvents>(&path).await })
        })
        .collect();
    // One custom message an answer: the second question comes with the second poll.
    let mut answered = 0;
    while answered < 2 {
        let poll = agent.message();
        let Some(request) = request_in(&poller.ask(&poll).await) else { continue };
        let answer = Answer::Recent(WireRecent { events: vec![event(7)], held: 1, matched: 1 });
        let message = part(&mut agent, &request.id, 0, true, answer);
        // The answer to this message may carry the next question.
        if let Some(next) = request_in(&poller.ask(&message).await) {
            let answer = Answer::Recent(WireRecent { events: vec![], held: 1, matched: 0 });
            poller.ask(&part(&mut agent, &next.id, 0, true, answer)).await;
            answered += 1;
        }
        answered += 1;
    }
    for asked in asked {
        assert_eq!(asked.await.unwrap().held, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_recorded_and_survives_a_restart() {
    let site = Site::start_with(|config| config.history_span = Duration::from_secs(1)).await;
    let (mut agent, mut socket) = connected(&site).await;
    let mut told = 0;
    let path = format!("/agents/{}/history?metric=received", agent.uid);
    let mean = |view: &HistoryView| {
        let series = view.series.iter().find(|series| series.name == "audit")?;
        series.values.iter().flatten().copied().find(|value| *value > 0.0)
    };
    let seen = eventually("a rate is in the history", async || {
        told += 1;
        let source = SourceRates { received: told * 100, kept: told * 100, ..Default::default() };
        let report = RatesReport {
            boot_id: vec![1; 16],
            time_unix_ms: 1_000_000 + told * 100,
            sources: [("audit".to_owned(), source)].into(),
            ..Default::default()
        };
        let custom_message = Some(RatesMessage::Report(report).to_custom());
        ask(&mut socket, &AgentToServer { custom_message, ..agent.message() }).await;
        mean(&site.api.get(&path).await)
    })
    .await;
    assert!(seen > 0.0);
    let fleet: HistoryView = site.api.get("/fleet/history").await;
    assert!(fleet.series[0].values.iter().flatten().any(|value| *value > 0.0), "{fleet:?}");
    assert_eq!(site.api.problem("GET", "/fleet/history?step=1", None).await.status, 400);
    let segments = std::fs::read_dir(site.dir.path().join("data/history")).unwrap().count();
    assert!((1..=2).contains(&segments), "one an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_outage_is_neither_offline_nor_for_ever() {
    let site = Site::start().await;
    let (agent, socket) = connected(&site).await;
    let path = format!("/agents/{}", agent.uid);
    let maintenance = format!("{path}/maintenance");
    let put = |seconds| {
        let request = MaintenanceRequest { for_seconds: seconds, reason: "IPL".to_owned() };
        Some(("application/json", serde_json::to_vec(&request).unwrap()))
    };
    for seconds in [0, 604_801] {
        assert_eq!(site.api.problem("PUT", &maintenance, put(seconds)).await.status, 400);
    }
    let view: AgentView = site.api.json("PUT", &maintenance, put(3_600), 200).await;
    assert_eq!(view.summary.state, AgentState::Healthy, "it is still there");
    assert_eq!(view.summary.planned_outage.as_ref().map(|outage| outage.reason.as_str()), Some("IPL"));
    drop(socket);
    let state = async |wanted: AgentState| {
        eventually("the state is shown", async || {
            let view: AgentView = site.api.get(&path).await;
            (view.summary.state == wanted && view.summary.connection == Connection::Offline).then_some(view)
        })
        .await
    };
    let away = state(AgentState::PlannedOutage).await;
    assert!(away.summary.since.is_some());
    let fleet: muster_proto::api::FleetView = site.api.get("/fleet").await;
    assert_eq!((fleet.planned_outage, fleet.offline), (1, 1));
    assert_eq!(site.api.raw("DELETE", &maintenance, None).await.0, 204);
    state(AgentState::Offline).await;
    assert_eq!(audited(&site, "agent.maintenance").await.len(), 1);
    assert_eq!(audited(&site, "agent.maintenance_end").await.len(), 1);
    // It ends by itself.
    let _: AgentView = site.api.json("PUT", &maintenance, put(1), 200).await;
    state(AgentState::Offline).await;
}
