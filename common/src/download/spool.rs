//! A whole file on the local disk, for as long as it is read.

use super::{DownloadError, Downloader};
use crate::error::Error;
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use tokio::io::AsyncWriteExt;

/// A file without a name: it goes when it is closed, however the process ends.
#[derive(Debug)]
pub struct Spooled {
    /// At its beginning.
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl Downloader {
    /// Fetches a file of up to `limit` bytes to the local disk. Repeated as [`Downloader::open`] is.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn spool(&self, url: &str, limit: u64) -> Result<Spooled, DownloadError> {
        self.persist(|| self.spool_once(url, limit).boxed()).await
    }

    async fn spool_once(&self, url: &str, limit: u64) -> Result<Spooled, DownloadError> {
        let mut body = self.open_once(url).await?;
        let file = tokio::task::spawn_blocking(tempfile::tempfile)
            .await
            .map_err(Error::internal)?
            .map_err(disk)?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut size, mut hasher) = (0, Sha256::new());
        while let Some(piece) = body.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            if size > limit {
                let reason = format!("more than {limit} bytes");
                return Err(DownloadError::mismatch(url, reason));
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        let mut file = file.into_std().await;
        file.seek(SeekFrom::Start(0)).map_err(disk)?;
        Ok(Spooled {
            file,
            size,
            sha256: hex::encode(hasher.finalize()),
        })
    }
}

fn disk(error: std::io::Error) -> Error {
    Error::not_written("temporary disk space", error)
}
