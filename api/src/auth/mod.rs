//! Who asks, and whether he may.

mod basic;
mod permission;
mod policy;
mod verify;

pub use basic::{Credentials, hash_password};
pub use permission::{Access, Target, authorize, own};
pub use policy::{Action, Object};

use crate::app::App;
use crate::error::ApiError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use std::future::{Ready, ready};

/// The account that a request is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Its id.
    pub id: i32,
    /// True for an administrator.
    pub is_superuser: bool,
}

impl FromRequest for Actor {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Missing only where a route was declared public and its handler asks all the same.
        ready(
            request
                .extensions()
                .get::<Self>()
                .copied()
                .ok_or_else(|| missing(request.headers())),
        )
    }
}

fn is_script(headers: &header::HeaderMap) -> bool {
    headers
        .get("x-requested-with")
        .is_some_and(|v| v == "XMLHttpRequest")
}

fn missing(headers: &header::HeaderMap) -> ApiError {
    ApiError::unauthorized(
        "Authentication credentials were not provided.",
        is_script(headers),
    )
}

/// Lets only requests with valid credentials pass, before anything of their body is read.
///
/// # Errors
/// None: refusals are answers.
pub async fn layer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    match identify(&request).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(refusal) => Ok(request
            .into_response(refusal.error_response())
            .map_into_right_body()),
    }
}

async fn identify(request: &ServiceRequest) -> Result<Actor, ApiError> {
    let app = request
        .app_data::<Data<App>>()
        .ok_or_else(|| ApiError::internal("the app is not set up"))?
        .clone();
    let Some(given) = request.headers().get(header::AUTHORIZATION) else {
        return Err(missing(request.headers()));
    };
    let Some(pair) = basic::read_header(given) else {
        return Err(missing(request.headers()));
    };
    app.credentials.verify(&app.db, pair).await?.ok_or_else(|| {
        ApiError::unauthorized("Invalid username/password.", is_script(request.headers()))
    })
}
