//! `users/<id>/roles/` and `groups/<id>/roles/` (contract 4.15): who holds a role, and on what.

mod requests;
mod shown;

pub use requests::{GroupRoleRequest, UserRoleRequest};
pub use shown::{GroupRoleResponse, UserRoleResponse};

use self::requests::NewAssignment;
use self::shown::render;
use super::{groups, href, path_id, references, users};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::ids::{AssignmentId, DomainId};
use millrace_common::models::role_assignment::{has_assignments, keep_object, shown_name};
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::{Account, AccountGroup, Holder, Role, RoleAssignment, Scope};
use millrace_common::prn::Prn;
use millrace_common::roles::model_of;
use millrace_common::schema::role_assignment;
use serde_json::json;
use std::sync::LazyLock;

/// Who may hold roles.
#[expect(async_fn_in_trait, reason = "used here only, on one thread")]
pub trait Holders: 'static {
    /// What clients call one in messages.
    const NOUN: &'static str;
    /// The model of their assignments, as names of resources have it.
    const ASSIGNMENT: &'static str;

    /// The holder with this id.
    fn holder(id: i32) -> Holder;

    /// Its address.
    fn href(id: i32) -> String;

    /// The id in a path.
    ///
    /// # Errors
    /// 404.
    fn id(path: &str) -> ApiResult<i32>;

    /// What is said where there is none.
    fn none() -> ApiError;

    /// True where there is one with this id.
    ///
    /// # Errors
    /// As the session.
    async fn exists(conn: &mut Conn, id: i32) -> ApiResult<bool>;
}

/// Accounts.
pub struct Users;

/// Groups.
pub struct Groups;

impl Holders for Users {
    const NOUN: &'static str = "user";
    const ASSIGNMENT: &'static str = "core.userrole";

    fn holder(id: i32) -> Holder {
        Holder::Account(id)
    }

    fn href(id: i32) -> String {
        href::user(id)
    }

    fn id(path: &str) -> ApiResult<i32> {
        users::user_id(path)
    }

    fn none() -> ApiError {
        users::none()
    }

    async fn exists(conn: &mut Conn, id: i32) -> ApiResult<bool> {
        Ok(Account::find(conn, id).await?.is_some())
    }
}

impl Holders for Groups {
    const NOUN: &'static str = "group";
    const ASSIGNMENT: &'static str = "core.grouprole";

    fn holder(id: i32) -> Holder {
        Holder::Group(id)
    }

    fn href(id: i32) -> String {
        href::group(id)
    }

    fn id(path: &str) -> ApiResult<i32> {
        groups::group_id(path)
    }

    fn none() -> ApiError {
        groups::none()
    }

    async fn exists(conn: &mut Conn, id: i32) -> ApiResult<bool> {
        Ok(AccountGroup::find(conn, id).await?.is_some())
    }
}

type Assignments = Predicate<role_assignment::table>;

/// The filters of both lists.
pub static FILTERS: LazyLock<Filters<role_assignment::table>> = LazyLock::new(|| {
    let named = |operator: &'static str| {
        Predicate::on(role_assignment::role_id)
            .then(" IN (SELECT pulp_id FROM role WHERE name")
            .then(operator)
    };
    let like = |operator: &'static str, before: &'static str| {
        move |v: &str| {
            let pattern = format!("{before}{}%", crate::listing::pattern(v));
            Ok(named(operator).bind(Bind::Text(pattern)).then(")"))
        }
    };
    Filters::newest_first(role_assignment::pulp_created, role_assignment::pulp_id)
        .sortable("pulp_last_updated", role_assignment::pulp_created)
        .identities(role_assignment::pulp_id)
        .filter("role", Kind::Text, "the role's name is", move |v| {
            Ok(named(" = ").bind(Bind::Text(v.to_owned())).then(")"))
        })
        .filter(
            "role__in",
            Kind::Texts,
            "the role's name is one of",
            move |v| {
                let names = v.split(',').map(|name| name.trim().to_owned()).collect();
                Ok(named(" = ANY (").bind(Bind::Texts(names)).then("))"))
            },
        )
        .filter(
            "role__contains",
            Kind::Text,
            "the role's name holds",
            like(" LIKE ", "%"),
        )
        .filter(
            "role__icontains",
            Kind::Text,
            "the role's name holds, in any case",
            like(" ILIKE ", "%"),
        )
        .filter(
            "role__startswith",
            Kind::Text,
            "the role's name begins with",
            like(" LIKE ", ""),
        )
        .filter(
            "content_object",
            Kind::Reference,
            "held on this object, by href or PRN; null: on none",
            on_object,
        )
        .also_empty()
        .reference("domain", role_assignment::pulp_domain)
});

fn on_object(value: &str) -> Result<Assignments, String> {
    let object = Predicate::on(role_assignment::object_id);
    if value.is_empty() || value == "null" {
        return Ok(object.then(" IS NULL"));
    }
    if let Some(group) = href::reference_number(value, groups::MODEL) {
        return Ok(object
            .then(" = (SELECT g.object_id FROM account_group g WHERE g.id = ")
            .bind(Bind::Integer(group.into()))
            .then(")"));
    }
    let id = href::reference_id(value).ok_or_else(|| format!("URI not valid: {value}"))?;
    Ok(object.then(" = ").bind(Bind::Uuid(id)))
}

fn held_by(holder: Holder) -> Assignments {
    let (column, id) = match holder {
        Holder::Account(id) => (Predicate::on(role_assignment::account_id), id),
        Holder::Group(id) => (Predicate::on(role_assignment::group_id), id),
    };
    column.then(" = ").bind(Bind::Integer(id.into()))
}

/// A page of the roles that somebody holds.
///
/// # Errors
/// 400 for a filter, 403, 404.
pub async fn list<H: Holders>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::ManageRoles, Object::Role).await?;
    let id = H::id(&path)?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    listing.selection.predicate = listing.selection.predicate.and(held_by(H::holder(id)));
    let mut conn = app.db.get().await?;
    if !H::exists(&mut conn, id).await? {
        return Err(H::none());
    }
    let Page { count, rows } = RoleAssignment::page(&mut conn, &listing.selection).await?;
    listing.answer(count, &render::<H>(&mut conn, id, rows).await?)
}

/// One role that somebody holds.
///
/// # Errors
/// 403, 404.
pub async fn read<H: Holders>(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::ManageRoles, Object::Role).await?;
    let (id, assignment) = ids::<H>(&path)?;
    let mut conn = app.db.get().await?;
    let row = RoleAssignment::find(&mut conn, H::holder(id), assignment).await?;
    let shown = render::<H>(&mut conn, id, vec![row.ok_or_else(none)?]).await?;
    if shown.is_empty() {
        return Err(none());
    }
    Wanted::from_request(&request).answer_one(shown)
}

/// Gives somebody a role, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn create<H: Holders>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<NewAssignment>>,
) -> ApiResult {
    authorize(&app, &actor, Action::ManageRoles, Object::Role).await?;
    let id = H::id(&path)?;
    let Body(new) = body.read().await?;
    let mut conn = app.db.get().await?;
    if !H::exists(&mut conn, id).await? {
        return Err(H::none());
    }
    let holder = H::holder(id);
    let made = db::transaction(&mut conn, async |conn| {
        let (role, scope) = resolve(conn, &new).await?;
        let added = RoleAssignment::add(conn, holder, role.pulp_id, &scope).await;
        let made = added.map_err(|e| gone::<H>(e))?.ok_or_else(held::<H>)?;
        note(
            conn,
            actor,
            "assignment.create",
            &H::href(id),
            &made,
            &role.name,
        )
        .await?;
        Ok::<_, ApiError>(made)
    })
    .await?;
    let mut shown = render::<H>(&mut conn, id, vec![made]).await?;
    let shown = shown.pop().ok_or_else(none)?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// Takes a role from somebody, at once.
///
/// # Errors
/// 403, 404.
pub async fn remove<H: Holders>(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
) -> ApiResult {
    authorize(&app, &actor, Action::ManageRoles, Object::Role).await?;
    let (id, assignment) = ids::<H>(&path)?;
    let (holder, href) = (H::holder(id), H::href(id));
    let mut conn = app.db.get().await?;
    db::transaction(&mut conn, async |conn| {
        let row = RoleAssignment::find(conn, holder, assignment).await?;
        let row = row.ok_or_else(none)?;
        let role = Role::find(conn, row.role_id).await?.ok_or_else(none)?;
        if !RoleAssignment::delete(conn, assignment).await? {
            return Err(none());
        }
        note(conn, actor, "assignment.delete", &href, &row, &role.name).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The role and where it is to be held. The object stays until the transaction ends.
async fn resolve(conn: &mut Conn, new: &NewAssignment) -> ApiResult<(Role, Scope)> {
    let role = Role::by_name(conn, &new.role).await?.ok_or_else(|| {
        let message = format!("Object with name={} does not exist.", new.role);
        ApiError::field("role", message)
    })?;
    if let Some((field, reference)) = &new.object {
        let (model, id) = object(conn, field, reference).await?;
        let fits = |permission: &String| model_of(permission) == Some(&model);
        if !role.permissions.iter().any(fits) {
            let message = format!(
                "The role '{}' does not carry any permission for that object.",
                role.name
            );
            return Err(ApiError::field("non_field_errors", message));
        }
        if !keep_object(conn, &model, id).await? {
            return Err(ApiError::field(field, references::NO_OBJECT));
        }
        return Ok((role, Scope::Object { model, id }));
    }
    let Some(domain) = &new.domain else {
        return Ok((role, Scope::Everywhere));
    };
    let id = references::object_id("domain", domain, "core.domain")?;
    if !keep_object(conn, "core.domain", id).await? {
        return Err(ApiError::field("domain", references::NO_OBJECT));
    }
    Ok((role, Scope::Domain(DomainId(id))))
}

/// The model and the id of an object on which roles are held.
async fn object(conn: &mut Conn, field: &str, reference: &str) -> ApiResult<(String, uuid::Uuid)> {
    if let Some(number) = href::reference_number(reference, groups::MODEL) {
        let group = AccountGroup::find(conn, number).await?;
        let group = group.ok_or_else(|| ApiError::field(field, references::NO_OBJECT))?;
        return Ok((groups::MODEL.to_owned(), group.object_id));
    }
    let id = references::object_id(field, reference, "")?;
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(href::Target::Object(prn))) => prn,
        _ => return Err(ApiError::field(field, references::WRONG_MATCH)),
    };
    if has_assignments(&prn.model) {
        Ok((prn.model, id))
    } else {
        Err(ApiError::field(field, references::WRONG_MATCH))
    }
}

async fn note(
    conn: &mut Conn,
    actor: Actor,
    action: &str,
    holder: &str,
    row: &RoleAssignment,
    role: &str,
) -> diesel::QueryResult<()> {
    let object = match row.object_model.as_deref().zip(row.object_id) {
        Some((model, id)) => Some(shown_name(conn, model, id).await?.to_string()),
        None => None,
    };
    let details = json!({"role": role, "content_object_prn": object, "domain": row.pulp_domain});
    actor.note(conn, action, holder, &details).await
}

fn ids<H: Holders>(path: &(String, String)) -> ApiResult<(i32, AssignmentId)> {
    Ok((H::id(&path.0)?, path_id(&path.1, "Assignment")?))
}

fn none() -> ApiError {
    ApiError::no("Assignment")
}

fn held<H: Holders>() -> ApiError {
    let message = format!("The role is already assigned to this {}.", H::NOUN);
    ApiError::field("non_field_errors", message)
}

/// Holder or role went while they were named.
fn gone<H: Holders>(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => H::none(),
        error => error.into(),
    }
}
