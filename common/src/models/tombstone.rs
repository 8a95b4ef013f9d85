//! Files that no row needs any more.

use crate::db::Conn;
use crate::ids::TaskId;
use crate::schema::tombstone;
use crate::storage::StorageKey;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// A file that is to be removed from the store.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = tombstone)]
pub struct Tombstone {
    /// The file.
    pub storage_key: StorageKey,
    /// Its size in bytes, where it is known.
    pub size: Option<i64>,
    /// What an object store calls the upload, where the file may be there in parts only.
    pub multipart: Option<String>,
}

/// How long a file is left to whoever claimed or buried it, before somebody else tries: seconds.
const LEASE_SECONDS: i32 = 60;

impl Tombstone {
    /// That of a whole file.
    #[must_use]
    pub fn of(storage_key: StorageKey, size: Option<i64>) -> Self {
        Self {
            storage_key,
            size,
            multipart: None,
        }
    }

    /// Buries a file. Its burier removes it after the commit; the janitor does if that fails.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury(conn: &mut Conn, key: &StorageKey, size: Option<i64>) -> QueryResult<()> {
        Self::bury_all(conn, &[Self::of(key.clone(), size)], None).await
    }

    /// Buries files, as [`Tombstone::bury`] does, in one statement; in the name of a task, if one is given.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury_all(conn: &mut Conn, files: &[Self], by: Option<TaskId>) -> QueryResult<()> {
        let keys: Vec<&str> = files.iter().map(|t| t.storage_key.as_str()).collect();
        let sizes: Vec<Option<i64>> = files.iter().map(|t| t.size).collect();
        let parts: Vec<Option<&str>> = files.iter().map(|t| t.multipart.as_deref()).collect();
        sql_query(
            "INSERT INTO tombstone (storage_key, size, multipart, not_before, buried_by) \
             SELECT key, size, parts, now() + $4 * interval '1 s', $5 \
               FROM unnest($1, $2, $3) AS f (key, size, parts) \
             ON CONFLICT DO NOTHING",
        )
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Nullable<BigInt>>, _>(sizes)
        .bind::<Array<Nullable<Text>>, _>(parts)
        .bind::<Integer, _>(LEASE_SECONDS)
        .bind::<Nullable<SqlUuid>, _>(by)
        .execute(conn)
        .await?;
        Ok(())
    }

    /// How many files that a task buried are there still, and their bytes as far as they are known.
    ///
    /// # Errors
    /// As the session.
    pub async fn left_by(conn: &mut Conn, task: TaskId) -> QueryResult<(i64, i64)> {
        let sizes: Vec<Option<i64>> = tombstone::table
            .filter(tombstone::buried_by.eq(task))
            .select(tombstone::size)
            .load(conn)
            .await?;
        let files = i64::try_from(sizes.len()).unwrap_or(i64::MAX);
        Ok((files, sizes.into_iter().flatten().sum()))
    }

    /// Leaves a buried file to the janitor, who need not wait for its burier.
    ///
    /// # Errors
    /// As the session.
    pub async fn leave_to_janitor(conn: &mut Conn, key: &StorageKey) -> QueryResult<()> {
        diesel::update(tombstone::table.find(key))
            .set(tombstone::not_before.eq(diesel::dsl::now))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Claims tombstones that are due, for a minute. Commit it before the files are removed.
    ///
    /// # Errors
    /// As the session.
    pub async fn claim_due(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Self>> {
        sql_query(
            "UPDATE tombstone SET tries = tries + 1, \
                    not_before = now() + least(3600, 60 * 2 ^ least(tries, 6)) * interval '1 s' \
              WHERE storage_key IN (SELECT storage_key FROM tombstone WHERE not_before <= now() \
                                     ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED) \
             RETURNING storage_key, size, multipart",
        )
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    /// Tombstones behind this key that were set before that moment, due or not, in the order of keys.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        behind: &str,
        before: DateTime<Utc>,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        tombstone::table
            .select(Self::as_select())
            .filter(diesel::dsl::sql::<Text>("storage_key").gt(behind))
            .filter(tombstone::buried.lt(before))
            .order(tombstone::storage_key)
            .limit(limit)
            .load(conn)
            .await
    }

    /// Forgets files that are gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn forget(conn: &mut Conn, keys: &[&str]) -> QueryResult<usize> {
        sql_query("DELETE FROM tombstone WHERE storage_key = ANY ($1)")
            .bind::<Array<Text>, _>(keys)
            .execute(conn)
            .await
    }
}
