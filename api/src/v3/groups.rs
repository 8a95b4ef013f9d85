//! `groups/` (contract 4.15).

use super::{href, path_id};
use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize, own};
use crate::body::{Body, Field, Fields, FromFields, Text, Unread, Wrong};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db;
use millrace_common::models::AccountGroup;
use millrace_common::models::role_assignment::Lost;
use millrace_common::models::selection::Page;
use millrace_common::prn::Prn;
use millrace_common::schema::account_group;
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

/// The filters of `groups/`.
pub static FILTERS: LazyLock<Filters<account_group::table>> = LazyLock::new(|| {
    Filters::newest_first(account_group::id, account_group::id)
        .sortable("id", account_group::id)
        .sortable("name", account_group::name)
        .numbered_identities(account_group::id, MODEL)
        .names("name", account_group::name)
});

/// The group that a path names, for an actor who may do this to it.
pub(super) async fn find(
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

pub(super) fn group_id(path: &str) -> ApiResult<i32> {
    path_id(path, "Group")
}

pub(super) fn none() -> ApiError {
    ApiError::no("Group")
}

fn taken(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            ApiError::field("name", "This field must be unique.")
        }
        error => error.into(),
    }
}
