//! Taking a version out of the intervals. Every query is bounded by what the version, or its
//! successor, changed.

use super::{Membership, RepositoryContent};
use crate::db::Conn;
use crate::ids::RepositoryId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

impl RepositoryContent {
    /// Takes the newest version out, so that the one with number `previous` is the newest.
    ///
    /// # Errors
    /// As the session.
    pub async fn unwind(
        conn: &mut Conn,
        repository: RepositoryId,
        previous: i32,
    ) -> QueryResult<()> {
        for statement in [
            "DELETE FROM repository_content WHERE repository_id = $1 AND version_added > $2",
            "UPDATE repository_content SET version_removed = NULL \
              WHERE repository_id = $1 AND version_removed > $2",
        ] {
            sql_query(statement)
                .bind::<SqlUuid, _>(repository)
                .bind::<Integer, _>(previous)
                .execute(conn)
                .await?;
        }
        Ok(())
    }

    /// Takes the versions between `previous` (-1: there is none) and `next` out. No version's content
    /// changes by it.
    ///
    /// # Errors
    /// As the session.
    pub async fn squash(conn: &mut Conn, previous: i32, next: Membership) -> QueryResult<()> {
        for statement in [
            // What only the versions in between held.
            "DELETE FROM repository_content WHERE repository_id = $1 \
                AND version_added > $2 AND version_removed <= $3",
            // What was removed and added again: held on both sides, so it was never away.
            "WITH again AS (DELETE FROM repository_content second USING repository_content first \
              WHERE first.repository_id = $1 AND first.version_added <= $2 \
                AND first.version_removed > $2 AND first.version_removed <= $3 \
                AND second.repository_id = $1 AND second.content_id = first.content_id \
                AND second.version_added > $2 AND second.version_added <= $3 \
              RETURNING first.content_id, first.version_added, second.version_removed) \
             UPDATE repository_content m SET version_removed = again.version_removed FROM again \
              WHERE m.repository_id = $1 AND m.content_id = again.content_id \
                AND m.version_added = again.version_added",
        ] {
            sql_query(statement)
                .bind::<SqlUuid, _>(next.repository)
                .bind::<Integer, _>(previous)
                .bind::<Integer, _>(next.number)
                .execute(conn)
                .await?;
        }
        Ok(())
    }
}
