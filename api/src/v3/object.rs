//! A body as an object, for kinds of resources that the tasks validate too.

use crate::body::read_raw;
use crate::error::{ApiError, ApiResult};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use millrace_common::tasks::kinds::FieldErrors;
use serde_json::{Map, Value};

/// The fields of a body. Those of a form are texts.
pub struct Object(pub Map<String, Value>);

impl FromRequest for Object {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read_raw(&request, payload).await?.into_object().map(Self) })
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        let fields = errors.0.into_iter().map(|(k, v)| (k, Value::from(v)));
        Self::fields(fields.collect())
    }
}
