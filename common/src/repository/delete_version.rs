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
    let previous = before.as_ref().map_or(-1, |v| v.number);
    match behind {
        None => RepositoryContent::unwind(conn, version.repository_id, previous).await?,
        Some(next) => {
            let place = Membership {
                repository: next.repository_id,
                number: next.number,
            };
            RepositoryContent::squash(conn, previous, place).await?;
            recount(conn, &next, before.map(|v| v.number)).await?;
        }
    }
    RepositoryVersion::delete(conn, version.pulp_id).await
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
    let spare = RepositoryVersion::beyond(conn, repository, keep).await?;
    for version in &spare {
        delete_version(conn, version).await?;
    }
    Ok(())
}
