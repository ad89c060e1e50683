//! The web console: the files that `make console` built, embedded in the program and served at `/`.
//!
//! The console is an application of one page. A path that is no file is one of its views, and a browser that asks
//! for it gets the page, which shows the view. Nothing here needs a session: the files are the same for everybody,
//! and all that they show comes from the interface, which asks who wants to know.
//!
//! A controller that was built without Node.js has no console. It says so, in place of the page.

mod policy;

use super::error::ApiError;
use super::routes::CONSOLE;
use crate::identity::secret::hex;
use actix_web::http::Method;
use actix_web::http::header::{
    self, Accept, AcceptEncoding, ContentEncoding, ContentType, ETag, Encoding, EntityTag, Header as _,
    IfNoneMatch, Quality,
};
use actix_web::{HttpRequest, HttpResponse, guard, web};
use bytes::Bytes;
use rust_embed::{Embed, EmbeddedFile};
use std::borrow::Cow;

/// The page.
const PAGE: &str = "index.html";
/// Files below have a hash of their content in their names.
const HASHED: &str = "assets";
/// First parts of paths that are never a view: those of the interface and of agents.
const TAKEN: &[&str] = &["api", "v1", "metrics", "healthz", "readyz"];
/// Ends of the names of compressed files beside the file itself, and their encodings.
const COMPRESSED: [(&str, ContentEncoding); 2] =
    [(".br", ContentEncoding::Brotli), (".gz", ContentEncoding::Gzip)];

const LEFT_OUT: &str = "\
This controller was built without its web console, because Node.js was not there when it was built.

To have the console, install Node.js where the controller is built, run `make console` and build the controller again.
Everything that the console does, the command line `muster` does too: begin with `muster login`.
";

/// What `make console` built; nothing if it did not run.
#[derive(Embed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Dist;

/// A file of the console.
struct File {
    content: Bytes,
    sha256: [u8; 32],
    /// Media type, without parameters.
    media: String,
}

impl From<EmbeddedFile> for File {
    fn from(file: EmbeddedFile) -> Self {
        let content = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let (sha256, media) = (file.metadata.sha256_hash(), file.metadata.mimetype().to_owned());
        Self { content, sha256, media }
    }
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    // Other methods find nothing, as everywhere else.
    let looks = guard::fn_guard(|context| [Method::GET, Method::HEAD].contains(&context.head().method));
    let console = web::resource(CONSOLE).guard(looks).wrap(actix_web::middleware::from_fn(super::gate::gate));
    config.service(console.to(serve));
}

async fn serve(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.match_info().query("file");
    answer(|name| Dist::get(name).map(File::from), path, &request)
}

/// The answer to a look at a path below the root, out of the files that `find` finds.
fn answer(
    find: impl Fn(&str) -> Option<File>,
    path: &str,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let nothing =
        || ApiError::not_found(format!("there is nothing for {} {}", request.method(), request.path()));
    let first = path.split('/').next().unwrap_or_default();
    if TAKEN.contains(&first) {
        return Err(nothing());
    }
    let name = if path.is_empty() { PAGE } else { path };
    let is_view = first != HASHED && (name == PAGE || wants_page(request));
    if find(PAGE).is_none() && is_view {
        return Ok(HttpResponse::NotFound().content_type(ContentType::plaintext()).body(LEFT_OUT));
    }
    let found = if is_compressed(name) { None } else { find(name) };
    match found {
        Some(file) => Ok(send(&find, name, file, request)),
        None if is_view => find(PAGE).map(|page| send(&find, PAGE, page, request)).ok_or_else(nothing),
        None => Err(nothing()),
    }
}

/// Whether a name is that of a compressed file: those are other forms of a file, not files.
fn is_compressed(name: &str) -> bool {
    COMPRESSED.iter().any(|(end, _)| name.ends_with(end))
}

/// Whether a browser asks for a page. Its scripts, styles and pictures take anything, or nothing that is a page.
fn wants_page(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else { return false };
    accept.iter().any(|kind| kind.item.essence_str() == "text/html" && kind.quality > Quality::ZERO)
}

/// A file in the form that the client likes best, unless it has that already.
fn send(find: impl Fn(&str) -> Option<File>, name: &str, file: File, request: &HttpRequest) -> HttpResponse {
    let media = if file.media.starts_with("text/") {
        format!("{}; charset=utf-8", file.media)
    } else {
        file.media.clone()
    };
    let (encoding, form) = best_form(find, name, request).unwrap_or((ContentEncoding::Identity, file));
    // Each form has a tag of its own, for their bytes differ.
    let tag = EntityTag::new_strong(hex(&form.sha256));
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|k| k.weak_eq(&tag)),
        Err(_) => false,
    };
    let is_hashed = name.split('/').next() == Some(HASHED);
    let cache = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy::value()));
    if is_known {
        return response.finish();
    }
    // The encoding is said also where there is none: else the file would be compressed on its way, under the same tag.
    response.insert_header((header::CONTENT_TYPE, media)).insert_header(encoding).body(form.content)
}

/// The compressed form of a file that the client prefers; none if it likes the file as it is.
fn best_form(
    find: impl Fn(&str) -> Option<File>,
    name: &str,
    request: &HttpRequest,
) -> Option<(ContentEncoding, File)> {
    let accepted = AcceptEncoding::parse(request).ok()?;
    let mut forms: Vec<(ContentEncoding, File)> = COMPRESSED
        .into_iter()
        .filter_map(|(end, encoding)| Some((encoding, find(&format!("{name}{end}"))?)))
        .collect();
    let mut there = vec![Encoding::identity()];
    there.extend(forms.iter().map(|(encoding, _)| Encoding::Known(*encoding)));
    let Some(Encoding::Known(best)) = accepted.negotiate(there.iter()) else { return None };
    let position = forms.iter().position(|(encoding, _)| *encoding == best)?;
    Some(forms.swap_remove(position))
}

#[cfg(test)]
mod tests;
