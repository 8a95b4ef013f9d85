//! Who asks, and whether he may.

mod basic;
mod changes;
mod passwords;
mod permission;
mod policy;
mod refusal;
pub mod sessions;
mod source;
mod turns;
mod verify;

pub use basic::{Credentials, Pair, Proof, hash_password, read_header};
pub use passwords::faults;
pub use permission::{Access, Target, authorize, own};
pub use policy::{Action, Object};
pub use refusal::Refusal;
pub use sessions::Token;
pub use source::Source;

use crate::app::App;
use crate::correlation;
use crate::error::ApiError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use diesel::QueryResult;
use millrace_common::db::Conn;
use millrace_common::models::AuditEntry;
use millrace_common::models::audit_entry::By;
use serde_json::Value;
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
                .ok_or_else(|| Refusal::Missing.answer(request.headers())),
        )
    }
}

impl Actor {
    /// Notes in the audit log what this account changes, in the transaction that does.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(
        &self,
        conn: &mut Conn,
        action: &str,
        object: &str,
        details: &Value,
    ) -> QueryResult<()> {
        let cid = correlation::current();
        let by = By {
            account: Some(self.id),
            logging_cid: &cid,
        };
        AuditEntry::write(conn, by, action, object, details).await
    }
}

/// Lets only requests with valid credentials pass, before anything of their body is read.
///
/// # Errors
/// None: refusals are answers.
pub async fn layer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    match identify(request.request()).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(refusal) => {
            let answer = refusal.answer(request.headers()).error_response();
            Ok(request.into_response(answer).map_into_right_body())
        }
    }
}

/// Who makes a request: by name and password, else by the cookie of a session. Reads nothing of its body.
///
/// # Errors
/// Why it is nobody; each dialect of the API has its own words for that.
pub async fn identify(request: &HttpRequest) -> Result<Actor, Refusal> {
    let app = request
        .app_data::<Data<App>>()
        .ok_or_else(|| ApiError::internal("the app is not set up"))?;
    if let Some(given) = request.headers().get(header::AUTHORIZATION) {
        let pair = basic::read_header(given).ok_or(Refusal::Missing)?;
        let source = Source::of(request, &app.settings.api.proxies);
        let proof = app.credentials.verify(&app.db, pair, source).await?;
        let actor = proof.actor;
        request.extensions_mut().insert(proof);
        return Ok(actor);
    }
    let token = Token::read(request.headers()).ok_or(Refusal::Missing)?;
    let actor = app.credentials.sessions.actor(&app.db, &token).await?;
    let actor = actor.ok_or(Refusal::Missing)?;
    token.check(request.method(), request.headers())?;
    Ok(actor)
}
