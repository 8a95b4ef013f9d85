//! Groups of tasks.

use super::selection::{Page, Predicate, Selection};
use crate::db::Conn;
use crate::ids::{TaskGroupId, TaskId};
use crate::schema::{group_progress_report, task, task_group};
use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// A group of tasks.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task_group, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct TaskGroup {
    pub pulp_id: TaskGroupId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub description: String,
    pub all_tasks_dispatched: bool,
}

/// A count that the tasks of a group share.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = group_progress_report, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct GroupProgressReport {
    pub task_group: TaskGroupId,
    pub code: String,
    pub message: String,
    pub total: i64,
    pub done: i64,
    pub suffix: Option<String>,
}

impl TaskGroup {
    /// The group with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: TaskGroupId) -> QueryResult<Option<Self>> {
        task_group::table
            .find(id)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The group with this id, where it fulfils a condition.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_visible(
        conn: &mut Conn,
        id: TaskGroupId,
        condition: Predicate<task_group::table>,
    ) -> QueryResult<Option<Self>> {
        task_group::table
            .filter(task_group::pulp_id.eq(id))
            .filter(condition)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of groups.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<task_group::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, task_group::table, Self, selection)
    }

    /// Notes that no more tasks will join.
    ///
    /// # Errors
    /// As the session.
    pub async fn finish(conn: &mut Conn, id: TaskGroupId) -> QueryResult<()> {
        diesel::update(task_group::table.find(id))
            .set(task_group::all_tasks_dispatched.eq(true))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// How many members of these groups are in each state, of those that fulfil a condition.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_members(
        conn: &mut Conn,
        groups: &[TaskGroupId],
        condition: Predicate<task::table>,
    ) -> QueryResult<Vec<(Option<TaskGroupId>, String, i64)>> {
        task::table
            .filter(task::task_group.eq_any(groups))
            .filter(condition)
            .group_by((task::task_group, task::state))
            .select((task::task_group, task::state, count_star()))
            .load(conn)
            .await
    }

    /// The members that have not ended.
    ///
    /// # Errors
    /// As the session.
    pub async fn unfinished(conn: &mut Conn, id: TaskGroupId) -> QueryResult<Vec<TaskId>> {
        task::table
            .filter(task::task_group.eq(id))
            .filter(task::state.eq_any(["waiting", "running"]))
            .order_by(task::pulp_id)
            .select(task::pulp_id)
            .load(conn)
            .await
    }
}

impl GroupProgressReport {
    /// The shared counts of these groups.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_groups(conn: &mut Conn, groups: &[TaskGroupId]) -> QueryResult<Vec<Self>> {
        group_progress_report::table
            .filter(group_progress_report::task_group.eq_any(groups))
            .order_by(group_progress_report::code)
            .select(Self::as_select())
            .load(conn)
            .await
    }
}
