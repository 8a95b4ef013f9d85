//! What accounts may do: the permissions of the roles that they hold, themselves or by a group, everywhere, in a
//! domain, or on one object.

use super::predicate::{Bind, Predicate};
use crate::db::Conn;
use crate::ids::{DomainId, TaskGroupId, TaskId};
use crate::prn::Prn;
use crate::schema::{content, repository_version, task, task_group};
use diesel::expression::{AppearsOnTable, Expression, TypedExpressionType};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_query;
use diesel::sql_types::{
    Array, Bool, Integer, Nullable, SingleValue, SqlType, Text, Uuid as SqlUuid,
};
use diesel_async::RunQueryDsl;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use uuid::Uuid;

/// The roles that who dispatched a task holds on it; no row says so.
pub const DISPATCHER_ROLES: [&str; 2] = ["core.task_owner", "core.task_user_dispatcher"];

/// The model of tasks.
pub const TASK: &str = "core.task";

/// Counts as a column of the table `T`.
pub trait Id<T>:
    Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static
{
}

impl<T, C> Id<T> for C where
    C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Send + Sync + 'static
{
}

/// The permission to do this to objects of a model (`core.task`): `view` makes `core.view_task`.
#[must_use]
pub fn named(verb: &str, model: &str) -> String {
    let (app, name) = model.split_once('.').unwrap_or(("core", model));
    format!("{app}.{verb}_{name}")
}

/// What an account holds, as of one moment.
#[derive(Clone, Debug)]
pub struct Held {
    account: i32,
    groups: Vec<i32>,
    /// Everywhere, or in the domain.
    general: BTreeSet<String>,
    /// On the object that was asked about.
    particular: BTreeSet<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Array<Integer>)]
    groups: Vec<i32>,
    #[diesel(sql_type = Array<Text>)]
    general: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    particular: Vec<String>,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    holds: bool,
}

impl Held {
    /// What the account holds in a domain, and on one object: its model and its id. One statement.
    ///
    /// # Errors
    /// As the session.
    pub async fn load(
        conn: &mut Conn,
        account: i32,
        domain: DomainId,
        object: Option<(&str, Uuid)>,
    ) -> QueryResult<Self> {
        let (model, id) = object.unzip();
        let row: Row = sql_query(include_str!("permission_held.sql"))
            .bind::<Integer, _>(account)
            .bind::<SqlUuid, _>(domain)
            .bind::<Nullable<Text>, _>(model)
            .bind::<Nullable<SqlUuid>, _>(id)
            .bind::<Array<Text>, _>(DISPATCHER_ROLES.as_slice())
            .get_result(conn)
            .await?;
        Ok(Self {
            account,
            groups: row.groups,
            general: row.general.into_iter().collect(),
            particular: row.particular.into_iter().collect(),
        })
    }

    /// True where it is held on every object.
    #[must_use]
    pub fn generally(&self, permission: &str) -> bool {
        self.general.contains(permission)
    }

    /// True where it is held on every object, or on the one that was asked about.
    #[must_use]
    pub fn here(&self, permission: &str) -> bool {
        self.generally(permission) || self.particular.contains(permission)
    }

    /// All that is held on the object that was asked about, sorted.
    pub fn all_here(&self) -> impl Iterator<Item = &str> {
        self.general.union(&self.particular).map(String::as_str)
    }

    /// True where it is held on an object of a model.
    ///
    /// # Errors
    /// As the session.
    pub async fn on(
        &self,
        conn: &mut Conn,
        permission: &str,
        model: &str,
        id: Uuid,
    ) -> QueryResult<bool> {
        if self.generally(permission) {
            return Ok(true);
        }
        let answer: Answer = sql_query(
            "SELECT EXISTS (SELECT FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
                 WHERE (a.account_id = $1 OR a.group_id = ANY ($2)) AND a.object_model = $3 \
                   AND a.object_id = $4 AND $5 = ANY (r.permissions)) AS holds",
        )
        .bind::<Integer, _>(self.account)
        .bind::<Array<Integer>, _>(self.groups.as_slice())
        .bind::<Text, _>(model)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(permission)
        .get_result(conn)
        .await?;
        Ok(answer.holds)
    }

    /// True where a task that the account dispatched made this object.
    ///
    /// # Errors
    /// As the session.
    pub async fn made(&self, conn: &mut Conn, object: &Prn) -> QueryResult<bool> {
        let answer: Answer = sql_query(
            "SELECT EXISTS (SELECT FROM created_resource c JOIN task t ON t.pulp_id = c.task_id \
                 WHERE c.prn = $1 AND t.created_by = $2) AS holds",
        )
        .bind::<Text, _>(object.to_string())
        .bind::<Integer, _>(self.account)
        .get_result(conn)
        .await?;
        Ok(answer.holds)
    }

    /// The rows of which the id is that of an object of this model with this permission.
    pub fn rows<T, C: Id<T>>(&self, id: C, permission: &str, model: &str) -> Predicate<T> {
        if self.generally(permission) {
            return Predicate::always();
        }
        let objects = Predicate::on(id).then(" IN (");
        self.objects(objects, &[(model, permission)]).then(")")
    }

    /// Adds a query of the objects of these models, each on which its permission is held by an assignment. One query
    /// for all: several, joined by OR, would each be run for every row.
    fn objects<T, S: AsRef<str>>(&self, to: Predicate<T>, wanted: &[(S, S)]) -> Predicate<T> {
        let assigned = to.then(
            "SELECT a.object_id FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
              WHERE (a.account_id = ",
        );
        let mut objects = assigned
            .bind(Bind::Integer(self.account.into()))
            .then(" OR a.group_id = ANY (")
            .bind(Bind::Integers(self.groups.clone()))
            .then(")) AND (");
        for (i, (model, permission)) in wanted.iter().enumerate() {
            objects = objects
                .then(if i == 0 { "" } else { " OR " })
                .then("a.object_model = ")
                .bind(Bind::Text(model.as_ref().to_owned()))
                .then(" AND ")
                .bind(Bind::Text(permission.as_ref().to_owned()))
                .then(" = ANY (r.permissions)");
        }
        objects.then(")")
    }

    /// The rows of a table with objects of several types that may be seen. `models` are the types, and the models of
    /// their objects.
    pub fn rows_of_types<T, C, D>(
        &self,
        id: C,
        pulp_type: D,
        models: &[(String, String)],
    ) -> Predicate<T>
    where
        C: Id<T> + Copy,
        D: Id<T> + Copy,
    {
        let is_open = |(_, model): &&(String, String)| self.generally(&named("view", model));
        let open: Vec<String> = models
            .iter()
            .filter(is_open)
            .map(|(kind, _)| kind.clone())
            .collect();
        if open.len() == models.len() {
            return Predicate::always();
        }
        let closed = models.iter().filter(|(kind, _)| !open.contains(kind));
        let closed: Vec<(String, String)> = closed
            .map(|(_, model)| (model.clone(), named("view", model)))
            .collect();
        let particular = self.objects(Predicate::on(id).then(" IN ("), &closed);
        if open.is_empty() {
            return particular.then(")");
        }
        Predicate::on(pulp_type)
            .then(" = ANY (")
            .bind(Bind::Texts(open))
            .then(")")
            .or(particular.then(")"))
    }

    /// The rows of which the id is that of a task with this permission: those that the account dispatched, and those
    /// that it holds a role on.
    pub fn tasks<T, C: Id<T>>(&self, id: C, permission: &str) -> Predicate<T> {
        if self.generally(permission) {
            return Predicate::always();
        }
        let own = Predicate::on(id)
            .then(" IN (SELECT own.pulp_id FROM task own WHERE own.created_by = ")
            .bind(Bind::Integer(self.account.into()))
            .then(" UNION ALL ");
        self.objects(own, &[(TASK, permission)]).then(")")
    }
}

/// The tasks that an account may delete by what it holds on each. For those who may not delete all.
#[must_use]
pub fn deletable(account: i32) -> Predicate<task::table> {
    let account = || Bind::Integer(account.into());
    Predicate::sql("task.pulp_id IN (SELECT own.pulp_id FROM task own WHERE own.created_by = ")
        .bind(account())
        .then(
            " UNION ALL SELECT a.object_id FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
              WHERE a.object_model = 'core.task' AND 'core.delete_task' = ANY (r.permissions) AND (a.account_id = ",
        )
        .bind(account())
        .then(" OR a.group_id = ANY (ARRAY(SELECT m.group_id FROM account_group_member m WHERE m.account_id = ")
        .bind(account())
        .then("))))")
}

/// Of these tasks, those that an account may delete by what it holds on each.
///
/// # Errors
/// As the session.
pub async fn deletable_tasks(
    conn: &mut Conn,
    account: i32,
    tasks: &[TaskId],
) -> QueryResult<Vec<TaskId>> {
    task::table
        .filter(task::pulp_id.eq_any(tasks))
        .filter(deletable(account))
        .select(task::pulp_id)
        .load(conn)
        .await
}

/// A column of a table inside a query.
#[derive(Clone, Copy)]
struct Inner<V>(&'static str, PhantomData<V>);

impl<V> QueryId for Inner<V> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<V: SqlType + SingleValue + TypedExpressionType> Expression for Inner<V> {
    type SqlType = V;
}

impl<T, V> AppearsOnTable<T> for Inner<V> where Self: Expression {}

impl<V> QueryFragment<Pg> for Inner<V> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(self.0);
        Ok(())
    }
}

const REPOSITORY: (Inner<SqlUuid>, Inner<Text>) = (
    Inner("r.pulp_id", PhantomData),
    Inner("r.pulp_type", PhantomData),
);

impl Held {
    /// The units in a version of a repository that may be seen. `models` are the types of repositories, and the models of
    /// their objects.
    #[must_use]
    pub fn units(&self, models: &[(String, String)]) -> Predicate<content::table> {
        // What is added to a version that is not complete is not there yet.
        Predicate::sql(
            "EXISTS (SELECT FROM repository_content m JOIN repository r ON r.pulp_id = m.repository_id \
              WHERE m.content_id = content.pulp_id AND m.version_added < r.next_version AND ",
        )
        .column(self.rows_of_types(REPOSITORY.0, REPOSITORY.1, models))
        .then(")")
    }

    /// The versions of repositories that may be seen.
    #[must_use]
    pub fn versions(&self, models: &[(String, String)]) -> Predicate<repository_version::table> {
        let visible = self.rows_of_types(REPOSITORY.0, REPOSITORY.1, models);
        if visible.is_always() {
            return visible;
        }
        Predicate::sql(
            "repository_version.repository_id IN (SELECT r.pulp_id FROM repository r WHERE ",
        )
        .column(visible)
        .then(")")
    }

    /// True where every task of a group has this permission.
    ///
    /// # Errors
    /// As the session.
    pub async fn on_members(
        &self,
        conn: &mut Conn,
        permission: &str,
        group: TaskGroupId,
    ) -> QueryResult<bool> {
        let others = task::table
            .filter(task::task_group.eq(group))
            .filter(self.tasks(task::pulp_id, permission).negated());
        let is_other: bool = diesel::select(diesel::dsl::exists(others))
            .get_result(conn)
            .await?;
        Ok(!is_other)
    }

    /// The groups with a task that may be seen and that no other task dispatched (contract 2.13).
    #[must_use]
    pub fn task_groups(&self) -> Predicate<task_group::table> {
        let tasks = self.tasks(Inner::<SqlUuid>("t.pulp_id", PhantomData), "core.view_task");
        Predicate::sql(
            "task_group.pulp_id IN (SELECT t.task_group FROM task t \
              WHERE t.task_group IS NOT NULL AND t.parent_task IS NULL AND ",
        )
        .column(tasks)
        .then(")")
    }
}

/// The units that are in no repository.
#[must_use]
pub fn loose_units() -> Predicate<content::table> {
    Predicate::sql(
        "content.publication IS NULL \
         AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = content.pulp_id)",
    )
}

/// Who made objects.
#[derive(Clone, Copy, Debug)]
pub enum Maker<'a> {
    /// An account, by a request with this correlation id.
    Account(i32, &'a str),
    /// Whoever dispatched this task; nobody, where no account did.
    DispatcherOf(TaskId),
}

/// Gives who made objects the role of an owner on each that has one, and notes that in the audit log. Call it in the
/// transaction that makes them.
///
/// # Errors
/// As the session.
pub async fn own(conn: &mut Conn, maker: Maker<'_>, made: &[Prn]) -> QueryResult<()> {
    let owned = made
        .iter()
        .filter(|prn| crate::roles::owner_role(&prn.model).is_some())
        .filter_map(|prn| Some((prn.model.as_str(), prn.uuid()?)));
    let (models, ids): (Vec<&str>, Vec<Uuid>) = owned.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let (account, task, cid) = match maker {
        Maker::Account(account, cid) => (Some(account), None, cid),
        Maker::DispatcherOf(task) => (None, Some(task), ""),
    };
    let assignments: Vec<Uuid> = ids.iter().map(|_| Uuid::now_v7()).collect();
    sql_query(include_str!("permission_own.sql"))
        .bind::<Nullable<Integer>, _>(account)
        .bind::<Nullable<SqlUuid>, _>(task)
        .bind::<Text, _>(cid)
        .bind::<Array<SqlUuid>, _>(assignments)
        .bind::<Array<Text>, _>(models)
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(conn)
        .await?;
    Ok(())
}
