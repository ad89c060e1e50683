//! Packages: upload, list, retire.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::package::upload::{self, UploadError, Uploader};
use crate::package::{FileFault, PackageRecord, Retired};
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use muster_package::Version;
use muster_proto::api::{
    PACKAGE_CONTENT_TYPE, PackageRetire, PackageUpload, PackageUploadRequest, PackageView, Page, PageQuery,
    UPLOAD_OFFSET_HEADER,
};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/packages", web::get().to(list))
        .service(
            web::resource("/packages/uploads/{sha256}")
                .route(web::put().to(begin))
                .route(web::patch().to(append))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/packages/{name}/{version}/{platform}", web::get().to(show))
        .route("/packages/{name}/{version}/{platform}/retire", web::post().to(retire));
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let told = error.to_string();
        match error {
            UploadError::NoDigest(_) => Self::bad_request("sha256", told),
            UploadError::Size(_) | UploadError::TooMuch(_) => Self::bad_request("package-size", told),
            UploadError::TooMany => Self::conflict("too-many-uploads", told),
            UploadError::Full { .. } => Self::conflict("repository-full", told),
            UploadError::NotBegun(_) => Self::not_found(told),
            UploadError::Offset { wanted, .. } => Self::conflict("upload-offset", told).with_offset(wanted),
            UploadError::Silence | UploadError::Broken(_) => Self::bad_request("upload-broken", told),
            UploadError::TakenOver => Self::conflict("upload-taken-over", told),
            UploadError::File(fault) => fault.into(),
            UploadError::Refused(refused) => Self::unprocessable(refused.code(), told),
            UploadError::Store(error) => error.into(),
            UploadError::Unfinished(error) => Self::internal("the package was not written", &error),
        }
    }
}

impl From<FileFault> for ApiError {
    fn from(fault: FileFault) -> Self {
        match &fault {
            FileFault::NoRoom { .. } => Self::no_room(fault.to_string()),
            FileFault::Io { .. } => {
                Self::internal("a file of the packages' folder could not be used", &fault)
            }
        }
    }
}

#[utoipa::path(
    put,
    path = "/api/v1/packages/uploads/{sha256}",
    params(("sha256" = String, Path, description = "SHA-256 of the whole file, hexadecimal")),
    request_body(content = PackageUploadRequest, example = json!({"size": 20480})),
    responses(
        (status = 201, body = PackageUpload, description = "Begun"),
        (status = 200, body = PackageUpload, description = "It was begun before, or the package is there"),
    ),
)]
pub(super) async fn begin(
    app: web::Data<App>,
    _: Caller,
    sha256: web::Path<String>,
    body: web::Json<PackageUploadRequest>,
) -> Result<HttpResponse, ApiError> {
    let size = body.size;
    let found = super::detached(async move { Ok(app.packages.begin(&sha256, size).await?) }).await?;
    let mut answer = if found.new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.insert_header((UPLOAD_OFFSET_HEADER, found.upload.offset)).json(found.upload))
}

#[utoipa::path(
    patch,
    path = "/api/v1/packages/uploads/{sha256}",
    params(
        ("sha256" = String, Path, description = "SHA-256 of the whole file, hexadecimal"),
        ("Upload-Offset" = u64, Header, description = "Where in the file the piece begins: what is there already"),
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "A piece of the file, of any size"),
    responses(
        (status = 200, body = PackageUpload, description = "More has to come"),
        (status = 201, body = PackageUpload, description = "It was the last piece: the package is verified and there"),
    ),
)]
pub(super) async fn append(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
    sha256: web::Path<String>,
    piece: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let offset = header(UPLOAD_OFFSET_HEADER).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let offset: u64 = offset.and_then(|text| text.parse().ok()).ok_or_else(|| {
        ApiError::bad_request(
            "upload-offset",
            "the header Upload-Offset tells where in the file the piece begins",
        )
    })?;
    let kind = header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kind != Some(PACKAGE_CONTENT_TYPE) {
        return Err(ApiError::unsupported_media_type(PACKAGE_CONTENT_TYPE));
    }
    if request.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(ApiError::unsupported_media_type("application/octet-stream without a Content-Encoding"));
    }
    let appended = app.packages.append(&sha256, offset, piece).await?;
    let by = Uploader {
        token: caller.api_token().map(str::to_owned),
        user: caller.session.user,
        from: caller.from,
    };
    let settled = async move { Ok(upload::settle(&app, appended, &by).await?) };
    let upload = super::detached(settled).await?;
    let mut answer = if upload.package.is_some() { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.insert_header((UPLOAD_OFFSET_HEADER, upload.offset)).json(upload))
}

#[utoipa::path(
    get,
    path = "/api/v1/packages",
    params(PageQuery),
    responses((status = 200, body = Page<PackageView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<PackageView>>, ApiError> {
    let all = app.packages.all();
    let Page { items, next } = super::page(all.into_iter().map(|p| (p.key(), p)), &query)?;
    Ok(web::Json(Page { items: items.iter().map(|package| app.packages.view(package)).collect(), next }))
}

fn find(app: &App, path: (String, String, String)) -> Result<PackageRecord, ApiError> {
    let (name, version, platform) = path;
    let found = version.parse::<Version>().ok().and_then(|v| app.packages.find(&name, &v, &platform));
    found.ok_or_else(|| {
        let what = crate::fleet::bounded(&format!("{name} {version} for {platform}"), 200);
        ApiError::not_found(format!("there is no package {what}; see `muster package list`"))
    })
}

fn tag(package: &PackageRecord) -> String {
    let retired = if package.retired.is_some() { "-retired" } else { "" };
    format!("{}{retired}", &package.sha256[..16])
}

fn answer(app: &App, package: &PackageRecord) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(tag(package))).json(app.packages.view(package))
}

#[utoipa::path(
    get,
    path = "/api/v1/packages/{name}/{version}/{platform}",
    params(
        ("name" = String, Path, description = "What it upgrades"),
        ("version" = String, Path, description = "Its version"),
        ("platform" = String, Path, description = "Where it runs"),
    ),
    responses((status = 200, body = PackageView)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, ApiError> {
    Ok(answer(&app, &find(&app, path.into_inner())?))
}

#[utoipa::path(
    post,
    path = "/api/v1/packages/{name}/{version}/{platform}/retire",
    params(
        ("name" = String, Path, description = "What it upgrades"),
        ("version" = String, Path, description = "Its version"),
        ("platform" = String, Path, description = "Where it runs"),
    ),
    request_body(content = PackageRetire, example = json!({"reason": "loses events of data queues"})),
    responses((status = 200, body = PackageView, description = "Retired, now or before")),
)]
pub(super) async fn retire(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String, String)>,
    known: Precondition,
    body: web::Json<PackageRetire>,
) -> Result<HttpResponse, ApiError> {
    let PackageRetire { reason } = body.into_inner();
    super::one_line("reason", &reason)?;
    let package = super::detached(retire_one(app.clone(), caller, path.into_inner(), known, reason)).await?;
    Ok(answer(&app, &package))
}

async fn retire_one(
    app: web::Data<App>,
    caller: Caller,
    path: (String, String, String),
    known: Precondition,
    reason: String,
) -> Result<PackageRecord, ApiError> {
    let _changing = app.packages.changing().await;
    let package = find(&app, path)?;
    known.check(Some(&tag(&package)), &package.title())?;
    let by = Retired { by: caller.session.user.clone(), at: Timestamp::now(), reason };
    let Some((retired, batch)) = app.packages.retired(&package, by.clone()) else { return Ok(package) };
    let action = Outgoing::by_user(caller.actor(), "package.retire", package.title());
    app.commit(batch, action.detail(by.reason)).await?;
    app.packages.take(retired.clone());
    Ok(retired)
}
