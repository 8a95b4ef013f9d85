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
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
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
    if wanted == Wanted::Nothing {
        let mut answer = HttpResponse::NotModified();
        return Ok(Some(validator(&mut answer, &about).finish()));
    }
    if request.method() == Method::HEAD {
        let mut answer = HttpResponse::Ok();
        describe(&mut answer, &about, path);
        return Ok(Some(whole(&mut answer, &about).body(Head(about.size))));
    }
    let range = match (wanted, about.size) {
        (Wanted::Part(range), Some(_)) => Some(range),
        _ => None,
    };
    let from = range.as_ref().map_or(0, |range| range.start);
    let mut following = app.fetches.follow(id, from);
    // Whoever asks for a part holds another, or will: both are to be of the same file.
    let begun = following.begin(range.is_some()).await;
    let mut answer = match (&range, about.size) {
        (Some(range), Some(size)) => partial(range, size),
        _ => HttpResponse::Ok(),
    };
    match begun {
        Begun::Stored => return Ok(None),
        Begun::Not(problem) => return Err(problem),
        Begun::Whole => whole(&mut answer, &about),
        // The client may be left with the beginning of something else: nothing says that it goes on from
        // there.
        Begun::Here => answer.insert_header((header::ACCEPT_RANGES, NONE)),
    };
    describe(&mut answer, &about, path);
    let size = about.size.map(|size| 0..size);
    let range = range.or(size);
    let stream = following.into_stream(range.as_ref().map(|range| range.end));
    let body = match range {
        Some(range) => SizedStream::new(range.end - range.start, Box::pin(stream)).boxed(),
        None => BodyStream::new(Box::pin(stream)).boxed(),
    };
    Ok(Some(answer.body(body)))
}

const NONE: HeaderValue = HeaderValue::from_static("none");

const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// Of bytes that are the file's without doubt, or none.
fn whole<'a>(answer: &'a mut HttpResponseBuilder, about: &About) -> &'a mut HttpResponseBuilder {
    validator(answer, about).insert_header((header::ACCEPT_RANGES, BYTES))
}

fn validator<'a>(
    answer: &'a mut HttpResponseBuilder,
    about: &About,
) -> &'a mut HttpResponseBuilder {
    if let Some(tag) = &about.etag {
        answer.insert_header((header::ETAG, tag.clone()));
    }
    answer
}

fn describe(answer: &mut HttpResponseBuilder, about: &About, path: &str) {
    answer.insert_header((header::CONTENT_TYPE, files::media(path)));
    if let Some(size) = about.size {
        answer.insert_header((ARTIFACT_SIZE, HeaderValue::from(size)));
    }
}
