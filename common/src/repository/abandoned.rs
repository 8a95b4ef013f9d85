//! Versions that dead runs left unfinished.

use super::new_version::BATCH;
use crate::db::{Conn, transaction};
use crate::error::Error;
use crate::models::{Membership, RepositoryContent, RepositoryVersion, VersionKept};

/// Removes versions whose run is no more, with up to `limit` of their changes, in transactions of its
/// own. Gives the number of changes taken back; zero when there is nothing left to do. Several
/// processes may do it at once.
///
/// # Errors
/// As the session.
pub async fn remove_abandoned(conn: &mut Conn, limit: u64) -> Result<u64, Error> {
    let mut done = 0;
    while done < limit {
        let step = transaction(conn, async |conn| remove_some(conn).await).await?;
        match step {
            Some(changes) => done += changes,
            None => break,
        }
    }
    Ok(done)
}

async fn remove_some(conn: &mut Conn) -> Result<Option<u64>, Error> {
    let Some(version) = RepositoryVersion::lock_abandoned(conn).await? else {
        return Ok(None);
    };
    let number = Membership {
        repository: version.repository_id,
        number: version.number,
    };
    let notes = VersionKept::forget(conn, version.pulp_id, BATCH).await?;
    let changes = notes + RepositoryContent::discard(conn, number, BATCH).await?;
    if changes == 0 {
        RepositoryVersion::delete(conn, version.pulp_id).await?;
    }
    // The version itself counts too, so that a caller's limit is reached.
    Ok(Some((changes as u64).max(1)))
}
