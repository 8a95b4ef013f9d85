//! `login/` (contract 4.15, 4.17): who am I, sessions with a cookie, and what everybody may change of himself.

use super::href;
use super::users::{self, Email, PartOfName, Password, UserFields, Username};
use crate::app::App;
use crate::auth::{Actor, Pair, Proof, Refusal, Source, Token, sessions};
use crate::body::{Body, Fields, FromFields};
use crate::error::{ApiError, ApiResult};
use crate::listing::Wanted;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use millrace_common::models::{Account, LoginSession};
use millrace_common::prn::Prn;
use serde::Serialize;
use utoipa::ToSchema;

/// Who makes the request.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct LoginResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only)]
    pub username: String,
}

/// What somebody changes of himself.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = LoginUpdate)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct LoginUpdateRequest {
    /// Letters, digits and `@.+-_`.
    #[schema(max_length = 150)]
    pub username: String,
    /// Needed for a new one.
    #[schema(write_only)]
    pub old_password: String,
    #[schema(write_only)]
    pub new_password: String,
    #[schema(max_length = 150)]
    pub first_name: String,
    #[schema(max_length = 150)]
    pub last_name: String,
    pub email: String,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct LoginUpdateResponse {
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
}

/// What was sent; `None` where a field was left out.
pub struct SomeOfLogin {
    old_password: Option<String>,
    fields: UserFields,
}

impl FromFields for SomeOfLogin {
    fn read(fields: &mut Fields) -> Option<Self> {
        let needs_old = fields.has("new_password") && !fields.has("old_password");
        if needs_old {
            fields.refuse::<()>("old_password", "This field is required.");
        }
        let username = fields.optional::<Username>("username");
        let old = fields.optional::<Password>("old_password");
        let new = fields.optional::<Password>("new_password");
        let first_name = fields.optional::<PartOfName>("first_name");
        let last_name = fields.optional::<PartOfName>("last_name");
        let email = fields.optional::<Email>("email");
        let read = UserFields {
            username: username?.map(|name| name.0),
            password: new?.map(|password| Some(password.0)),
            first_name: first_name?.map(|name| name.0),
            last_name: last_name?.map(|name| name.0),
            email: email?.map(|email| email.0),
            ..UserFields::default()
        };
        let old_password = old?.map(|password| password.0);
        (!needs_old).then_some(Self {
            old_password,
            fields: read,
        })
    }
}

impl From<Account> for LoginResponse {
    fn from(row: Account) -> Self {
        Self {
            pulp_href: href::user(row.id),
            prn: Prn::new(users::MODEL, row.id).to_string(),
            username: row.username,
        }
    }
}

async fn myself(app: &App, actor: Actor) -> ApiResult<Account> {
    let row = Account::find(&mut *app.db.get().await?, actor.id).await?;
    row.ok_or_else(users::none)
}

/// Who makes the request.
///
/// # Errors
/// 401.
pub async fn read(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let shown = LoginResponse::from(myself(&app, actor).await?);
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Begins a session of who gave his name and password.
///
/// # Errors
/// 401.
pub async fn create(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    // A session does not prolong itself.
    let proof = request.extensions().get::<Proof>().cloned();
    let proof = proof.ok_or_else(|| Refusal::Missing.answer(request.headers()))?;
    let (settings, token) = (&app.settings.logins, Token::draw());
    let row = myself(&app, actor).await?;
    let mut conn = app.db.get().await?;
    let seconds = sessions::seconds(settings);
    let shown = (actor.id, &*proof.hash);
    if !LoginSession::begin(&mut conn, &token.hash(), shown, seconds).await? {
        return Err(Refusal::Wrong.answer(request.headers()));
    }
    let over_https = request.connection_info().scheme() == "https";
    let cookies = token.cookies(settings, over_https);
    Ok(with_cookies(&mut HttpResponse::Created(), cookies).json(LoginResponse::from(row)))
}

/// Changes one's own names or password. A new password ends all one's sessions.
///
/// # Errors
/// 400 that names the field, 401.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    body: Body<SomeOfLogin>,
) -> ApiResult {
    let Body(SomeOfLogin {
        old_password,
        fields,
    }) = body;
    let stored = myself(&app, actor).await?;
    if fields.password.is_some() {
        let username = stored.username.clone();
        let password = old_password.unwrap_or_default();
        let source = Source::of(&request, &app.settings.api.proxies);
        is_right(&app, Pair { username, password }, source).await?;
    }
    let change = fields
        .into_change(&app, Some(&stored), "new_password")
        .await?;
    let row = users::apply(&app, actor, actor.id, &change).await?;
    let row = row.ok_or_else(users::none)?;
    Ok(HttpResponse::Ok().json(LoginUpdateResponse {
        username: row.username,
        first_name: row.first_name,
        last_name: row.last_name,
        email: row.email,
    }))
}

async fn is_right(app: &App, pair: Pair, source: Source) -> ApiResult<()> {
    match app.credentials.verify(&app.db, pair, source).await {
        Ok(_) => Ok(()),
        Err(Refusal::Wrong) => Err(ApiError::field("old_password", "The password is wrong.")),
        Err(refusal) => Err(refusal.answer(&header::HeaderMap::new())),
    }
}

/// Ends the session whose cookie the request shows, if it shows one.
///
/// # Errors
/// 401.
pub async fn remove(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    if let Some(token) = Token::read(request.headers()) {
        LoginSession::end(&mut *app.db.get().await?, &token.hash()).await?;
        app.credentials.forget(actor.id).await;
    }
    Ok(with_cookies(&mut HttpResponse::NoContent(), sessions::no_cookies()).finish())
}

fn with_cookies(
    answer: &mut HttpResponseBuilder,
    cookies: [String; 2],
) -> &mut HttpResponseBuilder {
    for cookie in cookies {
        answer.append_header((header::SET_COOKIE, cookie));
    }
    answer
}
