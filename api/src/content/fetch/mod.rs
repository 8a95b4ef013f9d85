//! Files that are fetched because a client asks for them (policies `on_demand` and `streamed`).
//!
//! A process fetches one file once at a time, whoever asks: a download runs by itself, into a file on the
//! local disk that has no name, and all who want it follow that at their own pace, each from where its
//! range begins. The last bytes are held back until size and digests are right, so nobody takes a wrong
//! file for a whole one. It goes on to its end though all clients leave, and is stored then; not so for
//! `streamed`, which stores nothing. Other processes may fetch the same file meanwhile: the one that is
//! stored first counts.

mod follow;
mod run;

pub use follow::{Begun, Following};

use super::problem::Problem;
use crate::app::App;
use chrono::Utc;
use log::warn;
use millrace_common::db::Db;
use millrace_common::download::{DownloadError, Downloader};
use millrace_common::error::Error;
use millrace_common::ids::RemoteId;
use millrace_common::models::{ContentArtifact, Source};
use millrace_common::secrets::Keyring;
use millrace_common::storage::Storage;
use millrace_common::{cause, config};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

/// Downloaders that are kept; each holds a TLS configuration and open connections.
const DOWNLOADERS: usize = 100;

/// How far a download has come.
#[derive(Clone, Default)]
struct Progress {
    /// Counts the beginnings: what comes of another one is not what a client has the beginning of.
    attempt: u32,
    /// What has come of this one.
    file: Option<Arc<File>>,
    /// Bytes that it will have, where that is known.
    size: Option<u64>,
    /// Bytes of it that may be passed on.
    released: u64,
    end: Option<End>,
}

/// What became of a download.
#[derive(Clone)]
enum End {
    /// All of it has come, and it is right.
    Whole,
    /// Nobody waited for it any more. It is off the list, so nobody reads this.
    Left,
    /// It is in the store already.
    Stored,
    /// No source gave it, or we could not take it.
    Failed(Problem),
}

/// The downloads of a process; cheap to clone.
#[derive(Clone)]
pub struct Fetches {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    storage: Storage,
    keyring: Keyring,
    settings: config::Settings,
    runtime: tokio::runtime::Handle,
    /// Taken after a remote's own: a slow one holds no more of them than it may have open.
    turns: Arc<Semaphore>,
    running: Mutex<HashMap<Uuid, watch::Receiver<Progress>>>,
    downloaders: Mutex<HashMap<RemoteId, (chrono::DateTime<Utc>, Downloader)>>,
}

impl Fetches {
    /// Nothing is fetched yet. Downloads run on the runtime that this is called on.
    pub fn new(db: Db, storage: Storage, keyring: Keyring, settings: config::Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                turns: Arc::new(Semaphore::new(settings.content.fetches)),
                runtime: tokio::runtime::Handle::current(),
                running: Mutex::default(),
                downloaders: Mutex::default(),
                db,
                storage,
                keyring,
                settings,
            }),
        }
    }

    /// Joins the download of a file, or begins it.
    pub fn follow(&self, content_artifact: Uuid, from: u64) -> Following {
        let mut running = lock(&self.inner.running);
        let progress = running.entry(content_artifact).or_insert_with(|| {
            let (sender, progress) = watch::channel(Progress::default());
            let inner = Arc::clone(&self.inner);
            self.inner
                .runtime
                .spawn(async move { inner.run(content_artifact, sender).await });
            progress
        });
        Following::new(progress.clone(), from)
    }
}

impl Inner {
    /// Fetches a file from the first source that has it.
    async fn run(self: Arc<Self>, content_artifact: Uuid, progress: watch::Sender<Progress>) {
        let leaving = Leaving(&self, content_artifact, &progress);
        let end = match self.any(content_artifact, &progress).await {
            Ok(end) => end,
            Err(error) => {
                warn!(error:% = cause::chain(&error); "not fetched: {}", cause::chain(&error));
                End::Failed(error.into())
            }
        };
        // Who comes from now on looks into the database first.
        drop(leaving);
        progress.send_modify(|progress| {
            if matches!(end, End::Whole)
                && let Some(size) = progress.size
            {
                progress.released = size;
            }
            progress.end = Some(end);
        });
    }

    /// Only a source that will not have the file a moment later either is left alone for a while. A fault of
    /// ours is none of a source's, and another source would not help.
    async fn any(
        &self,
        content_artifact: Uuid,
        progress: &watch::Sender<Progress>,
    ) -> Result<End, Error> {
        let mut conn = self.db.get().await?;
        if ContentArtifact::is_here(&mut conn, content_artifact).await? {
            return Ok(End::Stored);
        }
        let sources = Source::of(&mut conn, content_artifact).await?;
        drop(conn);
        let mut problem = Problem::NotFound;
        for source in &sources {
            if !self.is_usable(source) {
                continue;
            }
            let error = match self.one(content_artifact, source, progress).await {
                Ok(end) => return Ok(end),
                Err(error) => error,
            };
            // What has come of it is wrong, or lacks its end: nobody begins with it any more.
            progress.send_modify(|progress| {
                *progress = Progress {
                    attempt: progress.attempt + 1,
                    ..Progress::default()
                };
            });
            match error {
                // The values of this remote; others may do.
                DownloadError::Ours(error @ Error::Conflict(_)) => {
                    warn!(error:% = error; "not fetched: {error}");
                    problem = error.into();
                }
                DownloadError::Ours(error) => return Err(error),
                error => {
                    warn!(error:% = error; "not fetched: {error}");
                    if error.is_passing() {
                        problem = away(error).into();
                    } else {
                        self.note_failure(source).await;
                    }
                }
            }
        }
        Ok(End::Failed(problem))
    }

    /// Without its mark a source is only asked again too early.
    async fn note_failure(&self, source: &Source) {
        let noted = async {
            Source::note_failure(&mut *self.db.get().await?, source.id).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = noted.await {
            warn!(error:% = cause::chain(&error); "failure not noted: {}", cause::chain(&error));
        }
    }

    /// True where nobody follows a download, and nobody will.
    fn is_abandoned(&self, content_artifact: Uuid, progress: &watch::Sender<Progress>) -> bool {
        let mut running = lock(&self.running);
        // One is the list's own.
        let abandoned = progress.receiver_count() <= 1;
        if abandoned {
            running.remove(&content_artifact);
        }
        abandoned
    }

    fn is_usable(&self, source: &Source) -> bool {
        usable(source, self.settings.content.failed_fetch_seconds)
    }

    fn downloader(&self, source: &Source) -> Result<Downloader, Error> {
        let remote = &source.remote;
        let mut known = lock(&self.downloaders);
        if let Some((made, downloader)) = known.get(&source.remote_id())
            && *made == remote.pulp_last_updated
        {
            return Ok(downloader.clone());
        }
        if known.len() >= DOWNLOADERS {
            known.clear();
        }
        let downloader = Downloader::new(remote, &self.keyring, &self.settings.remotes)?
            .sharing(Arc::clone(&self.turns));
        known.insert(
            source.remote_id(),
            (remote.pulp_last_updated, downloader.clone()),
        );
        Ok(downloader)
    }
}

/// What a source that may have the file a moment later means for who wants it now.
fn away(error: DownloadError) -> Error {
    Error::Unavailable {
        what: "source of the file",
        source: error.into(),
    }
}

/// True for a source that has not failed a moment ago.
fn usable(source: &Source, patience: u32) -> bool {
    let patience = chrono::TimeDelta::seconds(patience.into());
    source
        .failed_at
        .is_none_or(|failed| Utc::now() - failed >= patience)
}

/// The first place that a file would be fetched from now.
///
/// # Errors
/// As the database.
pub async fn first_source(app: &App, content_artifact: Uuid) -> Result<Option<Source>, Error> {
    let sources = Source::of(&mut *app.db.get().await?, content_artifact).await?;
    let patience = app.settings.content.failed_fetch_seconds;
    Ok(sources.into_iter().find(|source| usable(source, patience)))
}

/// Takes a download from the list, however it ends.
struct Leaving<'a>(&'a Inner, Uuid, &'a watch::Sender<Progress>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.0.running);
        let own = self.2.subscribe();
        if running
            .get(&self.1)
            .is_some_and(|known| known.same_channel(&own))
        {
            running.remove(&self.1);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
