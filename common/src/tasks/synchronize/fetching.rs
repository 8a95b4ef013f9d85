//! Fetching the files of a batch that the domain lacks.

use super::Source;
use super::manifest::Entry;
use crate::download::{DownloadError, Expected};
use crate::models::{bulk, task_use};
use crate::storage::Stored;
use crate::tasking::{Progress, TaskContext, TaskError};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;

/// Files that become artifacts in one transaction.
const SAVED: usize = 100;

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
    let mut running = stream::iter(missing)
        .map(|entry| fetch(ctx, source, entry).boxed())
        .buffer_unordered(source.downloader.concurrency());
    let mut fetched = Vec::new();
    let mut outcome = Ok(());
    loop {
        let next = ctx
            .unless_stopped(async { Ok(running.next().await) })
            .await?;
        match next {
            None => break,
            Some(Ok(stored)) => fetched.push(stored),
            Some(Err(error)) => {
                outcome = Err(error.into());
                break;
            }
        }
        if fetched.len() >= SAVED {
            save(ctx, std::mem::take(&mut fetched), report).await?;
        }
    }
    save(ctx, fetched, report).await?;
    outcome
}

async fn fetch(ctx: &TaskContext, source: &Source, entry: Entry) -> Result<Stored, DownloadError> {
    let url = source.directory.file(&entry.path);
    let expected = Expected::sha256(entry.size, &entry.sha256);
    let (db, storage) = (ctx.db(), ctx.storage());
    let fetching = source.downloader.fetch(&url, &expected, db, storage);
    let mut stored = fetching.await?;
    stored.probe(ctx.domain()).await?;
    Ok(stored)
}

/// Those of these files that the domain has no artifact of, each once.
async fn missing(ctx: &TaskContext, entries: &[Entry]) -> Result<Vec<Entry>, TaskError> {
    let mut by_digest: HashMap<&str, &Entry> = entries
        .iter()
        .map(|entry| (entry.sha256.as_str(), entry))
        .collect();
    let digests: Vec<&str> = by_digest.keys().copied().collect();
    let mut conn = ctx.session().await;
    for stored in bulk::stored_artifacts(&mut conn, ctx.domain(), &digests)
        .await?
        .keys()
    {
        by_digest.remove(stored.as_str());
    }
    Ok(by_digest.into_values().cloned().collect())
}

async fn save(
    ctx: &TaskContext,
    mut fetched: Vec<Stored>,
    report: &mut Progress,
) -> Result<(), TaskError> {
    if fetched.is_empty() {
        return Ok(());
    }
    // In the order of a key: two runs that save the same files do not wait for each other crosswise.
    fetched.sort_unstable_by(|a, b| a.digests().sha256().cmp(b.digests().sha256()));
    let domain = ctx.domain();
    ctx.fenced(async |conn| {
        let mut saved = Vec::with_capacity(fetched.len());
        for stored in &fetched {
            let artifact = stored.record(conn, domain).await?.into_artifact();
            saved.push(artifact.pulp_id.0);
        }
        // Clean-ups spare them until the batch's units hold them.
        Ok(task_use::add(conn, ctx.task(), &saved).await?)
    })
    .await?;
    let count = fetched.len();
    for stored in fetched {
        stored.recorded();
    }
    report.add(i64::try_from(count).unwrap_or(0)).await
}
