//! Deleting versions without changing what the others hold.

use crate::db::Conn;
use crate::ids::RepositoryId;
use crate::models::repository_version::{CountKind, Counts};
use crate::models::{Membership, RepositoryContent, RepositoryVersion, VersionCount};
use diesel::prelude::*;

/// Deletes a complete version in the caller's transaction, and counts its successor's changes anew.
/// Lock the repository before; no version may be in the making.
///
/// # Errors
/// As the session.
pub async fn delete_version(conn: &mut Conn, version: &RepositoryVersion) -> QueryResult<()> {
    let (before, behind) = version.neighbours(conn).await?;
    let previous = before.map(|v| v.number);
    match behind {
        None => {
            let repository = version.repository_id;
            RepositoryContent::unwind(conn, repository, previous.unwrap_or(-1)).await?;
            RepositoryVersion::delete(conn, version.pulp_id).await
        }
        Some(next) => delete_between(conn, previous, &next).await,
    }
}

/// Deletes all complete versions between two that stay, in one step however many they are: `previous`
/// (`None`: there is none) and `next`, whose changes are counted anew.
async fn delete_between(
    conn: &mut Conn,
    previous: Option<i32>,
    next: &RepositoryVersion,
) -> QueryResult<()> {
    let place = Membership {
        repository: next.repository_id,
        number: next.number,
    };
    let behind = previous.unwrap_or(-1);
    let gone =
        RepositoryVersion::delete_between(conn, place.repository, behind, place.number).await?;
    if gone == 0 {
        return Ok(());
    }
    RepositoryContent::squash(conn, behind, place).await?;
    recount(conn, next, previous).await
}

async fn recount(
    conn: &mut Conn,
    version: &RepositoryVersion,
    previous: Option<i32>,
) -> QueryResult<()> {
    let id = version.pulp_id;
    let (added, removed) = match previous {
        // The first version: it added all that it holds.
        None => (
            VersionCount::get(conn, id, CountKind::Present).await?,
            Counts::new(),
        ),
        Some(previous) => {
            let (repository, number) = (version.repository_id, version.number);
            let count = RepositoryContent::count_changes;
            (
                count(conn, repository, previous, number, false).await?,
                count(conn, repository, previous, number, true).await?,
            )
        }
    };
    VersionCount::set(conn, id, CountKind::Added, &added).await?;
    VersionCount::set(conn, id, CountKind::Removed, &removed).await
}

/// Deletes the complete versions beyond the newest `keep`, in the caller's transaction. Lock the
/// repository before; no version may be in the making.
///
/// # Errors
/// As the session.
pub async fn retain(conn: &mut Conn, repository: RepositoryId, keep: i32) -> QueryResult<()> {
    match RepositoryVersion::oldest_of(conn, repository, keep).await? {
        // Nothing protects a version yet: all that is older goes, up to the very first.
        Some(oldest) => delete_between(conn, None, &oldest).await,
        None => Ok(()),
    }
}
