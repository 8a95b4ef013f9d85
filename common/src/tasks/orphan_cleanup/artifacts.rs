//! Artifacts that belong to no unit, and their files.

use super::super::disposal::{Account, BATCH, Count, count};
use crate::models::Artifact;
use crate::models::plan::Plan;
use crate::storage::tombstones::unlink_beside;
use crate::tasking::{TaskContext, TaskError};
use chrono::{DateTime, Utc};

/// Buries the artifacts that no unit has and removes their files. Gives how many are kept, as somebody uses them.
pub async fn delete(
    ctx: &TaskContext,
    account: &Account<'_>,
    before: DateTime<Utc>,
) -> Result<i64, TaskError> {
    let domain = ctx.domain();
    let found = || {
        ctx.unless_stopped(async {
            let mut conn = ctx.session().await;
            Ok(Artifact::count_orphans(&mut conn, domain, before).await?)
        })
    };
    // Those that went with their units count, too.
    let (done, left) = (account.counted(Count::Artifacts).await?, found().await?);
    let all = std::future::ready(Ok(done + left));
    let total = account.first("orphan artifacts", all).await?;
    let mut progress = ctx
        .progress(
            "Clean up orphan Artifacts",
            "clean-up.artifacts",
            // A further run may have found more with units than the first one knew of.
            Some(total.max(done)),
        )
        .await?;
    progress.resume(done);
    let plan = {
        let mut conn = ctx.session().await;
        Plan::of(&mut conn, "artifact", left, BATCH).await?
    };
    let (mut behind, mut buried) = (None, Vec::new());
    loop {
        let next = ctx.fenced(async |conn| {
            let ids = Artifact::lock_orphans(conn, domain, before, behind, BATCH, plan).await?;
            let buried = account.bury(conn, &ids, Some(before)).await?;
            Ok((ids.last().copied(), buried))
        });
        let gone = count(buried.len());
        // What cannot be removed now is tried again at the end, and counted there.
        (behind, buried) = unlink_beside(ctx.db(), ctx.storage(), &buried, next).await?;
        progress.add(gone).await?;
        if behind.is_none() {
            break;
        }
    }
    progress.finish_of(total).await?;
    found().await
}
