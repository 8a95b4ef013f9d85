//! The units.

use super::super::disposal::{BATCH, UNITS, sweep_debris, unless_protected};
use crate::db::Conn;
use crate::ids::ContentId;
use crate::models::{Content, Tally};
use crate::tasking::{Progress, TaskContext, TaskError};
use chrono::{DateTime, Utc};
use log::{info, warn};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Deletes orphan units, those given or all, in passes until one deletes nothing: a deleted unit may have been
/// what kept another one. Gives how many of those that were there at the start are kept.
pub async fn delete(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    only: Option<&[ContentId]>,
) -> Result<i64, TaskError> {
    sweep_debris(ctx).await?;
    let domain = ctx.domain();
    let (total, done) = ctx
        .fenced(async |conn| {
            let counted = Tally::of(conn, ctx.task()).await?;
            let total = match counted.noted(TOTAL) {
                Some(total) => total,
                None => {
                    let found = Content::count_orphans(conn, domain, before, only).await?;
                    Tally::note(conn, ctx.task(), TOTAL, found).await?
                }
            };
            Ok((total, counted.under(UNITS).map(|(_, units)| units).sum()))
        })
        .await?;
    let mut progress = ctx
        .progress("Clean up orphan Content", "clean-up.content", Some(total))
        .await?;
    progress.resume(done);
    loop {
        sweep_debris(ctx).await?;
        let deleted = match only {
            Some(units) => pass_over_given(ctx, before, units, &mut progress).await?,
            None => pass_over_all(ctx, before, &mut progress).await?,
        };
        if deleted == 0 {
            break;
        }
    }
    let kept = total - progress.done();
    if kept > 0 {
        info!(task_id:% = ctx.task(), skipped = kept; "{kept} orphan units were in use and are kept");
        progress.finish().await?;
        return Ok(kept);
    }
    // Later passes find more than there was at the start.
    progress.finish_as_total().await?;
    Ok(0)
}

/// How many orphans there were at the start of the first run.
const TOTAL: &str = "content.total";

async fn pass_over_all(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    progress: &mut Progress,
) -> Result<i64, TaskError> {
    let mut behind = ContentId(Uuid::nil());
    let mut all = 0;
    loop {
        let (last, deleted) = ctx
            .fenced(async |conn| {
                let ids = Content::lock_orphans(conn, ctx.domain(), before, behind, BATCH).await?;
                let deleted = delete_batch(ctx, conn, &ids, before).await?;
                Ok((ids.last().copied(), deleted))
            })
            .await?;
        let Some(last) = last else { return Ok(all) };
        behind = last;
        all += deleted;
        progress.add(deleted).await?;
    }
}

async fn pass_over_given(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    units: &[ContentId],
    progress: &mut Progress,
) -> Result<i64, TaskError> {
    let mut all = 0;
    for batch in units.chunks(usize::try_from(BATCH).unwrap_or(1)) {
        let deleted = ctx
            .fenced(async |conn| {
                let ids = Content::lock_given_orphans(conn, ctx.domain(), before, batch).await?;
                delete_batch(ctx, conn, &ids, before).await
            })
            .await?;
        all += deleted;
        progress.add(deleted).await?;
    }
    Ok(all)
}

/// Deletes locked units that are orphans still, and counts them. A unit that something else holds is skipped:
/// first all at once, and where that fails, one by one.
async fn delete_batch(
    ctx: &TaskContext,
    conn: &mut Conn,
    ids: &[ContentId],
    before: DateTime<Utc>,
) -> Result<i64, TaskError> {
    let all = unless_protected(conn, async |conn| {
        Content::delete_orphans(conn, ids, before).await
    })
    .await?;
    let deleted = match all {
        Some(deleted) => deleted,
        None => delete_singly(conn, ids, before).await?,
    };
    let sum = deleted.values().sum();
    let counts = deleted
        .into_iter()
        .map(|(pulp_type, units)| (format!("{UNITS}{pulp_type}"), units));
    Tally::add(conn, ctx.task(), counts).await?;
    Ok(sum)
}

async fn delete_singly(
    conn: &mut Conn,
    ids: &[ContentId],
    before: DateTime<Utc>,
) -> Result<BTreeMap<String, i64>, TaskError> {
    let mut all = BTreeMap::new();
    for id in ids {
        let one = std::slice::from_ref(id);
        let deleted = unless_protected(conn, async |conn| {
            Content::delete_orphans(conn, one, before).await
        })
        .await?;
        match deleted {
            Some(deleted) => {
                for (pulp_type, units) in deleted {
                    *all.entry(pulp_type).or_insert(0) += units;
                }
            }
            None => warn!(content:% = id; "{id} is needed by something else and is kept"),
        }
    }
    Ok(all)
}
