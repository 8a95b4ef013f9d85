//! Why a request is made by nobody.

use crate::error::ApiError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// Why nobody is let in for what a request shows. Each dialect of the API says it in its own words.
#[derive(Debug)]
pub enum Refusal {
    /// It shows nothing, or a session that is over.
    Missing,
    /// Name or password are wrong, or the account is not active.
    Wrong,
    /// Too many wrong passwords were given for this name: none is looked at for so many seconds.
    Locked {
        /// At least one.
        seconds: u64,
    },
    /// It comes with a session's cookie, but not with its token: another site may have sent it.
    Forged(&'static str),
    /// Nobody can tell now.
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        Self::Error(error.into())
    }
}

/// True for requests of a browser's scripts.
fn is_script(headers: &HeaderMap) -> bool {
    headers
        .get("x-requested-with")
        .is_some_and(|v| v == "XMLHttpRequest")
}

impl Refusal {
    /// What version 3 of the API answers to a request with these headers.
    #[must_use]
    pub fn answer(self, headers: &HeaderMap) -> ApiError {
        match self {
            Self::Missing => ApiError::unauthorized(
                "Authentication credentials were not provided.",
                is_script(headers),
            ),
            Self::Wrong => ApiError::unauthorized("Invalid username/password.", is_script(headers)),
            Self::Locked { seconds } => ApiError::detail(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "Too many wrong passwords were given for this name. \
                     Expected available in {seconds} seconds."
                ),
            )
            .header(header::RETRY_AFTER, HeaderValue::from(seconds)),
            Self::Forged(reason) => {
                ApiError::detail(StatusCode::FORBIDDEN, format!("CSRF Failed: {reason}"))
            }
            Self::Error(error) => error,
        }
    }
}
