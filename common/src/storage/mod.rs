//! The artifact store: files under keys that are never used twice.
//!
//! Promises:
//! - A row in `artifact`, `upload_chunk` or `temporary_file` has its whole file: the file and its
//!   directory are on disk before the row is.
//! - Deleting never takes a file that a row needs: the row goes first, guarded by foreign keys, the
//!   file after that commit.
//! - No file is leaked: what is being written has an *intent*, what is to be removed has a
//!   *tombstone*, both rows, and the janitor finishes what a dead process left.
//!
//! [`upload`] writes, [`bundle`] writes many, [`tombstones`] removes, [`intents`] gives up for the dead.

pub mod bundle;
mod digests;
mod disk;
pub mod intents;
mod key;
mod listing;
pub mod look;
mod removal;
mod s3;
mod ticket;
pub mod tombstones;
pub mod upload;
mod writer;

pub use bundle::{Bundle, HELD_BYTES, Held};
pub use digests::{ALGORITHMS, Digests, Hashers, is_sha256};
pub use key::StorageKey;
pub use listing::{Listed, Seen, is_file_systems_own};
pub use look::Verdict;
pub use s3::Presigned;
pub use upload::{Saved, Stored, Upload};
pub use writer::Writer;

use crate::config::{self, StorageBackend};
use crate::error::Error;
use crate::ids::ProcessId;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Location;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use serde::Serialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use uuid::Uuid;

/// The directory of all keys.
const DIRECTORY: &str = "artifact";

/// Bytes of one part of a local file: what a running upload keeps in memory, twice.
const LOCAL_PART_BYTES: usize = 1 << 20;

/// The artifact store of a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The same store, where it is an object store.
    s3: Option<Arc<AmazonS3>>,
    /// What the names of all files begin with.
    prefix: Arc<str>,
    /// Where the files are, if they are on a local file system.
    root: Option<PathBuf>,
    part_bytes: usize,
    checksums: Arc<[String]>,
    owner: ProcessId,
}

/// Bytes of the file system that holds the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Size of the file system.
    pub total: u64,
    /// What is taken.
    pub used: u64,
    /// What an ordinary process may still write.
    pub free: u64,
}

impl Storage {
    /// Opens the store that the settings describe. On a file system, makes its root and checks that it can
    /// be written; an object store is not asked, see [`Storage::check`].
    ///
    /// # Errors
    /// [`Error::Invalid`] with the setting that cannot be used.
    pub fn open(settings: &config::Storage) -> Result<Self, Error> {
        Hashers::new(&settings.checksums)?;
        match settings.backend {
            StorageBackend::Filesystem => Self::local(settings, prepare_root(&settings.root)),
            StorageBackend::S3 => Self::open_remote(settings),
        }
    }

    /// Opens the store that the settings describe and that is there already, to read it: on a file system nothing is made
    /// and nothing is written, so a copy that is read-only will do.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the setting that cannot be used, or where no store is.
    pub fn open_existing(settings: &config::Storage) -> Result<Self, Error> {
        Hashers::new(&settings.checksums)?;
        match settings.backend {
            StorageBackend::Filesystem => Self::local(settings, existing_root(&settings.root)),
            StorageBackend::S3 => Self::open_remote(settings),
        }
    }

    fn local(settings: &config::Storage, root: std::io::Result<PathBuf>) -> Result<Self, Error> {
        let root = root.map_err(|e| {
            Error::invalid("storage.root", format!("{}: {e}", settings.root.display()))
        })?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|e| Error::invalid("storage.root", e.to_string()))?
            .with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            s3: None,
            prefix: "".into(),
            root: Some(root),
            part_bytes: LOCAL_PART_BYTES,
            checksums: settings.checksums.to_vec().into(),
            owner: ProcessId(Uuid::nil()),
        })
    }

    fn open_remote(settings: &config::Storage) -> Result<Self, Error> {
        let store = Arc::new(s3::open(settings)?);
        Ok(Self {
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            s3: Some(store),
            prefix: settings.prefix.trim_matches('/').into(),
            root: None,
            part_bytes: s3::PART_BYTES,
            checksums: settings.checksums.to_vec().into(),
            owner: ProcessId(Uuid::nil()),
        })
    }

    /// Asks an object store for its bucket, so that a wrong setting is known at the start. One that does
    /// not answer is no fault of the settings.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the setting that is refused.
    pub async fn check(&self) -> Result<(), Error> {
        match &self.s3 {
            Some(store) => s3::check(store, &self.location(&StorageKey::new())).await,
            None => Ok(()),
        }
    }

    /// The same store for a process whose lock is held: its uploads are given up only once that lock
    /// is free. Without an owner, uploads may be given up at any time.
    #[must_use]
    pub fn owned_by(mut self, owner: ProcessId) -> Self {
        self.owner = owner;
        self
    }

    /// The process that uploads.
    #[must_use]
    pub fn owner(&self) -> ProcessId {
        self.owner
    }

    /// The algorithms that every artifact gets a digest of.
    #[must_use]
    pub fn checksums(&self) -> &[String] {
        &self.checksums
    }

    /// Where the files are, if they are on a local file system.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The path of a file, if files are on a local file system.
    #[must_use]
    pub fn local_path(&self, key: &StorageKey) -> Option<PathBuf> {
        Some(self.root()?.join(key.as_str()))
    }

    /// Starts a file. Nobody may know its key before [`Writer::finish`] has returned.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `storage.checksums`.
    pub fn writer(&self, key: &StorageKey) -> Result<Writer, Error> {
        Writer::new(self, key)
    }

    /// The bytes of a file, or of a part of it, as a stream.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such file.
    pub async fn read(
        &self,
        key: &StorageKey,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let options = GetOptions {
            range: range.map(Into::into),
            ..GetOptions::default()
        };
        let found = self
            .store
            .get_opts(&self.location(key), options)
            .await
            .map_err(unavailable)?;
        Ok(found.into_stream().map_err(unavailable).boxed())
    }

    /// Size of a file in bytes; `None` when it is missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn size(&self, key: &StorageKey) -> Result<Option<u64>, Error> {
        match self.store.head(&self.location(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Where a file is in the store.
    fn location(&self, key: &StorageKey) -> Location {
        if self.prefix.is_empty() {
            Location::from(key.as_str())
        } else {
            Location::from(format!("{}/{key}", self.prefix))
        }
    }

    /// An address under which whoever has it reads a file of an object store for a while, without asking
    /// us. `None`: the store has no such addresses.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there are no credentials to sign it with.
    pub async fn presigned(
        &self,
        key: &StorageKey,
        expires: Duration,
        answer: &Presigned<'_>,
    ) -> Result<Option<Url>, Error> {
        match &self.s3 {
            Some(store) => s3::presigned(store, &self.location(key), expires, answer)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Removes the parts of an upload that is not going to be completed; what is completed or unknown
    /// counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn abort(&self, key: &StorageKey, upload: &str) -> Result<(), Error> {
        let Some(store) = &self.s3 else {
            return Ok(());
        };
        let id = upload.to_owned();
        match store.abort_multipart(&self.location(key), &id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Room on the file system; `None` for a store that has no such figure.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file system does not answer.
    pub async fn usage(&self) -> Result<Option<Usage>, Error> {
        let Some(root) = self.root.clone() else {
            return Ok(None);
        };
        let figures = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&root))
            .await
            .map_err(Error::internal)?
            .map_err(unavailable)?;
        let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
        Ok(Some(Usage {
            total: bytes(figures.f_blocks),
            used: bytes(figures.f_blocks.saturating_sub(figures.f_bfree)),
            free: bytes(figures.f_bavail),
        }))
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source = error.into();
    if let Some(object_store::Error::NotFound { .. }) = source.downcast_ref() {
        return Error::NotFound { what: "file" };
    }
    Error::Unavailable {
        what: "artifact store",
        source,
    }
}

/// A directory that is none of ours is no empty store: a volume may not be mounted there.
fn existing_root(root: &Path) -> std::io::Result<PathBuf> {
    let root = root.canonicalize()?;
    std::fs::read_dir(root.join(DIRECTORY)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => std::io::Error::new(
            error.kind(),
            format!("no store is there, as it has no directory `{DIRECTORY}`: is it mounted?"),
        ),
        _ => error,
    })?;
    Ok(root)
}

fn prepare_root(root: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(root.join(DIRECTORY))?;
    let root = root.canonicalize()?;
    // One name for all: what a process leaves that dies here, the next one takes away.
    let probe = root.join(".probe");
    let remove = || match std::fs::remove_file(&probe) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove()?;
    std::fs::File::create(&probe)?.sync_all()?;
    remove()?;
    std::fs::File::open(&root)?.sync_all()?;
    Ok(root)
}

#[cfg(test)]
mod tests;
