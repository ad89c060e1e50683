//! The table of the fleet.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::fleet::Fleet;
use crate::fleet::history::{History, Range};
use crate::fleet::table::{Column, Filter, Found, GroupBy, Look, Wanted, window};
use crate::fleet::view;
use actix_web::web;
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{AgentState, PartitionRow, PartitionsQuery, PartitionsView};
use muster_shared::id::AgentId;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

/// Longest text that is searched for, in bytes.
const MAX_SEARCH: usize = 200;
/// Items of a window unless asked otherwise, and the most.
const LIMIT: (u32, u32) = (100, 500);
/// Seconds of a point of a line's sparkline, and their number.
const SPARK: (u64, u64) = (120, 30);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/fleet/partitions", web::get().to(list))
        .route("/fleet/partitions.csv", web::get().to(super::partition_csv::file));
}

/// Reads what is asked.
pub(super) fn wanted(query: &PartitionsQuery) -> Result<Wanted, ApiError> {
    if query.search.len() > MAX_SEARCH {
        return Err(ApiError::bad_request("search", format!("search must be at most {MAX_SEARCH} bytes")));
    }
    let filter = Filter {
        states: states(&query.state)?,
        labels: super::selector::labels("label", &query.label)?,
        version: query.version.as_deref().map(super::agent::requirement).transpose()?,
        os_release: query.os_release.clone(),
        policy: query.policy,
        flag: query.flag,
        kind: query.kind,
        ..Filter::default()
    };
    let column = |name: &str, text: String| ApiError::bad_request(name, text);
    let sort = query.sort.as_deref().map_or_else(|| Ok(Column::default()), str::parse::<Column>);
    let group = query.group.as_deref().map(str::parse::<GroupBy>).transpose();
    Ok(Wanted {
        filter: filter.searching(&query.search),
        sort: sort.map_err(|e| column("sort", format!("sort: {e}")))?,
        order: query.order,
        group: group.map_err(|e| column("group", format!("group: {e}")))?,
    })
}

fn states(text: &str) -> Result<Vec<AgentState>, ApiError> {
    let state = |word: &str| {
        let read: Result<AgentState, serde::de::value::Error> =
            AgentState::deserialize(word.into_deserializer());
        read.map_err(|error| {
            let told = format!(
                "state: {}; write words with commas between",
                crate::fleet::bounded(&error.to_string(), 300)
            );
            ApiError::bad_request("state", told)
        })
    };
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(state).collect()
}

/// Looks at all agents.
pub(super) fn find(fleet: &Fleet, wanted: &Wanted, now: Timestamp) -> Found {
    let mut look = Look::new(wanted);
    fleet.each(|agent| look.at(&view::facts(agent, now)));
    look.done()
}

#[utoipa::path(
    get,
    path = "/api/v1/fleet/partitions",
    params(PartitionsQuery),
    responses((status = 200, body = PartitionsView)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PartitionsQuery>,
) -> Result<web::Json<PartitionsView>, ApiError> {
    let wanted = wanted(&query)?;
    let limit = query.limit.unwrap_or(LIMIT.0);
    if limit > LIMIT.1 {
        return Err(ApiError::bad_request("limit", format!("limit must be 0 to {}", LIMIT.1)));
    }
    let offset = query.offset.unwrap_or(0);
    // Thousands of agents, and the disk: not where other requests wait.
    let read = move || view(&app.fleet, &app.history, &wanted, offset, limit as usize, Timestamp::now());
    let view = tokio::task::spawn_blocking(read).await;
    Ok(web::Json(view.map_err(|e| ApiError::internal("the table could not be made", &e))?))
}

/// The window that is asked for. Blocks on the disk.
fn view(
    fleet: &Fleet,
    history: &History,
    wanted: &Wanted,
    offset: u64,
    limit: usize,
    now: Timestamp,
) -> PartitionsView {
    let Found { total, ids, groups, facets } = find(fleet, wanted, now);
    let page = window(&ids, offset, limit);
    let sparks = sparks(history, page, now);
    let row = |(id, spark): (&AgentId, Vec<Option<f32>>)| {
        let row = fleet.with(*id, |agent| view::row(agent, now))?;
        Some(PartitionRow { spark, ..row })
    };
    // Who was removed meanwhile is left out.
    let items = page.iter().zip(sparks).filter_map(row).collect();
    PartitionsView { at: now, total, matching: ids.len() as u64, offset, items, groups, facets }
}

/// What each of these agents received over the last hour.
fn sparks(history: &History, ids: &[AgentId], now: Timestamp) -> Vec<Vec<Option<f32>>> {
    match history.received(ids, last_hour(now)) {
        // For a small picture half the digits are plenty.
        Ok(read) => {
            read.into_iter().map(|agent| agent.into_iter().map(|v| v.map(|v| v as f32)).collect()).collect()
        }
        Err(error) => {
            tracing::warn!(%error, "history not read; the table of the fleet is told without it");
            vec![vec![None; SPARK.1 as usize]; ids.len()]
        }
    }
}

/// The hour that ends with the last whole minute: then every point has all the moments that it can have.
fn last_hour(now: Timestamp) -> Range {
    let to = Timestamp::from_second(now.as_second().div_euclid(60) * 60).unwrap_or(now);
    let from = to.checked_sub(SignedDuration::from_secs((SPARK.0 * SPARK.1) as i64)).unwrap_or(to);
    Range { from, to, step: SPARK.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::AgentRecord;
    use crate::fleet::history::Sampled;
    use crate::fleet::link::Link;
    use crate::fleet::rates::SpanCounts;
    use crate::policy::PolicyBook;
    use muster_proto::api::SortOrder;
    use muster_proto::opamp::attribute;
    use muster_proto::session::rates::{RatesReport, SourceRates};

    #[test]
    fn queries_are_read_or_refused_with_words() {
        let query = PartitionsQuery {
            search: "Prod 01".to_owned(),
            state: "failed, planned_outage".to_owned(),
            label: "env=prod".to_owned(),
            version: Some("<0.4".to_owned()),
            sort: Some("label:site".to_owned()),
            order: SortOrder::Desc,
            group: Some("state".to_owned()),
            ..PartitionsQuery::default()
        };
        let read = wanted(&query).unwrap();
        assert_eq!(read.filter.states, [AgentState::Failed, AgentState::PlannedOutage]);
        assert_eq!(read.filter.labels["env"], "prod");
        assert_eq!(read.order, SortOrder::Desc);
        let default = PartitionsQuery::default;
        for (query, expected) in [
            (PartitionsQuery { search: "x".repeat(201), ..default() }, "200 bytes"),
            (PartitionsQuery { state: "well".to_owned(), ..default() }, "unknown variant `well`"),
            (PartitionsQuery { label: "env".to_owned(), ..default() }, "key=value"),
            (PartitionsQuery { version: Some("new".to_owned()), ..default() }, "<0.4"),
            (PartitionsQuery { sort: Some("size".to_owned()), ..default() }, "sort: `size` is none of name"),
            (
                PartitionsQuery { group: Some("name".to_owned()), ..default() },
                "group: `name` is none of state",
            ),
        ] {
            let error = wanted(&query).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_hour_in_thirty_points() {
        let range = last_hour("2026-11-25T18:00:59.5Z".parse().unwrap());
        assert_eq!(range.to.to_string(), "2026-11-25T18:00:00Z");
        assert_eq!((range.from.to_string().as_str(), range.steps()), ("2026-11-25T17:00:00Z", 30));
    }

    /// A fleet of `count` agents with labels and rates, and its last hour on disk.
    fn fleet(count: u64, now: Timestamp) -> (Fleet, History, tempfile::TempDir) {
        let (fleet, book, folder) = (Fleet::default(), PolicyBook::default(), tempfile::tempdir().unwrap());
        let history = History::open(folder.path(), u64::MAX).unwrap();
        let id = |n: u64| AgentId(uuid::Uuid::from_u128(0x019b_8d7a_2da8_7657 << 64 | u128::from(n)));
        let text = |key: &str, value: String| (key.to_owned(), value);
        for n in 0..count {
            let labels = [text("env", format!("e{}", n % 4)), text("site", format!("s{}", n % 40))].into();
            let partition = format!("78{n:05}-{}", n % 9).parse().ok();
            let record =
                AgentRecord { labels, partition, heartbeat_seconds: 30, ..AgentRecord::fresh(id(n), now) };
            fleet.install(record, &book);
            fleet.with(id(n), |agent| {
                agent.observed.healthy = true;
                agent.observed.attributes = [
                    text(attribute::IBMI_SYSTEM_NAME, format!("PROD{n}")),
                    text(attribute::SERVICE_VERSION, format!("0.{}.0", n % 3)),
                    text(attribute::IBMI_OS_RELEASE, format!("V7R{}M0", 3 + n % 4)),
                    text(attribute::HOST_NAME, format!("prod{n}.example.com")),
                ]
                .into();
                agent.attach(1, Link::Socket { address: "127.0.0.1:1".parse().unwrap() });
                agent.last_seen = Some(now);
                for second in [0, 30, 60, 90] {
                    let told =
                        SourceRates { received: second * n, kept: second * n, ..SourceRates::default() };
                    let sources =
                        ["audit", "qhst", "qsysopr"].map(|name| (name.to_owned(), told.clone())).into();
                    let report = RatesReport {
                        time_unix_ms: 1_000_000 + second * 1_000,
                        sources,
                        ..RatesReport::default()
                    };
                    agent.rates.report(&report, now);
                }
            });
        }
        let component = |name: &str| SpanCounts {
            name: std::sync::Arc::from(name),
            destination: name == "siem",
            counts: [600, 540, 60],
            lag_ms: 700,
        };
        let components = ["audit", "qhst", "qsysopr", "siem"].map(component).to_vec();
        let sampled = |n| Sampled {
            agent: id(n),
            state: AgentState::Healthy,
            components: components.clone(),
            standing_by: Vec::new(),
        };
        let all: Vec<Sampled> = (0..count).map(sampled).collect();
        for minute in (0..60).rev() {
            let at = last_hour(now).to - SignedDuration::from_mins(minute);
            history.record(at, 60, &all).unwrap();
        }
        (fleet, history, folder)
    }

    #[test]
    fn a_window_of_a_fleet() {
        let now = Timestamp::now();
        let (fleet, history, _folder) = fleet(50, now);
        let query = PartitionsQuery {
            search: "example.com".to_owned(),
            label: "env=e1".to_owned(),
            sort: Some("rate".to_owned()),
            order: SortOrder::Desc,
            group: Some("version".to_owned()),
            ..PartitionsQuery::default()
        };
        let view = view(&fleet, &history, &wanted(&query).unwrap(), 2, 3, now);
        assert_eq!((view.total, view.matching, view.offset), (50, 13, 2));
        let names: Vec<&str> = view.items.iter().map(|row| row.system.as_str()).collect();
        assert_eq!(names, ["PROD41", "PROD37", "PROD33"]);
        let row = &view.items[0];
        assert_eq!(
            (row.partition.as_ref().unwrap().to_string().as_str(), row.agent.state),
            ("7800041-5", AgentState::Healthy)
        );
        assert!((row.agent.rates.minute.received - 123.0).abs() < 1e-9, "{row:?}");
        assert_eq!(row.spark, vec![Some(30.0); 30]);
        assert_eq!(view.groups.iter().map(|group| group.agents).sum::<u64>(), 13);
        assert_eq!(view.facets.labels["env"]["e1"], 13);
        // The whole table is one object, the agent's line flat in it.
        let told = serde_json::to_value(&view).unwrap();
        assert_eq!(
            (&told["items"][0]["name"], &told["items"][0]["spark"][0]),
            (&"PROD41".into(), &30.0.into())
        );
        assert_eq!(serde_json::from_value::<PartitionsView>(told).unwrap(), view);
    }

    /// `cargo test --release -- --ignored --nocapture ten_thousand`.
    #[test]
    #[ignore = "a measurement: what a window costs with 10,000 agents"]
    fn ten_thousand() {
        let now = Timestamp::now();
        let (fleet, history, _folder) = fleet(10_000, now);
        let query = |sort: &str, search: &str, group: &str| PartitionsQuery {
            sort: Some(sort.to_owned()),
            search: search.to_owned(),
            group: (!group.is_empty()).then(|| group.to_owned()),
            ..PartitionsQuery::default()
        };
        for (sort, search, group, limit) in [
            ("name", "", "", 100),
            ("rate", "", "label:site", 100),
            ("label:site", "prod example", "state", 100),
            ("version", "", "os_release", 500),
        ] {
            let wanted = wanted(&query(sort, search, group)).unwrap();
            let mut best = [f64::MAX; 2];
            for _ in 0..20 {
                let begun = std::time::Instant::now();
                find(&fleet, &wanted, now);
                let found = begun.elapsed().as_secs_f64() * 1e3;
                let view = view(&fleet, &history, &wanted, 5_000, limit, now);
                let json = serde_json::to_vec(&view).unwrap();
                assert_eq!((view.items.len(), json.is_empty()), (limit, false));
                best = [best[0].min(found), best[1].min(begun.elapsed().as_secs_f64() * 1e3 - found)];
            }
            eprintln!(
                "sort {sort}, search `{search}`, group `{group}`, {limit} rows: {:.1} ms to find, {:.1} ms in all",
                best[0], best[1]
            );
        }
        let begun = std::time::Instant::now();
        history.day(now).unwrap();
        eprintln!("an hour of the day's totals: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    }

    #[test]
    fn states_have_the_words_of_the_interface() {
        for state in [
            AgentState::Healthy,
            AgentState::Degraded,
            AgentState::Failed,
            AgentState::Reconnecting,
            AgentState::Offline,
            AgentState::PlannedOutage,
            AgentState::Quarantined,
            AgentState::NeverConnected,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
            assert_eq!(states(state.word()).unwrap(), [state]);
        }
    }
}
