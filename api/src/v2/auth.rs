//! Who asks in this dialect, and whether he may: credentials first, then the walk from the path up to the root
//! (contract 2, 5).

use super::problem::{Answer, Problem};
use crate::app::App;
use crate::auth::{Actor, Refusal, Source, read_header};
use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use millrace_common::models::account::Account;
use millrace_common::models::permission_grant::{Operation, PermissionGrant, levels};
use percent_encoding::percent_decode_str;
use std::future::{Ready, ready};

/// What a call asks of its caller.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// The permission for this operation on the path.
    Grant(Operation),
    /// To be an administrator, whatever is granted.
    Administrator(Operation),
}

/// Whom a request was made by.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub actor: Actor,
    /// Its name.
    pub login: String,
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(Problem::no_credentials))
    }
}

/// Lets only those pass who may, before anything of the body is read.
///
/// # Errors
/// None: refusals are answers.
pub async fn layer(
    needs: Needs,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match admit(needs, &request).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await
        }
        Err(refusal) => Ok(request.into_response(refusal.error_response())),
    }
}

async fn admit(needs: Needs, request: &ServiceRequest) -> Answer<Caller> {
    let app = request
        .app_data::<Data<App>>()
        .ok_or_else(|| Problem::internal("the app is not set up"))?
        .clone();
    let caller = identify(&app, request).await?;
    let (operation, is_admitted) = match needs {
        _ if caller.actor.is_superuser => return Ok(caller),
        Needs::Administrator(operation) => (operation, false),
        Needs::Grant(operation) => {
            let is_granted = granted(&app, &caller, request.uri().path(), operation).await?;
            (operation, is_granted)
        }
    };
    if is_admitted {
        Ok(caller)
    } else {
        Err(Problem::denied(&caller.login, operation.as_str()))
    }
}

/// True where the path, or one above it, grants the operation.
async fn granted(app: &App, caller: &Caller, path: &str, operation: Operation) -> Answer<bool> {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let path = path.strip_prefix("/pulp/api").unwrap_or(&path);
    let Some(levels) = levels(path) else {
        return Ok(false);
    };
    let mut conn = app.db.get().await?;
    Ok(PermissionGrant::covers(&mut conn, caller.actor.id, &levels, operation).await?)
}

/// The first way that is tried decides.
async fn identify(app: &App, request: &ServiceRequest) -> Answer<Caller> {
    if let Some(user) = remote_user(app, request) {
        return known_remote_user(app, user).await;
    }
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return by_session(app, request).await;
    }
    let pair = credentials(request.headers()).ok_or_else(Problem::no_credentials)?;
    let login = pair.username.clone();
    let source = Source::of(request.request(), &app.settings.api.proxies);
    match app.credentials.verify(&app.db, pair, source).await {
        Ok(proof) => Ok(Caller {
            actor: proof.actor,
            login,
        }),
        Err(refusal) => Err(refused(refusal, &login, request.headers())),
    }
}

/// Who has logged in by version 3, and shows its cookie.
async fn by_session(app: &App, request: &ServiceRequest) -> Answer<Caller> {
    let actor = crate::auth::identify(request.request()).await;
    let actor = actor.map_err(|refusal| refused(refusal, "", request.headers()))?;
    let mut conn = app.db.get().await?;
    let account = Account::find(&mut conn, actor.id).await?;
    let login = account.ok_or_else(Problem::no_credentials)?.username;
    Ok(Caller { actor, login })
}

fn refused(refusal: Refusal, login: &str, headers: &HeaderMap) -> Problem {
    match refusal {
        Refusal::Missing | Refusal::Forged(_) => Problem::no_credentials(),
        Refusal::Wrong => Problem::wrong_credentials(login),
        // What to wait for, and what is away, is no matter of dialects.
        locked @ (Refusal::Locked { .. } | Refusal::Error(_)) => locked.answer(headers).into(),
    }
}

/// Name and password. Old clients put `, Basic` behind them.
fn credentials(headers: &HeaderMap) -> Option<crate::auth::Pair> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let given = given.strip_suffix(", Basic").unwrap_or(given);
    read_header(&HeaderValue::from_str(given).ok()?)
}

/// Whom the web server in front has let in: only where the settings name a header, and the servers that may send it.
fn remote_user(app: &App, request: &ServiceRequest) -> Option<String> {
    let settings = &app.settings.api;
    if settings.remote_user_header.is_empty() {
        return None;
    }
    let peer = request.peer_addr()?.ip().to_canonical();
    let mut trusted = settings.remote_user_from.iter();
    trusted.find(|address| address.parse() == Ok(peer))?;
    let user = request.headers().get(&settings.remote_user_header)?;
    Some(String::from_utf8_lossy(user.as_bytes()).into_owned())
}

async fn known_remote_user(app: &App, login: String) -> Answer<Caller> {
    let mut conn = app.db.get().await?;
    let account = if login.contains('\0') {
        None
    } else {
        Account::by_name(&mut conn, &login).await?
    };
    match account.filter(|account| account.is_active) {
        Some(account) => Ok(Caller {
            actor: Actor {
                id: account.id,
                is_superuser: account.is_superuser,
            },
            login,
        }),
        None => Err(Problem::unknown_remote_user(&login)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(header).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        credentials(&headers).map(|pair| pair.username)
    }

    #[test]
    fn a_word_that_old_clients_append_does_not_count() {
        assert_eq!(read("Basic YTpi").as_deref(), Some("a"));
        assert_eq!(read("Basic YTpi, Basic").as_deref(), Some("a"));
        assert_eq!(read("Basic"), None);
        assert_eq!(read("Bearer YTpi"), None);
    }
}
