//! Requests that may come again: which task each has made.

use crate::db::{Conn, Prepare};
use crate::ids::TaskId;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// A request as its account and its key name it.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyKey<'a> {
    /// Who sent it.
    pub account: i32,
    /// What he calls it.
    pub key: &'a str,
    /// Hours that it is remembered.
    pub hours: u32,
}

/// A request that was there before.
#[derive(Clone, Debug, QueryableByName)]
pub struct KnownRequest {
    /// SHA-256 of what decided.
    #[diesel(sql_type = Binary)]
    pub fingerprint: Vec<u8>,
    /// The task that it made.
    #[diesel(sql_type = SqlUuid)]
    pub task_id: TaskId,
}

impl IdempotencyKey<'_> {
    /// The request of this key, if one was committed and is remembered.
    ///
    /// # Errors
    /// As the session.
    pub async fn known(&self, conn: &mut Conn) -> QueryResult<Option<KnownRequest>> {
        sql_query(
            "SELECT fingerprint, task_id FROM idempotency_key WHERE account_id = $1 AND key = $2 \
                AND created >= clock_timestamp() - make_interval(hours => $3)",
        )
        .bind::<Integer, _>(self.account)
        .bind::<Text, _>(self.key)
        .bind::<Integer, _>(i32::try_from(self.hours).unwrap_or(i32::MAX))
        .prepared()
        .get_result(conn)
        .await
        .optional()
    }

    /// Notes a request in the transaction that dispatches its task, before that. One of the same key that is
    /// being committed is waited for. `None`: it is noted; else the request that was faster.
    ///
    /// # Errors
    /// As the session; a lock timeout where the other one takes long.
    pub async fn note(
        &self,
        conn: &mut Conn,
        fingerprint: &[u8],
        task: TaskId,
    ) -> QueryResult<Option<KnownRequest>> {
        sql_query("SELECT fingerprint, task_id FROM millrace_note_request($1, $2, $3, $4, make_interval(hours => $5))")
            .bind::<Integer, _>(self.account)
            .bind::<Text, _>(self.key)
            .bind::<Binary, _>(fingerprint)
            .bind::<SqlUuid, _>(task)
            .bind::<Integer, _>(i32::try_from(self.hours).unwrap_or(i32::MAX))
            .prepared()
            .get_result(conn)
            .await
            .optional()
    }
}

/// Forgets up to `limit` requests that are older than so many hours; gives their number.
///
/// # Errors
/// As the session.
pub async fn remove_expired(conn: &mut Conn, hours: u32, limit: i64) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM idempotency_key WHERE (account_id, key) IN ( \
             SELECT account_id, key FROM idempotency_key \
              WHERE created < clock_timestamp() - make_interval(hours => $1) \
              ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind::<Integer, _>(i32::try_from(hours).unwrap_or(i32::MAX))
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await
}
