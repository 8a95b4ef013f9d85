//! Pages of what a version holds, added or removed.

use super::{IdRow, RepositoryContent};
use crate::db::Conn;
use crate::ids::ContentId;
use crate::models::RepositoryVersion;
use crate::models::version_count::CountKind;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// So many changes of a version are sorted; more are met soon enough on the way through all memberships.
const SORTED: i64 = 10_000;

impl RepositoryContent {
    /// A page of the units that a complete version holds, added or removed, the newest first, by the count
    /// of them, the length of the page and its offset.
    ///
    /// # Errors
    /// As the session.
    pub async fn newest(
        conn: &mut Conn,
        version: &RepositoryVersion,
        kind: CountKind,
        (count, limit, offset): (i64, i64, i64),
    ) -> QueryResult<Vec<ContentId>> {
        if offset >= count {
            return Ok(Vec::new());
        }
        let before = match kind {
            CountKind::Present => -1,
            CountKind::Added | CountKind::Removed => {
                version.neighbours(conn).await?.0.map_or(-1, |v| v.number)
            }
        };
        // `+ 0` keeps a term from indexes: the walk is to go through the key, by unit.
        let hide = if count > SORTED { "+ 0" } else { "" };
        let condition = match kind {
            CountKind::Present | CountKind::Added => format!(
                "version_added {hide} > $2 AND version_added {hide} <= $3 \
                 AND (version_removed IS NULL OR version_removed > $3) \
                 AND ($2 = -1 OR $3 = $2 + 1 OR NOT EXISTS (SELECT FROM repository_content o \
                      WHERE o.repository_id = $1 AND o.content_id = m.content_id \
                        AND o.version_added <= $2 AND o.version_removed > $2))"
            ),
            CountKind::Removed => format!(
                "version_removed {hide} > $2 AND version_removed {hide} <= $3 \
                 AND version_added + 0 <= $2 \
                 AND ($3 = $2 + 1 OR NOT EXISTS (SELECT FROM repository_content o \
                      WHERE o.repository_id = $1 AND o.content_id = m.content_id \
                        AND o.version_added > $2 AND o.version_added <= $3 \
                        AND (o.version_removed IS NULL OR o.version_removed > $3)))"
            ),
        };
        let rows: Vec<IdRow> = sql_query(format!(
            "SELECT content_id FROM repository_content m WHERE repository_id = $1 AND {condition} \
              ORDER BY content_id DESC LIMIT $4 OFFSET $5"
        ))
        .bind::<SqlUuid, _>(version.repository_id)
        .bind::<Integer, _>(before)
        .bind::<Integer, _>(version.number)
        .bind::<BigInt, _>(limit)
        .bind::<BigInt, _>(offset)
        .load(conn)
        .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }
}
