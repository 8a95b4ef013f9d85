//! The one question that every handler asks, and what its answer lets somebody see.

use super::Actor;
use super::policy::{Action, Need, Object};
use crate::app::App;
use crate::correlation;
use crate::error::{ApiError, ApiResult};
use diesel::QueryResult;
use millrace_common::content::ContentTypes;
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, TaskGroupId};
use millrace_common::models::permission::{self, Held, Id, Maker, loose_units};
use millrace_common::models::selection::Predicate;
use millrace_common::prn::Prn;
use millrace_common::schema::{content, repository_version, task, task_group};
use uuid::Uuid;

/// What an action is done to: a kind of objects as a whole, or one object.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    object: Object,
    id: Option<Uuid>,
}

impl From<Object> for Target {
    fn from(object: Object) -> Self {
        Self { object, id: None }
    }
}

impl Object {
    /// One object of the kind.
    pub fn at(self, id: impl Into<Uuid>) -> Target {
        Target {
            object: self,
            id: Some(id.into()),
        }
    }
}

/// What somebody may see, found out once a request. An administrator sees all, and costs nothing.
#[derive(Clone, Debug)]
pub struct Access(Option<Held>);

/// Refuses unless the actor may do this. Lists are for everybody: [`Access::rows`] selects what he sees of them.
/// Asked before anything of a body is read, and while no session is held: where the actor is no administrator it takes
/// one, for one statement.
///
/// # Errors
/// 404 for an object that the actor does not see, 403 for what he may not do.
pub async fn authorize(
    app: &App,
    actor: &Actor,
    action: Action,
    target: impl Into<Target>,
) -> ApiResult<Access> {
    let Target { object, id } = target.into();
    if actor.is_superuser {
        return Ok(Access(None));
    }
    let need = object.need(action);
    if need == Need::Administrator {
        return Err(ApiError::forbidden());
    }
    let model = object.model();
    let mut conn = app.db.get().await?;
    let on = id.map(|id| (model.as_ref(), id));
    let held = Held::load(&mut conn, actor.id, DomainId::DEFAULT, on).await?;
    decide(&held, action, object, id.is_some(), &need)?;
    Ok(Access(Some(held)))
}

fn decide(held: &Held, action: Action, object: Object, is_one: bool, need: &Need) -> ApiResult<()> {
    let Need::Permission(permission) = need else {
        return Ok(());
    };
    // A list is cut down to what may be seen.
    if !is_one && action == Action::View {
        return Ok(());
    }
    let has_views = matches!(object.need(Action::View), Need::Permission(_));
    if is_one && has_views && !held.here(&object.permission("view")) {
        return Err(ApiError::no(&object.what()));
    }
    if held.here(permission) {
        Ok(())
    } else {
        Err(ApiError::forbidden())
    }
}

impl Access {
    /// That of an administrator.
    pub const UNLIMITED: Self = Self(None);

    /// True for an administrator.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.0.is_none()
    }

    /// True where this may be done to every object of a kind.
    #[must_use]
    pub fn generally(&self, action: Action, object: Object) -> bool {
        match (&self.0, object.need(action)) {
            (None, _) | (_, Need::Nothing) => true,
            (Some(_), Need::Administrator) => false,
            (Some(held), Need::Permission(permission)) => held.generally(&permission),
        }
    }

    /// The permissions that are held on the object that was asked about, of those about its model.
    #[must_use]
    pub fn permissions(&self, object: Object) -> Vec<String> {
        let model = object.model();
        let about = millrace_common::roles::permissions_on(&model);
        let is_held = |permission: &&str| self.0.as_ref().is_none_or(|held| held.here(permission));
        about.filter(is_held).map(str::to_owned).collect()
    }

    /// The rows of a table with objects of one kind that may be seen.
    pub fn rows<T, C: Id<T>>(&self, object: Object, id: C) -> Predicate<T> {
        match &self.0 {
            None => Predicate::always(),
            Some(held) => held.rows(id, &object.permission("view"), &object.model()),
        }
    }

    /// The rows of a table with objects of these types that may be seen; `kind` makes a kind of a type.
    pub fn rows_of_types<T, C, D>(
        &self,
        kind: &str,
        types: impl IntoIterator<Item = impl AsRef<str>>,
        (id, pulp_type): (C, D),
    ) -> Predicate<T>
    where
        C: Id<T> + Copy,
        D: Id<T> + Copy,
    {
        match &self.0 {
            None => Predicate::always(),
            Some(held) => held.rows_of_types(id, pulp_type, &models(kind, types)),
        }
    }

    /// The tasks that this may be done to.
    pub fn tasks(&self, action: Action) -> Predicate<task::table> {
        match (&self.0, Object::Task.need(action)) {
            (None, _) => Predicate::always(),
            (Some(held), Need::Permission(permission)) => {
                held.tasks((task::pulp_id, task::created_by), &permission)
            }
            (Some(_), _) => Predicate::never(),
        }
    }

    /// The units that may be seen.
    #[must_use]
    pub fn units(&self, types: &ContentTypes) -> Predicate<content::table> {
        let Some(held) = &self.0 else {
            return Predicate::always();
        };
        held.units(&models("repository", types.repository_types()))
    }

    /// The units that may be named as what is to be added to a repository: beside those that may be seen, for who makes
    /// units without a repository, those that are in none.
    #[must_use]
    pub fn units_to_add(&self, types: &ContentTypes) -> Predicate<content::table> {
        let seen = self.units(types);
        if !self.is_unlimited() && self.generally(Action::Upload, Object::Content) {
            seen.or(loose_units())
        } else {
            seen
        }
    }

    /// The versions that may be seen.
    #[must_use]
    pub fn versions(&self, types: &ContentTypes) -> Predicate<repository_version::table> {
        let Some(held) = &self.0 else {
            return Predicate::always();
        };
        held.versions(&models("repository", types.repository_types()))
    }

    /// The rows of which this column is the id of a repository that may be seen.
    #[must_use]
    pub fn of_repositories<T: 'static>(
        &self,
        types: &ContentTypes,
        column: &'static str,
    ) -> Predicate<T> {
        let Some(held) = &self.0 else {
            return Predicate::always();
        };
        held.of_repositories(column, &models("repository", types.repository_types()))
    }

    /// The rows of which this column is the id of a unit that may be seen.
    #[must_use]
    pub fn of_units<T: 'static>(&self, types: &ContentTypes, column: &'static str) -> Predicate<T> {
        let Some(held) = &self.0 else {
            return Predicate::always();
        };
        held.of_units(column, &models("repository", types.repository_types()))
    }

    /// The groups of tasks that may be seen.
    #[must_use]
    pub fn task_groups(&self) -> Predicate<task_group::table> {
        self.0
            .as_ref()
            .map_or_else(Predicate::always, Held::task_groups)
    }

    /// True where every task of a group may be canceled.
    ///
    /// # Errors
    /// As the session.
    pub async fn cancels_members(&self, conn: &mut Conn, group: TaskGroupId) -> ApiResult<bool> {
        let Some(held) = &self.0 else { return Ok(true) };
        let permission = Object::Task.permission("change");
        Ok(held.on_members(conn, &permission, group).await?)
    }

    /// True where some repository may be modified.
    ///
    /// # Errors
    /// As the session.
    pub async fn modifies_any(&self, conn: &mut Conn, types: &ContentTypes) -> ApiResult<bool> {
        let Some(held) = &self.0 else { return Ok(true) };
        let models = models("repository", types.repository_types());
        let wanted: Vec<String> = models
            .iter()
            .map(|(_, model)| permission::named("modify", model))
            .collect();
        Ok(held.on_any(conn, &wanted).await?)
    }

    /// True where an object may be seen.
    ///
    /// # Errors
    /// As the session.
    pub async fn sees(&self, conn: &mut Conn, model: &str, id: Uuid) -> ApiResult<bool> {
        self.holds(conn, "view", model, id).await
    }

    /// True where a task that the actor dispatched made this object.
    ///
    /// # Errors
    /// As the session.
    pub async fn made(&self, conn: &mut Conn, object: &Prn) -> ApiResult<bool> {
        let Some(held) = &self.0 else { return Ok(true) };
        Ok(held.made(conn, object).await?)
    }

    /// True where this may be done to an object of a model.
    ///
    /// # Errors
    /// As the session.
    pub async fn holds(
        &self,
        conn: &mut Conn,
        verb: &str,
        model: &str,
        id: Uuid,
    ) -> ApiResult<bool> {
        let Some(held) = &self.0 else { return Ok(true) };
        let permission = permission::named(verb, model);
        Ok(held.on(conn, &permission, model, id).await?)
    }
}

/// Types of repositories (`file.file`), and their models (`file.filerepository`).
fn models(kind: &str, types: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let model = |pulp_type: &str| {
        let (app, name) = pulp_type.split_once('.').unwrap_or(("core", pulp_type));
        (pulp_type.to_owned(), format!("{app}.{name}{kind}"))
    };
    types.into_iter().map(|one| model(one.as_ref())).collect()
}

/// Gives the actor the role of an owner on what he made, in the transaction that makes it.
///
/// # Errors
/// As the session.
pub async fn own(conn: &mut Conn, actor: &Actor, made: Prn) -> QueryResult<()> {
    let cid = correlation::current();
    permission::own(conn, Maker::Account(actor.id, &cid), &[made]).await
}
