//! `groups/{id}/users/`: who is in a group (contract 4.15).

use super::groups::{find, none};
use super::href;
use super::users::{self, Username};
use crate::app::App;
use crate::auth::{Action, Actor};
use crate::body::{Body, Fields, FromFields, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::{Account, AccountGroup};
use millrace_common::prn::Prn;
use millrace_common::schema::account;
use serde::Serialize;
use serde_json::json;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// An account to be added to a group.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = GroupUser)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct GroupUserRequest {
    #[schema(max_length = 150)]
    pub username: String,
}

/// An account that is in a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct GroupUserResponse {
    pub username: String,
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
}

/// Who shall be in a group.
pub struct NewMember(String);

impl FromFields for NewMember {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required::<Username>("username")?;
        Some(Self(name.0))
    }
}

impl From<Account> for GroupUserResponse {
    fn from(row: Account) -> Self {
        Self {
            pulp_href: href::user(row.id),
            prn: Prn::new(users::MODEL, row.id).to_string(),
            username: row.username,
        }
    }
}

/// The filters of a group's members.
pub static FILTERS: LazyLock<Filters<account::table>> = LazyLock::new(|| {
    Filters::newest_first(account::date_joined, account::id)
        .sortable("username", account::username)
        .names("username", account::username)
});

/// A page of the members of a group.
///
/// # Errors
/// 400 for a filter, 403, 404.
pub async fn list(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (AccountGroup { id, .. }, access) = find(&app, &actor, Action::View, &path).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let is_member = Predicate::on(account::id)
        .then(" IN (SELECT account_id FROM account_group_member WHERE group_id = ")
        .bind(Bind::Integer(id.into()))
        .then(")");
    listing.selection.predicate = listing.selection.predicate.and(is_member);
    let mut conn = app.db.get().await?;
    let Page { count, rows } = Account::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = rows.into_iter().map(GroupUserResponse::from).collect();
    listing.answer(count, &results)
}

/// Adds an account to a group, at once; one that is in it stays.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn add(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<NewMember>>,
) -> ApiResult {
    let (AccountGroup { id, .. }, _) = find(&app, &actor, Action::Change, &path).await?;
    let Body(NewMember(username)) = body.read().await?;
    let mut conn = app.db.get().await?;
    let member = db::transaction(&mut conn, async |conn| {
        let group = AccountGroup::lock(conn, id).await?.ok_or_else(none)?;
        let unknown = || ApiError::field("username", "There is no account of this name.");
        let account = Account::by_name(conn, &username).await?;
        let account = account.ok_or_else(unknown)?;
        let added = AccountGroup::add_member(conn, id, account.id).await;
        if added.map_err(|error| gone(error, unknown))? {
            note_member(conn, actor, "group.add_user", &group, &username).await?;
        }
        Ok::<_, ApiError>(account)
    })
    .await?;
    Ok(HttpResponse::Created().json(GroupUserResponse::from(member)))
}

/// Takes an account out of a group, at once.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<(String, String)>) -> ApiResult {
    let (group, account) = path.into_inner();
    let (AccountGroup { id, .. }, _) = find(&app, &actor, Action::Change, &group).await?;
    let account = users::user_id(&account)?;
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let group = AccountGroup::lock(conn, id).await?.ok_or_else(none)?;
        let stored = Account::find(conn, account).await?;
        let stored = stored.ok_or_else(users::none)?;
        if !AccountGroup::remove_member(conn, id, account).await? {
            return Err(users::none());
        }
        note_member(conn, actor, "group.remove_user", &group, &stored.username).await?;
        Ok(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn note_member(
    conn: &mut Conn,
    actor: Actor,
    action: &str,
    group: &AccountGroup,
    username: &str,
) -> diesel::QueryResult<()> {
    let details = json!({"username": username});
    actor.note(conn, action, &group.name, &details).await
}

fn gone(error: DieselError, instead: impl Fn() -> ApiError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => instead(),
        error => error.into(),
    }
}
