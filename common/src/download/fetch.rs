//! A whole file into the store.

use super::{DownloadError, Downloader};
use crate::db::Db;
use crate::error::Error;
use crate::storage::{Hashers, Storage, Stored, Upload};
use futures_util::FutureExt;
use std::collections::BTreeMap;

/// What a file must be. Nothing is demanded where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Bytes.
    pub size: Option<i64>,
    /// Lower-case hex digests by algorithm ([`crate::storage::ALGORITHMS`]).
    pub digests: BTreeMap<&'static str, String>,
}

impl Expected {
    /// A file of this size and SHA-256 digest.
    #[must_use]
    pub fn sha256(size: i64, digest: &str) -> Self {
        Self {
            size: Some(size),
            digests: [("sha256", digest.to_lowercase())].into(),
        }
    }
}

impl Downloader {
    /// Fetches a whole file into the store and verifies it: not a byte more than expected is taken.
    /// Repeated as a whole, as [`Downloader::open`] is. The file has no row yet, and is given up if
    /// what comes back is dropped.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn fetch(
        &self,
        url: &str,
        expected: &Expected,
        db: &Db,
        storage: &Storage,
    ) -> Result<Stored, DownloadError> {
        self.persist(|| self.fetch_once(url, expected, db, storage).boxed())
            .await
    }

    async fn fetch_once(
        &self,
        url: &str,
        expected: &Expected,
        db: &Db,
        storage: &Storage,
    ) -> Result<Stored, DownloadError> {
        let mut body = self.open_once(url).await?;
        let size = expected.size.and_then(|size| u64::try_from(size).ok());
        if let (Some(announced), Some(size)) = (body.size, size)
            && announced != size
        {
            return Err(wrong_size(url, size, announced));
        }
        let mut extra = extra_hashers(expected, storage)?;
        let mut upload = Upload::begin(db, storage).await?;
        let mut taken: u64 = 0;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            taken += piece.len() as u64;
            if size.is_some_and(|size| taken > size) {
                return Err(DownloadError::mismatch(
                    url,
                    format!("more bytes than the expected {}", size.unwrap_or_default()),
                ));
            }
            if let Some(extra) = extra.as_mut() {
                extra.update(&piece);
            }
            upload.write(piece).await?;
        }
        drop(body);
        // A connection that ends early without saying how much was to come.
        if let Some(size) = size.filter(|size| *size != taken) {
            return Err(DownloadError::broken(
                url,
                format!("{taken} bytes instead of the expected {size}"),
            ));
        }
        let stored = upload.finish().await?;
        let extra = extra.map(Hashers::finish).unwrap_or_default();
        for (algorithm, digest) in &expected.digests {
            let own = stored.digests().get(algorithm).or(extra.get(algorithm));
            if own != Some(digest.as_str()) {
                return Err(DownloadError::mismatch(
                    url,
                    format!(
                        "{algorithm} is {}, expected {digest}",
                        own.unwrap_or_default()
                    ),
                ));
            }
        }
        Ok(stored)
    }
}

fn wrong_size(url: &str, size: u64, found: u64) -> DownloadError {
    DownloadError::mismatch(url, format!("{found} bytes instead of the expected {size}"))
}

/// Hashers for what is expected and the store does not compute.
fn extra_hashers(expected: &Expected, storage: &Storage) -> Result<Option<Hashers>, Error> {
    let own = |name: &&str| storage.checksums().iter().any(|known| known == name);
    let mut names: Vec<String> = expected
        .digests
        .keys()
        .filter(|name| !own(name))
        .map(ToString::to_string)
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    names.push("sha256".to_owned());
    Hashers::new(&names).map(Some)
}
