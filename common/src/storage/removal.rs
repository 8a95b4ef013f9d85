//! Removing files, many in one go.

use super::{Storage, StorageKey, unavailable};
use crate::error::Error;
use futures_util::stream::{self, StreamExt};
use object_store::ObjectStoreExt;
use std::io;
use std::path::{Path, PathBuf};

/// Calls to an object store at the same time.
pub(super) const CALLS: usize = 16;
/// Threads that remove local files. A directory lets in one at a time, so more are of little use; but where the file system
/// discards freed blocks, each waits for the disk.
const THREADS: usize = 8;

impl Storage {
    /// Removes a file; a missing one counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn delete(&self, key: &StorageKey) -> Result<(), Error> {
        self.delete_all(vec![key.clone()])
            .await
            .into_iter()
            .collect()
    }

    /// Removes files; a missing one counts as removed. What became of each, in their order: as [`Storage::delete`].
    pub async fn delete_all(&self, keys: Vec<StorageKey>) -> Vec<Result<(), Error>> {
        if let Some(root) = &self.root {
            return delete_local(root, &keys).await;
        }
        stream::iter(keys)
            .map(|key| delete_remote(self.clone(), key))
            .buffered(CALLS)
            .collect()
            .await
    }
}

async fn delete_remote(storage: Storage, key: StorageKey) -> Result<(), Error> {
    match storage.store.delete(&storage.location(&key)).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}

/// A thread has many files to remove: handing each over costs more than the removal. Where nobody waits for the answer any
/// more, as with a request whose client has gone, the threads go on to their ends, which is harmless: what they remove is
/// buried, and its tombstone stays for the janitor.
async fn delete_local(root: &Path, keys: &[StorageKey]) -> Vec<Result<(), Error>> {
    let at = |name: &str| root.join(name);
    let paths: Vec<[PathBuf; 2]> = keys
        .iter()
        .map(|key| [at(&key.staged()), at(key.as_str())])
        .collect();
    let slices = paths.chunks(paths.len().div_ceil(THREADS).max(1));
    let threads: Vec<_> = slices
        .map(<[_]>::to_vec)
        .map(|slice| {
            let count = slice.len();
            let remove = move || slice.iter().map(remove_local).collect();
            (count, tokio::task::spawn_blocking(remove))
        })
        .collect();
    let mut removed = Vec::with_capacity(paths.len());
    for (count, thread) in threads {
        let done: Result<Vec<io::Result<()>>, _> = thread.await;
        match done {
            Ok(done) => removed.extend(done.into_iter().map(|one| one.map_err(unavailable))),
            Err(_panic) => removed.extend((0..count).map(|_| Err(panicked()))),
        }
    }
    removed
}

fn panicked() -> Error {
    Error::internal("a thread that removes files panicked")
}

/// A file has its final name or its staged one, never both. A writer may rename it between the two looks, so the final name is
/// tried again.
fn remove_local([staged, path]: &[PathBuf; 2]) -> io::Result<()> {
    if was_there(std::fs::remove_file(path))? {
        return Ok(());
    }
    was_there(std::fs::remove_file(staged))?;
    was_there(std::fs::remove_file(path)).map(drop)
}

fn was_there(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}
