//! A whole file into the store, or into memory on its way there.

use super::{Body, DownloadError, Downloader};
use crate::db::Db;
use crate::error::Error;
use crate::storage::{Digests, HELD_BYTES, Hashers, Held, Storage, Stored, Upload};
use bytes::Bytes;
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
        let mut arriving = self.receive(url, expected, storage).await?;
        let mut upload = Upload::begin(db, storage).await?;
        while let Some(piece) = arriving.next().await? {
            upload.write(piece).await?;
        }
        let arrived = arriving.end()?;
        let stored = upload.finish().await?;
        arrived.verify(stored.digests())?;
        Ok(stored)
    }

    /// Fetches a whole file of at most [`HELD_BYTES`] into memory, as [`Downloader::fetch`] does into the store.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn hold(
        &self,
        url: &str,
        expected: &Expected,
        storage: &Storage,
    ) -> Result<Held, DownloadError> {
        self.persist(|| self.hold_once(url, expected, storage).boxed())
            .await
    }

    async fn hold_once(
        &self,
        url: &str,
        expected: &Expected,
        storage: &Storage,
    ) -> Result<Held, DownloadError> {
        let size = expected.size.filter(|size| (0..=HELD_BYTES).contains(size));
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or_else(|| Error::internal("a file that memory is no place for"))?;
        let mut arriving = self.receive(url, expected, storage).await?;
        // Of its own size: what a connection hands over may be a piece of more.
        let mut bytes = Vec::with_capacity(size);
        while let Some(piece) = arriving.next().await? {
            bytes.extend_from_slice(&piece);
        }
        let arrived = arriving.end()?;
        let held = Held::of(storage, bytes.into()).await?;
        arrived.verify(held.digests())?;
        Ok(held)
    }

    async fn receive<'a>(
        &self,
        url: &'a str,
        expected: &'a Expected,
        storage: &Storage,
    ) -> Result<Arriving<'a>, DownloadError> {
        let body = self.open_once(url).await?;
        let size = expected.size.and_then(|size| u64::try_from(size).ok());
        if let (Some(announced), Some(size)) = (body.size, size)
            && announced != size
        {
            return Err(wrong_size(url, size, announced));
        }
        Ok(Arriving {
            body,
            url,
            size,
            expected,
            extra: extra_hashers(expected, storage)?,
            taken: 0,
        })
    }
}

/// What comes from a source, held against what is expected of it.
struct Arriving<'a> {
    body: Body,
    url: &'a str,
    size: Option<u64>,
    expected: &'a Expected,
    extra: Option<Hashers>,
    taken: u64,
}

impl<'a> Arriving<'a> {
    async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let Some(piece) = self.body.next().await.transpose()? else {
            return Ok(None);
        };
        self.taken += piece.len() as u64;
        if let Some(size) = self.size.filter(|size| self.taken > *size) {
            return Err(DownloadError::mismatch(
                self.url,
                format!("more bytes than the expected {size}"),
            ));
        }
        if let Some(extra) = self.extra.as_mut() {
            extra.update(&piece);
        }
        Ok(Some(piece))
    }

    /// No more comes. Lets go of the source.
    fn end(self) -> Result<Arrived<'a>, DownloadError> {
        let taken = self.taken;
        // A connection that ends early without saying how much was to come.
        if let Some(size) = self.size.filter(|size| *size != taken) {
            return Err(DownloadError::broken(
                self.url,
                format!("{taken} bytes instead of the expected {size}"),
            ));
        }
        Ok(Arrived {
            url: self.url,
            expected: self.expected,
            extra: self.extra.map(Hashers::finish).unwrap_or_default(),
        })
    }
}

/// A file that has come as a whole.
struct Arrived<'a> {
    url: &'a str,
    expected: &'a Expected,
    /// Digests that the store does not compute.
    extra: Digests,
}

impl Arrived<'_> {
    fn verify(&self, computed: &Digests) -> Result<(), DownloadError> {
        for (algorithm, digest) in &self.expected.digests {
            let own = computed.get(algorithm).or(self.extra.get(algorithm));
            if own != Some(digest.as_str()) {
                return Err(DownloadError::mismatch(
                    self.url,
                    format!(
                        "{algorithm} is {}, expected {digest}",
                        own.unwrap_or_default()
                    ),
                ));
            }
        }
        Ok(())
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
