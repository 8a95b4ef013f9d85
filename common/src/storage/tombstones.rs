//! Removing files that no row needs any more.

use super::removal::CALLS;
use super::{Storage, StorageKey};
use crate::crash::{self, Point};
use crate::db::Db;
use crate::error::Error;
use crate::models::Tombstone;
use futures_util::stream::{self, StreamExt};
use log::warn;

/// What became of some buried files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unlinked {
    /// Files that are gone.
    pub files: i64,
    /// Their bytes, as far as they are known.
    pub bytes: i64,
    /// Files that could not be removed; their tombstones stay, and the janitor tries again.
    pub failed: i64,
}

impl std::ops::AddAssign for Unlinked {
    fn add_assign(&mut self, more: Self) {
        self.files += more.files;
        self.bytes += more.bytes;
        self.failed += more.failed;
    }
}

/// Removes up to `limit` files whose tombstones are due, and says how many are gone; fewer than
/// `limit` when there are no more. Several processes may do it at once; doing it twice is harmless.
/// A file that cannot be removed is tried again after a minute, two, four, up to an hour.
///
/// # Errors
/// [`Error::Unavailable`] when the database does not answer.
pub async fn unlink_due(db: &Db, storage: &Storage, limit: i64) -> Result<i64, Error> {
    let claimed = Tombstone::claim_due(&mut *db.get().await?, limit).await?;
    Ok(unlink(db, storage, &claimed).await?.files)
}

/// Removes these files, whose tombstones are committed, and then their tombstones.
///
/// # Errors
/// [`Error::Unavailable`] when the database does not answer; a file that cannot be removed is counted
/// and logged, not an error.
pub async fn unlink(db: &Db, storage: &Storage, buried: &[Tombstone]) -> Result<Unlinked, Error> {
    if buried.is_empty() {
        return Ok(Unlinked::default());
    }
    crash::point(Point::Buried);
    let gone = remove(storage, buried).await;
    crash::point(Point::Unlinked);
    let keys: Vec<&str> = gone.iter().map(|t| t.storage_key.as_str()).collect();
    Tombstone::forget(&mut *db.get().await?, &keys).await?;
    crate::metrics::engine()
        .files_removed
        .inc_by(keys.len() as u64);
    let number = |files: usize| i64::try_from(files).unwrap_or(i64::MAX);
    Ok(Unlinked {
        files: number(gone.len()),
        bytes: gone.iter().filter_map(|t| t.size).sum(),
        failed: number(buried.len() - gone.len()),
    })
}

/// Works on the next batch while the files of the last one go, as by [`unlink`]: what cannot be removed stays buried.
///
/// # Errors
/// What `next` fails with (a wish to stop among it), else as [`unlink`]: both have come to their ends.
pub async fn unlink_beside<T, E: From<Error>>(
    db: &Db,
    storage: &Storage,
    buried: &[Tombstone],
    next: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let (next, removed) = tokio::join!(next, unlink(db, storage, buried));
    let next = next?;
    removed?;
    Ok(next)
}

/// Removes the files; gives those that are gone.
async fn remove(storage: &Storage, buried: &[Tombstone]) -> Vec<Tombstone> {
    let due: Vec<Tombstone> = stream::iter(buried.to_vec())
        .map(|tombstone| abort(storage.clone(), tombstone))
        .buffered(CALLS)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let keys: Vec<StorageKey> = due.iter().map(|t| t.storage_key.clone()).collect();
    let deleted = storage.delete_all(keys).await;
    let outcomes = due.into_iter().zip(deleted);
    outcomes
        .filter_map(|(tombstone, deleted)| match deleted {
            Ok(()) => Some(tombstone),
            Err(error) => {
                complain(&tombstone, &error);
                None
            }
        })
        .collect()
}

/// Removes the parts that nobody completed; gives the tombstone back where none are left.
async fn abort(storage: Storage, tombstone: Tombstone) -> Option<Tombstone> {
    let Some(id) = &tombstone.multipart else {
        return Some(tombstone);
    };
    match storage.abort(&tombstone.storage_key, id).await {
        Ok(()) => Some(tombstone),
        Err(error) => {
            complain(&tombstone, &error);
            None
        }
    }
}

fn complain(tombstone: &Tombstone, error: &Error) {
    let key = &tombstone.storage_key;
    warn!(key:% = key, error:? = error; "{key} cannot be removed now");
}
