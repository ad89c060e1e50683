//! Leases: who collects, and moves.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::lease::decide::{Member, Phase};
use crate::lease::driver::{MoveError, move_lease};
use crate::lease::{Lease, name_of};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{LeaseAgent, LeaseMove, LeaseQuery, LeaseView, Page, PageQuery};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/leases", web::get().to(list))
        .route("/leases/{partition}/move", web::post().to(move_leases));
}

fn view(app: &App, lease: &Lease) -> LeaseView {
    let record = &lease.record;
    let members = app.leases.members(&app.fleet, &record.partition, &record.source, Timestamp::now());
    let agent = |id: AgentId| LeaseAgent {
        id,
        name: app.fleet.with(id, |agent| agent.observed.name(id)).unwrap_or_else(|| id.to_string()),
        connected: members.iter().any(|member| member.id == id && member.there),
    };
    let mut waiting: Vec<&Member> = members.iter().filter(|m| m.wants && m.id != record.holder).collect();
    waiting.sort_by_key(|member| (!member.there, member.enrolled_at, member.id));
    LeaseView {
        partition: record.partition.clone(),
        source: record.source.clone(),
        epoch: record.epoch,
        holder: agent(record.holder),
        since: record.since,
        renewed_ms_ago: u64::try_from(app.leases.age(lease).as_millis()).unwrap_or(u64::MAX),
        moving_to: match &record.phase {
            Phase::Held => None,
            Phase::Moving { to, .. } => Some(agent(*to)),
        },
        stand_by: waiting.iter().map(|member| agent(member.id)).collect(),
        late_renewals: lease.late,
    }
}

#[utoipa::path(
    get,
    path = "/api/v1/leases",
    params(LeaseQuery),
    responses((status = 200, body = Page<LeaseView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<LeaseQuery>,
) -> Result<web::Json<Page<LeaseView>>, ApiError> {
    let LeaseQuery { cursor, limit, partition } = query.into_inner();
    let wanted: Option<PartitionKey> = match partition.map(|text| text.parse()) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(error)) => {
            let error: muster_shared::partition::PartitionKeyError = error;
            return Err(ApiError::bad_request("partition", error.to_string()));
        }
    };
    let all = app.leases.all();
    let meant = all.iter().filter(|lease| wanted.as_ref().is_none_or(|key| lease.record.partition == *key));
    let views = meant.map(|lease| {
        let key = format!("{} {}", lease.record.partition, lease.record.source);
        (key, view(&app, lease))
    });
    Ok(web::Json(super::page(views, &PageQuery { cursor, limit })?))
}

impl From<MoveError> for ApiError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::None { .. } => Self::not_found(error.to_string()),
            MoveError::Refused { .. } | MoveError::Stranger { .. } => {
                Self::conflict("lease-move", error.to_string())
            }
            MoveError::Store(error) => error.into(),
        }
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/leases/{partition}/move",
    params(("partition" = String, Path, description = "The partition, SERIAL-ID")),
    request_body(content = LeaseMove, example = json!({"to": "019b8d7a-2da8-7657-b52d-492a9de33319"})),
    responses((status = 202, body = [LeaseView], description = "The holder was asked to give them back")),
)]
pub(super) async fn move_leases(
    app: web::Data<App>,
    caller: Caller,
    partition: web::Path<String>,
    body: web::Json<LeaseMove>,
) -> Result<HttpResponse, ApiError> {
    let partition: PartitionKey =
        partition.parse().map_err(|error: muster_shared::partition::PartitionKeyError| {
            ApiError::not_found(error.to_string())
        })?;
    let LeaseMove { to, source } = body.into_inner();
    let chosen = |lease: &Lease| {
        lease.record.partition == partition
            && match &source {
                Some(source) => lease.record.source == *source,
                // Those that it has already need no move.
                None => lease.record.holder != to,
            }
    };
    let keys: Vec<_> = app
        .leases
        .all()
        .into_iter()
        .filter(chosen)
        .map(|lease| (lease.record.partition, lease.record.source))
        .collect();
    if keys.is_empty() {
        let has_all = app.leases.all().iter().any(|lease| lease.record.partition == partition);
        return Err(if has_all && source.is_none() {
            let text =
                format!("{} collects everything of partition {partition} already", name_of(&app.fleet, to));
            ApiError::conflict("lease-move", text)
        } else {
            MoveError::None { partition, source_key: source.unwrap_or_else(|| "any source".to_owned()) }
                .into()
        });
    }
    super::detached(async move {
        for key in &keys {
            move_lease(&app, key, to, caller.actor()).await?;
        }
        let all = app.leases.all();
        let moving = all.iter().filter(|l| {
            keys.iter()
                .any(|(partition, source)| (&l.record.partition, &l.record.source) == (partition, source))
        });
        Ok(moving.map(|lease| view(&app, lease)).collect::<Vec<LeaseView>>())
    })
    .await
    .map(|views| HttpResponse::Accepted().json(views))
}
