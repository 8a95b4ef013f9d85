//! Fetching files from where a remote says (contract 1.5): HTTP, HTTPS and `file://`.
//!
//! One [`Downloader`] a remote and use. It opens sources, and fetches whole files into the store.
//! What goes wrong in passing is tried again; what a client reads names the address, never a credential.

pub mod certificates;
mod client;
mod error;
mod fetch;
mod http;
pub mod local;
mod pace;
mod spool;

pub use client::{SECONDS, check_headers};
pub use error::{DownloadError, public};
pub use fetch::Expected;
pub use spool::Spooled;

use crate::config;
use crate::error::Error;
use crate::models::Remote;
use crate::secrets::Keyring;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use pace::{Pace, Pauses};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sources that a remote without a limit of its own is read from at the same time.
const CONCURRENCY: i32 = 10;
/// As many at most, whatever a remote says: each takes a connection, a file, and memory for its parts.
const MOST: usize = 100;
/// As many repetitions at most: with pauses of half a minute they take most of an hour.
const MOST_RETRIES: u32 = 100;
/// Repetitions where a remote does not say how many.
const RETRIES: i32 = 3;

/// What is being read from a source. It counts as one of the remote's concurrent downloads until it is
/// dropped.
pub struct Body {
    /// Size in bytes, where the source said it.
    pub size: Option<u64>,
    stream: BoxStream<'static, Result<Bytes, DownloadError>>,
    turns: Turns,
}

/// A remote's own turn and the shared one, where there is such a limit.
type Turns = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Body {
    /// The next bytes; `None` at the end. An end before the announced size is an error.
    ///
    /// # Errors
    /// The source broke off or did not go on in time.
    pub async fn next(&mut self) -> Option<Result<Bytes, DownloadError>> {
        self.stream.next().await
    }

    /// The bytes as a stream, which counts as the body does.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, DownloadError>> {
        let Self { stream, turns, .. } = self;
        stream
            .map(move |piece| {
                let _held = &turns;
                piece
            })
            .boxed()
    }
}

/// Fetches from one remote, with its credentials and within its limits; cheap to clone, and the clones
/// share the limits.
#[derive(Clone)]
pub struct Downloader {
    inner: Arc<Inner>,
    shared: Option<Arc<Semaphore>>,
}

struct Inner {
    http: client::Clients,
    allowed: Vec<PathBuf>,
    turns: Arc<Semaphore>,
    concurrency: usize,
    retries: u32,
    pace: Pace,
}

impl Downloader {
    /// A downloader for this remote. Builds a TLS configuration: keep it while there is use for it.
    ///
    /// # Errors
    /// [`Error::Conflict`] with a text for the client when a value of the remote cannot be used: a
    /// credential whose key is lost, a certificate that is not read.
    pub fn new(
        remote: &Remote,
        keyring: &Keyring,
        settings: &config::Remotes,
    ) -> Result<Self, Error> {
        let concurrency = remote.download_concurrency.unwrap_or(CONCURRENCY);
        let concurrency = usize::try_from(concurrency).unwrap_or(1).clamp(1, MOST);
        Ok(Self {
            inner: Arc::new(Inner {
                http: client::Clients::new(remote, keyring)?,
                allowed: settings.allowed_import_paths.to_vec(),
                turns: Arc::new(Semaphore::new(concurrency)),
                concurrency,
                retries: u32::try_from(remote.max_retries.unwrap_or(RETRIES))
                    .unwrap_or(0)
                    .min(MOST_RETRIES),
                pace: Pace::new(remote.rate_limit),
            }),
            shared: None,
        })
    }

    /// The same under a further limit, which it shares with others. A turn of that is taken after the
    /// remote's own, so one whose sources are slow keeps no others from theirs.
    #[must_use]
    pub fn sharing(mut self, turns: Arc<Semaphore>) -> Self {
        self.shared = Some(turns);
        self
    }

    /// How many sources it reads from at the same time; further ones wait.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.inner.concurrency
    }

    /// Opens a source; tried again until an answer begins or the remote's repetitions are used up.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn open(&self, url: &str) -> Result<Body, DownloadError> {
        self.persist(|| self.open_once(url).boxed()).await
    }

    async fn open_once(&self, url: &str) -> Result<Body, DownloadError> {
        let own = turn(&self.inner.turns).await?;
        let shared = match &self.shared {
            Some(shared) => Some(turn(shared).await?),
            None => None,
        };
        let (size, stream) = match local::path_of(url) {
            Some(path) => local::open(url, path, &self.inner.allowed).await?,
            None => http::get(&self.inner.http, &self.inner.pace, url).await?,
        };
        Ok(Body {
            size,
            stream,
            turns: (own, shared),
        })
    }

    /// Repeats an attempt that failed in passing, with pauses that grow.
    async fn persist<'f, T>(
        &self,
        attempt: impl Fn() -> BoxFuture<'f, Result<T, DownloadError>> + Send,
    ) -> Result<T, DownloadError> {
        let mut pauses = Pauses::new(self.inner.retries);
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(pause) = pauses.after(&error) else {
                return Err(error);
            };
            log::debug!(error:% = error; "trying again in {pause:?}: {error}");
            tokio::time::sleep(pause).await;
        }
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    let turn = Arc::clone(turns).acquire_owned().await;
    turn.map_err(Error::internal)
}
