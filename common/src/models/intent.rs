//! Uploads that are under way.

use crate::db::{Conn, Prepare, TextRow};
use crate::ids::ProcessId;
use crate::schema::intent;
use crate::storage::StorageKey;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::HashSet;

/// Written before the first byte of an upload, removed in the transaction that inserts the artifact.
pub struct Intent;

impl Intent {
    /// Notes that a process is about to write these files. Commit it before any byte is written.
    ///
    /// # Errors
    /// As the session.
    pub async fn declare(
        conn: &mut Conn,
        keys: &[StorageKey],
        owner: ProcessId,
    ) -> QueryResult<()> {
        sql_query("INSERT INTO intent (storage_key, owner) SELECT key, $2 FROM unnest($1) u (key)")
            .bind::<Array<Text>, _>(texts(keys))
            .bind::<SqlUuid, _>(owner)
            .prepared()
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Notes what an object store calls the upload. Commit it before any part is written. False: the
    /// upload was given up by somebody else, who did not know of this.
    ///
    /// # Errors
    /// As the session.
    pub async fn note_multipart(conn: &mut Conn, key: &StorageKey, id: &str) -> QueryResult<bool> {
        let noted = diesel::update(intent::table.find(key))
            .set(intent::multipart.eq(id))
            .execute(conn)
            .await?;
        Ok(noted == 1)
    }

    /// Takes an intent back. False: the upload was given up by somebody else, and its file is being
    /// removed.
    ///
    /// # Errors
    /// As the session.
    pub async fn redeem(conn: &mut Conn, key: &StorageKey) -> QueryResult<bool> {
        let taken = diesel::delete(intent::table.find(key))
            .execute(conn)
            .await?;
        Ok(taken == 1)
    }

    /// Takes intents back, as [`Intent::redeem`] does, in one statement; gives the keys of those that were there.
    ///
    /// # Errors
    /// As the session.
    pub async fn redeem_all(conn: &mut Conn, keys: &[StorageKey]) -> QueryResult<HashSet<String>> {
        let taken: Vec<TextRow> = sql_query(
            "DELETE FROM intent WHERE storage_key = ANY ($1) RETURNING storage_key AS value",
        )
        .bind::<Array<Text>, _>(texts(keys))
        .prepared()
        .load(conn)
        .await?;
        Ok(taken.into_iter().map(|row| row.value).collect())
    }

    /// Turns intents of processes that are gone into tombstones; gives their number. A process is
    /// gone when its lock is free: never call this on the session that holds the caller's own lock.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury_abandoned(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
        sql_query(include_str!("intent_bury_abandoned.sql"))
            .bind::<BigInt, _>(limit)
            .execute(conn)
            .await
    }
}

fn texts(keys: &[StorageKey]) -> Vec<&str> {
    keys.iter().map(StorageKey::as_str).collect()
}
