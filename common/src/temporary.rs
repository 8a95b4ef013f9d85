//! From a file that a request left for a task to an artifact.
//!
//! The task owns the file from its dispatch on: `Task::uses` names it, and dispatch writes the owner into
//! its row. The row goes with the task: into an artifact where the task makes one, and else, whatever the end, in
//! the transaction that ends the task (`millrace_settle`), so that a run which comes again finds it.

use crate::content::StoredFile;
use crate::db::Conn;
use crate::error::Error;
use crate::hashing;
use crate::ids::{DomainId, TemporaryFileId};
use crate::models::{Artifact, TemporaryFile, Tombstone};
use crate::storage::upload::{self, Broken};
use crate::storage::{Digests, Saved, StorageKey};
use crate::tasking::{TaskContext, TaskError};
use bytes::BytesMut;
use std::sync::Arc;

/// A temporary file that its task has read.
#[derive(Clone)]
pub struct TakenFile {
    id: TemporaryFileId,
    domain: DomainId,
    key: StorageKey,
    size: i64,
    digests: Arc<Digests>,
    broken: Option<Broken>,
}

impl TakenFile {
    /// Reads a file that the task owns. `None`: it is gone, or somebody else's.
    ///
    /// # Errors
    /// [`TaskError::Canceled`] when asked to stop, [`TaskError::Internal`] for the store.
    pub async fn read(ctx: &TaskContext, id: TemporaryFileId) -> Result<Option<Self>, TaskError> {
        let domain = ctx.domain();
        let found = {
            let mut conn = ctx.session().await;
            TemporaryFile::find_owned(&mut conn, domain, id, ctx.task()).await?
        };
        let Some(row) = found else {
            return Ok(None);
        };
        let storage = ctx.storage();
        let stream = storage.read(&row.storage_key, None).await?;
        let algorithms = storage.checksums();
        let (digests, size) = hashing::hash(ctx, algorithms, BytesMut::new(), stream, None).await?;
        if (size, digests.sha256()) != (row.size, row.sha256.as_str()) {
            let key = &row.storage_key;
            return Err(TaskError::internal(format!(
                "{key} is not what was written"
            )));
        }
        let broken = upload::probe(ctx.db(), storage, domain, &digests).await?;
        Ok(Some(Self {
            id,
            domain,
            key: row.storage_key,
            size,
            digests: Arc::new(digests),
            broken,
        }))
    }

    /// The file as it lies in the store.
    #[must_use]
    pub fn file(&self) -> StoredFile {
        StoredFile {
            key: self.key.clone(),
            size: self.size,
            sha256: self.digests.sha256().to_owned(),
        }
    }

    /// Makes the artifact, in the caller's transaction: the file's row goes, and nothing is copied.
    ///
    /// # Errors
    /// [`TaskError::Failed`] where somebody took the file away meanwhile.
    pub async fn record(&self, conn: &mut Conn) -> Result<Artifact, TaskError> {
        let taken = TemporaryFile::take(conn, self.id).await?;
        taken.ok_or(Error::NotFound { what: GONE })?;
        let saved = upload::adopt(
            conn,
            self.domain,
            &self.key,
            self.size,
            &self.digests,
            self.broken.as_ref(),
        )
        .await?;
        if let Saved::Existing(_) = &saved {
            Tombstone::leave_to_janitor(conn, &self.key).await?;
        }
        Ok(saved.into_artifact())
    }
}

/// What a temporary file is called.
pub const GONE: &str = "PulpTemporaryFile";
