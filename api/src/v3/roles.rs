//! `roles/` (contract 4.15): sets of permissions, for administrators.

use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Field, Fields, FromFields, Text, Unread, Wrong};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::ids::RoleId;
use millrace_common::models::role_assignment::Lost;
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::{Role, RoleChange};
use millrace_common::prn::Prn;
use millrace_common::roles;
use millrace_common::schema::role;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// Bytes of a name, as of other objects: what an index holds.
const NAME_BYTES: usize = 2000;

/// A role to be made.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = Role)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct RoleRequest {
    pub name: String,
    pub description: Option<String>,
    /// `<app>.<codename>`.
    pub permissions: Vec<String>,
}

/// A set of permissions.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct RoleResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub name: String,
    pub description: Option<String>,
    pub permissions: Vec<String>,
    /// Built in: nobody changes it.
    #[schema(read_only)]
    pub locked: bool,
}

impl From<Role> for RoleResponse {
    fn from(row: Role) -> Self {
        Self {
            pulp_href: href::role(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_last_updated,
            name: row.name,
            description: row.description,
            permissions: row.permissions,
            locked: row.locked,
        }
    }
}

/// A name that the unique index holds.
struct RoleName(String);

impl Field for RoleName {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Text(name) = Text::from_json(value)?;
        if name.len() > NAME_BYTES {
            let message = format!("Ensure this field has no more than {NAME_BYTES} bytes.");
            return Err(Wrong(json!([message])));
        }
        Ok(Self(name))
    }
}

/// A permission that there is.
struct Permission(String);

impl Field for Permission {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Text(permission) = Text::from_json(value)?;
        match roles::model_of(&permission) {
            Some(_) => Ok(Self(permission)),
            None => Err(Wrong(json!([format!(
                "There is no permission '{permission}'."
            )]))),
        }
    }
}

/// A role as it shall be.
pub struct WholeRole(RoleChange);

/// What shall change about a role.
pub struct SomeOfRole(RoleChange);

impl FromFields for WholeRole {
    fn read(fields: &mut Fields) -> Option<Self> {
        for name in ["name", "permissions"] {
            if !fields.has(name) {
                fields.refuse::<()>(name, "This field is required.");
            }
        }
        let SomeOfRole(mut read) = SomeOfRole::read(fields)?;
        read.description.get_or_insert_default();
        (read.name.is_some() && read.permissions.is_some()).then_some(Self(read))
    }
}

impl FromFields for SomeOfRole {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.optional::<RoleName>("name");
        let description = fields.nullable::<Text>("description");
        let permissions = fields.optional::<Vec<Permission>>("permissions");
        let sorted = |list: Vec<Permission>| {
            let set: BTreeSet<String> = list.into_iter().map(|one| one.0).collect();
            set.into_iter().collect()
        };
        Some(Self(RoleChange {
            name: name?.map(|name| name.0),
            description: description?.map(|given| given.map(|text| text.0)),
            permissions: permissions?.map(sorted),
        }))
    }
}

/// The filters of `roles/`.
pub static FILTERS: LazyLock<Filters<role::table>> = LazyLock::new(|| {
    Filters::newest_first(role::pulp_created, role::pulp_id)
        .sortable("pulp_last_updated", role::pulp_last_updated)
        .sortable("name", role::name)
        .sortable("description", role::description)
        .sortable("locked", role::locked)
        .identities(role::pulp_id)
        .names("name", role::name)
        .names("description", role::description)
        .boolean("locked", role::locked)
        .filter(
            "contains_permission",
            Kind::Texts,
            "has any of these permissions",
            |v| {
                let wanted = v.split(',').map(|part| part.trim().to_owned()).collect();
                let shared = Predicate::on(role::permissions).then(" && ");
                Ok(shared.bind(Bind::Texts(wanted)))
            },
        )
        .filter(
            "for_object_type",
            Kind::Reference,
            "has permissions on objects like this one only, which is given by href or PRN",
            |v| {
                let model = model_of(v).ok_or_else(|| format!("URI not valid: {v}"))?;
                let all = roles::permissions_on(&model).map(str::to_owned).collect();
                Ok(Predicate::on(role::permissions)
                    .then(" <@ ")
                    .bind(Bind::Texts(all))
                    .and(Predicate::on(role::permissions).then(" <> '{}'")))
            },
        )
});

/// The model of the object in a reference.
fn model_of(reference: &str) -> Option<String> {
    if let Some(prn) = Prn::parse(reference) {
        return Some(prn.model);
    }
    match href::parse(reference)? {
        href::Target::Object(prn) => Some(prn.model),
        href::Target::Version { .. } => Some("core.repositoryversion".to_owned()),
    }
}

/// A page of roles.
///
/// # Errors
/// 400 for a filter, 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Role).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = Role::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = rows.into_iter().map(RoleResponse::from).collect();
    listing.answer(count, &results)
}

/// One role.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Role).await?;
    let row = Role::find(&mut *app.db.get().await?, role_id(&path)?).await?;
    let shown = RoleResponse::from(row.ok_or_else(none)?);
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Makes a role, at once.
///
/// # Errors
/// 400 that names the field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<WholeRole>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, Object::Role).await?;
    let Body(WholeRole(new)) = body.read().await?;
    let mut conn = app.db.get().await?;
    let made = db::transaction(&mut conn, async |conn| {
        let made = Role::create(conn, &new).await.map_err(taken)?;
        actor
            .note(conn, "role.create", &made.name, &details(&new))
            .await?;
        Ok::<_, ApiError>(made)
    })
    .await?;
    let shown = RoleResponse::from(made);
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// Replaces the values of a role, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<WholeRole>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, Object::Role).await?;
    let id = open(&app, &path).await?;
    let Body(WholeRole(fields)) = body.read().await?;
    change(&app, actor, id, fields).await
}

/// Changes some values of a role, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn partial_update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SomeOfRole>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, Object::Role).await?;
    let id = open(&app, &path).await?;
    let Body(SomeOfRole(fields)) = body.read().await?;
    change(&app, actor, id, fields).await
}

async fn change(app: &App, actor: Actor, id: RoleId, fields: RoleChange) -> ApiResult {
    let mut conn = app.db.get().await?;
    let row = db::transaction(&mut conn, async |conn| {
        let stored = unlocked(Role::lock(conn, id).await?)?;
        let changed = changed(&stored, &fields);
        if changed.name.is_none() && changed.description.is_none() && changed.permissions.is_none()
        {
            return Ok(stored);
        }
        let row = Role::change(conn, id, &changed).await.map_err(taken)?;
        note(conn, actor, "role.update", &stored, &changed).await?;
        Ok::<_, ApiError>(row)
    })
    .await?;
    Ok(HttpResponse::Ok().json(RoleResponse::from(row)))
}

/// Deletes a role, at once; who held it holds it no more.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Role).await?;
    let id = role_id(&path)?;
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let stored = unlocked(Role::lock(conn, id).await?)?;
        let lost = Lost::with_role(conn, id).await?;
        Role::delete(conn, id).await?;
        let details = json!({
            "description": stored.description, "permissions": stored.permissions,
            "users": lost.users, "groups": lost.groups, "assignments": lost.assignments,
        });
        actor
            .note(conn, "role.delete", &stored.name, &details)
            .await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn note(
    conn: &mut Conn,
    actor: Actor,
    action: &str,
    stored: &Role,
    change: &RoleChange,
) -> diesel::QueryResult<()> {
    actor
        .note(conn, action, &stored.name, &details(change))
        .await
}

/// The id of a role that may be changed: asked before the body is looked at.
async fn open(app: &App, path: &str) -> ApiResult<RoleId> {
    let id = role_id(path)?;
    let stored = Role::find(&mut *app.db.get().await?, id).await?;
    Ok(unlocked(stored)?.pulp_id)
}

fn unlocked(found: Option<Role>) -> ApiResult<Role> {
    match found {
        None => Err(none()),
        Some(role) if role.locked => Err(ApiError::detail(
            StatusCode::FORBIDDEN,
            "The role is locked.",
        )),
        Some(role) => Ok(role),
    }
}

/// Of what was sent only what is not so already.
fn changed(stored: &Role, fields: &RoleChange) -> RoleChange {
    let RoleChange {
        name,
        description,
        permissions,
    } = fields.clone();
    RoleChange {
        name: name.filter(|new| *new != stored.name),
        description: description.filter(|new| *new != stored.description),
        permissions: permissions.filter(|new| *new != stored.permissions),
    }
}

fn details(change: &RoleChange) -> Value {
    let mut all = Map::new();
    if let Some(name) = &change.name {
        all.insert("name".to_owned(), json!(name));
    }
    if let Some(description) = &change.description {
        all.insert("description".to_owned(), json!(description));
    }
    if let Some(permissions) = &change.permissions {
        all.insert("permissions".to_owned(), json!(permissions));
    }
    Value::Object(all)
}

fn role_id(path: &str) -> ApiResult<RoleId> {
    path_id(path, "Role")
}

fn none() -> ApiError {
    ApiError::no("Role")
}

fn taken(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            ApiError::field("name", "This field must be unique.")
        }
        error => error.into(),
    }
}
