//! Writing one file while hashing it, in bounded memory.

use super::digests::{Digests, Hashers};
use super::removal::CALLS;
use super::{Storage, StorageKey, disk, s3};
use crate::error::Error;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Location;
use object_store::{MultipartUpload, ObjectStoreExt};

/// Bytes that are hashed sooner than handed to another thread.
const BRIEF: usize = 8 << 10;

/// A file that is being written. Dropped before [`Writer::finish`], nothing appears under its key; parts
/// that an object store has taken are removed by its upload id, [`Writer::open_parts_for`].
pub struct Writer {
    storage: Storage,
    key: StorageKey,
    location: Location,
    hashers: Option<Hashers>,
    buffer: BytesMut,
    parts: Option<Parts>,
    size: u64,
}

/// A file that comes to the store part by part.
enum Parts {
    Local(Box<dyn MultipartUpload>),
    Remote { id: String, taken: Vec<PartId> },
}

impl Writer {
    pub(super) fn new(storage: &Storage, key: &StorageKey) -> Result<Self, Error> {
        Ok(Self {
            key: key.clone(),
            location: storage.location(key),
            hashers: Some(Hashers::new(storage.checksums())?),
            storage: storage.clone(),
            buffer: BytesMut::new(),
            parts: None,
            size: 0,
        })
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens the file for parts if so many bytes more need it. Gives the id that an object store knows
    /// the upload by then: note it before the bytes are written, so that the parts are removed whatever
    /// happens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn open_parts_for(&mut self, bytes: usize) -> Result<Option<String>, Error> {
        if self.parts.is_some() || self.buffer.len() + bytes <= self.part_bytes() {
            return Ok(None);
        }
        let Some(s3) = &self.storage.s3 else {
            let parts = self.storage.store.put_multipart(&self.location).await;
            self.parts = Some(Parts::Local(parts.map_err(not_written)?));
            return Ok(None);
        };
        let id = s3.create_multipart(&self.location).await;
        let id = id.map_err(not_written)?;
        self.parts = Some(Parts::Remote {
            id: id.clone(),
            taken: Vec::new(),
        });
        Ok(Some(id))
    }

    /// Takes the next bytes in. One part of them stays in memory at most: the store gets it with further bytes, or at the end.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when the store does not take them; the file is lost then.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.open_parts_for(bytes.len()).await?;
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full part waits for more: a file of exactly one part is written as a whole.
            if self.buffer.len() >= self.part_bytes() {
                self.put_part().await?;
            }
            let room = self.part_bytes().saturating_sub(self.buffer.len());
            let piece = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Bytes of the next part.
    fn part_bytes(&self) -> usize {
        match &self.parts {
            Some(Parts::Remote { taken, .. }) => {
                self.storage.part_bytes << (taken.len() / s3::PARTS_OF_A_SIZE).min(3)
            }
            _ => self.storage.part_bytes,
        }
    }

    /// Ends the file: it is whole and durable under its key when this returns.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when the store does not take it.
    pub async fn finish(mut self) -> Result<(u64, Digests), Error> {
        if self.parts.is_none() {
            let bytes = self.buffer.split().freeze();
            let (hashers, put) = tokio::join!(
                hash(self.hashers.take(), bytes.clone()),
                self.storage.put_all(vec![(self.key, bytes)])
            );
            put?;
            return Ok((self.size, hashers?.finish()));
        }
        if !self.buffer.is_empty() {
            self.put_part().await?;
        }
        match (self.parts.take().ok_or_else(lost)?, &self.storage.s3) {
            (Parts::Local(mut parts), _) => parts.complete().await.map(drop),
            (Parts::Remote { id, taken }, Some(s3)) => {
                match s3.complete_multipart(&self.location, &id, taken).await {
                    // The answer to an earlier try may have been lost: then the file is there.
                    Err(error @ object_store::Error::NotFound { .. }) => {
                        match s3.head(&self.location).await {
                            Ok(found) if found.size == self.size => Ok(()),
                            _ => Err(error),
                        }
                    }
                    completed => completed.map(drop),
                }
            }
            (Parts::Remote { .. }, None) => return Err(lost()),
        }
        .map_err(not_written)?;
        seal(&self.storage, &self.location).await?;
        let hashers = self.hashers.take().ok_or_else(lost)?;
        Ok((self.size, hashers.finish()))
    }

    async fn put_part(&mut self) -> Result<(), Error> {
        let bytes = self.buffer.split().freeze();
        let hashing = hash(self.hashers.take(), bytes.clone());
        let payload = bytes.clone().into();
        let (hashers, put) = match (self.parts.as_mut().ok_or_else(lost)?, &self.storage.s3) {
            (Parts::Local(parts), _) => tokio::join!(hashing, parts.put_part(payload)),
            (Parts::Remote { id, taken }, Some(s3)) => {
                let putting = s3.put_part(&self.location, id, taken.len(), payload);
                let (hashers, put) = tokio::join!(hashing, putting);
                (hashers, put.map(|part| taken.push(part)))
            }
            (Parts::Remote { .. }, None) => return Err(lost()),
        };
        put.map_err(not_written)?;
        self.hashers = Some(hashers?);
        // The same memory takes the next part: a new piece for each would leave the allocator with holes.
        if let Ok(mut used) = bytes.try_into_mut() {
            used.clear();
            self.buffer = used;
        }
        Ok(())
    }
}

impl Storage {
    /// Writes whole files; each is durable under its key when this returns. After a failure some may be there.
    pub(super) async fn put_all(&self, files: Vec<(StorageKey, Bytes)>) -> Result<(), Error> {
        let Some(root) = self.root.clone() else {
            // All to their ends: what is still on its way when its key is given up would stay.
            let put: Vec<Result<(), Error>> = stream::iter(files)
                .map(|(key, bytes)| put_remote(self.clone(), key, bytes).boxed())
                .buffer_unordered(CALLS)
                .collect()
                .await;
            return put.into_iter().collect();
        };
        let writing = tokio::task::spawn_blocking(move || {
            let place = |(key, bytes): (StorageKey, Bytes)| (root.join(key.as_str()), bytes);
            let files: Vec<disk::Whole> = files.into_iter().map(place).collect();
            disk::write(&files)
        });
        let written = writing.await.map_err(Error::internal)?;
        written.map_err(|error| Error::not_written("artifact store", error))
    }
}

async fn put_remote(storage: Storage, key: StorageKey, bytes: Bytes) -> Result<(), Error> {
    let location = storage.location(&key);
    let put = storage.store.put(&location, bytes.into()).await;
    put.map(drop).map_err(not_written)
}

/// Takes the right to write from a file, where it lies in a directory: its bytes never change, and an export
/// may give it names that other people open.
async fn seal(storage: &Storage, location: &Location) -> Result<(), Error> {
    let Some(root) = storage.root() else {
        return Ok(());
    };
    let path = root.join(location.as_ref());
    let sealing = tokio::task::spawn_blocking(move || {
        let mut mode = std::fs::metadata(&path)?.permissions();
        mode.set_readonly(true);
        std::fs::set_permissions(&path, mode)
    });
    let sealed = sealing.await.map_err(Error::internal)?;
    sealed.map_err(|error| Error::not_written("artifact store", error))
}

/// Hashes off the async threads what takes a while; hashers that are not there were lost by an earlier failure.
pub(super) async fn hash(hashers: Option<Hashers>, bytes: Bytes) -> Result<Hashers, Error> {
    let mut hashers = hashers.ok_or_else(lost)?;
    if bytes.len() <= BRIEF {
        hashers.update(&bytes);
        return Ok(hashers);
    }
    tokio::task::spawn_blocking(move || {
        hashers.update(&bytes);
        hashers
    })
    .await
    .map_err(Error::internal)
}

/// Whatever the store says: that something is missing where we write is no answer to a client.
fn not_written(error: object_store::Error) -> Error {
    Error::not_written("artifact store", error)
}

fn lost() -> Error {
    Error::internal("a write after a failed one")
}
