//! Roles on single objects (contract 4.1): who holds which, giving and taking them, and what one may do oneself.
//!
//! Written once for every kind: one implements [`Roled`], and its part of the URL table has a line with
//! [`role_calls`](crate::v3::object_roles::role_calls).

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::Wanted;
use crate::route::{Endpoint, get, post};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::models::Role;
use millrace_common::models::object_role::{Holders, Ids, ObjectKey, ObjectRole};
use millrace_common::models::role_assignment::shown_name;
use millrace_common::roles;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::future::Future;
use utoipa::ToSchema;
use uuid::Uuid;

/// Says who dispatched a task; nobody is given it, or loses it.
const DISPATCHER: &str = "core.task_user_dispatcher";

/// A kind of objects on which roles are held.
pub trait Roled: 'static {
    /// The kind.
    const OBJECT: Object;

    /// The id of the object that a path names, by which assignments know it.
    ///
    /// # Errors
    /// 404.
    fn id(conn: &mut Conn, path: &str) -> impl Future<Output = ApiResult<Uuid>> + Send;
}

/// A role, and to whom it is given or from whom it is taken.
#[derive(Debug, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct NestedRole {
    #[schema(required = false)]
    pub users: Vec<String>,
    #[schema(required = false)]
    pub groups: Vec<String>,
    pub role: String,
}

/// A role, and who holds it.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct NestedRoleResponse {
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub role: String,
}

/// The roles on an object.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct ObjectRolesResponse {
    pub roles: Vec<NestedRoleResponse>,
}

/// What somebody may do to an object.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct MyPermissionsResponse {
    pub permissions: Vec<String>,
}

impl FromFields for NestedRole {
    fn read(fields: &mut Fields) -> Option<Self> {
        let users = fields.optional::<Vec<Text>>("users");
        let groups = fields.optional::<Vec<Text>>("groups");
        let role = fields.required::<Text>("role");
        let names = |list: Option<Vec<Text>>| {
            let mut names: Vec<String> = list.into_iter().flatten().map(|text| text.0).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        Some(Self {
            users: names(users?),
            groups: names(groups?),
            role: role?.0,
        })
    }
}

impl From<NestedRole> for NestedRoleResponse {
    fn from(asked: NestedRole) -> Self {
        Self {
            users: asked.users,
            groups: asked.groups,
            role: asked.role,
        }
    }
}

/// Addresses and ids of the operations of a kind.
pub struct Names {
    /// The tag.
    pub tag: &'static str,
    /// Who holds which role.
    pub list: [&'static str; 2],
    /// Gives one.
    pub add: [&'static str; 2],
    /// Takes one.
    pub remove: [&'static str; 2],
    /// What one may do oneself.
    pub mine: [&'static str; 2],
}

/// The calls on roles of a kind: `role_calls!(Kind, "path/{href}/", "operations", "Tag")`.
macro_rules! role_calls {
    ($kind:ty, $path:expr, $operations:expr, $tag:expr) => {
        $crate::v3::object_roles::calls::<$kind>(&$crate::v3::object_roles::role_names!(
            $path,
            $operations,
            $tag
        ))
    };
}

/// The names of the calls on roles of a kind.
macro_rules! role_names {
    ($path:expr, $operations:expr, $tag:expr) => {
        $crate::v3::object_roles::Names {
            tag: $tag,
            list: [
                concat!($path, "list_roles/"),
                concat!($operations, "_list_roles"),
            ],
            add: [
                concat!($path, "add_role/"),
                concat!($operations, "_add_role"),
            ],
            remove: [
                concat!($path, "remove_role/"),
                concat!($operations, "_remove_role"),
            ],
            mine: [
                concat!($path, "my_permissions/"),
                concat!($operations, "_my_permissions"),
            ],
        }
    };
}

pub(crate) use {role_calls, role_names};

/// The calls on roles of a kind.
#[must_use]
pub fn calls<R: Roled>(names: &Names) -> Vec<Endpoint> {
    let [list, list_id] = names.list;
    let [add, add_id] = names.add;
    let [remove, remove_id] = names.remove;
    let [mine, mine_id] = names.mine;
    vec![
        get(list, list_id, list_roles::<R>)
            .tag(names.tag)
            .about("Who holds which role on it")
            .answers::<ObjectRolesResponse>(200),
        post(add, add_id, add_role::<R>)
            .tag(names.tag)
            .about("Give a role on it")
            .accepts::<NestedRole>()
            .answers::<NestedRoleResponse>(201),
        post(remove, remove_id, remove_role::<R>)
            .tag(names.tag)
            .about("Take a role on it away")
            .accepts::<NestedRole>()
            .answers::<NestedRoleResponse>(201),
        get(mine, mine_id, my_permissions::<R>)
            .tag(names.tag)
            .about("What one may do to it")
            .answers::<MyPermissionsResponse>(200),
    ]
}

/// The object that a path names, for an actor who may do this to it.
async fn find<R: Roled>(
    app: &App,
    actor: &Actor,
    action: Action,
    path: &str,
) -> ApiResult<(Uuid, Access)> {
    let id = R::id(&mut *app.db.get().await?, path).await?;
    let access = authorize(app, actor, action, R::OBJECT.at(id)).await?;
    Ok((id, access))
}

/// Who holds which role on an object.
///
/// # Errors
/// 403, 404.
pub async fn list_roles<R: Roled>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (id, _) = find::<R>(&app, &actor, Action::ManageRoles, &path).await?;
    let model = R::OBJECT.model();
    let object = ObjectKey { model: &model, id };
    let held = ObjectRole::list(&mut *app.db.get().await?, object).await?;
    let roles = held.into_iter().map(|held| NestedRoleResponse {
        users: held.users,
        groups: held.groups,
        role: held.role,
    });
    let roles = roles.collect();
    Wanted::from_request(&request).answer_one(vec![ObjectRolesResponse { roles }])
}

/// What the actor may do to an object.
///
/// # Errors
/// 404.
pub async fn my_permissions<R: Roled>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (_, access) = find::<R>(&app, &actor, Action::View, &path).await?;
    let permissions = access.permissions(R::OBJECT);
    Wanted::from_request(&request).answer_one(vec![MyPermissionsResponse { permissions }])
}

/// Gives a role on an object, at once.
///
/// # Errors
/// 400 that names the field, where the role does not fit such an object or somebody holds it already; 403, 404. Nobody
/// is given it then.
pub async fn add_role<R: Roled>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<NestedRole>>,
) -> ApiResult {
    change::<R>(&app, &actor, &path, body, true).await
}

/// Takes a role on an object away, at once.
///
/// # Errors
/// 400 that names the field, where somebody does not hold it; 403, 404. Nobody loses it then.
pub async fn remove_role<R: Roled>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<NestedRole>>,
) -> ApiResult {
    change::<R>(&app, &actor, &path, body, false).await
}

async fn change<R: Roled>(
    app: &App,
    actor: &Actor,
    path: &str,
    body: Unread<Body<NestedRole>>,
    gives: bool,
) -> ApiResult {
    let (id, _) = find::<R>(app, actor, Action::ManageRoles, path).await?;
    let Body(asked) = body.read().await?;
    let model = R::OBJECT.model();
    let object = ObjectKey { model: &model, id };
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let role = role(conn, &model, &asked.role).await?;
        let holders = Holders::keep(conn, &asked.users, &asked.groups).await?;
        refuse_unknown(&asked, &holders)?;
        let wrong = if gives {
            let held = ObjectRole::give(conn, object, &role, &holders).await;
            let held = held.map_err(|error| match error {
                // It went while it was given.
                DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                    no_role(&role.name)
                }
                error => error.into(),
            })?;
            held.ok_or_else(|| ApiError::no(&R::OBJECT.what()))?
        } else {
            ObjectRole::take(conn, object, &role, &holders).await?
        };
        refuse_unchanged(&wrong, gives)?;
        note(conn, actor, object, &asked, gives).await
    })
    .await?;
    Ok(HttpResponse::Created().json(NestedRoleResponse::from(asked)))
}

/// The role of this name, which must say something of objects of this model.
async fn role(conn: &mut Conn, model: &str, name: &str) -> ApiResult<Role> {
    let refuse = |message: String| ApiError::field("role", message);
    let found = Role::by_name(conn, name).await?;
    let role = found.ok_or_else(|| no_role(name))?;
    if name == DISPATCHER {
        let message = "It is held by who dispatched the task: it is neither given nor taken.";
        return Err(refuse(message.to_owned()));
    }
    let fits = |permission: &String| roles::model_of(permission) == Some(model);
    if role.permissions.iter().any(fits) {
        Ok(role)
    } else {
        Err(refuse(format!("It has no permission on a {model}.")))
    }
}

fn no_role(name: &str) -> ApiError {
    ApiError::field("role", format!("Object with name={name} does not exist."))
}

fn refuse_unknown(asked: &NestedRole, found: &Holders) -> ApiResult<()> {
    let missing = |names: &[String], found: &Ids, what: &str| -> Vec<String> {
        let missing = names.iter().filter(|name| !found.contains_key(*name));
        missing
            .map(|name| format!("Object with {what}={name} does not exist."))
            .collect()
    };
    refuse([
        ("users", missing(&asked.users, &found.users, "username")),
        ("groups", missing(&asked.groups, &found.groups, "name")),
    ])
}

/// Refuses what would change nothing for somebody.
fn refuse_unchanged(holders: &Holders, gives: bool) -> ApiResult<()> {
    let is = if gives {
        "is already assigned to"
    } else {
        "is not assigned to"
    };
    let told = |names: &Ids, what: &str| -> Vec<String> {
        let names = names.keys();
        names
            .map(|name| format!("The role {is} this {what}: {name}."))
            .collect()
    };
    refuse([
        ("users", told(&holders.users, "user")),
        ("groups", told(&holders.groups, "group")),
    ])
}

fn refuse(fields: [(&str, Vec<String>); 2]) -> ApiResult<()> {
    let wrong = fields.into_iter().filter(|(_, faults)| !faults.is_empty());
    let wrong: Map<String, Value> = wrong
        .map(|(field, faults)| (field.to_owned(), json!(faults)))
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(wrong))
    }
}

async fn note(
    conn: &mut Conn,
    actor: &Actor,
    object: ObjectKey<'_>,
    asked: &NestedRole,
    gives: bool,
) -> ApiResult<()> {
    let action = if gives {
        "assignment.create"
    } else {
        "assignment.delete"
    };
    let prn = shown_name(conn, object.model, object.id).await?.to_string();
    let details = json!({"role": asked.role, "users": asked.users, "groups": asked.groups});
    Ok(actor.note(conn, action, &prn, &details).await?)
}
