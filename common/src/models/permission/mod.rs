//! What accounts may do: the permissions of the roles that they hold, themselves or by a group, everywhere, in a
//! domain, or on one object.

mod inner;
mod owner;

pub use inner::loose_units;
pub use owner::{Maker, own};

use crate::db::{Conn, Prepare};
use crate::ids::{DomainId, TaskId};
use crate::models::predicate::{Bind, Predicate};
use crate::prn::Prn;
use crate::schema::task;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::BTreeSet;
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
    /// True where roles on tasks are held that somebody else dispatched, as far as one knows.
    on_tasks: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Array<Integer>)]
    groups: Vec<i32>,
    #[diesel(sql_type = Array<Text>)]
    general: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    particular: Vec<String>,
    #[diesel(sql_type = Bool)]
    on_tasks: bool,
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
        let row: Row = sql_query(include_str!("held.sql"))
            .bind::<Integer, _>(account)
            .bind::<SqlUuid, _>(domain)
            .bind::<Nullable<Text>, _>(model)
            .bind::<Nullable<SqlUuid>, _>(id)
            .bind::<Array<Text>, _>(DISPATCHER_ROLES.as_slice())
            .prepared()
            .get_result(conn)
            .await?;
        Ok(Self {
            account,
            groups: row.groups,
            general: row.general.into_iter().collect(),
            particular: row.particular.into_iter().collect(),
            on_tasks: row.on_tasks,
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
        .prepared()
        .get_result(conn)
        .await?;
        Ok(answer.holds)
    }

    /// True where one of these permissions is held anywhere.
    ///
    /// # Errors
    /// As the session.
    pub async fn on_any(&self, conn: &mut Conn, permissions: &[String]) -> QueryResult<bool> {
        if permissions.iter().any(|one| self.generally(one)) {
            return Ok(true);
        }
        let answer: Answer = sql_query(
            "SELECT EXISTS (SELECT FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
                 WHERE (a.account_id = $1 OR a.group_id = ANY ($2)) AND a.object_id IS NOT NULL \
                   AND r.permissions && $3) AS holds",
        )
        .bind::<Integer, _>(self.account)
        .bind::<Array<Integer>, _>(self.groups.as_slice())
        .bind::<Array<Text>, _>(permissions)
        .prepared()
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
        .prepared()
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
    pub fn tasks<T, C: Id<T>, D: Id<T>>(
        &self,
        (id, created_by): (C, D),
        permission: &str,
    ) -> Predicate<T> {
        if self.generally(permission) {
            return Predicate::always();
        }
        if !self.on_tasks {
            // The index on who dispatched a task has them in the order of the list.
            return Predicate::on(created_by)
                .then(" = ")
                .bind(Bind::Integer(self.account.into()));
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

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: TaskId,
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
    // Row by row: of all that an account dispatched, a page is little.
    let found: Vec<Found> = sql_query(
        "SELECT t.pulp_id FROM task t WHERE t.pulp_id = ANY ($2) AND (t.created_by = $1 OR EXISTS ( \
             SELECT FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
              WHERE a.object_id = t.pulp_id AND a.object_model = 'core.task' \
                AND 'core.delete_task' = ANY (r.permissions) \
                AND (a.account_id = $1 OR a.group_id IN ( \
                    SELECT m.group_id FROM account_group_member m WHERE m.account_id = $1))))",
    )
    .bind::<Integer, _>(account)
    .bind::<Array<SqlUuid>, _>(tasks)
    .prepared()
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|row| row.pulp_id).collect())
}
