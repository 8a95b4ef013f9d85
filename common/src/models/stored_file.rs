//! Rows that say that a file is in the store, whatever kind they are, for a look at all of them.

use super::Tombstone;
use crate::db::{Conn, TextRow};
use crate::storage::StorageKey;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::collections::HashSet;
use uuid::Uuid;

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stored file.
    Artifact,
    /// A piece of an upload.
    Chunk,
    /// A file that waits for its task.
    Temporary,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Artifact, Self::Chunk, Self::Temporary];

    /// What it is called, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Chunk => "piece of the upload",
            Self::Temporary => "temporary file",
        }
    }

    fn select(self) -> &'static str {
        match self {
            Self::Artifact => "SELECT pulp_id AS id, storage_key, size, sha256 FROM artifact",
            Self::Chunk => {
                "SELECT upload_id AS id, storage_key, size, NULL::text AS sha256 FROM upload_chunk"
            }
            Self::Temporary => {
                "SELECT pulp_id AS id, storage_key, size, sha256 FROM temporary_file"
            }
        }
    }
}

/// A row that says that a whole file is in the store.
#[derive(Clone, Debug, QueryableByName)]
pub struct StoredFile {
    /// The object that has the file.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The file.
    #[diesel(sql_type = Text)]
    pub storage_key: StorageKey,
    /// Bytes.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
    /// Its digest, where one is known.
    #[diesel(sql_type = Nullable<Text>)]
    pub sha256: Option<String>,
}

impl StoredFile {
    /// The next rows of a kind behind this key, in the order that the database has of keys.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        kind: Kind,
        behind: &str,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let select = kind.select();
        sql_query(format!(
            "{select} WHERE storage_key > $1 ORDER BY storage_key LIMIT $2"
        ))
        .bind::<Text, _>(behind)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    /// True where this row still has this file.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_current(&self, conn: &mut Conn, kind: Kind) -> QueryResult<bool> {
        let rows: Vec<Self> = sql_query(format!("{} WHERE storage_key = $1", kind.select()))
            .bind::<Text, _>(&self.storage_key)
            .load(conn)
            .await?;
        Ok(rows.iter().any(|row| row.id == self.id))
    }
}

/// Those of the given keys whose files a row needs.
///
/// # Errors
/// As the session.
pub async fn needed(conn: &mut Conn, keys: &[StorageKey]) -> QueryResult<HashSet<String>> {
    let keys: Vec<&str> = keys.iter().map(StorageKey::as_str).collect();
    let rows: Vec<TextRow> = sql_query(
        "SELECT storage_key AS value FROM artifact WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM upload_chunk WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM temporary_file WHERE storage_key = ANY ($1)",
    )
    .bind::<Array<Text>, _>(keys)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// Those of the given keys that any row names: of a file, of one that is being written, or of one that is being
/// removed. One statement, so that a file that goes from one table to another is seen in one of them.
///
/// # Errors
/// As the session.
pub async fn known(conn: &mut Conn, keys: &[&StorageKey]) -> QueryResult<HashSet<String>> {
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    let rows: Vec<TextRow> = sql_query(
        "SELECT storage_key AS value FROM artifact WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM upload_chunk WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM temporary_file WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM intent WHERE storage_key = ANY ($1) \
         UNION ALL SELECT storage_key FROM tombstone WHERE storage_key = ANY ($1)",
    )
    .bind::<Array<Text>, _>(keys)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// Buries those of the given files that no row names, in the caller's transaction; gives them. Unlink them after the
/// commit. None of them gets a row any more: the note of who writes a file is committed before its first byte.
///
/// # Errors
/// As the session.
pub async fn bury_unknown(conn: &mut Conn, files: &[Tombstone]) -> QueryResult<Vec<Tombstone>> {
    let keys: Vec<&StorageKey> = files.iter().map(|file| &file.storage_key).collect();
    let known = known(conn, &keys).await?;
    let unknown = |file: &&Tombstone| !known.contains(file.storage_key.as_str());
    let buried: Vec<Tombstone> = files.iter().filter(unknown).cloned().collect();
    Tombstone::bury_all(conn, &buried, None).await?;
    Ok(buried)
}
