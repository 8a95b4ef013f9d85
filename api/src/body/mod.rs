//! Request bodies: JSON, forms and multipart without files, read into typed values.
//!
//! A request type implements [`FromFields`] and is extracted as [`Body<T>`]. All wrong fields are
//! reported at once, in the contract's shape. Uploads are read by [`multipart`], as a stream.
//!
//! ```ignore
//! struct Rename { name: String, note: Option<String> }
//!
//! impl FromFields for Rename {
//!     fn read(fields: &mut Fields) -> Option<Self> {
//!         let name = fields.required::<Text>("name");       // every field is read first,
//!         let note = fields.nullable::<RawText>("note");
//!         Some(Self { name: name?.0, note: note?.flatten().map(|t| t.0) }) // then put together
//!     }
//! }
//! ```

mod fields;
pub mod json;
pub mod multipart;
mod nested;
mod raw;
mod values;

pub use fields::{Fields, FromFields};
pub use nested::{Any, Labels};
pub use raw::{Raw, read_bytes, read_raw};
pub use values::{Choice, Field, Given, RawText, Text, Wrong, parse_time};

use crate::dispatch_headers;
use crate::error::{ApiError, ApiResult};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use std::future::{Ready, ready};
use std::marker::PhantomData;

/// A body, read and checked.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

impl<T: FromFields + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read_raw(&request, payload).await?.into_fields()?.finish() })
    }
}

/// A body that is still to be read, by a handler that first asks who may send it:
/// `Unread<Body<T>>`, `Unread<Upload>`.
pub struct Unread<E> {
    request: HttpRequest,
    payload: Payload,
    read_as: PhantomData<E>,
}

impl<E: 'static> FromRequest for Unread<E> {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self {
            request: request.clone(),
            payload: payload.take(),
            read_as: PhantomData,
        }))
    }
}

impl<E: FromRequest> Unread<E> {
    /// Reads it.
    ///
    /// # Errors
    /// As that extractor.
    pub async fn read(mut self) -> Result<E, E::Error> {
        E::from_request(&self.request, &mut self.payload).await
    }
}

impl<E: FromRequest<Error = ApiError>> Unread<E> {
    /// Reads it for what was found; where that was refused, so is the request. But one that was there before is answered
    /// as it was then: what it has used up is not missed.
    ///
    /// # Errors
    /// The refusal; the answer of the same request before; as that extractor.
    pub async fn read_for<T>(self, found: ApiResult<T>) -> ApiResult<(T, E)> {
        let refusal = match found {
            Ok(found) => return Ok((found, self.read().await?)),
            Err(refusal) => refusal,
        };
        if dispatch_headers::wants_parts()
            && let Err(answer) = self.read().await
            && answer.status() == StatusCode::ACCEPTED
        {
            return Err(answer);
        }
        Err(refusal)
    }
}

impl Fields {
    /// Reads a request type and refuses what it did not read.
    ///
    /// # Errors
    /// 400 with every wrong, missing or unexpected field.
    pub fn finish<T: FromFields>(mut self) -> ApiResult<Body<T>> {
        let read = T::read(&mut self);
        self.check()?;
        read.map(Body)
            .ok_or_else(|| ApiError::internal("a field was refused without a message"))
    }
}
