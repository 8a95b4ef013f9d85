//! The answer to a request for a directory.

use super::body::Head;
use super::problem::Problem;
use super::{answer, html, slashed, walk};
use crate::app::App;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use html::Entry;
use log::warn;
use millrace_common::cause::chain;
use millrace_common::error::Error;
use millrace_common::models::ServedPublication;

/// Bytes of a page that are sent at once.
const PIECE: usize = 16 * 1024;

const INDEX: &str = "index.html";

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Lists the base paths below a path, which is none itself.
///
/// # Errors
/// As the database.
pub async fn of_places(
    request: &HttpRequest,
    app: &Data<App>,
    path: &str,
) -> Result<HttpResponse, Problem> {
    let is_directory = path.is_empty() || path.ends_with('/');
    let below = if is_directory {
        path.to_owned()
    } else {
        format!("{path}/")
    };
    let mut walk = walk::Places::new(app.db.clone(), &below);
    let first = walk.next().await?;
    if first.is_none() && !path.is_empty() {
        return Err(Problem::NotFound);
    }
    if !is_directory {
        return slashed(request);
    }
    Ok(page(request, path, first, Walk::Places(walk)))
}

/// Answers with the index of a directory, or lists its files.
///
/// # Errors
/// As the database and the store.
pub async fn of_files(
    request: &HttpRequest,
    app: &Data<App>,
    publication: ServedPublication,
    directory: &str,
) -> Result<HttpResponse, Problem> {
    let index = format!("{directory}{INDEX}");
    if let Some(answer) = answer::file(request, app, publication, &index).await? {
        return Ok(answer);
    }
    let mut walk = walk::Files::new(app.db.clone(), publication, directory);
    let first = walk.next().await?;
    if first.is_none() {
        // The root of a publication is there even when nothing is in it.
        if !directory.is_empty() {
            return Err(Problem::NotFound);
        }
        match walk.check().await {
            Err(Error::NotFound { .. }) => return Err(Problem::NotFound),
            checked => checked?,
        }
    }
    Ok(page(request, directory, first, Walk::Files(walk)))
}

/// True where files lie below a path, which ends without a slash.
///
/// # Errors
/// As the database.
pub async fn is_there(
    app: &App,
    publication: ServedPublication,
    path: &str,
) -> Result<bool, Problem> {
    let directory = format!("{path}/");
    let mut walk = walk::Files::new(app.db.clone(), publication, &directory);
    Ok(walk.next().await?.is_some())
}

enum Walk {
    Places(walk::Places),
    Files(walk::Files),
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Entry>, Error> {
        match self {
            Self::Places(walk) => walk.next().await,
            Self::Files(walk) => {
                let next = walk.next().await?;
                if next.is_none() {
                    walk.check().await?;
                }
                Ok(next)
            }
        }
    }
}

/// A page that is written while it is sent.
fn page(request: &HttpRequest, path: &str, first: Option<Entry>, walk: Walk) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, HTML));
    if request.method() == Method::HEAD {
        return answer.body(Head(None));
    }
    let mut begun = html::begin(path);
    if let Some(first) = &first {
        html::line(&mut begun, first);
    }
    let state = Some((walk, begun));
    answer.streaming(stream::try_unfold(state, async |state| {
        let Some((mut walk, mut piece)) = state else {
            return Ok::<_, Error>(None);
        };
        while piece.len() < PIECE {
            let next = walk.next().await.inspect_err(|error| {
                warn!("a listing breaks off: {}", chain(error));
            })?;
            let Some(entry) = next else {
                piece.push_str(html::END);
                return Ok(Some((Bytes::from(piece), None)));
            };
            html::line(&mut piece, &entry);
        }
        Ok(Some((Bytes::from(piece), Some((walk, String::new())))))
    }))
}
