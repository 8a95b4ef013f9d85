//! Deleting temporary files that no task has taken over (contract 2.12, 3.2).

use super::disposal::{Account, BATCH, Count, count, protection};
use crate::models::TemporaryFile;
use crate::storage::tombstones::unlink;
use crate::tasking::{Outcome, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Deletes temporary files older than some minutes. One that a task is going to take over is kept. Safe to run
/// again after dying anywhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TmpfileCleanup {
    /// Minutes; younger ones are kept.
    /// When left out, `tasks.tmpfile_protection_time`.
    #[serde(default)]
    pub protection_time: Option<u32>,
}

impl Task for TmpfileCleanup {
    const NAME: &'static str = "pulpcore.app.tasks.orphan.tmpfile_cleanup";
    const ARGS: &'static [&'static str] = &["protection_time"];
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let minutes = protection(
            self.protection_time,
            ctx.settings().tasks.tmpfile_protection_time,
        )?;
        let account = Account::of(&ctx, "tmpfile_cleanup");
        let before = account.protected_since(minutes).await?;
        let domain = ctx.domain();
        let found = async || {
            let mut conn = ctx.session().await;
            Ok(TemporaryFile::count_stale(&mut conn, domain, before).await?)
        };
        let total = account.first("stale files", found()).await?;
        let mut progress = ctx
            .progress(
                "Clean up shared temporary files",
                "clean-up.tmpfiles",
                Some(total),
            )
            .await?;
        progress.resume(account.counted(Count::TemporaryFiles).await?);
        loop {
            let buried = ctx
                .fenced(async |conn| {
                    let by = ctx.task();
                    let buried = TemporaryFile::bury_stale(conn, domain, before, BATCH, by).await?;
                    let files = count(buried.len());
                    account.add(conn, Count::TemporaryFiles, files).await?;
                    account.add_files(conn, &buried).await?;
                    Ok(buried)
                })
                .await?;
            if buried.is_empty() {
                break;
            }
            unlink(ctx.db(), ctx.storage(), &buried).await?;
            progress.add(count(buried.len())).await?;
        }
        progress.finish().await?;
        let kept = found().await?;
        account.close("clean-up", kept).await
    }
}
