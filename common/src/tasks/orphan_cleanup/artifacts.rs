//! The artifacts, and their files.

use super::super::disposal::{Account, Count, count};
use crate::models::Artifact;
use crate::models::plan::Plan;
use crate::storage::tombstones::unlink;
use crate::tasking::{TaskContext, TaskError};
use chrono::{DateTime, Utc};

/// Artifacts of one transaction, whose files go after it: fewer than rows that have none.
const BATCH: i64 = 1000;

/// Buries the orphan artifacts that are left and removes their files. Gives how many are kept, as somebody uses them.
pub async fn delete(
    ctx: &TaskContext,
    account: &Account<'_>,
    before: DateTime<Utc>,
) -> Result<i64, TaskError> {
    let domain = ctx.domain();
    let found = async || {
        let mut conn = ctx.session().await;
        Ok(Artifact::count_orphans(&mut conn, domain, before).await?)
    };
    // Those that went with their units count, too.
    let all = async { Ok(account.counted(Count::Artifacts).await? + found().await?) };
    let total = account.first("orphan artifacts", all).await?;
    let mut progress = ctx
        .progress(
            "Clean up orphan Artifacts",
            "clean-up.artifacts",
            Some(total),
        )
        .await?;
    let done = account.counted(Count::Artifacts).await?;
    progress.resume(done);
    let plan = {
        let mut conn = ctx.session().await;
        Plan::of(&mut conn, "artifact", total - done, BATCH).await?
    };
    let (mut behind, mut buried) = (None, Vec::new());
    loop {
        let next = ctx.fenced(async |conn| {
            let ids = Artifact::lock_orphans(conn, domain, before, behind, BATCH, plan).await?;
            let buried = account.bury(conn, &ids, Some(before)).await?;
            Ok((ids.last().copied(), buried))
        });
        // Files go while the database works on the next batch. What cannot be removed now is tried again at the
        // end, and counted there.
        let (next, removed) = tokio::join!(next, unlink(ctx.db(), ctx.storage(), &buried));
        progress.add(count(buried.len())).await?;
        removed?;
        (behind, buried) = next?;
        if behind.is_none() {
            break;
        }
    }
    progress.finish_of(total).await?;
    ctx.unless_stopped(found()).await
}
