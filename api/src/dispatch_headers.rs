//! What the headers of a request say about the task that it dispatches: `Task-Deadline` and `Idempotency-Key`.
//!
//! They are read before anything of the body is, and kept at hand until the task is dispatched. A request with a key
//! is known by a fingerprint of its method, path, query and decoded body; as soon as that is whole, and again in the
//! transaction of the dispatch, one that was there before is answered as it was then.

use crate::app::App;
use crate::auth::Actor;
use crate::body::parse_time;
use crate::error::{ApiError, ApiResult};
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, ResponseError};
use chrono::{DateTime, TimeDelta, Utc};
use millrace_common::db::{self, Conn};
use millrace_common::ids::TaskId;
use millrace_common::models::idempotency_key::{IdempotencyKey, KnownRequest};
use millrace_common::representation::task_href;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// By when the task is to be over.
pub const TASK_DEADLINE: &str = "Task-Deadline";
/// The name that the client gives the request.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The longest time that a deadline may be away: a hundred years.
const LONGEST: i64 = 36_525 * 86_400;
/// Bytes of a key.
const KEY_BYTES: usize = 255;

tokio::task_local! {
    static CURRENT: Arc<DispatchHeaders>;
}

/// The headers of the request that is being served; `None` where it dispatches nothing.
pub fn current() -> Option<Arc<DispatchHeaders>> {
    CURRENT.try_with(Arc::clone).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    At(DateTime<Utc>),
    /// Seconds from now, by the clock of the database.
    In(i64),
}

/// What they say.
pub struct DispatchHeaders {
    deadline: Option<Deadline>,
    key: Option<Key>,
}

struct Key {
    app: Data<App>,
    account: i32,
    key: String,
    /// Method, path and query.
    target: String,
    /// Of each part of the body.
    parts: Mutex<Vec<[u8; 32]>>,
}

/// Serves a request that may dispatch. One without a body is known at once.
///
/// # Errors
/// None: refusals are answers.
pub async fn layer(
    takes_body: bool,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let headers = match DispatchHeaders::read(&request) {
        Ok(headers) => Arc::new(headers),
        Err(refusal) => return Ok(request.into_response(refusal.error_response())),
    };
    if !takes_body && let Err(answer) = headers.known().await {
        return Ok(request.into_response(answer.error_response()));
    }
    CURRENT.scope(headers, next.call(request)).await
}

/// Notes a part of the body of the request that is being served. In which order they come does not count.
pub fn note_part(kind: &str, pieces: &[&[u8]]) {
    let Some(headers) = current() else { return };
    let Some(key) = &headers.key else { return };
    key.parts().push(hash(kind, pieces));
}

/// True where a fingerprint of the body is wanted.
#[must_use]
pub fn wants_parts() -> bool {
    current().is_some_and(|headers| headers.key.is_some())
}

/// The body of the request that is being served has been read.
///
/// # Errors
/// The answer of a request that was there before; 422 where its key had another one.
pub async fn body_is_read() -> ApiResult<()> {
    match current() {
        Some(headers) => headers.known().await,
        None => Ok(()),
    }
}

impl DispatchHeaders {
    /// True where they say nothing.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        self.deadline.is_none() && self.key.is_none()
    }

    fn read(request: &ServiceRequest) -> ApiResult<Self> {
        let headers = request.headers();
        let deadline = match single(headers, TASK_DEADLINE)? {
            Some(text) => Some(read_deadline(text, Utc::now())?),
            None => None,
        };
        // What else dispatches may be sent again by its nature (RFC 9110, 9.2.2), or not (PATCH).
        let key = match single(headers, IDEMPOTENCY_KEY)? {
            Some(key) if request.method() == Method::POST => Some(Key::new(request, key)?),
            _ => None,
        };
        Ok(Self { deadline, key })
    }

    async fn known(&self) -> ApiResult<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut conn = key.app.db.get().await?;
        key.compare(key.named().known(&mut conn).await?)
    }

    /// By when the task is to be over.
    ///
    /// # Errors
    /// As the session.
    pub async fn deadline(&self, conn: &mut Conn) -> ApiResult<Option<DateTime<Utc>>> {
        Ok(match self.deadline {
            None => None,
            Some(Deadline::At(moment)) => Some(moment),
            Some(Deadline::In(seconds)) => db::now(conn)
                .await?
                .checked_add_signed(TimeDelta::seconds(seconds)),
        })
    }

    /// Notes the request in the transaction that dispatches its task, before anything else in it. Gives the id
    /// that the task must have; `None` where any will do.
    ///
    /// # Errors
    /// The answer of the request that was faster, 422 where that was another one; as the session.
    pub async fn note(&self, conn: &mut Conn) -> ApiResult<Option<TaskId>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let task = TaskId::new();
        let known = key.named().note(conn, &key.fingerprint(), task).await?;
        key.compare(known)?;
        Ok(Some(task))
    }
}

impl Key {
    fn new(request: &ServiceRequest, key: &str) -> ApiResult<Self> {
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if key.is_empty() || key.len() > KEY_BYTES || !printable {
            return Err(refuse_key());
        }
        let app = request
            .app_data::<Data<App>>()
            .ok_or_else(|| ApiError::internal("the app is not set up"))?;
        let actor = request.extensions().get::<Actor>().copied();
        let actor = actor.ok_or_else(|| ApiError::internal("nobody asks"))?;
        Ok(Self {
            app: app.clone(),
            account: actor.id,
            key: key.to_owned(),
            target: format!("{} {}", request.method(), request.uri()),
            parts: Mutex::default(),
        })
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<[u8; 32]>> {
        // A list of digests is whole after a panic elsewhere.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self) -> IdempotencyKey<'_> {
        IdempotencyKey {
            account: self.account,
            key: &self.key,
            hours: self.app.settings.tasks.idempotency_hours,
        }
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut parts = self.parts().clone();
        parts.sort_unstable();
        let mut pieces = vec![self.target.as_bytes()];
        pieces.extend(parts.iter().map(<[u8; 32]>::as_slice));
        hash("request", &pieces)
    }

    fn compare(&self, known: Option<KnownRequest>) -> ApiResult<()> {
        match known {
            None => Ok(()),
            Some(known) if known.fingerprint == self.fingerprint() => {
                Err(ApiError::accepted_before(task_href(known.task_id)))
            }
            Some(_) => Err(ApiError::field_with(
                StatusCode::UNPROCESSABLE_ENTITY,
                IDEMPOTENCY_KEY,
                "This key was used before, for another request.",
            )),
        }
    }
}

/// A digest of pieces; where one ends and the next begins counts.
fn hash(kind: &str, pieces: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for piece in std::iter::once(kind.as_bytes()).chain(pieces.iter().copied()) {
        sha.update((piece.len() as u64).to_be_bytes());
        sha.update(piece);
    }
    sha.finalize().into()
}

/// The value of a header that may be there once.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> ApiResult<Option<&'h str>> {
    let lower = HeaderName::from_bytes(name.as_bytes()).map_err(ApiError::internal)?;
    let mut values = headers.get_all(lower);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(ApiError::field(name, "Not printable ASCII.")),
        },
        (Some(_), Some(_)) => Err(ApiError::field(name, "Given more than once.")),
    }
}

fn refuse_key() -> ApiError {
    let message = format!("Must be 1 to {KEY_BYTES} printable ASCII characters.");
    ApiError::field(IDEMPOTENCY_KEY, message)
}

/// A moment, or whole seconds from now.
fn read_deadline(text: &str, now: DateTime<Utc>) -> ApiResult<Deadline> {
    let refuse = |message: &str| Err(ApiError::field(TASK_DEADLINE, message));
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        return match text.parse::<i64>() {
            Ok(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Deadline::In(seconds)),
            _ => refuse(&format!("Seconds must be between 1 and {LONGEST}.")),
        };
    }
    match DateTime::parse_from_rfc3339(text)
        .ok()
        .and_then(|_moment| parse_time(text))
    {
        Some(moment) if moment > now => Ok(Deadline::At(moment)),
        Some(_) => refuse("The moment has passed."),
        None => refuse("Must be a moment as RFC 3339 has it, or a whole number of seconds."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_moment_to_come_or_seconds() {
        let now = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let read = |text: &str| read_deadline(text, now);
        assert_eq!(read("90").unwrap(), Deadline::In(90));
        let moment = now + TimeDelta::seconds(1);
        assert_eq!(read(&moment.to_rfc3339()).unwrap(), Deadline::At(moment));
        for bad in [
            "",
            "0",
            "-1",
            "+5",
            "1.5",
            "soon",
            "99999999999999999999",
            "2026-01-02",
            "2026-01-02T03:04:05Z",
            "+10000-01-01T00:00:00Z",
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("\"Task-Deadline\":["), "{bad}: {error}");
        }
    }

    #[test]
    fn the_borders_between_pieces_count() {
        assert_ne!(hash("a", &[b"bc", b"d"]), hash("a", &[b"b", b"cd"]));
        assert_ne!(hash("a", &[b"b"]), hash("ab", &[]));
    }
}
