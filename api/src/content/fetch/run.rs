//! One download from one source.

use super::{End, Inner, Progress};
use bytes::Bytes;
use log::warn;
use millrace_common::cause::chain;
use millrace_common::db;
use millrace_common::download::DownloadError;
use millrace_common::error::Error;
use millrace_common::ids::DomainId;
use millrace_common::models::{ContentArtifact, Source};
use millrace_common::storage::{Hashers, Stored, Upload};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// Bytes that are held back until all are known to be right; a file that is no longer is verified before
/// the first one is passed on.
const HELD_BACK: u64 = 32 * 1024;

impl Inner {
    /// Fetches a file from one source. [`End::Whole`]: all of it has come, is right, and stored where it is
    /// to be. [`End::Left`]: nobody waits for it any more.
    pub(super) async fn one(
        &self,
        content_artifact: Uuid,
        source: &Source,
        progress: &watch::Sender<Progress>,
    ) -> Result<End, DownloadError> {
        let streamed = source.remote.policy == "streamed";
        let mut body = self.downloader(source)?.open(&source.url).await?;
        let expected = source.size;
        let mut spool = Spool::open(self, source)?;
        progress.send_modify(|progress| {
            *progress = Progress {
                attempt: progress.attempt + 1,
                file: Some(Arc::clone(&spool.file)),
                size: expected,
                released: 0,
                end: None,
            };
        });
        let mut upload = if streamed {
            None
        } else {
            Some(Upload::begin(&self.db, &self.storage).await?)
        };
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if expected.is_some_and(|size| spool.size + piece.len() as u64 > size) {
                return Err(wrong(source, "more bytes than expected"));
            }
            let storing = async {
                match &mut upload {
                    Some(upload) => upload.write(piece.clone()).await,
                    None => Ok(()),
                }
            };
            let (stored, spooled) = tokio::join!(storing, spool.write(piece.clone()));
            stored?;
            spool = spooled?;
            progress.send_modify(|progress| {
                progress.released = spool.size.saturating_sub(HELD_BACK);
            });
            if streamed && self.is_abandoned(content_artifact, progress) {
                return Ok(End::Left);
            }
        }
        drop(body);
        spool.check(source, expected)?;
        if let Some(upload) = upload {
            let stored = upload.finish().await?;
            // What is right is passed on though it cannot be kept.
            if let Err(error) = self.keep(content_artifact, stored).await {
                warn!(error:% = chain(&error); "fetched, but not stored: {}", chain(&error));
            }
        }
        progress.send_modify(|progress| progress.size = Some(spool.size));
        Ok(End::Whole)
    }

    async fn keep(&self, content_artifact: Uuid, mut stored: Stored) -> Result<(), Error> {
        stored.probe(DomainId::DEFAULT).await?;
        let mut conn = self.db.get().await?;
        db::transaction(&mut conn, async |conn| {
            let saved = stored.record(conn, DomainId::DEFAULT).await?;
            let artifact = saved.into_artifact().pulp_id;
            ContentArtifact::fill(conn, content_artifact, artifact).await?;
            Ok::<_, Error>(())
        })
        .await?;
        stored.recorded();
        Ok(())
    }
}

fn wrong(source: &Source, reason: &str) -> DownloadError {
    DownloadError::Mismatch {
        reason: reason.to_owned(),
        url: millrace_common::download::public(&source.url),
    }
}

/// A file without a name: it goes with the last who reads it.
struct Spool {
    file: Arc<File>,
    hashers: Hashers,
    size: u64,
}

impl Spool {
    fn open(inner: &Inner, source: &Source) -> Result<Self, Error> {
        let mut names: Vec<String> = source.digests.keys().map(ToString::to_string).collect();
        names.push("sha256".to_owned());
        let file = match inner.storage.root() {
            Some(root) => tempfile::tempfile_in(root),
            None => tempfile::tempfile(),
        };
        Ok(Self {
            file: Arc::new(file.map_err(disk)?),
            hashers: Hashers::new(&names)?,
            size: 0,
        })
    }

    async fn write(mut self, piece: Bytes) -> Result<Self, Error> {
        let written = tokio::task::spawn_blocking(move || {
            self.file.write_all_at(&piece, self.size)?;
            self.hashers.update(&piece);
            self.size += piece.len() as u64;
            Ok(self)
        });
        written.await.map_err(Error::internal)?.map_err(disk)
    }

    fn check(&mut self, source: &Source, expected: Option<u64>) -> Result<(), DownloadError> {
        if expected.is_some_and(|size| size != self.size) {
            return Err(wrong(source, "fewer bytes than expected"));
        }
        let none = Hashers::new(&["sha256".to_owned()])?;
        let digests = std::mem::replace(&mut self.hashers, none).finish();
        let differs =
            |(name, digest): &(&&str, &String)| digests.get(name) != Some(digest.as_str());
        match source.digests.iter().find(differs) {
            None => Ok(()),
            Some((name, digest)) => {
                let found = digests.get(name).unwrap_or_default();
                Err(wrong(
                    source,
                    &format!("{name} is {found}, expected {digest}"),
                ))
            }
        }
    }
}

fn disk(error: std::io::Error) -> Error {
    Error::not_written("temporary disk space", error)
}
