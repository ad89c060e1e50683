//! Backups, and what the last restore left to do.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::backup::{self, By};
use crate::store::Batch;
use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use jiff::Timestamp;
use muster_proto::api::{BACKUP_CONTENT_TYPE, BackupList, BackupView, RestoreView};
use std::io;
use tokio::io::AsyncReadExt as _;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/backups")
                .route(web::post().to(make))
                .route(web::get().to(list))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/backups/{name}", web::get().to(download))
        .route("/restore", web::get().to(restore));
}

#[utoipa::path(
    post,
    path = "/api/v1/backups",
    responses((status = 201, body = BackupView, description = "It is written, and was read back")),
)]
pub(super) async fn make(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let work = async move { Ok(backup::make(&app, By::User(caller.actor())).await?) };
    Ok(HttpResponse::Created().json(super::detached(work).await?))
}

#[utoipa::path(get, path = "/api/v1/backups", responses((status = 200, body = BackupList)))]
pub(super) async fn list(app: web::Data<App>, _: Caller) -> Result<web::Json<BackupList>, ApiError> {
    let listed = tokio::task::spawn_blocking(move || app.backups.list(Timestamp::now())).await;
    Ok(web::Json(listed.map_err(|e| ApiError::internal("the backups could not be listed", &e))??))
}

#[utoipa::path(
    get,
    path = "/api/v1/backups/{name}",
    params(("name" = String, Path, description = "Name of the file, as the list tells it", example = "muster-20261126T040000000Z.muster-backup")),
    responses((
        status = 200,
        body = String,
        content_type = "application/octet-stream",
        description = "The file, encrypted to the controller's passphrase",
    )),
)]
pub(super) async fn download(
    app: web::Data<App>,
    caller: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let shown = crate::fleet::bounded(&name, 100);
    let missing = || ApiError::not_found(format!("there is no backup `{shown}`; see `muster backup list`"));
    let path = app.backups.path(&name).ok_or_else(missing)?;
    let file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(ApiError::internal("the backup could not be read", &error)),
    };
    let metadata = file.metadata().await;
    let bytes = metadata.map_err(|e| ApiError::internal("the backup could not be read", &e))?.len();
    let action = Outgoing::by_user(caller.actor(), "backup.download", name.as_str());
    super::detached(async move { Ok(app.commit(Batch::new(), action).await?) }).await?;
    Ok(HttpResponse::Ok()
        .content_type(BACKUP_CONTENT_TYPE)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Nothing encrypted gets smaller.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(name)],
        })
        .no_chunking(bytes)
        .streaming(content(file)))
}

fn content(file: tokio::fs::File) -> impl Stream<Item = Result<Bytes, io::Error>> {
    try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then_some((Bytes::from(chunk), file)))
    })
}

#[utoipa::path(get, path = "/api/v1/restore", responses((status = 200, body = RestoreView)))]
pub(super) async fn restore(app: web::Data<App>, _: Caller) -> Result<web::Json<RestoreView>, ApiError> {
    Ok(web::Json(app.incarnation.view(&*app.store)?))
}
