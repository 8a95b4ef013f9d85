//! Notes of a run: the units that the version it writes shall keep. They need not outlive the server.

use crate::db::Conn;
use crate::ids::{ContentId, VersionId};
use crate::schema::version_kept;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// The queries on the notes.
pub struct VersionKept;

impl VersionKept {
    /// Notes that the version shall keep these units.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(conn: &mut Conn, version: VersionId, units: &[ContentId]) -> QueryResult<()> {
        let rows: Vec<_> = units
            .iter()
            .map(|unit| {
                (
                    version_kept::version_id.eq(version),
                    version_kept::content_id.eq(unit),
                )
            })
            .collect();
        diesel::insert_into(version_kept::table)
            .values(&rows)
            .on_conflict_do_nothing()
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
        version_kept::table
            .filter(version_kept::version_id.eq(version))
            .filter(version_kept::content_id.eq_any(units))
            .select(version_kept::content_id)
            .load(conn)
            .await
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
