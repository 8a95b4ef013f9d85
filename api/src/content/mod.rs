//! The content server: files and directories under the base paths of distributions (contract 1.10, 4.19).
//!
//! A request is answered in two steps. [`places`] asks the database which publication its base path serves
//! at this moment; requests that come meanwhile share one question. What is under a path of a publication
//! never changes, so [`files`] may remember it. Nothing else is remembered: whatever has been committed
//! when a request arrives is what it sees, on every process.
//!
//! Paths are looked up in the database only; none ever becomes a path of a file system.

mod answer;
mod away;
mod body;
mod conditions;
mod directory;
mod fetch;
mod files;
mod html;
mod path;
mod places;
mod problem;
mod walk;

pub use fetch::Fetches;
pub use files::Files;
use problem::Problem;

use crate::app::App;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::models::Served;
use places::Places;
use std::rc::Rc;

/// What a document of the content server may do in a browser.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'";

const METHODS: &str = "GET, HEAD, OPTIONS";

/// Registers the content server below its prefix; once on every thread.
pub fn register(app: &Data<App>, config: &mut ServiceConfig) {
    let prefix = app.settings.content.path_prefix.trim_end_matches('/');
    config
        .app_data(Rc::new(Places::new(app.db.clone())))
        .service(web::scope(prefix).default_service(web::to(serve)));
}

async fn serve(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let mut answer = answer(&request, &app).await.unwrap_or_else(|problem| {
        problem.log(request.path());
        problem.answer()
    });
    guard(answer.headers_mut());
    answer
}

/// Files come from anywhere, but are served from the origin of the REST API: no browser may run them as if
/// they were ours.
fn guard(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let media = headers.get(header::CONTENT_TYPE);
    if media
        .and_then(|media| media.to_str().ok())
        .is_some_and(is_run)
    {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(SANDBOX),
        );
    }
}

/// True for the types of documents that may hold scripts.
fn is_run(media: &str) -> bool {
    let kind = media.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let endings = ["/html", "/xml", "+xml", "/xsl"];
    endings.iter().any(|ending| kind.ends_with(ending))
}

async fn answer(request: &HttpRequest, app: &Data<App>) -> Result<HttpResponse, Problem> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => {
            return Ok(HttpResponse::Ok()
                .insert_header((header::ALLOW, HeaderValue::from_static(METHODS)))
                .finish());
        }
        _ => return Err(Problem::Method),
    }
    let raw = request.uri().path();
    let Some(below) = raw.strip_prefix(app.settings.content.path_prefix.as_str()) else {
        // The scope takes the prefix itself without its slash, and other ways to write it.
        return if format!("{raw}/") == app.settings.content.path_prefix {
            slashed(request)
        } else {
            Err(Problem::NotFound)
        };
    };
    let path = path::decode(below)?;
    let places = request
        .app_data::<Rc<Places>>()
        .ok_or_else(|| Problem::internal("the places of this thread are missing"))?;
    let mut served = places.serving(&path).await?;
    loop {
        let answered = match &served {
            Some(served) => below_place(request, app, served, &path).await,
            None => directory::of_places(request, app, &path).await,
        };
        if !matches!(answered, Err(Problem::NotFound)) {
            return answered;
        }
        // What was served a moment ago may be gone because something else is served now.
        let now = places.serving(&path).await?;
        if now == served {
            return answered;
        }
        served = now;
    }
}

async fn below_place(
    request: &HttpRequest,
    app: &Data<App>,
    served: &Served,
    path: &str,
) -> Result<HttpResponse, Problem> {
    let publication = served.publication.ok_or(Problem::NotFound)?;
    let Some(relative) = path.get(served.place.len()..) else {
        return slashed(request);
    };
    if relative.is_empty() || relative.ends_with('/') {
        return directory::of_files(request, app, publication, relative).await;
    }
    if let Some(answer) = answer::file(request, app, publication, relative).await? {
        return Ok(answer);
    }
    if directory::is_there(app, publication, relative).await? {
        return slashed(request);
    }
    Err(Problem::NotFound)
}

/// A directory without its slash: relative links of its listing would lead astray.
fn slashed(request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.uri().path();
    if path.ends_with('/') {
        return Err(Problem::NotFound);
    }
    let location = match request.uri().query() {
        None => format!("{path}/"),
        Some(query) => format!("{path}/?{query}"),
    };
    Ok(HttpResponse::build(StatusCode::MOVED_PERMANENTLY)
        .insert_header((header::LOCATION, location))
        .finish())
}
