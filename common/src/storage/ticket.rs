//! The right to write files: their intents, given up unless rows come to need them.

use super::{Storage, StorageKey};
use crate::crash::{self, Point};
use crate::db::{Db, transaction};
use crate::error::Error;
use crate::models::{Intent, Tombstone, stored_file};
use log::warn;
use std::time::Duration;

/// The right to write some files. Dropped before it is closed, it gives them up.
pub(super) struct Ticket {
    pub db: Db,
    pub storage: Storage,
    /// What is given up. What an object store calls an upload is in it, while that is there in parts.
    files: Vec<Tombstone>,
}

impl Ticket {
    /// Commits the intent to write these new files. No byte is written before that.
    pub async fn draw(db: &Db, storage: &Storage, keys: &[StorageKey]) -> Result<Self, Error> {
        let tombstone = |key: &StorageKey| Tombstone::of(key.clone(), None);
        let mut conn = db.get().await?;
        let ticket = Self {
            db: db.clone(),
            storage: storage.clone(),
            files: keys.iter().map(tombstone).collect(),
        };
        let (keys, owner) = (keys.to_vec(), storage.owner());
        let declaring = async move { Intent::declare(&mut conn, &keys, owner).await };
        // Whatever the answer, or whoever stops waiting for it: what the statement may have done is given up after it.
        let (ticket, declared) = ticket.through(declaring).await?;
        declared?;
        crash::point(Point::UploadIntended);
        Ok(ticket)
    }

    /// Notes what an object store calls the upload; `None`: it is there in parts no more.
    pub fn set_multipart(&mut self, id: Option<&str>) {
        for file in &mut self.files {
            file.multipart = id.map(str::to_owned);
        }
    }

    /// Writes to the end, also when nobody waits for it any more: what may still be written is not given up yet.
    pub async fn through<T: Send + 'static>(
        self,
        writing: impl Future<Output = T> + Send + 'static,
    ) -> Result<(Self, T), Error> {
        let writing = tokio::spawn(async move {
            let written = writing.await;
            (self, written)
        });
        writing.await.map_err(Error::internal)
    }

    /// Brings in the files of another one.
    pub fn join(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
    }

    /// Says that the transaction was committed that took the files over; these, which it did not find, are given up.
    pub fn close(mut self, lost: &[StorageKey]) {
        self.files.retain(|file| lost.contains(&file.storage_key));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let files = std::mem::take(&mut self.files);
        if files.is_empty() {
            return;
        }
        // Should this not get through, the janitor does it once this process is gone.
        let (db, storage) = (self.db.clone(), self.storage.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut pause = Duration::from_secs(1);
                while let Err(error) = give_up(&db, &storage, &files).await {
                    let keys = files.iter().map(|file| file.storage_key.as_str());
                    let keys = keys.collect::<Vec<_>>().join(", ");
                    warn!(error:? = error; "{keys} not given up yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(60));
                }
            });
        }
    }
}

async fn give_up(db: &Db, storage: &Storage, files: &[Tombstone]) -> Result<(), Error> {
    let keys: Vec<StorageKey> = files.iter().map(|file| file.storage_key.clone()).collect();
    let mut conn = db.get().await?;
    let buried = transaction(&mut conn, async |conn| {
        // Waits for a commit of this upload whose answer was lost. Only then look: with the intents
        // gone and no row, there never will be a row.
        Intent::redeem_all(conn, &keys).await?;
        let needed = stored_file::needed(conn, &keys).await?;
        let mut buried = files.to_vec();
        buried.retain(|file| !needed.contains(file.storage_key.as_str()));
        Tombstone::bury_all(conn, &buried, None).await?;
        Ok::<_, Error>(buried)
    })
    .await?;
    drop(conn);
    super::tombstones::unlink(db, storage, &buried).await?;
    Ok(())
}
