//! `users/` (contract 4.15): accounts, for administrators.

mod change;
mod requests;

pub use requests::UserRequest;

pub(super) use change::{apply, details};
pub(super) use requests::{Email, PartOfName, Password, UserFields, Username};

use self::requests::{SomeOfUser, WholeUser};
use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use millrace_common::db::{self, Conn};
use millrace_common::models::Account;
use millrace_common::models::selection::{Page, Predicate};
use millrace_common::prn::Prn;
use millrace_common::representation::HiddenField;
use millrace_common::schema::account;
use serde::Serialize;
use serde_json::json;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// Tasks that one transaction takes from an account that goes.
const TASKS: i64 = 5000;
/// Of which one request does so many.
const PIECES: usize = 4;

/// The model of accounts, as names of resources have it.
pub(super) const MODEL: &str = "auth.user";

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct UserResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only)]
    pub id: i32,
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub is_staff: bool,
    pub is_active: bool,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub date_joined: DateTime<Utc>,
    #[schema(read_only)]
    pub groups: Vec<UserGroupResponse>,
    #[schema(read_only)]
    pub hidden_fields: Vec<HiddenField>,
}

/// A group that an account is in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct UserGroupResponse {
    pub name: String,
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
}

/// The filters of `users/`.
pub static FILTERS: LazyLock<Filters<account::table>> = LazyLock::new(|| {
    Filters::newest_first(account::date_joined, account::id)
        .only(Predicate::sql("NOT account.gone"))
        .sortable("id", account::id)
        .sortable("date_joined", account::date_joined)
        .sortable("username", account::username)
        .sortable("first_name", account::first_name)
        .sortable("last_name", account::last_name)
        .sortable("email", account::email)
        .sortable("is_active", account::is_active)
        .sortable("is_staff", account::is_staff)
        .numbered_identities(account::id, MODEL)
        .names("username", account::username)
        .names("first_name", account::first_name)
        .names("last_name", account::last_name)
        .names("email", account::email)
        .boolean("is_active", account::is_active)
        .boolean("is_staff", account::is_staff)
});

/// A page of accounts.
///
/// # Errors
/// 400 for a filter, 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::User).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = Account::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    listing.answer(count, &render(&mut conn, rows).await?)
}

/// One account.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::User).await?;
    let mut conn = app.db.get().await?;
    let row = Account::find(&mut conn, user_id(&path)?).await?;
    let shown = render(&mut conn, vec![row.ok_or_else(none)?]).await?;
    Wanted::from_request(&request).answer_one(shown)
}

/// Makes an account, at once.
///
/// # Errors
/// 400 that names the field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<WholeUser>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, Object::User).await?;
    let Body(WholeUser(fields)) = body.read().await?;
    let new = fields.into_change(&app, None, "password").await?;
    let mut conn = app.db.get().await?;
    let made = db::transaction(&mut conn, async |conn| {
        let made = Account::create(conn, &new).await.map_err(change::taken)?;
        let details = details(&new, 0);
        actor
            .note(conn, "user.create", &made.username, &details)
            .await?;
        Ok::<_, ApiError>(made)
    })
    .await?;
    let shown = one(&mut conn, made).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// Replaces the values of an account, at once; the password stays where it is left out.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<WholeUser>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, Object::User).await?;
    let Body(WholeUser(fields)) = body.read().await?;
    changed(&app, actor, &path, fields).await
}

/// Changes some values of an account, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn partial_update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SomeOfUser>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, Object::User).await?;
    let Body(SomeOfUser(fields)) = body.read().await?;
    changed(&app, actor, &path, fields).await
}

async fn changed(app: &App, actor: Actor, path: &str, fields: UserFields) -> ApiResult {
    let id = user_id(path)?;
    let stored = Account::find(&mut *app.db.get().await?, id).await?;
    let change = fields
        .into_change(app, Some(&stored.ok_or_else(none)?), "password")
        .await?;
    let row = apply(app, actor, id, &change).await?.ok_or_else(none)?;
    let shown = one(&mut *app.db.get().await?, row).await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// Deletes an account with its roles and sessions, at once; its tasks stay. Somebody else than who is logged in by
/// it does so.
///
/// # Errors
/// 403, 404, 409 for the last administrator.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::User).await?;
    let id = user_id(&path)?;
    if id == actor.id {
        return Err(ApiError::detail(
            actix_web::http::StatusCode::FORBIDDEN,
            "Nobody may delete the account that he is logged in by.",
        ));
    }
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| shut(conn, actor, id).await).await?;
    app.credentials.forget(id).await;
    // Of very many tasks the rest is left to the janitor.
    for _ in 0..PIECES {
        let bury = async |conn: &mut Conn| Account::bury(conn, id, TASKS).await;
        if db::transaction(&mut conn, bury).await? {
            break;
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn shut(conn: &mut Conn, actor: Actor, id: i32) -> ApiResult<()> {
    if Account::lock_admins(conn).await? == [id] {
        return Err(ApiError::detail(
            actix_web::http::StatusCode::CONFLICT,
            "The last active administrator cannot be deleted.",
        ));
    }
    let stored = Account::lock(conn, id).await?.ok_or_else(none)?;
    let ended = Account::remove(conn, id).await?;
    let details = json!({"id": id, "sessions_ended": ended});
    actor
        .note(conn, "user.delete", &stored.username, &details)
        .await?;
    Ok(())
}

async fn render(conn: &mut Conn, rows: Vec<Account>) -> ApiResult<Vec<UserResponse>> {
    let ids: Vec<i32> = rows.iter().map(|row| row.id).collect();
    let mut groups = Account::groups(conn, &ids).await?;
    let group = |group: millrace_common::models::account::GroupOfAccount| UserGroupResponse {
        pulp_href: href::group(group.id),
        prn: Prn::new(super::groups::MODEL, group.id).to_string(),
        name: group.name,
    };
    Ok(rows
        .into_iter()
        .map(|row| UserResponse {
            pulp_href: href::user(row.id),
            prn: Prn::new(MODEL, row.id).to_string(),
            id: row.id,
            groups: groups
                .remove(&row.id)
                .unwrap_or_default()
                .into_iter()
                .map(group)
                .collect(),
            hidden_fields: vec![HiddenField {
                name: "password",
                is_set: !row.password.is_empty(),
            }],
            username: row.username,
            first_name: row.first_name,
            last_name: row.last_name,
            email: row.email,
            is_staff: row.is_staff,
            is_active: row.is_active,
            date_joined: row.date_joined,
        })
        .collect())
}

async fn one(conn: &mut Conn, row: Account) -> ApiResult<UserResponse> {
    let shown = render(conn, vec![row]).await?.pop();
    shown.ok_or_else(|| ApiError::internal("nothing to show"))
}

pub(super) fn user_id(path: &str) -> ApiResult<i32> {
    path_id(path, "User")
}

pub(super) fn none() -> ApiError {
    ApiError::no("User")
}
