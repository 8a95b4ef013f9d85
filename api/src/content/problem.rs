//! Answers that are not content: short plain texts, never those of the REST API.

use super::METHODS;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use log::{error, warn};
use millrace_common::cause::chain;
use millrace_common::db::RetryCause;
use millrace_common::error::{Error, is_too_slow, is_transient};
use std::sync::Arc;

/// Why there is no content.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The path cannot be one.
    Malformed,
    /// Nothing is there.
    NotFound,
    /// A method that only a writer would use.
    Method,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    Precondition,
    /// The wanted range lies behind the end of a file of so many bytes.
    Range(u64),
    /// Something is missing for the moment.
    Unavailable(Arc<Error>),
    /// A fault of ours.
    Internal(Arc<Error>),
}

impl Problem {
    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::new(Error::internal(cause)))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs what is no fault of the client's.
    pub fn log(&self, path: &str) {
        match self {
            Self::Unavailable(cause) => {
                warn!(path = path; "answered 503 for {path}: {}", chain(&**cause));
            }
            Self::Internal(cause) => {
                error!(path = path; "answered 500 for {path}: {}", chain(&**cause));
            }
            _ => {}
        }
    }

    /// The answer.
    pub fn answer(&self) -> HttpResponse {
        let status = self.status();
        let mut answer = HttpResponse::build(status);
        match self {
            Self::Method => {
                answer.insert_header((header::ALLOW, HeaderValue::from_static(METHODS)));
            }
            Self::Range(size) => {
                answer.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            }
            Self::Unavailable(_) => {
                answer.insert_header((header::RETRY_AFTER, HeaderValue::from_static("5")));
            }
            _ => {}
        }
        answer
            .insert_header((
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            ))
            .body(format!("{status}\n"))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<Error>> for Problem {
    fn from(error: Arc<Error>) -> Self {
        let passes = |cause| is_transient(cause) || is_too_slow(cause);
        // To whom the bytes go it is the same: they cannot be had until somebody has made room.
        let may_pass = matches!(*error, Error::Unavailable { .. } | Error::Full { .. });
        if may_pass || error.diesel().is_some_and(passes) {
            Self::Unavailable(error)
        } else {
            Self::Internal(error)
        }
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        Error::from(error).into()
    }
}
