//! Writing one file while hashing it, in bounded memory.

use super::digests::{Digests, Hashers};
use super::unavailable;
use crate::error::Error;
use bytes::{Bytes, BytesMut};
use object_store::path::Path as Location;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use std::sync::Arc;

/// A file that is being written. Dropped before [`Writer::finish`], nothing appears under its key.
pub struct Writer {
    store: Arc<dyn ObjectStore>,
    location: Location,
    part_bytes: usize,
    hashers: Option<Hashers>,
    buffer: BytesMut,
    parts: Option<Box<dyn MultipartUpload>>,
    size: u64,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        location: Location,
        part_bytes: usize,
        hashers: Hashers,
    ) -> Self {
        Self {
            store,
            location,
            part_bytes,
            hashers: Some(hashers),
            buffer: BytesMut::new(),
            parts: None,
            size: 0,
        }
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes in; returns once the store has whole parts of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not take them; the file is lost then.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.part_bytes.saturating_sub(self.buffer.len());
            let piece = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&piece);
            if self.buffer.len() >= self.part_bytes {
                self.put_part().await?;
            }
        }
        Ok(())
    }

    /// Ends the file: it is whole and durable under its key when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not take it.
    pub async fn finish(mut self) -> Result<(u64, Digests), Error> {
        if self.parts.is_none() {
            let bytes = self.buffer.split().freeze();
            let (hashers, put) = tokio::join!(
                hash(self.hashers.take(), bytes.clone()),
                self.store.put(&self.location, bytes.into())
            );
            put.map_err(unavailable)?;
            return Ok((self.size, hashers?.finish()));
        }
        if !self.buffer.is_empty() {
            self.put_part().await?;
        }
        if let Some(parts) = self.parts.as_mut() {
            parts.complete().await.map_err(unavailable)?;
        }
        let hashers = self.hashers.take().ok_or_else(lost)?;
        Ok((self.size, hashers.finish()))
    }

    async fn put_part(&mut self) -> Result<(), Error> {
        if self.parts.is_none() {
            let parts = self.store.put_multipart(&self.location).await;
            self.parts = Some(parts.map_err(unavailable)?);
        }
        let parts = self.parts.as_mut().ok_or_else(lost)?;
        let bytes = self.buffer.split().freeze();
        let (hashers, put) = tokio::join!(
            hash(self.hashers.take(), bytes.clone()),
            parts.put_part(bytes.clone().into())
        );
        put.map_err(unavailable)?;
        self.hashers = Some(hashers?);
        // The same memory takes the next part: a new piece for each would leave the allocator with holes.
        if let Ok(mut used) = bytes.try_into_mut() {
            used.clear();
            self.buffer = used;
        }
        Ok(())
    }
}

/// Hashes off the async threads; hashers that are not there were lost by an earlier failure.
async fn hash(hashers: Option<Hashers>, bytes: Bytes) -> Result<Hashers, Error> {
    let mut hashers = hashers.ok_or_else(lost)?;
    tokio::task::spawn_blocking(move || {
        hashers.update(&bytes);
        hashers
    })
    .await
    .map_err(Error::internal)
}

fn lost() -> Error {
    Error::internal("a write after a failed one")
}
