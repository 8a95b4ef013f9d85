//! The files that an export writes (contract 3.4), read at once and fetched page by page.

use super::repository_content::Membership;
use crate::db::Conn;
use crate::ids::PublicationId;
use crate::storage::StorageKey;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// What an export exports. None of it ever changes; it may be deleted.
#[derive(Clone, Copy, Debug)]
pub struct ExportPlace {
    /// The version whose files are exported under their own paths, if they are.
    pub version: Option<Membership>,
    /// The publication, if it is one.
    pub publication: Option<PublicationId>,
    /// Incremental: what this version has is left out.
    pub start: Option<Membership>,
}

/// A row of the list, or its summary.
#[derive(Clone, Debug, QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    storage_key: Option<StorageKey>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    sources: Option<Value>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_lacking: Option<bool>,
}

/// Where the bytes of a file are: in the store, or at one of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportBytes {
    /// Its key in the store, if it is there.
    pub storage_key: Option<StorageKey>,
    /// Its size in the store.
    pub size: Option<i64>,
    /// Where else it is, the newest first, if it is not in the store.
    pub sources: Vec<ExportSource>,
}

/// A place outside the store where a file is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportSource {
    /// Its address.
    pub url: String,
    /// Its size there, if that is known.
    pub size: Option<i64>,
    /// Its digest there, if that is known.
    pub sha256: Option<String>,
}

/// Where a file of an export goes, and where its bytes are.
#[derive(Clone, Debug)]
pub struct ExportEntry {
    /// The file as part of a unit.
    pub id: Uuid,
    /// Where it goes, below the target.
    pub path: String,
    /// Where its bytes are.
    pub bytes: ExportBytes,
}

/// How much an export has to do.
#[derive(Clone, Debug)]
pub struct ExportSummary {
    /// Files that are to be written.
    pub files: i64,
    /// True: a file of the whole set is neither in the store nor on this machine.
    pub is_lacking: bool,
    /// A path that several of the files that are to be written have, if there is one. Two units of a version that was
    /// made before their type refused it may have one.
    pub shared_path: Option<String>,
}

impl ExportPlace {
    /// Reads the list of the files that are to be written into a cursor of this session, which then has no snapshot
    /// open, only a copy of the list on the server; [`ExportEntry::next`] fetches from it. A cursor that an earlier
    /// export left in the session is closed.
    ///
    /// # Errors
    /// As the session.
    pub async fn open(&self, conn: &mut Conn) -> QueryResult<ExportSummary> {
        Self::close(conn).await?;
        let list = include_str!("export_file.sql");
        sql_query(format!(
            "DECLARE export_file NO SCROLL CURSOR WITH HOLD FOR {list}"
        ))
        .bind::<Nullable<SqlUuid>, _>(self.version.map(|v| v.repository.0))
        .bind::<Nullable<Integer>, _>(self.version.map(|v| v.number))
        .bind::<Nullable<SqlUuid>, _>(self.publication.map(|p| p.0))
        .bind::<Nullable<SqlUuid>, _>(self.start.map(|v| v.repository.0))
        .bind::<Nullable<Integer>, _>(self.start.map(|v| v.number))
        .execute(conn)
        .await?;
        let row: Row = sql_query("FETCH 1 FROM export_file")
            .get_result(conn)
            .await?;
        Ok(ExportSummary {
            files: row.size.unwrap_or_default(),
            is_lacking: row.is_lacking.unwrap_or_default(),
            shared_path: row.path,
        })
    }

    /// Lets the list go that this session has open, if it has one.
    ///
    /// # Errors
    /// As the session.
    pub async fn close(conn: &mut Conn) -> QueryResult<()> {
        conn.batch_execute("CLOSE ALL").await
    }
}

impl ExportEntry {
    /// The next 2,000 files of the list that this session has open, in the order of their paths; fewer at its end.
    ///
    /// # Errors
    /// As the session.
    pub async fn next(conn: &mut Conn) -> QueryResult<Vec<Self>> {
        let rows: Vec<Row> = sql_query("FETCH 2000 FROM export_file").load(conn).await?;
        let entry = |row: Row| {
            Some(Self {
                id: row.id?,
                path: row.path.clone()?,
                bytes: row.bytes(),
            })
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }
}

impl ExportBytes {
    /// Where the bytes of a file of a unit are now; `None`: the unit is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: Uuid) -> QueryResult<Option<Self>> {
        let found: Option<Row> = sql_query(
            "SELECT link.pulp_id AS id, link.relative_path AS path, a.storage_key, a.size, NULL::boolean AS is_lacking, \
                    CASE WHEN link.artifact_id IS NULL THEN ( \
                        SELECT jsonb_agg(jsonb_build_object('url', r.url, 'size', r.size, 'sha256', r.sha256) \
                                         ORDER BY r.pulp_id DESC) \
                          FROM remote_artifact r WHERE r.content_artifact_id = link.pulp_id) END AS sources \
               FROM content_artifact link LEFT JOIN artifact a ON a.pulp_id = link.artifact_id WHERE link.pulp_id = $1",
        )
        .bind::<SqlUuid, _>(id)
        .get_result(conn)
        .await
        .optional()?;
        Ok(found.map(Row::bytes))
    }
}

impl Row {
    fn bytes(self) -> ExportBytes {
        // Made by the statement that reads it.
        let sources = self.sources.map(serde_json::from_value).transpose();
        ExportBytes {
            storage_key: self.storage_key,
            size: self.size,
            sources: sources.unwrap_or_default().unwrap_or_default(),
        }
    }
}
