//! A body as it comes in: bounded in size and in time, of an accepted media type.

use super::fields::Fields;
use super::json;
use super::multipart;
use crate::app::App;
use crate::dispatch_headers::{self, note_part};
use crate::error::{ApiError, ApiResult};
use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// A body before its fields are read.
#[derive(Debug)]
pub enum Raw {
    /// There was none.
    Empty,
    /// A JSON value, and whether it has numbers of more than 64 bits.
    Json(Value, bool),
    /// Pairs of a form or a multipart body.
    Form(Vec<(String, String)>),
}

impl Raw {
    /// Notes what it says, for the fingerprint of the request.
    fn note(&self) {
        match self {
            Self::Empty => {}
            Self::Json(value, _) => note_part("json", &[value.to_string().as_bytes()]),
            Self::Form(pairs) => note_texts(pairs),
        }
    }

    /// Its fields.
    ///
    /// # Errors
    /// 400 where it is no object, or holds what cannot be stored.
    pub fn into_fields(self) -> ApiResult<Fields> {
        match self {
            Self::Form(pairs) => match pairs
                .iter()
                .find(|(name, value)| name.contains('\0') || value.contains('\0'))
            {
                Some((name, _)) => Err(ApiError::field(&name.replace('\0', ""), json::NUL)),
                None => Ok(Fields::from_form(pairs)),
            },
            other => other.into_object().map(Fields::from_json),
        }
    }

    /// Its fields as one object; those of a form are texts.
    ///
    /// # Errors
    /// As [`Raw::into_fields`].
    pub fn into_object(self) -> ApiResult<Map<String, Value>> {
        let (object, is_inexact) = match self {
            Self::Empty => (Map::new(), false),
            Self::Json(Value::Object(object), is_inexact) => (object, is_inexact),
            Self::Json(..) => {
                return Err(ApiError::field(
                    "non_field_errors",
                    "Invalid data. Expected a dictionary.",
                ));
            }
            Self::Form(pairs) => {
                let texts = pairs.into_iter().map(|(k, v)| (k, Value::String(v)));
                (texts.collect(), false)
            }
        };
        let errors = json::field_errors(&object, is_inexact);
        if errors.is_empty() {
            Ok(object)
        } else {
            Err(ApiError::fields(errors))
        }
    }
}

/// Notes texts of a form, for the fingerprint of the request.
pub(super) fn note_texts(pairs: &[(String, String)]) {
    for (name, value) in pairs {
        note_part("text", &[name.as_bytes(), value.as_bytes()]);
    }
}

/// Reads a whole body of any accepted media type.
///
/// # Errors
/// 413, 408, 415, or 400 where it cannot be parsed.
pub async fn read_raw(request: &HttpRequest, payload: Payload) -> ApiResult<Raw> {
    let raw = read(request, payload).await?;
    // The reader of multipart bodies does so itself.
    if !request
        .content_type()
        .eq_ignore_ascii_case("multipart/form-data")
    {
        raw.note();
        dispatch_headers::body_is_read().await?;
    }
    Ok(raw)
}

async fn read(request: &HttpRequest, payload: Payload) -> ApiResult<Raw> {
    let app = request
        .app_data::<Data<App>>()
        .ok_or_else(|| ApiError::internal("the app is not set up"))?;
    let limit = app.settings.api.body_limit;
    let media = request.content_type().to_ascii_lowercase();
    match media.as_str() {
        "application/json" => read_json(app, request, payload).await,
        "application/x-www-form-urlencoded" => {
            let bytes = read_bytes(app, request, payload, limit).await?;
            Ok(Raw::Form(
                form_urlencoded::parse(&bytes).into_owned().collect(),
            ))
        }
        "multipart/form-data" => {
            let deadline = app.settings.api.request_timeout_ms.get();
            let reading = multipart::read_texts(app, request, payload);
            tokio::time::timeout(deadline, reading)
                .await
                .map_err(|_reason| timed_out())?
                .map(Raw::Form)
        }
        other => {
            let bytes = read_bytes(app, request, payload, limit).await?;
            if bytes.is_empty() {
                Ok(Raw::Empty)
            } else {
                Err(unsupported(other))
            }
        }
    }
}

async fn read_json(app: &App, request: &HttpRequest, payload: Payload) -> ApiResult<Raw> {
    let limit = app.settings.api.body_limit;
    let bytes = read_bytes(app, request, payload, limit).await?;
    if bytes.is_empty() {
        return Ok(Raw::Empty);
    }
    json::parse_body(&bytes)
        .map(|parsed| Raw::Json(parsed.value, parsed.is_inexact))
        .map_err(ApiError::malformed)
}

/// 415.
pub fn unsupported(media: &str) -> ApiError {
    ApiError::detail(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("Unsupported media type \"{media}\" in request."),
    )
}

/// 413.
pub fn too_large(limit: usize) -> ApiError {
    ApiError::detail(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The request body is larger than {limit} bytes."),
    )
    .header(
        header::CONNECTION,
        header::HeaderValue::from_static("close"),
    )
}

/// 408.
pub fn timed_out() -> ApiError {
    ApiError::detail(
        StatusCode::REQUEST_TIMEOUT,
        "The request body did not arrive in time.",
    )
    .header(
        header::CONNECTION,
        header::HeaderValue::from_static("close"),
    )
}

/// Reads a whole body of so many bytes at most.
///
/// # Errors
/// 413, 408, or 400 where it ends before its end.
pub async fn read_bytes(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> ApiResult<Bytes> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    tokio::time::timeout(
        app.settings.api.request_timeout_ms.get(),
        collect(payload, limit),
    )
    .await
    .map_err(|_reason| timed_out())?
}

async fn collect(mut payload: Payload, limit: usize) -> ApiResult<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece =
            piece.map_err(|e| ApiError::malformed(format!("The body is incomplete: {e}")))?;
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
