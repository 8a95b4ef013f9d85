//! Multipart bodies. Texts are bounded together; a file is a stream that may take as long as it likes,
//! but may not pause longer than `api.upload_idle_timeout_ms`.
//!
//! ```ignore
//! pub async fn create(app: Data<App>, actor: Actor, mut upload: Upload) -> ApiResult {
//!     while let Some(mut file) = upload.next_file().await? {
//!         while let Some(piece) = file.next().await? { … }      // hash and store
//!     }
//!     let Body(request): Body<NewArtifact> = upload.into_fields()?.finish()?;
//! ```

use super::fields::Fields;
use super::raw::{Raw, note_texts, read_raw, timed_out, too_large, unsupported};
use crate::app::App;
use crate::dispatch_headers;
use crate::error::{ApiError, ApiResult};
use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentDisposition;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Parts of one body at most.
const PARTS: usize = 1000;

/// The body of a request that may carry files: multipart, or a form or JSON, which have none.
pub struct Upload {
    parts: Option<Multipart>,
    /// A body that was read at once.
    whole: Option<Raw>,
    texts: Vec<(String, String)>,
    budget: usize,
    limit: usize,
    seen: usize,
    idle: Duration,
}

/// A file inside a multipart body.
pub struct FilePart {
    /// The name of the field.
    pub name: String,
    /// The name that the client gave the file.
    pub filename: String,
    field: Field,
    idle: Duration,
    /// Digest of what has come, where the request is to be known again.
    digest: Option<Sha256>,
}

impl FilePart {
    /// The next piece of the file; `None` at its end.
    ///
    /// # Errors
    /// 408 when the client pauses too long, 400 when the body breaks off.
    pub async fn next(&mut self) -> ApiResult<Option<Bytes>> {
        let piece = tokio::time::timeout(self.idle, self.field.next())
            .await
            .map_err(|_reason| timed_out())?;
        let piece = piece.transpose().map_err(|e| broken(&e))?;
        match (&piece, &mut self.digest) {
            (Some(bytes), Some(digest)) => digest.update(bytes),
            (None, digest) => {
                if let Some(digest) = digest.take() {
                    let digest = digest.finalize();
                    dispatch_headers::note_part("file", &[self.name.as_bytes(), digest.as_slice()]);
                }
            }
            (Some(_), None) => {}
        }
        Ok(piece)
    }
}

/// The name of a part that is a file; a name that is not ASCII may come as `filename*` alone.
fn file_name(disposition: &ContentDisposition) -> Option<String> {
    let plain = disposition.get_filename().map(str::to_owned);
    plain.or_else(|| {
        let extended = disposition.get_filename_ext()?;
        Some(String::from_utf8_lossy(&extended.value).into_owned())
    })
}

fn broken(error: &actix_multipart::MultipartError) -> ApiError {
    ApiError::malformed(format!("Multipart form parse error - {error}"))
}

impl Upload {
    fn multipart(app: &App, request: &HttpRequest, payload: Payload, idle: Duration) -> Self {
        Self {
            parts: Some(Multipart::new(request.headers(), payload)),
            whole: None,
            texts: Vec::new(),
            budget: app.settings.api.body_limit,
            limit: app.settings.api.body_limit,
            seen: 0,
            idle,
        }
    }

    /// The next file; texts in front of it are kept. Read it to its end before asking for another.
    ///
    /// # Errors
    /// 400, 408, 413.
    pub async fn next_file(&mut self) -> ApiResult<Option<FilePart>> {
        while let Some(parts) = &mut self.parts {
            let next = tokio::time::timeout(self.idle, parts.next())
                .await
                .map_err(|_reason| timed_out())?;
            let Some(field) = next.transpose().map_err(|e| broken(&e))? else {
                self.parts = None;
                note_texts(&self.texts);
                dispatch_headers::body_is_read().await?;
                break;
            };
            self.seen += 1;
            if self.seen > PARTS {
                return Err(ApiError::malformed(format!(
                    "Multipart form parse error - more than {PARTS} parts"
                )));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let filename = field.content_disposition().and_then(file_name);
            if let Some(filename) = filename {
                return Ok(Some(FilePart {
                    name,
                    filename,
                    field,
                    idle: self.idle,
                    digest: dispatch_headers::wants_parts().then(Sha256::new),
                }));
            }
            let text = self.read_text(field).await?;
            self.texts.push((name, text));
        }
        Ok(None)
    }

    async fn read_text(&mut self, mut field: Field) -> ApiResult<String> {
        let mut bytes = Vec::new();
        loop {
            let piece = tokio::time::timeout(self.idle, field.next())
                .await
                .map_err(|_reason| timed_out())?;
            let Some(piece) = piece.transpose().map_err(|e| broken(&e))? else {
                break;
            };
            self.budget = self
                .budget
                .checked_sub(piece.len())
                .ok_or_else(|| too_large(self.limit))?;
            bytes.extend_from_slice(&piece);
        }
        String::from_utf8(bytes).map_err(|_reason| {
            ApiError::malformed("Multipart form parse error - a text is not UTF-8")
        })
    }

    /// The texts that came in front of the last file.
    #[must_use]
    pub fn texts(&self) -> &[(String, String)] {
        &self.texts
    }

    /// Reads the rest of a body that is refused, from this file on, where it may be of a request that was there before:
    /// gives what that was answered then.
    pub async fn answered_before(&mut self, part: FilePart) -> Option<ApiError> {
        if !dispatch_headers::wants_parts() {
            return None;
        }
        let read = async {
            let mut next = Some(part);
            while let Some(mut part) = next {
                while part.next().await?.is_some() {}
                next = self.next_file().await?;
            }
            Ok(())
        };
        read.await
            .err()
            .filter(|answer: &ApiError| answer.status() == StatusCode::ACCEPTED)
    }

    /// The texts of the body, once all its files have been read.
    ///
    /// # Errors
    /// 400 for a NUL, or JSON that is no object.
    pub fn into_fields(self) -> ApiResult<Fields> {
        self.whole.unwrap_or(Raw::Form(self.texts)).into_fields()
    }

    /// The same as one object; all values of a form are texts.
    ///
    /// # Errors
    /// As [`Upload::into_fields`].
    pub fn into_object(self) -> ApiResult<Map<String, Value>> {
        self.whole.unwrap_or(Raw::Form(self.texts)).into_object()
    }
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = request
                .app_data::<Data<App>>()
                .ok_or_else(|| ApiError::internal("the app is not set up"))?;
            let media = request.content_type().to_ascii_lowercase();
            let idle = app.settings.api.upload_idle_timeout_ms.get();
            let mut upload = Self::multipart(app, &request, Payload::None, idle);
            match media.as_str() {
                "multipart/form-data" => {
                    upload.parts = Some(Multipart::new(request.headers(), payload));
                }
                "application/x-www-form-urlencoded" | "application/json" => {
                    upload.parts = None;
                    upload.whole = Some(read_raw(&request, payload).await?);
                }
                other => return Err(unsupported(other)),
            }
            Ok(upload)
        })
    }
}

/// Reads a multipart body of which only texts are wanted; a file is refused by its field.
///
/// # Errors
/// 400, 408, 413.
pub async fn read_texts(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> ApiResult<Vec<(String, String)>> {
    let idle = app.settings.api.request_timeout_ms.get();
    let mut upload = Upload::multipart(app, request, payload, idle);
    match upload.next_file().await? {
        Some(file) => Err(ApiError::field(&file.name, "Unexpected field")),
        None => Ok(upload.texts),
    }
}
