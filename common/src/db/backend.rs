//! Server processes of PostgreSQL, from outside.

use super::Conn;
use diesel::sql_types::{Array, Integer, Timestamptz};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Longest wait for the end of sessions.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether they have ended.
const PERIOD: Duration = Duration::from_millis(10);

/// A server process of PostgreSQL; pids are used again, hence the start.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Backend {
    /// Process id on the server.
    #[diesel(sql_type = Integer)]
    pub pid: i32,
    /// When that process started.
    #[diesel(sql_type = Timestamptz)]
    pub backend_start: chrono::DateTime<chrono::Utc>,
}

/// Ends sessions, and waits for their end for two seconds at most: after that, their locks may still be held.
///
/// # Errors
/// As the session that asks.
pub async fn end_sessions(conn: &mut Conn, sessions: &[Backend]) -> QueryResult<()> {
    let (pids, starts): (Vec<i32>, Vec<_>) = sessions
        .iter()
        .map(|session| (session.pid, session.backend_start))
        .unzip();
    let begun = Instant::now();
    loop {
        let there = sql_query(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a \
               JOIN unnest($1, $2) AS doomed(pid, start) ON a.pid = doomed.pid AND a.backend_start = doomed.start",
        )
        .bind::<Array<Integer>, _>(&pids)
        .bind::<Array<Timestamptz>, _>(&starts)
        .execute(conn)
        .await?;
        if there == 0 || begun.elapsed() >= PATIENCE {
            return Ok(());
        }
        sleep(PERIOD).await;
    }
}
