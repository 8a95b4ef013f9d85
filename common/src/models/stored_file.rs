//! Rows that say that a file is in the store, whatever kind they are, for a look at all of them.

use super::{Artifact, Tombstone};
use crate::db::{Conn, TextRow};
use crate::ids::{ArtifactId, ContentId};
use crate::schema::artifact;
use crate::storage::StorageKey;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
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
    Tombstone::bury_all(conn, &buried).await?;
    Ok(buried)
}

/// What became of an artifact whose file is broken.
#[derive(Clone, Debug, Default)]
pub struct Detached {
    /// Units that lost the file and get it again from a remote when somebody asks.
    pub units: i64,
    /// Units that keep the broken file: no remote has it.
    pub left: i64,
    /// Its file, to be unlinked after the commit, where nothing has the artifact any more.
    pub buried: Vec<Tombstone>,
}

/// Takes an artifact away from those units for which a remote has its file, in the caller's transaction. `bury`: and
/// buries it where nobody else has it; else it stays, for whoever has the same bytes again, and as long as orphans do.
/// Without such a unit, or where the artifact has another file by now, nothing changes.
///
/// # Errors
/// As the session.
pub async fn detach(conn: &mut Conn, file: &StoredFile, bury: bool) -> QueryResult<Detached> {
    let id = ArtifactId(file.id);
    // Whoever restores the file meanwhile is waited for, and then it is another one; so is whoever links it.
    let locked: Option<ArtifactId> = artifact::table
        .find(id)
        .filter(artifact::storage_key.eq(&file.storage_key))
        .select(artifact::pulp_id)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    if locked.is_none() {
        return Ok(Detached::default());
    }
    let units = sql_query(
        "UPDATE content_artifact c SET artifact_id = NULL WHERE c.artifact_id = $1 \
            AND EXISTS (SELECT FROM remote_artifact r WHERE r.content_artifact_id = c.pulp_id)",
    )
    .bind::<SqlUuid, _>(file.id)
    .execute(conn)
    .await?;
    let left = crate::schema::content_artifact::table
        .filter(crate::schema::content_artifact::artifact_id.eq(id))
        .count()
        .get_result(conn)
        .await?;
    let buried = if bury && units > 0 && left == 0 {
        Artifact::bury_many(conn, &[id], None).await?
    } else {
        Vec::new()
    };
    Ok(Detached {
        units: i64::try_from(units).unwrap_or(i64::MAX),
        left,
        buried,
    })
}

/// A unit of a Pulp 2 that says where it lies.
#[derive(Clone, Debug, QueryableByName)]
pub struct StoredUnit {
    /// The unit.
    #[diesel(sql_type = SqlUuid)]
    pub content_id: ContentId,
    /// Where it lies.
    #[diesel(sql_type = Text)]
    pub place: String,
}

impl StoredUnit {
    /// The next ones behind this unit.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(conn: &mut Conn, behind: ContentId, limit: i64) -> QueryResult<Vec<Self>> {
        sql_query(
            "SELECT content_id, place FROM unit_storage WHERE content_id > $1 \
              ORDER BY content_id LIMIT $2",
        )
        .bind::<SqlUuid, _>(behind.0)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    /// True where the unit still lies there.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_current(&self, conn: &mut Conn) -> QueryResult<bool> {
        let rows: Vec<Self> =
            sql_query("SELECT content_id, place FROM unit_storage WHERE content_id = $1")
                .bind::<SqlUuid, _>(self.content_id.0)
                .load(conn)
                .await?;
        Ok(rows.iter().any(|row| row.place == self.place))
    }
}
