//! A body as an object, for kinds of resources that the tasks validate too.

use crate::body::json::nul_errors;
use crate::body::{Raw, read_raw};
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
        Box::pin(async move {
            let object = match read_raw(&request, payload).await? {
                Raw::Empty => Map::new(),
                Raw::Json(Value::Object(object)) => object,
                Raw::Json(_) => {
                    let message = "Invalid data. Expected a dictionary.";
                    return Err(ApiError::field("non_field_errors", message));
                }
                Raw::Form(pairs) => pairs
                    .into_iter()
                    .map(|(name, value)| (name, Value::String(value)))
                    .collect(),
            };
            let errors = nul_errors(&object);
            if errors.is_empty() {
                Ok(Self(object))
            } else {
                Err(ApiError::fields(errors))
            }
        })
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        let fields = errors.0.into_iter().map(|(k, v)| (k, Value::from(v)));
        Self::fields(fields.collect())
    }
}
