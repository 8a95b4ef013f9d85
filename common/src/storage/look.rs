//! Whether a file is there, and what it should be.

use super::{Hashers, Storage, StorageKey};
use crate::error::Error;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It has other bytes, or more or fewer of them.
    Corrupted,
}

/// Passes bytes through the hashers, on a thread that may wait; fails where it is to stop.
pub type Hash<'a, E> =
    dyn Fn(Hashers, Bytes) -> BoxFuture<'a, Result<Hashers, E>> + Send + Sync + 'a;

/// What is wrong with a file that should have so many bytes, and this digest where one is given: then it is read. The
/// inner error is that of the store.
///
/// # Errors
/// What `hash` fails with.
pub async fn look<E: From<Error>>(
    storage: &Storage,
    key: &StorageKey,
    size: i64,
    sha256: Option<&str>,
    hash: &Hash<'_, E>,
) -> Result<Result<Option<Fault>, Error>, E> {
    match storage.size(key).await {
        Err(error) => return Ok(Err(error)),
        Ok(None) => return Ok(Ok(Some(Fault::Missing))),
        Ok(Some(found)) if Some(found) != u64::try_from(size).ok() => {
            return Ok(Ok(Some(Fault::Corrupted)));
        }
        Ok(Some(_)) => {}
    }
    let Some(sha256) = sha256 else {
        return Ok(Ok(None));
    };
    let mut bytes = match storage.read(key, None).await {
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
    let is_whole = hashers.finish().sha256() == sha256;
    Ok(Ok((!is_whole).then_some(Fault::Corrupted)))
}
