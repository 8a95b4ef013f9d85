//! Uploading: an intent, the bytes, then the artifact's row.

use super::{Digests, Storage, StorageKey, Writer};
use crate::crash::{self, Point};
use crate::db::{Conn, Db, transaction};
use crate::error::Error;
use crate::ids::DomainId;
use crate::models::{Artifact, Intent, NewArtifact, TemporaryFile, Tombstone, UploadChunk};
use bytes::Bytes;
use log::warn;
use std::time::Duration;

/// A file on its way into the store. Dropped before it became an artifact, it is given up.
pub struct Upload {
    ticket: Ticket,
    writer: Writer,
}

/// A file that is whole and durable, but has no row yet.
pub struct Stored {
    ticket: Ticket,
    size: i64,
    digests: Digests,
    broken: Option<Broken>,
}

/// A file in the store that is not what the artifact with its key needs.
#[derive(Clone, Debug)]
pub struct Broken {
    key: StorageKey,
    /// The file was seen there, with another size. One that is only missing may be one that this process
    /// does not see, because its root is another one or a volume is not mounted: it is left alone.
    seen: bool,
}

/// What an upload became.
#[derive(Clone, Debug)]
pub enum Saved {
    /// A new artifact.
    New(Artifact),
    /// The domain had these bytes already; the uploaded copy is buried.
    Existing(Artifact),
    /// The domain had the row, but its file was missing: the uploaded copy took its place.
    Restored(Artifact),
}

impl Saved {
    /// The artifact, new or not.
    #[must_use]
    pub fn into_artifact(self) -> Artifact {
        match self {
            Self::New(artifact) | Self::Existing(artifact) | Self::Restored(artifact) => artifact,
        }
    }
}

impl Upload {
    /// Commits the intent to write a new file. No byte is written before that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn begin(db: &Db, storage: &Storage) -> Result<Self, Error> {
        let key = StorageKey::new();
        let writer = storage.writer(&key)?;
        Intent::declare(&mut *db.get().await?, &key, storage.owner()).await?;
        crash::point(Point::UploadIntended);
        Ok(Self {
            ticket: Ticket {
                db: db.clone(),
                storage: storage.clone(),
                key,
                multipart: None,
                open: true,
            },
            writer,
        })
    }

    /// Takes the next bytes in. Memory stays bounded: it returns once the store has whole parts.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when the store does not take them; the upload is lost then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if let Some(id) = self.writer.open_parts_for(bytes.len()).await? {
            self.ticket.multipart = Some(id.clone());
            let Ticket {
                db, storage, key, ..
            } = &self.ticket;
            if !Intent::note_multipart(&mut *db.get().await?, key, &id).await? {
                storage.abort(key, &id).await?;
                return Err(given_up());
            }
        }
        self.writer.write(bytes).await
    }

    /// Ends the file; it is durable then.
    ///
    /// # Errors
    /// As [`Upload::write`].
    pub async fn finish(self) -> Result<Stored, Error> {
        let mut ticket = self.ticket;
        let (size, digests) = self.writer.finish().await?;
        ticket.multipart = None;
        crash::point(Point::UploadWritten);
        Ok(Stored {
            ticket,
            size: i64::try_from(size).map_err(Error::internal)?,
            digests,
            broken: None,
        })
    }
}

impl Stored {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> i64 {
        self.size
    }

    /// Its digests.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Makes the artifact, or finds the one that has these bytes already; commits.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the upload was given up meanwhile or the database does not answer.
    pub async fn save(mut self, domain: DomainId) -> Result<Saved, Error> {
        self.probe(domain).await?;
        let mut conn = self.ticket.db.get().await?;
        let saved = transaction(&mut conn, async |conn| self.record(conn, domain).await).await?;
        drop(conn);
        if let Saved::Existing(_) = &saved {
            self.remove_copy().await;
        }
        self.recorded();
        Ok(saved)
    }

    /// Looks whether the domain has these bytes already under a key whose file is missing or has another
    /// size: [`Stored::record`] lets this file take its place then. Call it before the transaction: it
    /// asks the store.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database or the store does not answer.
    pub async fn probe(&mut self, domain: DomainId) -> Result<(), Error> {
        let Ticket { db, storage, .. } = &self.ticket;
        self.broken = probe(db, storage, domain, &self.digests).await?;
        Ok(())
    }

    /// Says that the transaction of a [`Stored::record`] was committed: whatever became of the upload, its
    /// intent is gone, and a copy that is not needed is buried.
    pub fn recorded(mut self) {
        crash::point(Point::UploadRecorded);
        self.ticket.open = false;
    }

    /// Removes a copy that was buried; should that fail, the janitor does it.
    async fn remove_copy(&self) {
        let Ticket {
            db, storage, key, ..
        } = &self.ticket;
        let copy = Tombstone::of(key.clone(), Some(self.size));
        if let Err(error) = super::tombstones::unlink(db, storage, &[copy]).await {
            warn!(key:% = key, error:? = error; "{key} is left to the janitor");
        }
    }

    /// As [`Stored::save`], in the caller's transaction, so that what uses the artifact comes with it. Call
    /// [`Stored::probe`] before, and [`Stored::recorded`] after the commit; dropped without that, the
    /// upload is given up.
    ///
    /// # Errors
    /// As [`Stored::save`].
    pub async fn record(&self, conn: &mut Conn, domain: DomainId) -> Result<Saved, Error> {
        let key = self.take_over(conn).await?;
        let broken = self.broken.as_ref();
        adopt(conn, domain, key, self.size, &self.digests, broken).await
    }

    /// Takes the file over for a row of another kind, which the caller writes in this transaction. Call
    /// [`Stored::recorded`] after the commit; dropped without it, the upload is given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the upload was given up meanwhile or the database does not answer.
    pub async fn take_over(&self, conn: &mut Conn) -> Result<&StorageKey, Error> {
        let key = &self.ticket.key;
        if Intent::redeem(conn, key).await? {
            return Ok(key);
        }
        Err(given_up())
    }
}

fn given_up() -> Error {
    Error::Unavailable {
        what: "artifact store",
        source: "the upload was given up, because its process seemed gone".into(),
    }
}

/// Makes the artifact of a file that is whole and durable and that no row needs, or finds the one that has
/// these bytes already: then the file is buried, or takes the place of one that [`probe`] found broken.
/// In the caller's transaction; does not ask the store.
///
/// # Errors
/// [`Error::Unavailable`] when the database does not answer.
pub async fn adopt(
    conn: &mut Conn,
    domain: DomainId,
    key: &StorageKey,
    size: i64,
    digests: &Digests,
    broken: Option<&Broken>,
) -> Result<Saved, Error> {
    loop {
        let new = NewArtifact::new(domain, key, size, digests);
        if let Some(artifact) = new.insert(conn).await? {
            return Ok(Saved::New(artifact));
        }
        // The row that was in the way may be deleted before it can be locked: then insert again.
        let sha256 = digests.sha256();
        let Some(mut winner) = Artifact::lock_by_sha256(conn, domain, sha256).await? else {
            continue;
        };
        Artifact::touch(conn, winner.pulp_id).await?;
        if let Some(broken) = broken.filter(|broken| broken.key == winner.storage_key) {
            winner.attach(conn, key, broken.seen).await?;
            return Ok(Saved::Restored(winner));
        }
        Tombstone::bury(conn, key, Some(size)).await?;
        return Ok(Saved::Existing(winner));
    }
}

/// The file of the artifact that has these bytes, where the store lacks it or has it with another size.
///
/// # Errors
/// [`Error::Unavailable`] when the database or the store does not answer.
pub async fn probe(
    db: &Db,
    storage: &Storage,
    domain: DomainId,
    digests: &Digests,
) -> Result<Option<Broken>, Error> {
    let found = Artifact::find_by_sha256(&mut *db.get().await?, domain, digests.sha256()).await?;
    let Some(Artifact {
        storage_key: key,
        size,
        ..
    }) = found
    else {
        return Ok(None);
    };
    let there = storage.size(&key).await?;
    if there == u64::try_from(size).ok() {
        return Ok(None);
    }
    warn!(key:% = key; "the file {key} of an artifact has {there:?} bytes, not {size}");
    Ok(Some(Broken {
        key,
        seen: there.is_some(),
    }))
}

/// True where a row needs this file.
async fn is_needed(conn: &mut Conn, key: &StorageKey) -> Result<bool, Error> {
    Ok(Artifact::has_key(conn, key).await?
        || UploadChunk::has_key(conn, key).await?
        || TemporaryFile::has_key(conn, key).await?)
}

/// The right to write one file.
struct Ticket {
    db: Db,
    storage: Storage,
    key: StorageKey,
    /// What an object store calls the upload, while it is there in parts.
    multipart: Option<String>,
    open: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        // Should this not get through, the janitor does it once this process is gone.
        let (db, storage) = (self.db.clone(), self.storage.clone());
        let file = Tombstone {
            storage_key: self.key.clone(),
            size: None,
            multipart: self.multipart.take(),
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut pause = Duration::from_secs(1);
                while let Err(error) = give_up(&db, &storage, &file).await {
                    let key = &file.storage_key;
                    warn!(key:% = key, error:? = error; "{key} is not given up yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(60));
                }
            });
        }
    }
}

async fn give_up(db: &Db, storage: &Storage, file: &Tombstone) -> Result<(), Error> {
    let key = &file.storage_key;
    let mut conn = db.get().await?;
    let buried = transaction(&mut conn, async |conn| {
        // Waits for a commit of this upload whose answer was lost. Only then look: with the intent
        // gone and no row, there never will be a row.
        Intent::redeem(conn, key).await?;
        if is_needed(conn, key).await? {
            return Ok::<_, Error>(false);
        }
        Tombstone::bury_all(conn, std::slice::from_ref(file)).await?;
        Ok(true)
    })
    .await?;
    drop(conn);
    if buried {
        super::tombstones::unlink(db, storage, std::slice::from_ref(file)).await?;
    }
    Ok(())
}
