//! The files that an export writes (contract 3.4), read page by page.

use super::repository_content::Membership;
use crate::db::Conn;
use crate::ids::PublicationId;
use crate::storage::StorageKey;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Rows of a page.
const PAGE: i32 = 2000;

const COLUMNS: &str = include_str!("export_file_columns.sql");

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

/// A file of an export.
#[derive(Clone, Debug, QueryableByName)]
pub struct ExportFile {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
    #[diesel(sql_type = Bool)]
    wanted: bool,
    #[diesel(embed)]
    bytes: ExportBytes,
}

/// Where the bytes of a file are: in the store, or at one of its sources.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct ExportBytes {
    /// Its key in the store, if it is there.
    #[diesel(sql_type = Nullable<Text>)]
    pub storage_key: Option<StorageKey>,
    /// Its size in the store.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub size: Option<i64>,
    /// Where else it is, the newest source first.
    #[diesel(sql_type = Nullable<Array<Text>>)]
    pub urls: Option<Vec<String>>,
    /// Its size, as the newest source says.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub source_size: Option<i64>,
    /// Its digest, as the newest source says.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_sha256: Option<String>,
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
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct ExportSummary {
    /// Files that are to be written.
    #[diesel(sql_type = BigInt)]
    pub files: i64,
    /// True: a file of the whole set is neither in the store nor on this machine.
    #[diesel(sql_type = Bool)]
    pub is_lacking: bool,
}

#[derive(QueryableByName)]
struct SharedPath {
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
}

/// How far an export has read.
#[derive(Clone, Debug)]
pub enum ExportCursor {
    /// Units behind this unit and file of it.
    Units(Uuid, Uuid),
    /// Files of the publication behind this path.
    Published(String),
    /// There is no more.
    End,
}

impl ExportPlace {
    /// Where reading begins.
    #[must_use]
    pub fn beginning(&self) -> ExportCursor {
        match (self.version, self.publication) {
            (Some(_), _) => ExportCursor::Units(Uuid::nil(), Uuid::nil()),
            (None, Some(_)) => ExportCursor::Published(String::new()),
            (None, None) => ExportCursor::End,
        }
    }

    /// Looks through the whole set at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn summary(&self, conn: &mut Conn) -> QueryResult<ExportSummary> {
        sql_query(include_str!("export_file_summary.sql"))
            .bind::<Nullable<SqlUuid>, _>(self.version.map(|v| v.repository.0))
            .bind::<Nullable<Integer>, _>(self.version.map(|v| v.number))
            .bind::<Nullable<SqlUuid>, _>(self.publication.map(|p| p.0))
            .bind::<Nullable<SqlUuid>, _>(self.start.map(|v| v.repository.0))
            .bind::<Nullable<Integer>, _>(self.start.map(|v| v.number))
            .get_result(conn)
            .await
    }

    /// A path that several of the files that are to be written have, if there is one. Two units of a version
    /// that was made before their type refused it may have one; what a publication says of a path wins.
    ///
    /// # Errors
    /// As the session.
    pub async fn shared_path(&self, conn: &mut Conn) -> QueryResult<Option<String>> {
        let Some(version) = self.version else {
            return Ok(None);
        };
        let found: SharedPath = sql_query(include_str!("export_file_shared.sql"))
            .bind::<SqlUuid, _>(version.repository)
            .bind::<Integer, _>(version.number)
            .bind::<Nullable<SqlUuid>, _>(self.publication.map(|p| p.0))
            .bind::<Nullable<SqlUuid>, _>(self.start.map(|v| v.repository.0))
            .bind::<Nullable<Integer>, _>(self.start.map(|v| v.number))
            .get_result(conn)
            .await?;
        Ok(found.path)
    }

    /// The next files that are to be written, 2,000 at most and perhaps none, and where to go on.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        &self,
        conn: &mut Conn,
        cursor: &ExportCursor,
    ) -> QueryResult<(Vec<ExportEntry>, ExportCursor)> {
        match (cursor, self.version, self.publication) {
            (ExportCursor::Units(unit, file), Some(version), publication) => {
                let rows = self.units(conn, version, *unit, *file).await?;
                let next = match rows.last() {
                    Some(last) if is_full(&rows) => {
                        ExportCursor::Units(last.unit_id, last.id.unwrap_or(Uuid::max()))
                    }
                    _ if publication.is_some() => ExportCursor::Published(String::new()),
                    _ => ExportCursor::End,
                };
                Ok((entries(rows), next))
            }
            (ExportCursor::Published(behind), _, Some(publication)) => {
                let rows = self.published(conn, publication, behind).await?;
                let next = match rows.last() {
                    Some(last) if is_full(&rows) => {
                        ExportCursor::Published(last.path.clone().unwrap_or_default())
                    }
                    _ => ExportCursor::End,
                };
                Ok((entries(rows), next))
            }
            _ => Ok((Vec::new(), ExportCursor::End)),
        }
    }

    async fn units(
        &self,
        conn: &mut Conn,
        version: Membership,
        unit: Uuid,
        file: Uuid,
    ) -> QueryResult<Vec<ExportFile>> {
        let select = format!("{}{COLUMNS}", include_str!("export_file_units.sql"));
        sql_query(select + " ORDER BY file.unit_id, file.id")
            .bind::<SqlUuid, _>(version.repository)
            .bind::<Integer, _>(version.number)
            .bind::<Nullable<SqlUuid>, _>(self.publication.map(|p| p.0))
            .bind::<Nullable<SqlUuid>, _>(self.start.map(|v| v.repository.0))
            .bind::<Nullable<Integer>, _>(self.start.map(|v| v.number))
            .bind::<SqlUuid, _>(unit)
            .bind::<SqlUuid, _>(file)
            .bind::<Integer, _>(PAGE)
            .load(conn)
            .await
    }

    async fn published(
        &self,
        conn: &mut Conn,
        publication: PublicationId,
        behind: &str,
    ) -> QueryResult<Vec<ExportFile>> {
        let select = format!("{}{COLUMNS}", include_str!("export_file_published.sql"));
        sql_query(select + " ORDER BY file.path")
            .bind::<SqlUuid, _>(publication)
            .bind::<Nullable<SqlUuid>, _>(self.start.map(|v| v.repository.0))
            .bind::<Nullable<Integer>, _>(self.start.map(|v| v.number))
            .bind::<Text, _>(behind)
            .bind::<Integer, _>(PAGE)
            .load(conn)
            .await
    }
}

/// True where more rows may follow.
fn is_full(rows: &[ExportFile]) -> bool {
    usize::try_from(PAGE).is_ok_and(|page| rows.len() == page)
}

fn entries(rows: Vec<ExportFile>) -> Vec<ExportEntry> {
    rows.into_iter()
        .filter(|row| row.wanted)
        .filter_map(|row| {
            Some(ExportEntry {
                id: row.id?,
                path: row.path?,
                bytes: row.bytes,
            })
        })
        .collect()
}

impl ExportBytes {
    /// Where the bytes of a file of a unit are now; `None`: the unit is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: Uuid) -> QueryResult<Option<Self>> {
        let one = "WITH file AS (SELECT content_id AS unit_id, pulp_id AS id, artifact_id, \
                     relative_path AS path, true AS wanted FROM content_artifact WHERE pulp_id = $1) ";
        let found: Option<ExportFile> = sql_query(format!("{one}{COLUMNS}"))
            .bind::<SqlUuid, _>(id)
            .get_result(conn)
            .await
            .optional()?;
        Ok(found.map(|row| row.bytes))
    }
}
