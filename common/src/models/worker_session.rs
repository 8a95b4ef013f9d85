//! The database sessions of workers, by the server processes that serve them.

use crate::db::{Backend, Conn};
use crate::ids::ProcessId;
use diesel::QueryResult;
use diesel::sql_types::{Array, Bool, Integer, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// Names open sessions in the rows of a worker, in place of any that had the same process id.
///
/// # Errors
/// As the session; a foreign key violation where the worker has no row.
pub async fn name(conn: &mut Conn, worker: ProcessId, open: &[Backend]) -> QueryResult<()> {
    sql_query(
        "INSERT INTO worker_session (worker_id, pid, backend_start) \
         SELECT $1, pid, start FROM unnest($2, $3) AS open(pid, start) ORDER BY pid \
             ON CONFLICT (worker_id, pid) DO UPDATE SET backend_start = excluded.backend_start",
    )
    .bind::<SqlUuid, _>(worker)
    .bind::<Array<Integer>, _>(open.iter().map(|b| b.pid).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(open.iter().map(|b| b.backend_start).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets those sessions of a worker that have ended.
///
/// # Errors
/// As the session.
pub async fn forget_ended(conn: &mut Conn, worker: ProcessId) -> QueryResult<()> {
    sql_query(
        "DELETE FROM worker_session s WHERE worker_id = $1 AND NOT EXISTS \
            (SELECT FROM pg_stat_activity a WHERE a.pid = s.pid AND a.backend_start = s.backend_start)",
    )
    .bind::<SqlUuid, _>(worker)
    .execute(conn)
    .await
    .map(drop)
}

/// True where the server still serves a session.
///
/// # Errors
/// As the session that asks.
pub async fn is_there(conn: &mut Conn, session: &Backend) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        there: bool,
    }
    let row: Row = sql_query(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2) AS there",
    )
    .bind::<Integer, _>(session.pid)
    .bind::<Timestamptz, _>(session.backend_start)
    .get_result(conn)
    .await?;
    Ok(row.there)
}

/// The sessions in a worker's rows that the server still serves.
///
/// # Errors
/// As the session that asks.
pub async fn named(conn: &mut Conn, worker: ProcessId) -> QueryResult<Vec<Backend>> {
    sql_query(
        "SELECT a.pid, a.backend_start FROM worker_session s \
           JOIN pg_stat_activity a ON a.pid = s.pid AND a.backend_start = s.backend_start \
          WHERE s.worker_id = $1",
    )
    .bind::<SqlUuid, _>(worker)
    .load(conn)
    .await
}

/// Ends exactly the sessions that the rows of a worker name; gives their number.
///
/// # Errors
/// As the session that asks.
pub async fn end_all_of(conn: &mut Conn, worker: ProcessId) -> QueryResult<usize> {
    sql_query(
        "SELECT pg_terminate_backend(a.pid) FROM worker_session s \
           JOIN pg_stat_activity a ON a.pid = s.pid AND a.backend_start = s.backend_start \
          WHERE s.worker_id = $1",
    )
    .bind::<SqlUuid, _>(worker)
    .execute(conn)
    .await
}
