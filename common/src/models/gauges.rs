//! How things stand in the database, for metrics: one statement, however many tasks there are.

use crate::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Jsonb};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::Value;

/// Unfinished tasks that are alike.
#[derive(Clone, Debug, Deserialize)]
pub struct Pending {
    /// The name of their type.
    pub name: String,
    /// Their work class.
    pub class: String,
    /// Their state.
    pub state: String,
    /// True where they wait and a worker could claim them now.
    pub runnable: bool,
    /// How many there are.
    pub count: i64,
    /// Seconds since the first of them was unblocked.
    pub oldest: Option<f64>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    pending: Value,
    #[diesel(embed)]
    figures: Figures,
}

/// All other figures.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Figures {
    /// Files whose rows are gone.
    #[diesel(sql_type = BigInt)]
    pub tombstones: i64,
    /// Their bytes, as far as they are known.
    #[diesel(sql_type = BigInt)]
    pub tombstone_bytes: i64,
    /// Seconds since the first of them was buried.
    #[diesel(sql_type = Double)]
    pub tombstone_age: f64,
    /// Advisory locks held on the server.
    #[diesel(sql_type = BigInt)]
    pub advisory_locks: i64,
    /// Entries of the lock table in use.
    #[diesel(sql_type = BigInt)]
    pub locks: i64,
    /// Entries that the lock table has room for.
    #[diesel(sql_type = BigInt)]
    pub lock_table: i64,
    /// Seconds by which the schedule that is due longest is late.
    #[diesel(sql_type = Double)]
    pub schedule_lag: f64,
    /// Workers whose heart beats.
    #[diesel(sql_type = BigInt)]
    pub workers: i64,
    /// Seconds since the janitor's last pass.
    #[diesel(sql_type = Double)]
    pub janitor_idle: f64,
    /// Sessions of the server's clients.
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    /// Sessions that the server takes.
    #[diesel(sql_type = BigInt)]
    pub max_sessions: i64,
}

/// Reads them all.
///
/// # Errors
/// As the session.
pub async fn read(conn: &mut Conn) -> QueryResult<(Vec<Pending>, Figures)> {
    let row: Row = sql_query(include_str!("gauges.sql"))
        .get_result(conn)
        .await?;
    let pending = serde_json::from_value(row.pending)
        .map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
    Ok((pending, row.figures))
}
