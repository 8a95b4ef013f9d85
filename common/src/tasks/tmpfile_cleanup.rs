//! Deleting temporary files that no task has taken over (contract 2.12, 3.2).

use super::disposal::{self, BATCH, TEMPORARY_FILES, count, count_bytes, protection};
use super::orphan_cleanup::protected_since;
use crate::models::{Tally, TemporaryFile};
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
        let now = crate::db::now(&mut *ctx.session().await).await?;
        let setting = ctx.settings().tasks.tmpfile_protection_time;
        let before = protected_since(now, protection(self.protection_time, setting)?);
        let domain = ctx.domain();
        let total = TemporaryFile::count_stale(&mut *ctx.session().await, domain, before).await?;
        let done = Tally::of(&mut *ctx.session().await, ctx.task())
            .await?
            .get(TEMPORARY_FILES);
        let mut progress = ctx
            .progress(
                "Clean up shared temporary files",
                "clean-up.tmpfiles",
                Some(total + done),
            )
            .await?;
        progress.resume(done);
        loop {
            let buried = ctx
                .fenced(async |conn| {
                    let buried = TemporaryFile::bury_stale(conn, domain, before, BATCH).await?;
                    let files = [(TEMPORARY_FILES.to_owned(), count(buried.len()))];
                    Tally::add(conn, ctx.task(), files).await?;
                    count_bytes(&ctx, conn, &buried).await?;
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
        disposal::finish(&ctx, "clean-up", 0).await
    }
}
