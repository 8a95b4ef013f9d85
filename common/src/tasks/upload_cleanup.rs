//! Deleting uploads that nobody went on with (contract 2.12, 3.2).

use super::disposal::{Account, BATCH, Count, protection};
use crate::ids::UploadId;
use crate::models::{Tombstone, Upload, UploadChunk};
use crate::storage::tombstones::unlink;
use crate::tasking::{Outcome, Task, TaskContext, TaskError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Deletes uploads that nothing came for within the last minutes, with the files of their chunks. One that a task
/// is going to take over is kept. Safe to run again after dying anywhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadCleanup {
    /// Minutes; what was touched more recently is kept.
    /// When left out, `tasks.upload_protection_time`.
    #[serde(default)]
    pub protection_time: Option<u32>,
}

impl Task for UploadCleanup {
    const NAME: &'static str = "pulpcore.app.tasks.orphan.upload_cleanup";
    const ARGS: &'static [&'static str] = &["protection_time"];
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let minutes = protection(
            self.protection_time,
            ctx.settings().tasks.upload_protection_time,
        )?;
        let account = Account::of(&ctx, "upload_cleanup");
        let before = account.protected_since(minutes).await?;
        let found = async || {
            let mut conn = ctx.session().await;
            Ok(Upload::count_stale(&mut conn, ctx.domain(), before).await?)
        };
        let total = account.first("stale uploads", found()).await?;
        let mut progress = ctx
            .progress("Clean up uploads", "clean-up.uploads", Some(total))
            .await?;
        progress.resume(account.counted(Count::Uploads).await?);
        let mut behind = UploadId(uuid::Uuid::nil());
        loop {
            let page = {
                let mut conn = ctx.session().await;
                Upload::stale(&mut conn, ctx.domain(), before, behind, BATCH).await?
            };
            let Some(last) = page.last() else { break };
            behind = *last;
            for id in page {
                if let Some(buried) = delete(&ctx, &account, id, before).await? {
                    unlink(ctx.db(), ctx.storage(), &buried).await?;
                    progress.add(1).await?;
                }
            }
        }
        progress.finish().await?;
        let kept = found().await?;
        account.close("clean-up", kept).await
    }
}

/// Deletes an upload with its pieces, all or none: one that lost some of them would look whole. Gives the first of
/// their files. `None`: somebody wants it after all.
async fn delete(
    ctx: &TaskContext,
    account: &Account<'_>,
    id: UploadId,
    before: DateTime<Utc>,
) -> Result<Option<Vec<Tombstone>>, TaskError> {
    ctx.fenced(async |conn| {
        let found = Upload::lock(conn, ctx.domain(), id).await?;
        let stale = found.is_some_and(|upload| upload.pulp_last_updated < before);
        if !stale || Upload::is_reserved(conn, id).await? {
            return Ok(None);
        }
        let mut first = None;
        loop {
            let by = Some(ctx.task());
            let buried = UploadChunk::bury(conn, id, 0, BATCH, by).await?;
            if buried.is_empty() {
                break;
            }
            account.add_files(conn, &buried).await?;
            // The end of the task removes the files of the others.
            first.get_or_insert(buried);
        }
        Upload::delete(conn, id).await?;
        account.add(conn, Count::Uploads, 1).await?;
        Ok(Some(first.unwrap_or_default()))
    })
    .await
}
