//! Small files that come to the store together: one statement notes them all, one thread writes them, one flush makes
//! them durable, one statement makes their rows.

use super::ticket::Ticket;
use super::tombstones::unlink;
use super::upload::{Broken, Saved, Stored, Written, look};
use super::{Digests, Hashers, Storage, StorageKey, writer};
use crate::crash::{self, Point};
use crate::db::{Conn, Db};
use crate::error::Error;
use crate::ids::{ArtifactId, DomainId};
use crate::models::{Artifact, Intent, NewArtifact, Tombstone, bulk};
use bytes::Bytes;
use log::warn;
use std::collections::HashMap;

/// Bytes of a file that is kept in memory until others come with it.
pub const HELD_BYTES: i64 = 64 << 10;

/// A small file in memory, which the store knows nothing of.
pub struct Held {
    bytes: Bytes,
    digests: Digests,
}

impl Held {
    /// Of these bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `storage.checksums`.
    pub async fn of(storage: &Storage, bytes: Bytes) -> Result<Self, Error> {
        let hashers = Hashers::new(storage.checksums())?;
        let hashers = writer::hash(Some(hashers), bytes.clone()).await?;
        Ok(Self {
            bytes,
            digests: hashers.finish(),
        })
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its digests.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }
}

/// Files that are whole and durable, but have no rows yet. Dropped without [`Bundle::recorded`], they are given up.
pub struct Bundle {
    ticket: Ticket,
    files: Vec<Written>,
}

/// What became of the files of a bundle.
pub struct Recorded {
    /// Their artifacts, new or not.
    pub artifacts: Vec<ArtifactId>,
    /// Those that somebody else gave up, because this process seemed gone: they have none.
    lost: Vec<StorageKey>,
    /// Copies of what the domain had already.
    buried: Vec<Tombstone>,
}

impl Bundle {
    /// Commits the intents to write these files, and writes them.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when the store or the database does not take them.
    pub async fn write(db: &Db, storage: &Storage, held: Vec<Held>) -> Result<Self, Error> {
        let keys = StorageKey::many(held.len());
        let ticket = Ticket::draw(db, storage, &keys).await?;
        let mut files = Vec::with_capacity(held.len());
        let mut whole = Vec::with_capacity(held.len());
        for (key, Held { bytes, digests }) in keys.into_iter().zip(held) {
            let size = i64::try_from(bytes.len()).map_err(Error::internal)?;
            whole.push((key.clone(), bytes));
            files.push(Written {
                key,
                size,
                digests,
                broken: None,
            });
        }
        let storage = storage.clone();
        let writing = ticket.through(async move { storage.put_all(whole).await });
        let (ticket, written) = writing.await?;
        written?;
        crash::point(Point::UploadWritten);
        Ok(Self { ticket, files })
    }

    /// Takes in a file that was written by itself.
    pub fn add(&mut self, stored: Stored) {
        let (ticket, file) = stored.into_parts();
        self.ticket.join(ticket);
        self.files.push(file);
    }

    /// As [`Stored::probe`], for all files in one statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database or the store does not answer.
    pub async fn probe(&mut self, domain: DomainId) -> Result<(), Error> {
        let digests: Vec<&str> = self.files.iter().map(|f| f.digests.sha256()).collect();
        let mut conn = self.ticket.db.get().await?;
        let found = Artifact::find_by_digests(&mut conn, domain, &digests).await?;
        drop(conn);
        let mut broken: HashMap<String, Broken> = HashMap::new();
        for artifact in found {
            if let Some(found) = look(&self.ticket.storage, &artifact).await? {
                broken.insert(artifact.sha256, found);
            }
        }
        for file in &mut self.files {
            file.broken = broken.get(file.digests.sha256()).cloned();
        }
        Ok(())
    }

    /// Makes or finds the artifacts, as [`Stored::record`] does, in the caller's transaction. Those that were given
    /// up meanwhile are left out. Call [`Bundle::probe`] before, and [`Bundle::recorded`] after the commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn record(&self, conn: &mut Conn, domain: DomainId) -> Result<Recorded, Error> {
        let keys: Vec<StorageKey> = self.files.iter().map(|file| file.key.clone()).collect();
        let ours = Intent::redeem_all(conn, &keys).await?;
        let is_lost = |key: &StorageKey| !ours.contains(key.as_str());
        let lost: Vec<StorageKey> = keys.into_iter().filter(is_lost).collect();
        let mut files: Vec<&Written> = self.files.iter().collect();
        files.retain(|file| !is_lost(&file.key));
        // In the order of a key: two runs that save the same files do not wait for each other crosswise.
        files.sort_unstable_by(|a, b| a.digests.sha256().cmp(b.digests.sha256()));
        let rows: Vec<NewArtifact<'_>> = files.iter().map(|file| file.row(domain)).collect();
        let made = bulk::insert_artifacts(conn, domain, &rows).await?;
        let mut recorded = Recorded {
            artifacts: made.values().copied().collect(),
            lost,
            buried: Vec::new(),
        };
        files.retain(|file| !made.contains_key(file.key.as_str()));
        for file in files {
            let saved = file.adopt(conn, domain).await?;
            if let Saved::Existing(_) = &saved {
                let copy = Tombstone::of(file.key.clone(), Some(file.size));
                recorded.buried.push(copy);
            }
            recorded.artifacts.push(saved.into_artifact().pulp_id);
        }
        Ok(recorded)
    }

    /// Says that the transaction of that [`Bundle::record`] was committed. Removes the copies that were buried; should
    /// that fail, the janitor does it.
    pub async fn recorded(self, recorded: Recorded) {
        crash::point(Point::UploadRecorded);
        let (db, storage) = (self.ticket.db.clone(), self.ticket.storage.clone());
        self.ticket.close(&recorded.lost);
        if let Err(error) = unlink(&db, &storage, &recorded.buried).await {
            let files = recorded.buried.len();
            warn!(error:? = error; "{files} copies are left to the janitor");
        }
    }
}
