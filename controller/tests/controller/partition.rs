//! The table of the fleet, as the console asks for it.

use crate::common::*;
use muster_proto::api::{AgentState, FleetView, HistoryView, PartitionsView};
use muster_proto::opamp::AgentToServer;
use muster_proto::session::rates::{DestinationRates, RatesMessage, RatesReport, SourceRates};
use std::time::Duration;

/// An agent of an environment; connected if there is a socket.
async fn labelled(site: &Site, env: &str) -> TestAgent {
    let agent = site.agent().await;
    let body = format!("{{\"env\":\"{env}\",\"site\":\"zrh\"}}");
    let path = format!("/agents/{}/labels", agent.uid);
    let _: serde_json::Value =
        site.api.json("PUT", &path, Some(("application/json", body.into_bytes())), 200).await;
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_searched_sorted_summed_up_and_taken_along() {
    let site = Site::start().await;
    let mut first = labelled(&site, "prod").await;
    let (_socket, _) = first.connect().await;
    let (second, _third) = (labelled(&site, "prod").await, labelled(&site, "test").await);

    let all: PartitionsView = site.api.get("/fleet/partitions?sort=state&group=label:env").await;
    assert_eq!((all.total, all.matching, all.items.len()), (3, 3, 3));
    let states: Vec<AgentState> = all.items.iter().map(|row| row.agent.state).collect();
    assert_eq!(states, [AgentState::NeverConnected, AgentState::NeverConnected, AgentState::Healthy]);
    let groups: Vec<_> =
        all.groups.iter().map(|g| (g.value.as_str(), g.agents, g.healthy, g.other)).collect();
    assert_eq!(groups, [("prod", 2, 1, 1), ("test", 1, 0, 1)]);
    assert_eq!(all.facets.states, [("healthy".to_owned(), 1), ("never_connected".to_owned(), 2)].into());
    let row = &all.items[2];
    assert_eq!((row.system.as_str(), row.agent.name.as_str(), row.spark.len()), ("PROD01", "PROD01", 30));

    let found: PartitionsView =
        site.api.get("/fleet/partitions?search=prod01%20V7R5&state=healthy,failed").await;
    assert_eq!((found.matching, found.items[0].agent.id.0), (1, first.uid));
    let window: PartitionsView = site.api.get("/fleet/partitions?label=env%3Dprod&offset=1&limit=1").await;
    assert_eq!((window.total, window.matching, window.offset, window.items.len()), (3, 2, 1, 1));
    let counts: PartitionsView = site.api.get("/fleet/partitions?limit=0").await;
    assert_eq!((counts.matching, counts.items.len()), (3, 0));
    for bad in ["sort=size", "group=name", "limit=501", "state=well", "label=env", "colour=red", "order=up"] {
        let problem = site.api.problem("GET", &format!("/fleet/partitions?{bad}"), None).await;
        assert_eq!(problem.status, 400, "{bad}");
    }

    let (status, text, headers) =
        site.api.raw("GET", "/fleet/partitions.csv?sort=name&order=desc", None).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/csv; charset=utf-8"));
    let disposition = headers["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment; filename=\"muster-partitions-20"), "{disposition}");
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!((lines.len(), lines[4]), (5, ""), "{text}");
    assert!(lines[0].starts_with("name,system,partition,state,reason,labels,os_release,version,"), "{text}");
    assert!(
        lines[1].starts_with("PROD01,PROD01,,healthy,,env=prod;site=zrh,V7R5M0,0.1.0,0.00,0,0,,"),
        "{text}"
    );
    assert!(text.contains(&second.uid.to_string()));
    let problem = site.api.problem("GET", "/fleet/partitions.csv?limit=1", None).await;
    assert!(problem.detail.contains("all lines"), "{}", problem.detail);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_tells_its_lag_and_its_day() {
    let site = Site::start_with(|config| config.history_span = Duration::from_secs(1)).await;
    let mut agent = site.agent().await;
    let (mut socket, _) = agent.connect().await;
    let mut told = 0;
    eventually("something is in the history", async || {
        told += 1;
        let source =
            SourceRates { received: told * 100, kept: told * 90, dropped: told * 10, ..Default::default() };
        let siem = DestinationRates { delivered: told * 90, lag_ms: Some(1_500), ..Default::default() };
        let report = RatesReport {
            boot_id: vec![1; 16],
            time_unix_ms: 1_000_000 + told * 100,
            sources: [("audit".to_owned(), source)].into(),
            destinations: [("siem".to_owned(), siem)].into(),
            ..Default::default()
        };
        let custom_message = Some(RatesMessage::Report(report).to_custom());
        ask(&mut socket, &AgentToServer { custom_message, ..agent.message() }).await;
        let history: HistoryView = site.api.get("/fleet/history?metric=delivered").await;
        history.series[0].values.iter().flatten().any(|value| *value > 0.0).then_some(())
    })
    .await;
    let table: PartitionsView = site.api.get("/fleet/partitions").await;
    // The pictures end with the last whole minute: what was told just now may not be in them yet.
    assert_eq!((table.items[0].agent.lag_ms, table.items[0].spark.len()), (1_500, 30));
    let fleet: FleetView = site.api.get("/fleet").await;
    assert_eq!(fleet.lag_ms, 1_500);
    assert!(fleet.day.received > 0, "{fleet:?}");
    assert_eq!(fleet.day.received, fleet.day.kept + fleet.day.dropped);
    assert_eq!(fleet.day.delivered, fleet.day.kept);
    site.running.stop().await;
}
