//! The answer to a request for a file.

use super::away;
use super::body::{Head, Local};
use super::conditions::{Wanted, wanted};
use super::files::{File, Found, redirects};
use super::problem::Problem;
use crate::app::App;
use actix_web::body::{BoxBody, MessageBody, SizedStream};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use millrace_common::error::Error;
use millrace_common::models::ServedPublication;
use millrace_common::storage::Presigned;
use std::ops::Range;
use std::time::Duration;

/// The size of the whole file.
pub const ARTIFACT_SIZE: HeaderName = HeaderName::from_static("x-pulp-artifact-size");

/// How long an address in the object store is good for: a slow client begins within it.
const REDIRECT: Duration = Duration::from_secs(3600);

/// Looks after a file that was gone where it should have been.
const ATTEMPTS: usize = 3;

/// Answers with the file under a path; `None` where none is.
///
/// # Errors
/// A condition that does not hold, a store or a database that does not answer.
pub async fn file(
    request: &HttpRequest,
    app: &App,
    publication: ServedPublication,
    path: &str,
) -> Result<Option<HttpResponse>, Problem> {
    for _ in 0..ATTEMPTS {
        let file = match app.files.find(app, publication, path).await? {
            None => return Ok(None),
            Some(Found::Here(file)) => file,
            Some(Found::Away(found)) => match away::file(request, app, &found, path).await? {
                Some(answer) => return Ok(Some(answer)),
                None => continue,
            },
        };
        match stored(request, app, &file).await {
            Err(Error::NotFound { .. }) => app.files.forget(publication, path).await,
            answered => return answered?.map(Some),
        }
    }
    Err(Problem::internal(format!(
        "the file of {path} is missing in the store"
    )))
}

/// Answers with a file of the store.
async fn stored(
    request: &HttpRequest,
    app: &App,
    file: &File,
) -> Result<Result<HttpResponse, Problem>, Error> {
    let wanted = match wanted(request.method(), request.headers(), &file.about) {
        Ok(wanted) => wanted,
        Err(problem) => return Ok(Err(problem)),
    };
    let head = request.method() == Method::HEAD;
    let (mut answer, range) = match wanted {
        Wanted::Nothing => {
            let mut answer = HttpResponse::build(StatusCode::NOT_MODIFIED);
            return Ok(Ok(validators(&mut answer, file).finish()));
        }
        Wanted::Whole => (HttpResponse::Ok(), 0..file.size),
        Wanted::Part(range) => (partial(&range, file.size), range),
    };
    if !head && let Some(mut answer) = elsewhere(app, file).await? {
        return Ok(Ok(validators(&mut answer, file).finish()));
    }
    let body = if head {
        Head(file.size).boxed()
    } else {
        bytes(app, file, range).await?
    };
    answer
        .insert_header((header::CONTENT_TYPE, file.media.clone()))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        .insert_header((ARTIFACT_SIZE, file.artifact_size.clone()));
    Ok(Ok(validators(&mut answer, file).body(body)))
}

/// Sends the client to the object store, where that is set; it asks there for the part that it wants.
async fn elsewhere(app: &App, file: &File) -> Result<Option<HttpResponseBuilder>, Error> {
    if !redirects(app) {
        return Ok(None);
    }
    let says = Presigned {
        content_type: file.media.to_str().ok(),
        ..Presigned::default()
    };
    let address = app.storage.presigned(&file.key, REDIRECT, &says).await?;
    Ok(address.map(|address| {
        let mut answer = HttpResponse::Found();
        answer
            .insert_header((header::LOCATION, address.as_str()))
            .insert_header((ARTIFACT_SIZE, file.artifact_size.clone()));
        answer
    }))
}

/// An answer with a part of a file.
pub fn partial(range: &Range<u64>, size: u64) -> HttpResponseBuilder {
    let mut answer = HttpResponse::PartialContent();
    let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    answer.insert_header((header::CONTENT_RANGE, shown));
    answer
}

fn validators<'a>(answer: &'a mut HttpResponseBuilder, file: &File) -> &'a mut HttpResponseBuilder {
    if let Some(tag) = &file.about.etag {
        answer.insert_header((header::ETAG, tag.clone()));
    }
    answer.insert_header((header::LAST_MODIFIED, file.last_modified.clone()))
}

async fn bytes(app: &App, file: &File, range: Range<u64>) -> Result<BoxBody, Error> {
    if let Some(bytes) = &file.bytes {
        let (start, end) = (place(range.start)?, place(range.end)?);
        return Ok(bytes.slice(start..end).boxed());
    }
    if let Some(root) = app.storage.root() {
        let path = root.join(file.key.as_str());
        return match Local::open(path, range).await {
            Ok(body) => Ok(body.boxed()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NotFound { what: "file" })
            }
            Err(error) => Err(Error::Unavailable {
                what: "artifact store",
                source: error.into(),
            }),
        };
    }
    let size = range.end - range.start;
    let stream = app.storage.read(&file.key, Some(range)).await?;
    Ok(SizedStream::new(size, stream).boxed())
}

fn place(at: u64) -> Result<usize, Error> {
    usize::try_from(at).map_err(Error::internal)
}
