//! Whether a file is there, and what it should be.

use super::{DIRECTORY, Hashers, Storage, StorageKey, unavailable};
use crate::error::Error;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;
use log::warn;
use object_store::ObjectStoreExt;
use std::time::Duration;

/// How often an object store is asked for a file.
const TRIES: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// What a file is, held against what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that it should be.
    Whole,
    /// Not there, in a store that is.
    Missing,
    /// It has other bytes, or more or fewer of them.
    Wrong,
    /// It is not given, by a store that answers otherwise: a bad sector, or an object that is closed to us.
    Unreadable,
}

/// Passes bytes through the hashers, on a thread that may wait; fails where it is to stop.
pub type Hash<'a, E> =
    dyn Fn(Hashers, Bytes) -> BoxFuture<'a, Result<Hashers, E>> + Send + Sync + 'a;

impl Storage {
    /// Looks at a file that should have so many bytes, and this digest where one is given: then it is read. An object
    /// store that fails is asked again, some seconds long; stop waiting and it ends. A file that was not given by a store
    /// that answers is looked at once more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store as a whole does not answer, which says nothing about the file; what `hash`
    /// fails with.
    pub async fn look<E: From<Error>>(
        &self,
        key: &StorageKey,
        size: i64,
        sha256: Option<&str>,
        hash: &Hash<'_, E>,
    ) -> Result<Verdict, E> {
        // A local disk answers no better later.
        let mut tries = if self.root.is_some() { 1 } else { TRIES };
        loop {
            match self.look_once(key, size, sha256, hash).await? {
                Ok(Verdict::Missing) | Err(Error::NotFound { .. }) => {
                    self.still_there().await?;
                    return Ok(Verdict::Missing);
                }
                Ok(verdict) => return Ok(verdict),
                Err(error) if tries <= 1 => {
                    self.answers().await?;
                    if tries == 0 {
                        warn!(key:% = key, error:? = error; "{key} cannot be read");
                        return Ok(Verdict::Unreadable);
                    }
                    // The store may have come back since.
                    tries = 0;
                    continue;
                }
                Err(_) => tries -= 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The same, once; the inner error is that of the store.
    async fn look_once<E: From<Error>>(
        &self,
        key: &StorageKey,
        size: i64,
        sha256: Option<&str>,
        hash: &Hash<'_, E>,
    ) -> Result<Result<Verdict, Error>, E> {
        match self.size(key).await {
            Err(error) => return Ok(Err(error)),
            Ok(None) => return Ok(Ok(Verdict::Missing)),
            Ok(Some(found)) if Some(found) != u64::try_from(size).ok() => {
                return Ok(Ok(Verdict::Wrong));
            }
            Ok(Some(_)) => {}
        }
        let Some(sha256) = sha256 else {
            return Ok(Ok(Verdict::Whole));
        };
        let mut bytes = match self.read(key, None).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let mut hashers = Hashers::new(&["sha256".to_owned()])?;
        while let Some(piece) = bytes.next().await {
            match piece {
                Ok(piece) => hashers = hash(hashers, piece).await?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(match hashers.finish().sha256() == sha256 {
            true => Verdict::Whole,
            false => Verdict::Wrong,
        }))
    }

    /// Whether a local store is there still: where a file system was, and is no more, all its files are missing. An
    /// object store says by itself that it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not.
    pub async fn still_there(&self) -> Result<(), Error> {
        match &self.root {
            Some(_) => self.answers().await,
            None => Ok(()),
        }
    }

    /// Whether the store answers at all, shown by a file that is nowhere, or by the directory of all files.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub(crate) async fn answers(&self) -> Result<(), Error> {
        let Some(root) = &self.root else {
            let missing = self.location(&StorageKey::new());
            return match self.store.head(&missing).await {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(unavailable(error)),
            };
        };
        let directory = root.join(DIRECTORY);
        let opening = tokio::task::spawn_blocking(move || std::fs::read_dir(directory));
        let opened = opening.await.map_err(Error::internal)?;
        opened.map(drop).map_err(unavailable)
    }
}
