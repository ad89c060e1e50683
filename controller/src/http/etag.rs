//! `ETag`, `If-Match`, `If-None-Match`: nobody overwrites what he has not seen.

use super::error::ApiError;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use std::future::{Ready, ready};

/// What a request knows of the thing that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// It says nothing.
    Unknown,
    /// `If-None-Match: *`: it must not be there.
    Absent,
    /// `If-Match: *`: it must be there.
    Exists,
    /// `If-Match` with tags: it must be one of these.
    OneOf(Vec<String>),
}

impl Precondition {
    fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let text = |name: HeaderName| -> Result<Option<String>, ApiError> {
            let mut values = request.headers().get_all(&name).peekable();
            if values.peek().is_none() {
                return Ok(None);
            }
            let all: Result<Vec<&str>, _> = values.map(|value| value.to_str()).collect();
            let all = all.map_err(|_| ApiError::bad_request("etag", format!("{name} is not readable")))?;
            Ok(Some(all.join(",")))
        };
        match (text(header::IF_MATCH)?.as_deref().map(str::trim), text(header::IF_NONE_MATCH)?.as_deref()) {
            (None, None) => Ok(Self::Unknown),
            (None, Some(none)) if none.trim() == "*" => Ok(Self::Absent),
            (Some("*"), None) => Ok(Self::Exists),
            (Some(tags), None) => Ok(Self::OneOf(tags.split(',').map(|t| bare(t).to_owned()).collect())),
            (_, Some(_)) => Err(ApiError::bad_request(
                "etag",
                "send either If-Match with the ETag that you know, or If-None-Match: * for something new",
            )),
        }
    }

    /// Whether it holds for what is there; `what` names it.
    ///
    /// # Errors
    /// 412 if it does not.
    pub(crate) fn check(&self, tag: Option<&str>, what: &str) -> Result<(), ApiError> {
        match (self, tag) {
            (Self::Unknown, _) | (Self::Absent, None) | (Self::Exists, Some(_)) => Ok(()),
            (Self::OneOf(tags), Some(tag)) if tags.iter().any(|t| t == tag) => Ok(()),
            (Self::Absent, Some(_)) => Err(ApiError::precondition_failed(format!(
                "{what} exists already; read it and send its ETag as If-Match"
            ))),
            (Self::Exists | Self::OneOf(_), None) => {
                Err(ApiError::precondition_failed(format!("{what} is not there any more")))
            }
            (Self::OneOf(_), Some(_)) => Err(ApiError::precondition_failed(format!(
                "{what} was changed by somebody else meanwhile; read it again, put your change into it and send its new \
                 ETag"
            ))),
        }
    }

    /// As [`Self::check`], where saying nothing is not enough.
    ///
    /// # Errors
    /// 428 if the request says nothing, 412 if it does not hold.
    pub(crate) fn require(&self, tag: Option<&str>, what: &str) -> Result<(), ApiError> {
        if *self == Self::Unknown {
            return Err(ApiError::precondition_required(format!(
                "send the ETag of {what} as If-Match, or If-None-Match: * if it shall be new"
            )));
        }
        self.check(tag, what)
    }
}

impl FromRequest for Precondition {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request))
    }
}

/// A tag without its quotes; a weak one counts like a strong one, for texts are compared byte by byte anyway.
fn bare(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag)
}

/// The header of an answer.
pub(crate) fn etag(tag: impl std::fmt::Display) -> (HeaderName, String) {
    (header::ETAG, format!("\"{tag}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    type Headers<'h> = &'h [(&'h str, &'h str)];

    fn read(headers: Headers<'_>) -> Result<Precondition, u16> {
        let request =
            headers.iter().fold(TestRequest::default(), |r, h| r.append_header(*h)).to_http_request();
        Precondition::read(&request).map_err(|e| e.status_code().as_u16())
    }

    #[test]
    fn headers_are_read() {
        let one_of = |tags: &[&str]| Precondition::OneOf(tags.iter().map(|t| (*t).to_owned()).collect());
        let cases: [(Headers<'_>, Result<Precondition, u16>); 8] = [
            (&[], Ok(Precondition::Unknown)),
            (&[("if-match", "*")], Ok(Precondition::Exists)),
            (&[("if-none-match", "*")], Ok(Precondition::Absent)),
            (&[("if-match", "\"a\"")], Ok(one_of(&["a"]))),
            (&[("if-match", "W/\"a\", \"b\""), ("if-match", "c")], Ok(one_of(&["a", "b", "c"]))),
            (&[("if-none-match", "\"a\"")], Err(400)),
            (&[("if-none-match", "*"), ("if-match", "a")], Err(400)),
            (&[("if-match", "\u{e9}")], Err(400)),
        ];
        for (headers, expected) in cases {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn conditions_hold_or_not() {
        let mine = Precondition::OneOf(vec!["a".to_owned()]);
        let cases = [
            (Precondition::Unknown, None, 200, 428),
            (Precondition::Unknown, Some("a"), 200, 428),
            (Precondition::Absent, None, 200, 200),
            (Precondition::Absent, Some("a"), 412, 412),
            (Precondition::Exists, None, 412, 412),
            (Precondition::Exists, Some("a"), 200, 200),
            (mine.clone(), Some("a"), 200, 200),
            (mine.clone(), Some("b"), 412, 412),
            (mine, None, 412, 412),
        ];
        let status =
            |result: Result<(), ApiError>| result.map_or_else(|e| e.status_code().as_u16(), |()| 200);
        for (condition, tag, checked, required) in cases {
            assert_eq!(status(condition.check(tag, "it")), checked, "{condition:?} {tag:?}");
            assert_eq!(status(condition.require(tag, "it")), required, "{condition:?} {tag:?}");
        }
    }
}
