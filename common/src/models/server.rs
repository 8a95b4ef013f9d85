//! The PostgreSQL server itself, for `doctor`.

use crate::db::{Conn, TextRow};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;

/// Settings by name, in their base units, as a new session of this role has them.
///
/// # Errors
/// As the session.
pub async fn settings(conn: &mut Conn, names: &[&str]) -> QueryResult<BTreeMap<String, String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        value: String,
    }
    // What this program sets on its sessions is no setting of the server: `reset_val` is what it found.
    let rows: Vec<Row> = sql_query(
        "SELECT name, coalesce(reset_val, '') AS value FROM pg_settings WHERE name = ANY ($1)",
    )
    .bind::<Array<Text>, _>(names)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}

/// Facts of the server.
#[derive(Clone, Debug, QueryableByName)]
pub struct ServerFacts {
    /// True for a standby.
    #[diesel(sql_type = Bool)]
    pub in_recovery: bool,
    /// Standbys that stream from it.
    #[diesel(sql_type = BigInt)]
    pub standbys: i64,
    /// Those of them that a commit waits for.
    #[diesel(sql_type = BigInt)]
    pub synchronous: i64,
    /// How this session has the interval of looks at its client.
    #[diesel(sql_type = Text)]
    pub check_interval: String,
    /// The encoding of the database.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// Its clock.
    #[diesel(sql_type = Timestamptz)]
    pub now: DateTime<Utc>,
}

/// Reads them.
///
/// # Errors
/// As the session.
pub async fn facts(conn: &mut Conn) -> QueryResult<ServerFacts> {
    sql_query(
        "SELECT pg_is_in_recovery() AS in_recovery, \
                (SELECT count(*) FROM pg_stat_replication) AS standbys, \
                (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS synchronous, \
                current_setting('client_connection_check_interval') AS check_interval, \
                current_setting('server_encoding') AS encoding, clock_timestamp() AS now",
    )
    .get_result(conn)
    .await
}

/// How this session is encrypted (`TLSv1.3`); `None`: not at all.
///
/// # Errors
/// As the session.
pub async fn encryption(conn: &mut Conn) -> QueryResult<Option<String>> {
    let row: Option<TextRow> =
        sql_query("SELECT version AS value FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
            .get_result(conn)
            .await
            .optional()?;
    Ok(row.map(|row| row.value))
}

/// Processes that are online, by kind.
///
/// # Errors
/// As the session.
pub async fn online(conn: &mut Conn) -> QueryResult<BTreeMap<String, i64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT app_type AS kind, count(*) AS count FROM app_status \
          WHERE last_heartbeat > clock_timestamp() - make_interval(secs => ttl_seconds) GROUP BY 1",
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.count)).collect())
}
