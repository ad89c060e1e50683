//! The files of packages, for agents: by their certificate, in parts, and no faster than all of them together may.

use super::admission::by_certificate;
use crate::app::App;
use crate::fleet::record::Life;
use crate::http::error::ApiError;
use crate::package::PackageRecord;
use crate::package::download::content;
use crate::package::range::{Part, asked};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use muster_proto::api::PACKAGE_CONTENT_TYPE;
use muster_proto::opamp::INCARNATION_HEADER;
use muster_shared::id::AgentId;
use std::io::{self, SeekFrom};
use std::time::Instant;
use tokio::fs::File;
use tokio::io::AsyncSeekExt as _;

/// Serves a package, or a part of it.
///
/// # Errors
/// 401 and 403 if the agent may not, 404, 416, and 503 with the time to come back if too many download.
pub async fn serve(
    app: web::Data<App>,
    request: HttpRequest,
    sha256: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    if app.is_stopping() {
        return Err(ApiError::unavailable("the controller is shutting down", 2));
    }
    may_have(&app, by_certificate(&app, &request).await?)?;
    let package = app.packages.find_file(&sha256).ok_or_else(|| missing(&sha256))?;
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (tag, size) = (format!("\"{}\"", package.sha256), package.size);
    let part = asked(header(header::RANGE), header(header::IF_RANGE), &tag, size);
    let range = match &part {
        Part::Whole => 0..size,
        Part::Some(range) => range.clone(),
        Part::Behind => return Err(ApiError::behind_the_end(size)),
    };
    let length = range.end - range.start;
    let place = app.packages.downloads.enter(length, Instant::now()).map_err(|full| {
        ApiError::unavailable("too many agents download packages at this moment", full.retry_after)
    })?;
    let file = open(&app, &package, range.start).await?;
    let mut response = match part {
        Part::Whole => HttpResponse::Ok(),
        Part::Some(_) | Part::Behind => HttpResponse::PartialContent(),
    };
    if let Part::Some(range) = part {
        let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response.insert_header((header::CONTENT_RANGE, told));
    }
    Ok(response
        .content_type(PACKAGE_CONTENT_TYPE)
        .insert_header((header::ETAG, tag))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        // It is compressed already, and parts are of these very bytes.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header((INCARNATION_HEADER, app.incarnation.header()))
        .no_chunking(length)
        .streaming(content(file, length, place)))
}

/// A quarantined agent gets nothing.
fn may_have(app: &App, id: AgentId) -> Result<(), ApiError> {
    match app.fleet.with(id, |agent| agent.record.life == Life::Active) {
        Some(true) => Ok(()),
        Some(false) | None => {
            let told = format!("agent {id} is quarantined: it gets nothing until it is released");
            Err(ApiError::forbidden("agent-held", told))
        }
    }
}

fn missing(sha256: &str) -> ApiError {
    let shown = crate::fleet::bounded(sha256, 64);
    ApiError::not_found(format!("there is no package {shown} (any more); the next offer names one"))
}

/// The file of a package, from a byte on.
async fn open(app: &App, package: &PackageRecord, begin: u64) -> Result<File, ApiError> {
    let failed = |error: io::Error| ApiError::internal("the package could not be read", &error);
    let mut file = match File::open(app.packages.path(package)).await {
        Ok(file) => file,
        // As after a restore: it comes back with the next upload of it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ApiError::unavailable(
                "the file of this package is missing; upload the package again",
                60,
            ));
        }
        Err(error) => return Err(failed(error)),
    };
    file.seek(SeekFrom::Start(begin)).await.map_err(failed)?;
    Ok(file)
}
