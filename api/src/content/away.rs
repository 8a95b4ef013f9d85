//! The answer to a request for a file that has not been downloaded.

use super::answer::{ARTIFACT_SIZE, partial};
use super::body::Head;
use super::conditions::{About, Wanted, wanted};
use super::fetch::{self, Begun};
use super::files;
use super::problem::Problem;
use crate::app::App;
use actix_web::body::{BodyStream, MessageBody, SizedStream};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::models::ServedFile;

/// Answers with a file that is fetched for it; `None`: it has just come into the store. HEAD, and a
/// client that has it, need no fetch.
///
/// # Errors
/// [`Problem::NotFound`] when no source has it, [`Problem::Unavailable`] when one may have it later.
pub async fn file(
    request: &HttpRequest,
    app: &App,
    found: &ServedFile,
    path: &str,
) -> Result<Option<HttpResponse>, Problem> {
    let id = found.content_artifact_id;
    let Some(source) = fetch::first_source(app, id).await? else {
        return Err(Problem::NotFound);
    };
    let tag = source.digests.get("sha256");
    let about = About {
        size: source.size,
        etag: tag.map(|digest| files::tag(digest)).transpose()?,
        modified: None,
    };
    let wanted = wanted(request.method(), request.headers(), &about)?;
    let has_it = wanted == Wanted::Nothing;
    let (mut answer, range) = match (wanted, about.size) {
        (Wanted::Nothing, _) => (HttpResponse::NotModified(), None),
        (Wanted::Part(range), Some(size)) => (partial(&range, size), Some(range)),
        (_, size) => (HttpResponse::Ok(), size.map(|size| 0..size)),
    };
    if let Some(tag) = about.etag {
        answer.insert_header((header::ETAG, tag));
    }
    if has_it {
        return Ok(Some(answer.finish()));
    }
    answer
        .insert_header((header::CONTENT_TYPE, files::media(path)))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    if let Some(size) = about.size {
        answer.insert_header((ARTIFACT_SIZE, HeaderValue::from(size)));
        if request.method() == Method::HEAD {
            return Ok(Some(answer.body(Head(size))));
        }
    } else if request.method() == Method::HEAD {
        return Ok(Some(answer.finish()));
    }
    let from = range.as_ref().map_or(0, |range| range.start);
    let mut following = app.fetches.follow(id, from);
    match following.begin().await {
        Begun::Stored => Ok(None),
        Begun::Not(problem) => Err(problem),
        Begun::Here => {
            let stream = following.into_stream(range.as_ref().map(|range| range.end));
            let body = match range {
                Some(range) => SizedStream::new(range.end - range.start, Box::pin(stream)).boxed(),
                None => BodyStream::new(Box::pin(stream)).boxed(),
            };
            Ok(Some(answer.body(body)))
        }
    }
}
