//! Tasks, as clients see them. What changes a task is the engine's ([`crate::tasking`]).

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, TaskGroupId, TaskId};
use crate::schema::task;
use crate::tasking::TaskState;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// A task without its arguments.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct Task {
    pub pulp_id: TaskId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub state: String,
    pub name: String,
    pub logging_cid: String,
    pub created_by: Option<i32>,
    pub unblocked_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub error: Option<Value>,
    pub result: Option<Value>,
    pub parent_task: Option<TaskId>,
    pub task_group: Option<TaskGroupId>,
    pub reserved_resources_record: Vec<String>,
}

/// A task in its short form.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct MinimalTask {
    pub pulp_id: TaskId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub state: String,
    pub name: String,
    pub unblocked_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub task_group: Option<TaskGroupId>,
}

impl MinimalTask {
    /// The task with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Self>> {
        task::table
            .find(id)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of tasks.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<task::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, task::table, Self, selection)
    }

    /// The tasks of these groups, the oldest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_groups(conn: &mut Conn, groups: &[TaskGroupId]) -> QueryResult<Vec<Self>> {
        task::table
            .filter(task::task_group.eq_any(groups))
            .order_by((task::pulp_created, task::pulp_id))
            .select(Self::as_select())
            .load(conn)
            .await
    }
}

impl Task {
    /// The task with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Self>> {
        task::table
            .find(id)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of tasks.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<task::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, task::table, Self, selection)
    }

    /// Ids of the tasks that these dispatched, each with its parent.
    ///
    /// # Errors
    /// As the session.
    pub async fn children(
        conn: &mut Conn,
        parents: &[TaskId],
    ) -> QueryResult<Vec<(TaskId, TaskId)>> {
        task::table
            .filter(task::parent_task.eq_any(parents))
            .order_by((task::pulp_created, task::pulp_id))
            .select((task::parent_task.assume_not_null(), task::pulp_id))
            .load(conn)
            .await
    }

    /// The state of a task.
    ///
    /// # Errors
    /// As the session.
    pub async fn state(conn: &mut Conn, id: TaskId) -> QueryResult<Option<String>> {
        task::table
            .find(id)
            .select(task::state)
            .first(conn)
            .await
            .optional()
    }

    /// Deletes a task that has ended; false where it has not, or is not there.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete_final(conn: &mut Conn, id: TaskId) -> QueryResult<bool> {
        let deleted = diesel::delete(
            task::table
                .find(id)
                .filter(task::state.eq_any(TaskState::FINAL.map(TaskState::as_str))),
        )
        .execute(conn)
        .await?;
        Ok(deleted > 0)
    }

    /// How many tasks ended before this moment in one of these states.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_finished(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        states: &[TaskState],
    ) -> QueryResult<i64> {
        task::table
            .filter(task::pulp_domain.eq(domain))
            .filter(task::finished_at.lt(before))
            .filter(task::state.eq_any(states.iter().map(|s| s.as_str())))
            .count()
            .get_result(conn)
            .await
    }

    /// Deletes a batch of such tasks, with what belongs to them.
    ///
    /// # Errors
    /// As the session.
    pub async fn purge(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        states: &[TaskState],
        batch: i64,
    ) -> QueryResult<Purged> {
        let states: Vec<&str> = states.iter().map(|s| s.as_str()).collect();
        sql_query(include_str!("task_purge.sql"))
            .bind::<SqlUuid, _>(domain)
            .bind::<Timestamptz, _>(before)
            .bind::<Array<Text>, _>(states)
            .bind::<BigInt, _>(batch)
            .get_result(conn)
            .await
    }
}

/// What a purge deleted.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Purged {
    /// Tasks.
    #[diesel(sql_type = BigInt)]
    pub tasks: i64,
    /// Their progress reports.
    #[diesel(sql_type = BigInt)]
    pub progress_reports: i64,
    /// Records of what they made.
    #[diesel(sql_type = BigInt)]
    pub created_resources: i64,
}

impl Purged {
    /// All rows.
    #[must_use]
    pub fn all(&self) -> i64 {
        self.tasks + self.progress_reports + self.created_resources
    }
}
