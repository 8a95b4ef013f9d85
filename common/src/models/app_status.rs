//! Running processes: workers and APIs.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ProcessId, TaskId};
use crate::schema::{app_status, task};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use std::time::Duration;

/// Longest wait for the lock of a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running process.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = app_status, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct AppStatus {
    pub pulp_id: ProcessId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub app_type: String,
    pub name: String,
    pub versions: Value,
    pub last_heartbeat: DateTime<Utc>,
}

/// A process that starts.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = app_status)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct NewAppStatus {
    pub pulp_id: ProcessId,
    pub app_type: &'static str,
    pub name: String,
    pub versions: Value,
    pub ttl_seconds: i32,
}

impl AppStatus {
    /// The worker with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn worker(conn: &mut Conn, id: ProcessId) -> QueryResult<Option<Self>> {
        app_status::table
            .find(id)
            .filter(app_status::app_type.eq("worker"))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of processes.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<app_status::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, app_status::table, Self, selection)
    }

    /// Every process whose heart beat within its time, the oldest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn online(conn: &mut Conn) -> QueryResult<Vec<Self>> {
        use diesel::dsl::sql;
        app_status::table
            .filter(sql::<diesel::sql_types::Bool>(ONLINE))
            .order_by((app_status::pulp_created, app_status::pulp_id))
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// Notes a process, or that its heart beats; the time is the database's.
    ///
    /// # Errors
    /// As the session.
    pub async fn beat(conn: &mut Conn, process: &NewAppStatus) -> QueryResult<()> {
        let now = diesel::dsl::sql::<diesel::sql_types::Timestamptz>("clock_timestamp()");
        diesel::insert_into(app_status::table)
            .values(process)
            .on_conflict(app_status::pulp_id)
            .do_update()
            .set((
                app_status::last_heartbeat.eq(now),
                app_status::beat.eq(app_status::beat + 1),
            ))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Takes the lock that says that this process lives, on its session. Waits for a session of the same
    /// process that was lost and lingers on the server.
    ///
    /// # Errors
    /// As the session; [`Error::Unavailable`] after ten seconds, and the session is to be closed then.
    pub async fn hold(conn: &mut Conn, id: ProcessId) -> Result<(), Error> {
        let locking = sql_query("SELECT pg_advisory_lock(millrace_process_key($1))")
            .bind::<SqlUuid, _>(id)
            .execute(conn);
        tokio::time::timeout(PATIENCE, locking)
            .await
            .map_err(|elapsed| Error::Unavailable {
                what: "the lock of this process",
                source: elapsed.into(),
            })??;
        Ok(())
    }

    /// Removes a process that ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove(conn: &mut Conn, id: ProcessId) -> QueryResult<()> {
        diesel::delete(app_status::table.find(id))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// What these workers run now, the newest run of each last.
    ///
    /// # Errors
    /// As the session.
    pub async fn current_tasks(
        conn: &mut Conn,
        workers: &[ProcessId],
    ) -> QueryResult<Vec<(ProcessId, TaskId)>> {
        task::table
            .filter(task::state.eq_any(["running", "canceling"]))
            .filter(task::worker_id.eq_any(workers.iter().map(|id| id.0)))
            .order_by(task::started_at)
            .select((task::worker_id.assume_not_null(), task::pulp_id))
            .load(conn)
            .await
    }
}

/// True for a process whose heart beat within its time.
pub const ONLINE: &str =
    "app_status.last_heartbeat >= clock_timestamp() - app_status.ttl_seconds * interval '1 s'";
