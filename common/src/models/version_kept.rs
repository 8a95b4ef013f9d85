//! Notes of a run: the units that the version it writes shall keep. They need not outlive the server.

use crate::db::Conn;
use crate::ids::{ContentId, VersionId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    content_id: ContentId,
}

/// The queries on the notes.
pub struct VersionKept;

impl VersionKept {
    /// Notes that the version shall keep these units.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(conn: &mut Conn, version: VersionId, units: &[ContentId]) -> QueryResult<()> {
        sql_query(
            "INSERT INTO version_kept (version_id, content_id) SELECT $1, u.id \
               FROM unnest($2) u (id) ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(version)
        .bind::<Array<SqlUuid>, _>(units.iter().map(|unit| unit.0).collect::<Vec<_>>())
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Those of these units that the version shall keep.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(
        conn: &mut Conn,
        version: VersionId,
        units: &[ContentId],
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(
            "SELECT k.content_id FROM unnest($2) u (id) CROSS JOIN LATERAL \
               (SELECT content_id FROM version_kept \
                 WHERE version_id = $1 AND content_id = u.id LIMIT 1) k",
        )
        .bind::<SqlUuid, _>(version)
        .bind::<Array<SqlUuid>, _>(units.iter().map(|unit| unit.0).collect::<Vec<_>>())
        .load(conn)
        .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// Removes up to `limit` notes of a version. Zero: none are left.
    ///
    /// # Errors
    /// As the session.
    pub async fn forget(conn: &mut Conn, version: VersionId, limit: i64) -> QueryResult<usize> {
        sql_query(
            "DELETE FROM version_kept WHERE ctid = ANY (ARRAY \
               (SELECT ctid FROM version_kept WHERE version_id = $1 LIMIT $2))",
        )
        .bind::<SqlUuid, _>(version)
        .bind::<BigInt, _>(limit)
        .execute(conn)
        .await
    }
}
