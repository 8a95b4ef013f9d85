//! Tasks as the second version's API lists them: outside of groups, the newest first, in pages of their own.

use crate::db::Conn;
use crate::ids::TaskId;
use crate::schema::{app_status, task};
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// A task, with the name of the worker that runs it or ran it, while that is known.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct ListedTask {
    pub pulp_id: TaskId,
    pub pulp_created: DateTime<Utc>,
    pub state: String,
    pub name: String,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub error: Option<Value>,
    pub result: Option<Value>,
    pub worker: Option<String>,
}

/// Which tasks are asked for.
#[derive(Clone, Debug, Default)]
pub struct TasksOf {
    /// Only of these names.
    pub names: Option<Vec<String>>,
    /// Only in these states.
    pub states: Option<Vec<String>>,
    /// Only with these ids.
    pub ids: Option<Vec<TaskId>>,
}

/// The page of tasks that is asked for next.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskPlace {
    /// Behind this task, by when it was made.
    pub behind: Option<(DateTime<Utc>, TaskId)>,
    /// And behind so many more.
    pub skip: i64,
}

impl ListedTask {
    /// The next tasks that no group has, so many at most.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        of: &TasksOf,
        place: TaskPlace,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut query = listed().filter(task::task_group.is_null()).into_boxed();
        if let Some(names) = &of.names {
            query = query.filter(task::name.eq_any(names));
        }
        if let Some(states) = &of.states {
            query = query.filter(task::state.eq_any(states));
        }
        if let Some(ids) = &of.ids {
            query = query.filter(task::pulp_id.eq_any(ids));
        }
        if let Some((created, id)) = place.behind {
            let behind = sql::<Bool>("(task.pulp_created, task.pulp_id) < (")
                .bind::<Timestamptz, _>(created)
                .sql(", ")
                .bind::<SqlUuid, _>(id.0)
                .sql(")");
            query = query.filter(behind);
        }
        query
            .order_by((task::pulp_created.desc(), task::pulp_id.desc()))
            .offset(place.skip)
            .limit(limit)
            .load(conn)
            .await
    }

    /// The task with this id, in a group or not.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Self>> {
        listed()
            .filter(task::pulp_id.eq(id))
            .first(conn)
            .await
            .optional()
    }
}

#[diesel::dsl::auto_type]
fn listed() -> _ {
    let columns: (
        task::pulp_id,
        task::pulp_created,
        task::state,
        task::name,
        task::started_at,
        task::finished_at,
        task::error,
        task::result,
        diesel::dsl::Nullable<app_status::name>,
    ) = (
        task::pulp_id,
        task::pulp_created,
        task::state,
        task::name,
        task::started_at,
        task::finished_at,
        task::error,
        task::result,
        app_status::name.nullable(),
    );
    task::table
        .left_join(app_status::table.on(task::worker_id.eq(app_status::pulp_id.nullable())))
        .select(columns)
}
