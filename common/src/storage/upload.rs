//! Uploading: an intent, the bytes, then the artifact's row.

use super::ticket::Ticket;
use super::{Digests, Storage, StorageKey, Writer};
use crate::crash::{self, Point};
use crate::db::{Conn, Db, transaction};
use crate::error::Error;
use crate::ids::DomainId;
use crate::models::{Artifact, Intent, NewArtifact, Tombstone};
use bytes::Bytes;
use log::warn;

/// A file on its way into the store. Dropped before it became an artifact, it is given up.
pub struct Upload {
    ticket: Ticket,
    key: StorageKey,
    writer: Writer,
}

/// A file that is whole and durable, but has no row yet.
pub struct Stored {
    ticket: Ticket,
    file: Written,
}

/// A file that has been written.
pub(super) struct Written {
    pub key: StorageKey,
    pub size: i64,
    pub digests: Digests,
    /// What its artifact has instead.
    pub broken: Option<Broken>,
}

impl Written {
    /// The row that it would have.
    pub fn row(&self, domain: DomainId) -> NewArtifact<'_> {
        NewArtifact::new(domain, &self.key, self.size, &self.digests)
    }

    pub async fn adopt(&self, conn: &mut Conn, domain: DomainId) -> Result<Saved, Error> {
        let broken = self.broken.as_ref();
        adopt(conn, domain, &self.key, self.size, &self.digests, broken).await
    }
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
        let ticket = Ticket::draw(db, storage, std::slice::from_ref(&key)).await?;
        Ok(Self {
            ticket,
            key,
            writer,
        })
    }

    /// Takes the next bytes in. Memory stays bounded: one part waits at most.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when the store does not take them; the upload is lost then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if let Some(id) = self.writer.open_parts_for(bytes.len()).await? {
            self.ticket.set_multipart(Some(&id));
            let Ticket { db, storage, .. } = &self.ticket;
            if !Intent::note_multipart(&mut *db.get().await?, &self.key, &id).await? {
                storage.abort(&self.key, &id).await?;
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
        let (mut ticket, written) = self.ticket.through(self.writer.finish()).await?;
        let (size, digests) = written?;
        ticket.set_multipart(None);
        crash::point(Point::UploadWritten);
        Ok(Stored {
            ticket,
            file: Written {
                key: self.key,
                size: i64::try_from(size).map_err(Error::internal)?,
                digests,
                broken: None,
            },
        })
    }
}

impl Stored {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> i64 {
        self.file.size
    }

    /// Its digests.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.file.digests
    }

    pub(super) fn into_parts(self) -> (Ticket, Written) {
        (self.ticket, self.file)
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
        self.file.broken = probe(db, storage, domain, &self.file.digests).await?;
        Ok(())
    }

    /// Says that the transaction of a [`Stored::record`] was committed: whatever became of the upload, its
    /// intent is gone, and a copy that is not needed is buried.
    pub fn recorded(self) {
        crash::point(Point::UploadRecorded);
        self.ticket.close(&[]);
    }

    /// Removes a copy that was buried; should that fail, the janitor does it.
    async fn remove_copy(&self) {
        let Ticket { db, storage, .. } = &self.ticket;
        let Written { key, size, .. } = &self.file;
        let copy = Tombstone::of(key.clone(), Some(*size));
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
        self.take_over(conn).await?;
        self.file.adopt(conn, domain).await
    }

    /// Takes the file over for a row of another kind, which the caller writes in this transaction. Call
    /// [`Stored::recorded`] after the commit; dropped without it, the upload is given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the upload was given up meanwhile or the database does not answer.
    pub async fn take_over(&self, conn: &mut Conn) -> Result<&StorageKey, Error> {
        let key = &self.file.key;
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
    match found {
        Some(artifact) => look(storage, &artifact).await,
        None => Ok(None),
    }
}

/// The file of this artifact, where the store lacks it or has it with another size.
pub(super) async fn look(storage: &Storage, artifact: &Artifact) -> Result<Option<Broken>, Error> {
    let Artifact {
        storage_key: key,
        size,
        ..
    } = artifact;
    let there = storage.size(key).await?;
    if there == u64::try_from(*size).ok() {
        return Ok(None);
    }
    warn!(key:% = key; "the file {key} of an artifact has {there:?} bytes, not {size}");
    Ok(Some(Broken {
        key: key.clone(),
        seen: there.is_some(),
    }))
}
