//! Deleting versions without changing what the others hold.
//!
//! Memberships are intervals of numbers, so a version goes by its row alone: what only it held lies between
//! its neighbours then, where nobody looks, and is removed later ([`MembershipDebris`]). The newest version
//! is different, as the next one starts from its open intervals: it is made incomplete, which nobody sees,
//! and then taken back as one that was never completed.

use super::new_version::{BATCH, NewVersion, discard_stale};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DomainId, RepositoryId, VersionId};
use crate::models::version_count::{CountKind, Counts};
use crate::models::{
    Changes, MembershipDebris, Publication, Repository, RepositoryContent, RepositoryVersion,
    VersionCount,
};
use crate::tasking::{TaskContext, TaskError};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is said of a version that serves content.
pub const PROTECTED: &str = "The repository version cannot be deleted because it (or its publications) \
    are currently being used to distribute content. Please update the necessary distributions first.";

/// Why a version stays.
fn refusal(others: bool, protected: bool) -> Result<(), TaskError> {
    if !others {
        return Err(TaskError::coded(
            "PLP0011",
            "Cannot delete repository version. Repositories must have at least one repository version.",
        ));
    }
    if protected {
        return Err(TaskError::failed(PROTECTED));
    }
    Ok(())
}

fn gone() -> Error {
    Error::NotFound {
        what: "RepositoryVersion",
    }
}

/// Locks a complete version and its repository, and checks that it may go. Distributions that are
/// made at this moment have it locked too, so that one of the two sees the other.
async fn lock_to_delete(
    conn: &mut Conn,
    domain: DomainId,
    id: VersionId,
) -> Result<RepositoryVersion, TaskError> {
    let version = RepositoryVersion::lock(conn, id).await?.ok_or_else(gone)?;
    let repository = version.repository_id;
    Repository::lock(conn, domain, repository).await?;
    let (before, behind) = version.neighbours(conn).await?;
    let protected = RepositoryVersion::protected(conn, repository).await?;
    refusal(
        before.is_some() || behind.is_some(),
        protected.contains(&id),
    )?;
    Ok(version)
}

/// Takes the newest version of its repository away, in batches; false where it is not the newest one, and
/// nothing is done. Nobody sees the version after the first of them. Safe to run again: a run that finds
/// the version incomplete goes on. The run must hold the repository exclusively.
///
/// # Errors
/// A text for the client where the version may not go, or is not there; else as [`TaskContext::fenced`].
pub async fn delete_newest(ctx: &TaskContext, id: VersionId) -> Result<bool, TaskError> {
    let claim = ctx.claim();
    let hidden = ctx
        .fenced(async |conn| {
            if let Some(begun) = RepositoryVersion::find_incomplete(conn, id).await? {
                return Ok(Some(begun.repository_id));
            }
            let version = lock_to_delete(conn, ctx.domain(), id).await?;
            if version.neighbours(conn).await?.1.is_some() {
                return Ok(None);
            }
            RepositoryVersion::hide(conn, id, claim).await?;
            Publication::delete_of_version(conn, id).await?;
            Ok(Some(version.repository_id))
        })
        .await;
    match hidden {
        Ok(Some(repository)) => {
            discard_stale(ctx, repository).await?;
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a complete version that is not the newest one, in the transaction that settles its task. May be
/// called again when that transaction is retried.
///
/// # Errors
/// A text for the client where the version may not go, or is not there.
pub async fn delete_older(
    conn: &mut Conn,
    domain: DomainId,
    id: VersionId,
    counted: &Recounts,
) -> Result<(), TaskError> {
    let version = lock_to_delete(conn, domain, id).await?;
    let (before, behind) = version.neighbours(conn).await?;
    let next = behind.ok_or_else(|| TaskError::failed("the version is the newest one now"))?;
    RepositoryVersion::delete_many(conn, &[id]).await?;
    close_gap(conn, before.map(|v| v.number), &next, counted).await?;
    Ok(())
}

/// Two versions are neighbours now: leaves what only the versions between them held to be removed, and
/// counts the changes of the later one anew.
async fn close_gap(
    conn: &mut Conn,
    previous: Option<i32>,
    next: &RepositoryVersion,
    counted: &Recounts,
) -> QueryResult<()> {
    let behind = previous.unwrap_or(-1);
    let (repository, until) = (next.repository_id, next.number);
    MembershipDebris::leave(conn, repository, behind, until, BATCH).await?;
    recount(conn, next, previous, counted).await
}

async fn recount(
    conn: &mut Conn,
    version: &RepositoryVersion,
    previous: Option<i32>,
    counted: &Recounts,
) -> QueryResult<()> {
    let id = version.pulp_id;
    let changes = match previous {
        // The first version: it added all that it holds.
        None => Changes {
            added: VersionCount::get(conn, id, CountKind::Present).await?,
            removed: Counts::new(),
        },
        Some(previous) => match counted.0.get(&(previous, id)) {
            Some(changes) => changes.clone(),
            None => {
                let (repository, number) = (version.repository_id, version.number);
                RepositoryContent::count_changes(conn, repository, previous, number).await?
            }
        },
    };
    VersionCount::set(conn, id, CountKind::Added, &changes.added).await?;
    VersionCount::set(conn, id, CountKind::Removed, &changes.removed).await
}

/// Changes between versions that a deletion is going to make neighbours, counted before its transaction: the
/// number of the earlier one and the id of the later one. What is missing is counted there.
#[derive(Clone, Debug, Default)]
pub struct Recounts(BTreeMap<(i32, VersionId), Changes>);

impl Recounts {
    /// Counts what the successor of a version changes once that is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn without(conn: &mut Conn, id: VersionId) -> QueryResult<Self> {
        let Some(version) = RepositoryVersion::find(conn, id).await? else {
            return Ok(Self::default());
        };
        let (Some(before), Some(next)) = version.neighbours(conn).await? else {
            return Ok(Self::default());
        };
        let (from, to) = (before.number, next.number);
        let count = RepositoryContent::count_changes;
        let changes = count(conn, version.repository_id, from, to).await?;
        Ok(Self([((from, next.pulp_id), changes)].into()))
    }

    /// Counts what completing a version is likely to need where its repository keeps so many. The run must
    /// hold the repository exclusively, and the version must not change any more.
    ///
    /// # Errors
    /// As the session.
    pub(super) async fn foresee(
        ctx: &TaskContext,
        version: &NewVersion,
        keep: i32,
    ) -> Result<Self, TaskError> {
        let mut conn = ctx.session().await;
        let repository = version.repository;
        let mut all = RepositoryVersion::all_of(&mut conn, repository).await?;
        all.push((version.id, version.number));
        let protected = RepositoryVersion::protected(&mut conn, repository).await?;
        // What is served because it is the newest one gives its place to this version.
        let mut moved = protected.clone();
        if let Some(previous) = &version.previous
            && moved.remove(&previous.pulp_id)
        {
            moved.insert(version.id);
        }
        let numbers: BTreeMap<VersionId, i32> = all.iter().copied().collect();
        let mut counted = BTreeMap::new();
        for protected in [protected, moved] {
            let gone = beyond(&all, &protected, keep).into_iter().collect();
            for (previous, next) in gaps(&all, &gone) {
                if let (Some(from), Some(to)) = (previous, numbers.get(&next))
                    && !counted.contains_key(&(from, next))
                {
                    let count = RepositoryContent::count_changes;
                    let changes = count(&mut conn, repository, from, *to).await?;
                    counted.insert((from, next), changes);
                }
            }
        }
        Ok(Self(counted))
    }
}

/// Deletes the complete versions beyond the newest `keep`, in the caller's transaction. Those that serve
/// content stay and do not count. Lock the repository before; no version may be in the making.
///
/// # Errors
/// As the session.
pub async fn retain(
    conn: &mut Conn,
    repository: RepositoryId,
    keep: i32,
    counted: &Recounts,
) -> QueryResult<()> {
    let all = RepositoryVersion::all_of(conn, repository).await?;
    let beyond = beyond(
        &all,
        &RepositoryVersion::protected(conn, repository).await?,
        keep,
    );
    if beyond.is_empty() {
        return Ok(());
    }
    // A distribution of one of them may have been made a moment ago: locked, look again.
    RepositoryVersion::lock_many(conn, &beyond).await?;
    let protected = RepositoryVersion::protected(conn, repository).await?;
    let gone: BTreeSet<VersionId> = beyond
        .into_iter()
        .filter(|id| !protected.contains(id))
        .collect();
    let ids: Vec<VersionId> = gone.iter().copied().collect();
    RepositoryVersion::delete_many(conn, &ids).await?;
    for (previous, next) in gaps(&all, &gone) {
        let next = RepositoryVersion::find(conn, next).await?;
        if let Some(next) = next {
            close_gap(conn, previous, &next, counted).await?;
        }
    }
    Ok(())
}

/// Those beyond the newest `keep` that are not protected; `all` in the order of numbers.
fn beyond(all: &[(VersionId, i32)], protected: &BTreeSet<VersionId>, keep: i32) -> Vec<VersionId> {
    all.iter()
        .rev()
        .map(|(id, _)| *id)
        .filter(|id| !protected.contains(id))
        .skip(usize::try_from(keep).unwrap_or(usize::MAX))
        .collect()
}

/// The versions that stay and whose predecessor goes, each with the number of what comes before it then.
fn gaps(all: &[(VersionId, i32)], gone: &BTreeSet<VersionId>) -> Vec<(Option<i32>, VersionId)> {
    let (mut previous, mut skipped, mut gaps) = (None, false, Vec::new());
    for (id, number) in all {
        if gone.contains(id) {
            skipped = true;
            continue;
        }
        if skipped {
            gaps.push((previous, *id));
        }
        (previous, skipped) = (Some(*number), false);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_stays_and_does_not_count() {
        let all: Vec<(VersionId, i32)> = (0..6).map(|n| (VersionId::new(), n)).collect();
        let ids = |numbers: &[usize]| numbers.iter().map(|n| all[*n].0).collect::<Vec<_>>();
        let protected: BTreeSet<VersionId> = ids(&[2, 5]).into_iter().collect();
        assert_eq!(beyond(&all, &protected, 1), ids(&[3, 1, 0]));
        assert_eq!(beyond(&all, &BTreeSet::new(), 4), ids(&[1, 0]));
        assert_eq!(beyond(&all, &BTreeSet::new(), 6), ids(&[]));
        let gone: BTreeSet<VersionId> = ids(&[3, 1, 0]).into_iter().collect();
        assert_eq!(gaps(&all, &gone), [(None, all[2].0), (Some(2), all[4].0)]);
    }
}
