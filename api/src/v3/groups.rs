//! `groups/` and their members (contract 4.15).

use super::users::{self, Username};
use super::{href, path_id};
use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize, own};
use crate::body::{Body, Field, Fields, FromFields, Text, Unread, Wrong};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::models::role_assignment::Lost;
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::{Account, AccountGroup};
use millrace_common::prn::Prn;
use millrace_common::schema::{account, account_group};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::LazyLock;
use utoipa::ToSchema;

/// The model of groups, as names of resources have it.
pub(super) const MODEL: &str = "core.group";

const GROUP: Object = Object::Group;

/// Characters of a name.
const NAME: usize = 150;

/// A group to be made.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = Group)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct GroupRequest {
    #[schema(max_length = 150)]
    pub name: String,
}

/// A group of accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct GroupResponse {
    pub name: String,
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only)]
    pub id: i32,
}

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

struct GroupName(String);

impl Field for GroupName {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Text(name) = Text::from_json(value)?;
        if name.chars().count() > NAME {
            let message = format!("Ensure this field has no more than {NAME} characters.");
            return Err(Wrong(json!([message])));
        }
        Ok(Self(name))
    }
}

/// A group as it shall be.
pub struct WholeGroup(String);

/// What shall change about a group.
pub struct SomeOfGroup(Option<String>);

/// Who shall be in a group.
pub struct NewMember(String);

impl FromFields for WholeGroup {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields
            .required::<GroupName>("name")
            .map(|name| Self(name.0))
    }
}

impl FromFields for SomeOfGroup {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.optional::<GroupName>("name")?;
        Some(Self(name.map(|name| name.0)))
    }
}

impl FromFields for NewMember {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required::<Username>("username")?;
        Some(Self(name.0))
    }
}

impl From<AccountGroup> for GroupResponse {
    fn from(row: AccountGroup) -> Self {
        Self {
            pulp_href: href::group(row.id),
            prn: Prn::new(MODEL, row.id).to_string(),
            id: row.id,
            name: row.name,
        }
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

/// The filters of `groups/`.
pub static FILTERS: LazyLock<Filters<account_group::table>> = LazyLock::new(|| {
    Filters::newest_first(account_group::id, account_group::id)
        .sortable("id", account_group::id)
        .sortable("name", account_group::name)
        .numbered_identities(account_group::id, MODEL)
        .names("name", account_group::name)
});

/// The filters of a group's members.
pub static MEMBER_FILTERS: LazyLock<Filters<account::table>> = LazyLock::new(|| {
    Filters::newest_first(account::date_joined, account::id)
        .sortable("username", account::username)
        .names("username", account::username)
});

/// The group that a path names, for an actor who may do this to it.
async fn find(
    app: &App,
    actor: &Actor,
    action: Action,
    path: &str,
) -> ApiResult<(AccountGroup, Access)> {
    let found = AccountGroup::find(&mut *app.db.get().await?, group_id(path)?).await?;
    let group = found.ok_or_else(none)?;
    let access = authorize(app, actor, action, GROUP.at(group.object_id)).await?;
    Ok((group, access))
}

/// A page of groups.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, GROUP).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    listing.narrow(access.rows(GROUP, account_group::object_id));
    let mut conn = app.db.get().await?;
    let Page { count, rows } = AccountGroup::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = rows.into_iter().map(GroupResponse::from).collect();
    listing.answer(count, &results)
}

/// One group.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (group, _) = find(&app, &actor, Action::View, &path).await?;
    let shown = GroupResponse::from(group);
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Makes a group, at once.
///
/// # Errors
/// 400 that names the field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<WholeGroup>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, GROUP).await?;
    let Body(WholeGroup(name)) = body.read().await?;
    let mut conn = app.db.get().await?;
    let made = db::transaction(&mut conn, async |conn| {
        let made = AccountGroup::create(conn, &name).await.map_err(taken)?;
        actor.note(conn, "group.create", &name, &json!({})).await?;
        own(conn, &actor, Prn::new(MODEL, made.object_id)).await?;
        Ok::<_, ApiError>(made)
    })
    .await?;
    let shown = GroupResponse::from(made);
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// Gives a group another name, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<WholeGroup>>,
) -> ApiResult {
    let (group, _) = find(&app, &actor, Action::Change, &path).await?;
    let Body(WholeGroup(name)) = body.read().await?;
    rename(&app, actor, group.id, Some(name)).await
}

/// Gives a group another name, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn partial_update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SomeOfGroup>>,
) -> ApiResult {
    let (group, _) = find(&app, &actor, Action::Change, &path).await?;
    let Body(SomeOfGroup(name)) = body.read().await?;
    rename(&app, actor, group.id, name).await
}

async fn rename(app: &App, actor: Actor, id: i32, name: Option<String>) -> ApiResult {
    let mut conn = app.db.get().await?;
    let row = db::transaction(&mut conn, async |conn| {
        let stored = AccountGroup::lock(conn, id).await?.ok_or_else(none)?;
        let Some(name) = name.as_ref().filter(|name| **name != stored.name) else {
            return Ok::<_, ApiError>(stored);
        };
        let row = AccountGroup::rename(conn, id, name).await.map_err(taken)?;
        let details = json!({"name": name});
        actor
            .note(conn, "group.update", &stored.name, &details)
            .await?;
        Ok(row)
    })
    .await?;
    Ok(HttpResponse::Ok().json(GroupResponse::from(row)))
}

/// Deletes a group, at once; its members stay.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let (AccountGroup { id, .. }, _) = find(&app, &actor, Action::Delete, &path).await?;
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let stored = AccountGroup::lock(conn, id).await?.ok_or_else(none)?;
        let lost = Lost::with_group(conn, id).await?;
        AccountGroup::delete(conn, id).await?;
        let details = json!({
            "id": id, "users": lost.users, "roles": lost.roles, "assignments": lost.assignments,
        });
        actor
            .note(conn, "group.delete", &stored.name, &details)
            .await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A page of the members of a group.
///
/// # Errors
/// 400 for a filter, 403, 404.
pub async fn list_members(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (AccountGroup { id, .. }, access) = find(&app, &actor, Action::View, &path).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &MEMBER_FILTERS)?;
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
pub async fn add_member(
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
pub async fn remove_member(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
) -> ApiResult {
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

pub(super) fn group_id(path: &str) -> ApiResult<i32> {
    path_id(path, "Group")
}

pub(super) fn none() -> ApiError {
    ApiError::no("Group")
}

fn gone(error: DieselError, instead: impl Fn() -> ApiError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => instead(),
        error => error.into(),
    }
}

fn taken(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            ApiError::field("name", "This field must be unique.")
        }
        error => error.into(),
    }
}
