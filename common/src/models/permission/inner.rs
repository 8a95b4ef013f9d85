//! Rows that are seen by what they belong to: units and versions by repositories, groups of tasks by tasks.

use super::Held;
use crate::db::Conn;
use crate::ids::TaskGroupId;
use crate::models::predicate::Predicate;
use crate::schema::{content, repository_version, task, task_group};
use diesel::expression::{AppearsOnTable, Expression, TypedExpressionType};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Integer, SingleValue, SqlType, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::marker::PhantomData;

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
        self.of_units("content.pulp_id", models)
    }

    /// The rows of which this column is the id of a unit that may be seen.
    #[must_use]
    pub fn of_units<T: 'static>(
        &self,
        column: &'static str,
        models: &[(String, String)],
    ) -> Predicate<T> {
        // What is added to a version that is not complete is not there yet.
        Predicate::sql(
            "EXISTS (SELECT FROM repository_content member JOIN repository r ON r.pulp_id = member.repository_id \
              WHERE member.version_added < r.next_version AND member.content_id = ",
        )
        .then(column)
        .then(" AND ")
        .column(self.rows_of_types(REPOSITORY.0, REPOSITORY.1, models))
        .then(")")
    }

    /// The versions of repositories that may be seen.
    #[must_use]
    pub fn versions(&self, models: &[(String, String)]) -> Predicate<repository_version::table> {
        self.of_repositories("repository_version.repository_id", models)
    }

    /// The rows of which this column is the id of a repository that may be seen. `models` are the types of repositories,
    /// and the models of their objects.
    #[must_use]
    pub fn of_repositories<T: 'static>(
        &self,
        column: &'static str,
        models: &[(String, String)],
    ) -> Predicate<T> {
        let visible = self.rows_of_types(REPOSITORY.0, REPOSITORY.1, models);
        if visible.is_always() {
            return visible;
        }
        Predicate::sql(column)
            .then(" IN (SELECT r.pulp_id FROM repository r WHERE ")
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
        let others = task::table.filter(task::task_group.eq(group)).filter(
            self.tasks((task::pulp_id, task::created_by), permission)
                .negated(),
        );
        let is_other: bool = diesel::select(diesel::dsl::exists(others))
            .get_result(conn)
            .await?;
        Ok(!is_other)
    }

    /// The groups with a task that may be seen and that no other task dispatched (contract 2.13).
    #[must_use]
    pub fn task_groups(&self) -> Predicate<task_group::table> {
        let columns = (
            Inner::<SqlUuid>("t.pulp_id", PhantomData),
            Inner::<Integer>("t.created_by", PhantomData),
        );
        let tasks = self.tasks(columns, "core.view_task");
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
