//! Tasks, as clients see them. What changes a task is the engine's ([`crate::tasking`]).

use super::permission::deletable;
use super::selection::{Page, Predicate, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, TaskGroupId, TaskId};
use crate::schema::task;
use crate::tasking::TaskState;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
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
    pub deadline: Option<DateTime<Utc>>,
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

    /// Those tasks of these groups that fulfil a condition, the oldest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_groups(
        conn: &mut Conn,
        groups: &[TaskGroupId],
        condition: Predicate<task::table>,
    ) -> QueryResult<Vec<Self>> {
        task::table
            .filter(task::task_group.eq_any(groups))
            .filter(condition)
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
        mut conn: &Conn,
        parents: &[TaskId],
    ) -> QueryResult<Vec<(TaskId, TaskId)>> {
        let children = task::table
            .order_by((task::pulp_created, task::pulp_id))
            .select((task::parent_task.assume_not_null(), task::pulp_id));
        crate::load_of!(&mut conn, children, task::parent_task, parents)
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

    /// Who dispatched these tasks; nothing of those that nobody did.
    ///
    /// # Errors
    /// As the session.
    pub async fn owners(conn: &mut Conn, ids: &[TaskId]) -> QueryResult<Vec<(TaskId, i32)>> {
        task::table
            .filter(task::pulp_id.eq_any(ids))
            .filter(task::created_by.is_not_null())
            .select((task::pulp_id, task::created_by.assume_not_null()))
            .load(conn)
            .await
    }

    /// The name of a task's type.
    ///
    /// # Errors
    /// As the session.
    pub async fn type_name(conn: &mut Conn, id: TaskId) -> QueryResult<Option<String>> {
        task::table
            .find(id)
            .select(task::name)
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

    /// How many tasks ended before this moment in one of these states, in a domain or in all, of those that an account
    /// may delete, or of all.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_finished(
        conn: &mut Conn,
        domain: Option<DomainId>,
        deletable_by: Option<i32>,
        before: DateTime<Utc>,
        states: &[TaskState],
    ) -> QueryResult<i64> {
        let mut finished = task::table
            .filter(task::finished_at.lt(before))
            .filter(task::state.eq_any(states.iter().map(|s| s.as_str())))
            .count()
            .into_boxed();
        if let Some(domain) = domain {
            finished = finished.filter(task::pulp_domain.eq(domain));
        }
        if let Some(account) = deletable_by {
            finished = finished.filter(deletable(account));
        }
        finished.get_result(conn).await
    }

    /// Looks at the tasks that ended next behind the cursor, so many at most. `None`: none is left.
    ///
    /// # Errors
    /// As the session.
    pub async fn purge_page(
        conn: &mut Conn,
        cursor: &PurgeCursor,
        before: DateTime<Utc>,
        domain: Option<DomainId>,
        states: &[TaskState],
        limit: i32,
    ) -> QueryResult<Option<PurgePage>> {
        let states: Vec<&str> = states.iter().map(|s| s.as_str()).collect();
        let page: Option<PageRow> =
            sql_query("SELECT * FROM millrace_purge_page($1, $2, $3, $4, $5, $6)")
                .bind::<Timestamptz, _>(cursor.at)
                .bind::<SqlUuid, _>(cursor.id)
                .bind::<Timestamptz, _>(before)
                .bind::<Nullable<SqlUuid>, _>(domain)
                .bind::<Array<Text>, _>(states)
                .bind::<Integer, _>(limit)
                .get_result(conn)
                .await
                .optional()?;
        Ok(page.map(|row| PurgePage {
            cursor: PurgeCursor {
                at: row.last_at,
                id: row.last_id,
            },
            found: row.found,
        }))
    }

    /// Deletes those of these tasks that have ended and that nobody else holds, with what belongs to them.
    ///
    /// # Errors
    /// A foreign key violation where something must not lose its task; else as the session.
    pub async fn purge(conn: &mut Conn, tasks: &[TaskId]) -> QueryResult<Purged> {
        sql_query("SELECT * FROM millrace_purge($1)")
            .bind::<Array<SqlUuid>, _>(tasks)
            .get_result(conn)
            .await
    }
}

/// How far a purge has walked.
#[derive(Clone, Copy, Debug)]
pub struct PurgeCursor {
    at: DateTime<Utc>,
    id: TaskId,
}

impl Default for PurgeCursor {
    /// In front of all tasks.
    fn default() -> Self {
        Self {
            at: DateTime::UNIX_EPOCH,
            id: TaskId(uuid::Uuid::nil()),
        }
    }
}

/// Tasks that a purge looked at.
#[derive(Clone, Debug)]
pub struct PurgePage {
    /// Behind them.
    pub cursor: PurgeCursor,
    /// Those that are to go.
    pub found: Vec<TaskId>,
}

#[derive(QueryableByName)]
struct PageRow {
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    last_id: TaskId,
    #[diesel(sql_type = Array<SqlUuid>)]
    found: Vec<TaskId>,
}

/// What a purge deleted.
#[derive(Clone, Copy, Debug, Default, QueryableByName)]
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
