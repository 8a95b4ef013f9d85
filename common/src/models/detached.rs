//! Taking an artifact whose file is broken away from the units that have it.

use super::stored_file::StoredFile;
use super::{Artifact, Tombstone};
use crate::db::Conn;
use crate::ids::ArtifactId;
use crate::schema::{artifact, content_artifact, remote_artifact};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// What became of some of the units of an artifact whose file is broken.
#[derive(Clone, Debug, Default)]
pub struct Detached {
    /// Units that lost the file and get it again from a remote when somebody asks.
    pub units: i64,
    /// There are more of them.
    pub more: bool,
    /// Units that keep the broken file: no remote has it. Known once there are no more of the others.
    pub left: i64,
    /// Its file, to be unlinked after the commit, where nothing has the artifact any more.
    pub buried: Vec<Tombstone>,
}

/// Takes an artifact away from up to `limit` of those units for which a remote has its file, in the caller's
/// transaction; call it again while there are more. `bury`: and buries it once nobody has it, also where that was so
/// before; else it stays, for whoever has the same bytes again, and as long as orphans do. Where the artifact has
/// another file by now, nothing changes.
///
/// # Errors
/// As the session.
pub async fn detach(
    conn: &mut Conn,
    file: &StoredFile,
    bury: bool,
    limit: i64,
) -> QueryResult<Detached> {
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
        // The outer condition holds for the row as it is once its lock is had: somebody else may have changed it.
        "UPDATE content_artifact SET artifact_id = NULL WHERE artifact_id = $1 AND pulp_id IN \
            (SELECT c.pulp_id FROM content_artifact c WHERE c.artifact_id = $1 \
                AND EXISTS (SELECT FROM remote_artifact r WHERE r.content_artifact_id = c.pulp_id) LIMIT $2)",
    )
    .bind::<SqlUuid, _>(file.id)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?;
    let units = i64::try_from(units).unwrap_or(i64::MAX);
    let sources = remote_artifact::table
        .filter(remote_artifact::content_artifact_id.eq(content_artifact::pulp_id));
    let others = content_artifact::table
        .filter(content_artifact::artifact_id.eq(id))
        .filter(exists(sources));
    // Asked, not guessed from the limit: the last batch is the one that buries.
    let more = diesel::select(exists(others)).get_result(conn).await?;
    let mut detached = Detached {
        units,
        more,
        ..Detached::default()
    };
    if detached.more {
        return Ok(detached);
    }
    detached.left = content_artifact::table
        .filter(content_artifact::artifact_id.eq(id))
        .count()
        .get_result(conn)
        .await?;
    if bury && detached.left == 0 {
        detached.buried = Artifact::bury_many(conn, &[id], None, None).await?;
    }
    Ok(detached)
}
