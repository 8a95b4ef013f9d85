//! Fetching the files of a batch that the domain lacks.
//!
//! Three things go on side by side: files are fetched, those that came before are written to the store, and those
//! that were written get their rows. Small files are kept in memory until many can be written at once. Each waits for
//! the next to be ready, so that is bounded: by the downloads at a time, and three parcels.

use super::Source;
use super::manifest::Entry;
use crate::download::{DownloadError, Expected};
use crate::models::{bulk, task_use};
use crate::storage::{Bundle, HELD_BYTES, Held, Stored};
use crate::tasking::{Progress, TaskContext, TaskError};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Files that become artifacts in one transaction.
const SAVED: usize = 200;
/// Bytes of them that are in memory.
const SAVED_BYTES: usize = 2 << 20;
/// Bytes of those that are in the store already, and would be fetched again by a further run.
const STORED_BYTES: i64 = 256 << 20;

/// A file that was fetched.
enum Fetched {
    Held(Held),
    Stored(Box<Stored>),
}

/// Files that become artifacts together.
#[derive(Default)]
struct Parcel {
    held: Vec<Held>,
    stored: Vec<Stored>,
}

impl Parcel {
    fn add(&mut self, file: Fetched) {
        match file {
            Fetched::Held(held) => self.held.push(held),
            Fetched::Stored(stored) => self.stored.push(*stored),
        }
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.stored.is_empty()
    }

    fn is_full(&self) -> bool {
        let held: usize = self.held.iter().map(Held::size).sum();
        let stored: i64 = self.stored.iter().map(Stored::size).sum();
        self.held.len() + self.stored.len() >= SAVED
            || held >= SAVED_BYTES
            || stored >= STORED_BYTES
    }
}

/// Fetches and saves what the domain lacks of these files. What was saved before a failure stays, as
/// artifacts of no unit, so that the next run need not fetch it again.
///
/// # Errors
/// The first download that failed, with its address; [`TaskError::Canceled`].
pub async fn fetch_missing(
    ctx: &TaskContext,
    source: &Source,
    entries: &[Entry],
    report: &mut Progress,
) -> Result<(), TaskError> {
    let missing = missing(ctx, entries).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let (parcels, fetched) = mpsc::channel(1);
    let (bundles, written) = mpsc::channel(1);
    // All come to their ends: a transaction is not dropped because a download has failed.
    let (fetching, writing, saving) = tokio::join!(
        fetch_all(ctx, source, missing, parcels),
        write_all(ctx, fetched, bundles),
        save_all(ctx, written, report),
    );
    saving.and(writing).and(fetching)
}

/// Fetches side by side until all are there, one fails, or nobody takes them any more, who says why.
async fn fetch_all(
    ctx: &TaskContext,
    source: &Source,
    missing: Vec<Entry>,
    parcels: mpsc::Sender<Parcel>,
) -> Result<(), TaskError> {
    let mut missing = missing.into_iter();
    let mut running = FuturesUnordered::new();
    let mut parcel = Parcel::default();
    let mut outcome = Ok(());
    loop {
        // While a full one waits to be taken no download begins. Those that run are seen to all the same: one may hold
        // a session that others wait for.
        while outcome.is_ok()
            && !parcel.is_full()
            && running.len() < source.downloader.concurrency()
            && let Some(entry) = missing.next()
        {
            running.push(fetch(ctx, source, entry).boxed());
        }
        if running.is_empty() && parcel.is_empty() {
            return outcome;
        }
        let is_ripe = parcel.is_full() || running.is_empty();
        tokio::select! {
            () = ctx.stopped() => return Err(TaskError::Canceled),
            () = parcels.closed() => return Ok(()),
            Ok(place) = parcels.reserve(), if is_ripe => place.send(std::mem::take(&mut parcel)),
            Some(fetched) = running.next() => match fetched {
                Ok(file) => parcel.add(file),
                Err(error) => {
                    outcome = Err(error.into());
                    running.clear();
                }
            },
        }
    }
}

async fn fetch(ctx: &TaskContext, source: &Source, entry: Entry) -> Result<Fetched, DownloadError> {
    let url = source.directory.file(&entry.path);
    let expected = Expected::sha256(entry.size, &entry.sha256);
    let (db, storage) = (ctx.db(), ctx.storage());
    if entry.size <= HELD_BYTES {
        let holding = source.downloader.hold(&url, &expected, storage);
        return holding.await.map(Fetched::Held);
    }
    let fetching = source.downloader.fetch(&url, &expected, db, storage);
    fetching
        .await
        .map(|stored| Fetched::Stored(Box::new(stored)))
}

/// Those of these files that the domain has no artifact of, each once.
async fn missing(ctx: &TaskContext, entries: &[Entry]) -> Result<Vec<Entry>, TaskError> {
    let mut by_digest: HashMap<&str, &Entry> = entries
        .iter()
        .map(|entry| (entry.sha256.as_str(), entry))
        .collect();
    let digests: Vec<&str> = by_digest.keys().copied().collect();
    // Not the session of the run, which may be busy with the units of the batch before.
    let mut conn = ctx.db().get().await?;
    for stored in bulk::stored_artifacts(&mut conn, ctx.domain(), &digests)
        .await?
        .keys()
    {
        by_digest.remove(stored.as_str());
    }
    Ok(by_digest.into_values().cloned().collect())
}

/// Brings what was fetched to the disk.
async fn write_all(
    ctx: &TaskContext,
    mut parcels: mpsc::Receiver<Parcel>,
    bundles: mpsc::Sender<Bundle>,
) -> Result<(), TaskError> {
    while let Some(Parcel { held, stored }) = parcels.recv().await {
        ctx.checkpoint()?;
        let (db, storage) = (ctx.db(), ctx.storage());
        let (mut bundle, failed) = match Bundle::write(db, storage, held).await {
            Ok(bundle) => (bundle, None),
            Err(error) if stored.is_empty() => return Err(error.into()),
            // The large ones are there, and were dear.
            Err(error) => (Bundle::write(db, storage, Vec::new()).await?, Some(error)),
        };
        for file in stored {
            bundle.add(file);
        }
        bundle.probe(ctx.domain()).await?;
        if bundles.send(bundle).await.is_err() {
            break;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Makes artifacts of what was written.
async fn save_all(
    ctx: &TaskContext,
    mut bundles: mpsc::Receiver<Bundle>,
    report: &mut Progress,
) -> Result<(), TaskError> {
    while let Some(bundle) = bundles.recv().await {
        let recording = ctx.fenced(async |conn| {
            let recorded = bundle.record(conn, ctx.domain()).await?;
            let ids: Vec<Uuid> = recorded.artifacts.iter().map(|id| id.0).collect();
            // Clean-ups spare them until the batch's units hold them.
            task_use::add(conn, ctx.task(), &ids).await?;
            Ok(recorded)
        });
        let recorded = recording.await?;
        let count = recorded.artifacts.len();
        bundle.recorded(recorded).await;
        report.add(i64::try_from(count).unwrap_or(0)).await?;
    }
    Ok(())
}
