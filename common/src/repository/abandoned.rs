//! Versions that dead runs left unfinished, and what deletions left.

use super::new_version::{BATCH, newest_of};
use crate::db::{Conn, transaction};
use crate::error::Error;
use crate::models::{MembershipDebris, RepositoryContent, RepositoryVersion, VersionKept};

/// Removes versions whose run is no more, and what deletions left, up to `limit` memberships of each in
/// transactions of its own. Gives the number of changes taken back; zero when there is nothing left to do. Several
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
    while done < limit {
        let swept = sweep(conn).await?;
        if swept == 0 {
            break;
        }
        done += swept;
    }
    Ok(done)
}

/// Removes a batch of what deletions left, in a transaction of its own.
async fn sweep(conn: &mut Conn) -> Result<u64, Error> {
    let seen = transaction(conn, async |conn| {
        Ok::<_, Error>(MembershipDebris::sweep(conn, BATCH).await?)
    });
    Ok(seen.await?.unsigned_abs())
}

async fn remove_some(conn: &mut Conn) -> Result<Option<u64>, Error> {
    let Some(version) = RepositoryVersion::lock_abandoned(conn).await? else {
        return Ok(None);
    };
    let newest = newest_of(conn, version.repository_id).await?;
    let notes = VersionKept::forget(conn, version.pulp_id, BATCH).await?;
    let changes = notes + RepositoryContent::discard(conn, newest, BATCH).await?;
    if changes == 0 {
        RepositoryVersion::delete(conn, version.pulp_id).await?;
    }
    // The version itself counts too, so that a caller's limit is reached.
    Ok(Some((changes as u64).max(1)))
}
