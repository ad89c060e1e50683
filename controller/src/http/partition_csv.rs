//! The table of the fleet as a file for spreadsheets.

use super::auth::Caller;
use super::error::ApiError;
use super::partition::{find, wanted};
use crate::app::App;
use crate::fleet::view;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use jiff::Timestamp;
use muster_proto::api::{PartitionRow, PartitionsQuery, PolicyState};
use muster_shared::id::AgentId;
use std::borrow::Cow;
use std::convert::Infallible;

/// Lines of one write.
const CHUNK: usize = 256;

const COLUMNS: [&str; 16] = [
    "name",
    "system",
    "partition",
    "state",
    "reason",
    "labels",
    "os_release",
    "version",
    "events_per_s",
    "lag_ms",
    "policy_desired",
    "policy_effective",
    "policy_state",
    "last_seen",
    "enrolled",
    "id",
];

#[utoipa::path(
    get,
    path = "/api/v1/fleet/partitions.csv",
    params(PartitionsQuery),
    responses((
        status = 200,
        body = String,
        content_type = "text/csv",
        description = "A header, then a line for every agent that matches, in the order that is asked for. All of them: \
                       `offset` and `limit` are refused, `group` changes nothing",
    )),
)]
pub(super) async fn file(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PartitionsQuery>,
) -> Result<HttpResponse, ApiError> {
    if query.offset.is_some() || query.limit.is_some() {
        return Err(ApiError::bad_request("window", "the file has all lines; leave out offset and limit"));
    }
    let (wanted, now) = (wanted(&query)?, Timestamp::now());
    let looked = app.clone();
    let found = tokio::task::spawn_blocking(move || find(&looked.fleet, &wanted, now)).await;
    let found = found.map_err(|e| ApiError::internal("the table could not be made", &e))?;
    let name = format!("attachment; filename=\"muster-partitions-{}.csv\"", now.strftime("%F"));
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(lines(app, found.ids, now)))
}

/// The file, some agents at a time, as fast as the client takes it.
fn lines(
    app: web::Data<App>,
    ids: Vec<AgentId>,
    now: Timestamp,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let head = text([COLUMNS.map(Cow::Borrowed)]);
    unfold((Some(head), 0), move |(head, from)| {
        let next = match head {
            Some(head) => Some((Ok(head), (None, from))),
            None if from >= ids.len() => None,
            None => {
                let until = (from + CHUNK).min(ids.len());
                // Who was removed meanwhile is left out.
                let line = |id: &AgentId| {
                    app.fleet.with(*id, |agent| cells(&view::row(agent, now), agent.record.enrolled_at))
                };
                Some((Ok(text(ids[from..until].iter().filter_map(line))), (None, until)))
            }
        };
        async move { next }
    })
}

/// Lines as RFC 4180 has them.
fn text<'c>(lines: impl IntoIterator<Item = [Cow<'c, str>; COLUMNS.len()]>) -> Bytes {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for line in lines {
        // Memory takes everything, and all lines are of one length.
        let _ = writer.write_record(line.iter().map(|cell| harmless(cell).into_owned()));
    }
    Bytes::from(writer.into_inner().unwrap_or_default())
}

/// What a spreadsheet would take for a formula gets an apostrophe before it: names and reasons come from agents. Also
/// behind what separates cells elsewhere: where the comma is for decimals, many split at semicolons, whatever is quoted.
fn harmless(cell: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let (mut begins, mut taken) = (true, 0);
    for (at, c) in cell.char_indices() {
        if begins && matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r') {
            safe.push_str(&cell[taken..at]);
            safe.push('\'');
            taken = at;
        }
        begins = matches!(c, ';' | '\t' | '\r' | '\n') || (begins && matches!(c, ' ' | '"'));
    }
    if safe.is_empty() {
        return cell.into();
    }
    safe.push_str(&cell[taken..]);
    safe.into()
}

fn cells(row: &PartitionRow, enrolled_at: Timestamp) -> [Cow<'static, str>; COLUMNS.len()] {
    let agent = &row.agent;
    let labels: Vec<String> = agent.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let policy = match agent.policy.state {
        PolicyState::Waiting => "waiting",
        PolicyState::Applying => "applying",
        PolicyState::Applied => "applied",
        PolicyState::Failed => "failed",
    };
    [
        agent.name.clone().into(),
        row.system.clone().into(),
        row.partition.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        agent.state.word().into(),
        agent.reason.clone().into(),
        labels.join(";").into(),
        agent.os_release.clone().into(),
        agent.version.clone().into(),
        format!("{:.2}", agent.rates.minute.received).into(),
        agent.lag_ms.to_string().into(),
        agent.policy.wanted.to_string().into(),
        agent.policy.running.map(|revision| revision.to_string()).unwrap_or_default().into(),
        policy.into(),
        agent.last_seen.map(|at| at.to_string()).unwrap_or_default().into(),
        enrolled_at.to_string().into(),
        agent.id.to_string().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, reason: &str) -> [Cow<'static, str>; COLUMNS.len()] {
        let mut line = [const { Cow::Borrowed("") }; COLUMNS.len()];
        line[0] = Cow::Owned(name.to_owned());
        line[4] = Cow::Owned(reason.to_owned());
        line
    }

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (cell, expected) in [
            ("", ""),
            ("PROD01", "PROD01"),
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("a=b", "a=b"),
            ("'=1", "'=1"),
            ("env=prod;site=B 2", "env=prod;site=B 2"),
            ("x;=1;+2;y", "x;'=1;'+2;y"),
            ("x; \"=1", "x; \"'=1"),
            ("x\t=1", "x\t'=1"),
            ("ü\n-1", "ü\n'-1"),
        ] {
            assert_eq!(harmless(cell), expected);
        }
        let written = text([line("A, \"B\"", "two\nlines"), line("=1", "")]);
        let expected = "\"A, \"\"B\"\"\",,,,\"two\nlines\",,,,,,,,,,,\r\n'=1,,,,,,,,,,,,,,,\r\n";
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }
}
