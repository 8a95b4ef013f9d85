//! The artifacts, and their files.

use super::super::disposal::{ARTIFACTS, bury, count};
use crate::models::{Artifact, Tally};
use crate::storage::tombstones::unlink;
use crate::tasking::{TaskContext, TaskError};
use chrono::{DateTime, Utc};

/// Artifacts of one transaction, whose files go after it.
const BATCH: i64 = 1000;

/// How many orphans there were when the first run came to them.
const TOTAL: &str = "artifacts.total";

/// Buries orphan artifacts and removes their files. Gives how many of those that were there at the start are
/// kept.
pub async fn delete(ctx: &TaskContext, before: DateTime<Utc>) -> Result<i64, TaskError> {
    let domain = ctx.domain();
    let (total, done) = ctx
        .fenced(async |conn| {
            let counted = Tally::of(conn, ctx.task()).await?;
            let total = match counted.noted(TOTAL) {
                Some(total) => total,
                None => {
                    let found = Artifact::count_orphans(conn, domain, before).await?;
                    Tally::note(conn, ctx.task(), TOTAL, found).await?
                }
            };
            Ok((total, counted.get(ARTIFACTS)))
        })
        .await?;
    let mut progress = ctx
        .progress(
            "Clean up orphan Artifacts",
            "clean-up.artifacts",
            Some(total),
        )
        .await?;
    progress.resume(done);
    let mut behind = None;
    loop {
        let (last, buried) = ctx
            .fenced(async |conn| {
                let ids = Artifact::lock_orphans(conn, domain, before, behind, BATCH).await?;
                let buried = bury(ctx, conn, &ids, Some(before)).await?;
                Ok((ids.last().copied(), buried))
            })
            .await?;
        if last.is_none() {
            break;
        }
        behind = last;
        // What cannot be removed now is tried again at the end, and counted there.
        unlink(ctx.db(), ctx.storage(), &buried).await?;
        progress.add(count(buried.len())).await?;
    }
    let kept = (total - progress.done()).max(0);
    progress.finish().await?;
    Ok(kept)
}
