//! From an upload's pieces to one file, and from that to an artifact.
//!
//! The pieces are copied into one file, which then *replaces the first piece*: from that commit on the upload
//! has a piece that is the whole file, and the others are leftovers, buried batch by batch. At every
//! instruction the rows name files that hold all bytes of the upload, so a run that dies anywhere is followed
//! by one that finds the whole file or makes it. A piece that is the whole file from the beginning is not
//! copied: it is read once, to hash it, and its file becomes the artifact's.

use crate::content::StoredFile;
use crate::db::Conn;
use crate::error::Error;
use crate::hashing;
use crate::ids::{DomainId, UploadId};
use crate::models::upload_chunk::{Span, UploadChunk};
use crate::models::{Artifact, Tombstone, Upload};
use crate::storage::upload::Broken;
use crate::storage::{self, Digests, Saved, StorageKey, tombstones};
use crate::tasking::{Progress, TaskContext, TaskError};
use bytes::BytesMut;
use futures_util::StreamExt;
use std::sync::Arc;

/// Rows of one batch.
const BATCH: i64 = 1000;
/// Gaps that a failure names.
const GAPS: i64 = 10;

/// An upload whose bytes lie in one file, whose digests are known.
#[derive(Clone)]
pub struct Assembled {
    upload: UploadId,
    domain: DomainId,
    key: StorageKey,
    size: i64,
    digests: Arc<Digests>,
    broken: Option<Broken>,
}

impl Assembled {
    /// Brings the pieces of an upload together, for a task that reserves the upload exclusively: nobody
    /// else changes it then. With a digest, fails unless the bytes have it; the upload stays as it was.
    ///
    /// # Errors
    /// [`TaskError::Failed`] where there is no such upload, bytes of it are missing, or its digest is
    /// another one; else as [`TaskContext::fenced`], or [`TaskError::Internal`] for the store.
    pub async fn make(
        ctx: &TaskContext,
        id: UploadId,
        sha256: Option<&str>,
    ) -> Result<Self, TaskError> {
        let domain = ctx.domain();
        // Whoever changed the pieces before they were reserved has committed once this lock is there.
        let upload = ctx
            .fenced(async |conn| Ok(Upload::lock(conn, domain, id).await?))
            .await?
            .ok_or(Error::NotFound { what: "Upload" })?;
        let whole = UploadChunk::whole(&mut *ctx.session().await, &upload).await?;
        if whole.is_none() {
            refuse_gaps(ctx, &upload).await?;
        }
        let mut progress = ctx
            .progress("Assembling upload", "upload.commit", Some(upload.size))
            .await?;
        let (key, digests) = match whole {
            Some(piece) => {
                let digests = hash(ctx, &piece, &mut progress).await?;
                compare(&digests, sha256)?;
                (piece.storage_key, digests)
            }
            None => join(ctx, &upload, sha256, &mut progress).await?,
        };
        bury_leftovers(ctx, id).await?;
        progress.finish().await?;
        let broken = storage::upload::probe(ctx.db(), ctx.storage(), domain, &digests).await?;
        Ok(Self {
            upload: id,
            domain,
            key,
            size: upload.size,
            digests: Arc::new(digests),
            broken,
        })
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

    /// Makes the artifact and deletes the upload, in the caller's transaction: three rows.
    ///
    /// # Errors
    /// [`TaskError::Failed`] where the upload is gone or was changed meanwhile, which takes somebody who
    /// does not heed the reservation.
    pub async fn into_artifact(&self, conn: &mut Conn) -> Result<Artifact, TaskError> {
        Upload::lock(conn, self.domain, self.upload)
            .await?
            .ok_or(Error::NotFound { what: "Upload" })?;
        if UploadChunk::take(conn, self.upload, 0).await?.as_ref() != Some(&self.key) {
            return Err(TaskError::failed("The upload was changed meanwhile."));
        }
        Upload::delete(conn, self.upload).await?;
        let (size, digests) = (self.size, &self.digests);
        let saved = storage::upload::adopt(
            conn,
            self.domain,
            &self.key,
            size,
            digests,
            self.broken.as_ref(),
        )
        .await?;
        if let Saved::Existing(_) = &saved {
            Tombstone::leave_to_janitor(conn, &self.key).await?;
        }
        Ok(saved.into_artifact())
    }
}

async fn refuse_gaps(ctx: &TaskContext, upload: &Upload) -> Result<(), TaskError> {
    let gaps = UploadChunk::gaps(&mut *ctx.session().await, upload, GAPS).await?;
    if gaps.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = gaps.iter().map(Span::to_string).collect();
    Err(TaskError::failed(format!(
        "The upload is not complete: bytes {} are missing.",
        list.join(", ")
    )))
}

fn compare(digests: &Digests, expected: Option<&str>) -> Result<(), TaskError> {
    match expected {
        Some(sha256) if sha256 != digests.sha256() => Err(TaskError::failed(format!(
            "The sha256 checksum did not match: the bytes that came have {}.",
            digests.sha256()
        ))),
        _ => Ok(()),
    }
}

/// Reads a piece that is the whole file.
async fn hash(
    ctx: &TaskContext,
    piece: &UploadChunk,
    progress: &mut Progress,
) -> Result<Digests, TaskError> {
    let storage = ctx.storage();
    let stream = storage.read(&piece.storage_key, None).await?;
    let algorithms = storage.checksums();
    let (digests, size) =
        hashing::hash(ctx, algorithms, BytesMut::new(), stream, Some(progress)).await?;
    whole_file(piece, size)?;
    Ok(digests)
}

/// Copies the pieces into one file and puts that in the place of the first one.
async fn join(
    ctx: &TaskContext,
    upload: &Upload,
    sha256: Option<&str>,
    progress: &mut Progress,
) -> Result<(StorageKey, Digests), TaskError> {
    let mut file = storage::Upload::begin(ctx.db(), ctx.storage()).await?;
    let mut position = 0;
    loop {
        let mut conn = ctx.session().await;
        let pieces = UploadChunk::from_offset(&mut conn, upload.pulp_id, position, BATCH).await?;
        drop(conn);
        if pieces.is_empty() {
            break;
        }
        for piece in pieces {
            copy(ctx, &piece, &mut file, progress).await?;
            position = piece.offset + piece.size;
        }
    }
    let stored = file.finish().await?;
    compare(stored.digests(), sha256)?;
    let (key, replaced) = ctx
        .fenced(async |conn| {
            Upload::lock(conn, ctx.domain(), upload.pulp_id).await?;
            let key = stored.take_over(conn).await?;
            let whole = UploadChunk {
                offset: 0,
                size: upload.size,
                storage_key: key.clone(),
            };
            let replaced = UploadChunk::put(conn, upload.pulp_id, &whole).await?;
            Ok((key.clone(), replaced))
        })
        .await?;
    let digests = stored.digests().clone();
    stored.recorded();
    let replaced: Vec<Tombstone> = replaced.into_iter().collect();
    tombstones::unlink(ctx.db(), ctx.storage(), &replaced).await?;
    Ok((key, digests))
}

async fn copy(
    ctx: &TaskContext,
    piece: &UploadChunk,
    file: &mut storage::Upload,
    progress: &mut Progress,
) -> Result<(), TaskError> {
    let mut stream = ctx.storage().read(&piece.storage_key, None).await?;
    let mut size = 0;
    while let Some(bytes) = stream.next().await.transpose()? {
        ctx.checkpoint()?;
        let count = length(&bytes)?;
        file.write(bytes).await?;
        progress.add(count).await?;
        size += count;
    }
    whole_file(piece, size)
}

/// Deletes the pieces of which the whole file was made.
async fn bury_leftovers(ctx: &TaskContext, upload: UploadId) -> Result<(), TaskError> {
    loop {
        let buried = ctx
            .fenced(async |conn| {
                Upload::lock(conn, ctx.domain(), upload).await?;
                Ok(UploadChunk::bury(conn, upload, 1, BATCH, None).await?)
            })
            .await?;
        if buried.is_empty() {
            return Ok(());
        }
        tombstones::unlink(ctx.db(), ctx.storage(), &buried).await?;
    }
}

fn length(bytes: &[u8]) -> Result<i64, TaskError> {
    i64::try_from(bytes.len()).map_err(TaskError::internal)
}

fn whole_file(piece: &UploadChunk, size: i64) -> Result<(), TaskError> {
    if piece.size == size {
        return Ok(());
    }
    Err(TaskError::internal(format!(
        "{} has {size} bytes, not {}",
        piece.storage_key, piece.size
    )))
}
