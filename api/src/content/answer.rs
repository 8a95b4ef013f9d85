//! The answer to a request for a file.

use super::away;
use super::body::{Head, Local};
use super::conditions::{Wanted, wanted};
use super::files::{File, Found};
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

/// How long an address of the object store is good: a client that is sent there goes at once.
const EXPIRES: Duration = Duration::from_secs(300);

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
    let elsewhere = is_elsewhere(request, app);
    for _ in 0..ATTEMPTS {
        let found = if elsewhere {
            app.files.look_up(app, publication, path).await?
        } else {
            app.files.find(app, publication, path).await?
        };
        let file = match found {
            None => return Ok(None),
            Some(Found::Here(file)) => file,
            Some(Found::Away(found)) => match away::file(request, app, &found, path).await? {
                Some(answer) => return Ok(Some(answer)),
                None => continue,
            },
        };
        match stored(request, app, &file, elsewhere).await {
            Err(Error::NotFound { .. }) => app.files.forget(publication, path).await,
            answered => return answered?.map(Some),
        }
    }
    Err(Problem::internal(format!(
        "the file of {path} is missing in the store"
    )))
}

/// True where clients are sent to the object store for a file. Not for the index of a directory: its links
/// would lead astray there.
fn is_elsewhere(request: &HttpRequest, app: &App) -> bool {
    let redirects = app.settings.content.redirect_to_object_storage;
    redirects && app.storage.root().is_none() && !request.path().ends_with('/')
}

/// Answers with a file of the store, or with where it is.
async fn stored(
    request: &HttpRequest,
    app: &App,
    file: &File,
    elsewhere: bool,
) -> Result<Result<HttpResponse, Problem>, Error> {
    let wanted = match wanted(request.method(), request.headers(), &file.about) {
        Ok(wanted) => wanted,
        Err(problem) => return Ok(Err(problem)),
    };
    let head = request.method() == Method::HEAD;
    if elsewhere
        && wanted != Wanted::Nothing
        && let Some(answer) = redirect(app, file, head).await?
    {
        return Ok(Ok(answer));
    }
    let (mut answer, range) = match wanted {
        Wanted::Nothing => {
            let mut answer = HttpResponse::build(StatusCode::NOT_MODIFIED);
            return Ok(Ok(validators(&mut answer, file).finish()));
        }
        Wanted::Whole => (HttpResponse::Ok(), 0..file.size),
        Wanted::Part(range) => (partial(&range, file.size), range),
    };
    let body = if head {
        Head(Some(file.size)).boxed()
    } else {
        bytes(app, file, range).await?
    };
    answer
        .insert_header((header::CONTENT_TYPE, file.media.clone()))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        .insert_header((ARTIFACT_SIZE, file.artifact_size.clone()));
    Ok(Ok(validators(&mut answer, file).body(body)))
}

/// Sends a client to the object store; it asks there for the same part.
async fn redirect(app: &App, file: &File, head: bool) -> Result<Option<HttpResponse>, Error> {
    let answer = Presigned {
        head,
        content_type: file.media.to_str().ok(),
        content_disposition: None,
    };
    let url = app.storage.presigned(&file.key, EXPIRES, &answer).await?;
    Ok(url.map(|url| {
        HttpResponse::Found()
            .insert_header((header::LOCATION, url.as_str()))
            // The address is good for a while only.
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .insert_header((ARTIFACT_SIZE, file.artifact_size.clone()))
            .finish()
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
