//! What a request ends with before its handler does, and the one table to status codes.
//!
//! Bodies have the contract's shape (4.1): `{"field": ["message"]}`, `{"detail": "message"}`. A fault of
//! ours says no more than its correlation id; the cause goes to the log.

use crate::correlation;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use log::{error, warn};
use millrace_common::cause::chain;
use millrace_common::db::RetryCause;
use millrace_common::error::{Error, is_too_slow, is_transient};
use serde_json::{Map, Value, json};
use std::fmt;

/// What a handler returns.
pub type ApiResult<T = HttpResponse> = Result<T, ApiError>;

/// An answer that is not the handler's: a refusal, or one that was given before.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What an [`ApiError`] is made of.
pub struct Parts {
    /// Status of the answer.
    pub status: StatusCode,
    /// `{"detail": text}`, or messages by field.
    pub body: Value,
    /// Headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What was wrong, for the log.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    fn new(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            headers: Vec::new(),
            cause: None,
        }
    }

    /// This status with `{"detail": …}`.
    pub fn detail(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, json!({ "detail": detail.into() }))
    }

    /// 400 for one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!({ field: [message.into()] }))
    }

    /// This status for one field.
    pub fn field_with(status: StatusCode, field: &str, message: impl Into<String>) -> Self {
        Self::new(status, json!({ field: [message.into()] }))
    }

    /// 202 with the task of an earlier request, of which this one is a repetition: nothing else is to be done
    /// for it.
    pub fn accepted_before(task: String) -> Self {
        Self::new(StatusCode::ACCEPTED, json!({ "task": task }))
    }

    /// 400 for all fields that are wrong.
    #[must_use]
    pub fn fields(errors: Map<String, Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Value::Object(errors))
    }

    /// 400 with a list of messages that belong to no field.
    pub fn messages(messages: impl IntoIterator<Item = String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, messages.into_iter().collect())
    }

    /// 400 with `{"detail": …}`, for a body that cannot be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::detail(StatusCode::BAD_REQUEST, detail)
    }

    /// 404 for a path that leads nowhere.
    #[must_use]
    pub fn not_found() -> Self {
        Self::detail(StatusCode::NOT_FOUND, "Not found.")
    }

    /// 404 for an object that is not there, or may not be seen.
    #[must_use]
    pub fn no(what: &str) -> Self {
        Self::detail(
            StatusCode::NOT_FOUND,
            format!("No {what} matches the given query."),
        )
    }

    /// 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::detail(
            StatusCode::FORBIDDEN,
            "You do not have permission to perform this action.",
        )
    }

    /// 401; a browser's script gets a challenge that opens no dialogue.
    pub fn unauthorized(detail: &str, from_script: bool) -> Self {
        let challenge = if from_script {
            "xBasic realm=\"api\""
        } else {
            "Basic realm=\"api\""
        };
        Self::detail(StatusCode::UNAUTHORIZED, detail).header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        )
    }

    /// 503 with Retry-After.
    pub fn unavailable(
        what: &str,
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let mut error = Self::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The {what} is not available now."),
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("5"));
        error.cause = cause;
        error
    }

    /// 500.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: Value::Null,
            headers: Vec::new(),
            cause: Some(cause.into()),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its parts, for another dialect.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        Parts {
            status: self.status,
            body: self.body,
            headers: self.headers,
            cause: self.cause,
        }
    }

    fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let cid = correlation::current();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            warn!(cid = cid.as_str(); "answered 503: {}", chain(&**cause));
        } else {
            error!(cid = cid.as_str(); "answered {}: {}", self.status.as_u16(), chain(&**cause));
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let mut answer = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            answer.insert_header((name.clone(), value.clone()));
        }
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            return answer.json(json!({
                "detail": "Internal server error", "correlation_id": correlation::current(),
            }));
        }
        answer.json(&self.body)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let passes = |cause| is_transient(cause) || is_too_slow(cause);
        let is_passing = error.diesel().is_some_and(passes);
        match error {
            Error::NotFound { what } => Self::no(what),
            Error::Invalid { field, message } => Self::field(&field, message),
            Error::Conflict(message) => Self::detail(StatusCode::CONFLICT, message),
            Error::Unavailable { what, source } => Self::unavailable(what, Some(source)),
            Error::Full { .. } => {
                let mut full = Self::detail(StatusCode::INSUFFICIENT_STORAGE, error.to_string());
                full.cause = Some(error.into());
                full
            }
            // Somebody holds a lock, or the server is overrun: nothing is wrong with the request.
            Error::Internal(cause) if is_passing => Self::unavailable("database", Some(cause)),
            Error::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        Error::from(error).into()
    }
}

impl RetryCause for ApiError {
    fn diesel(&self) -> Option<&diesel::result::Error> {
        let cause = self.cause.as_ref()?;
        cause
            .downcast_ref()
            .or_else(|| cause.downcast_ref::<Error>().and_then(RetryCause::diesel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_tells_nothing_but_its_id() {
        let answer = ApiError::internal("the secret cause").error_response();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = actix_web::body::MessageBody::try_into_bytes(answer.into_body()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["detail"], "Internal server error");
        assert!(!body.to_string().contains("secret"));
    }

    #[test]
    fn what_others_were_in_the_way_of_may_be_asked_again() {
        for text in [
            "canceling statement due to lock timeout",
            "deadlock detected",
            "out of shared memory",
            "canceling statement due to statement timeout",
        ] {
            let unknown = diesel::result::DatabaseErrorKind::Unknown;
            let cause = diesel::result::Error::DatabaseError(unknown, Box::new(text.to_owned()));
            let answer = ApiError::from(cause).error_response();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{text}");
            assert!(answer.headers().contains_key(header::RETRY_AFTER), "{text}");
        }
        let other = ApiError::from(diesel::result::Error::NotFound);
        assert_eq!(other.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_script_gets_a_challenge_without_a_dialogue() {
        let answer = ApiError::unauthorized("x", true).error_response();
        assert_eq!(
            answer.headers().get(header::WWW_AUTHENTICATE).unwrap(),
            "xBasic realm=\"api\""
        );
    }
}
