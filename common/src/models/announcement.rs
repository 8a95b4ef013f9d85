//! What the rows know about announcements, and which are due again (as JSON that the broker's
//! `Announcements` reads).

use crate::db::{Conn, Prepare};
use crate::ids::TaskId;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// An announcement that the broker has confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// The task.
    pub id: TaskId,
    /// Number of the announcement.
    pub number: i32,
    /// When it was published, by the clock of the database.
    pub at: DateTime<Utc>,
}

/// Notes confirmed announcements where the task still waits and the number is still the present one.
/// Rows that somebody is changing are left out: they are being claimed.
///
/// # Errors
/// As the session.
pub async fn note(conn: &mut Conn, noted: &[Noted]) -> QueryResult<usize> {
    sql_query(include_str!("announcement_note.sql"))
        .bind::<Array<SqlUuid>, _>(noted.iter().map(|n| n.id).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(noted.iter().map(|n| n.number).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(noted.iter().map(|n| n.at).collect::<Vec<_>>())
        .prepared()
        .execute(conn)
        .await
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Nullable<Jsonb>)]
    announcements: Option<Value>,
}

/// Waiting, unblocked tasks whose announcement was never confirmed, longest waiting first, and marks
/// them as tried: the next try comes after a pause that doubles.
///
/// # Errors
/// As the session.
pub async fn due_unconfirmed(conn: &mut Conn, limit: i64) -> QueryResult<Value> {
    let due: Due = sql_query(include_str!("announcement_unconfirmed.sql"))
        .bind::<BigInt, _>(limit)
        .get_result(conn)
        .await?;
    Ok(due.announcements.unwrap_or_default())
}

/// Waiting, unblocked tasks of a class whose confirmed announcement seems lost: it is older than one
/// that was claimed on its first delivery by 30 s, or the queue is empty and it is older than a second.
///
/// # Errors
/// As the session.
pub async fn due_lost(
    conn: &mut Conn,
    class: &str,
    queue_empty: bool,
    limit: i64,
) -> QueryResult<Value> {
    let due: Due = sql_query(include_str!("announcement_lost.sql"))
        .bind::<Text, _>(class)
        .bind::<diesel::sql_types::Bool, _>(queue_empty)
        .bind::<BigInt, _>(limit)
        .get_result(conn)
        .await?;
    Ok(due.announcements.unwrap_or_default())
}

/// Remembers how far first deliveries of a class have been claimed.
///
/// # Errors
/// As the session.
pub async fn record_progress(
    conn: &mut Conn,
    progress: &[(String, DateTime<Utc>)],
) -> QueryResult<()> {
    sql_query(
        "INSERT INTO class_progress (class, claimed_announced_at) \
         SELECT * FROM unnest($1, $2) AS p(class, at) ORDER BY class \
             ON CONFLICT (class) DO UPDATE SET claimed_announced_at = \
                greatest(class_progress.claimed_announced_at, excluded.claimed_announced_at)",
    )
    .bind::<Array<Text>, _>(progress.iter().map(|(class, _)| class).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(progress.iter().map(|(_, at)| at).collect::<Vec<_>>())
    .prepared()
    .execute(conn)
    .await
    .map(drop)
}
