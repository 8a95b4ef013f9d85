//! Deleting uploads that nobody went on with (contract 2.12, 3.2).

use super::disposal::{self, BATCH, UPLOADS, count_bytes, protection};
use super::orphan_cleanup::protected_since;
use crate::ids::UploadId;
use crate::models::{Tally, Upload, UploadChunk};
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
        let now = crate::db::now(&mut *ctx.session().await).await?;
        let setting = ctx.settings().tasks.upload_protection_time;
        let before = protected_since(now, protection(self.protection_time, setting)?);
        let total = Upload::count_stale(&mut *ctx.session().await, ctx.domain(), before).await?;
        let done = Tally::of(&mut *ctx.session().await, ctx.task())
            .await?
            .get(UPLOADS);
        let mut progress = ctx
            .progress("Clean up uploads", "clean-up.uploads", Some(total + done))
            .await?;
        progress.resume(done);
        let mut behind = UploadId(uuid::Uuid::nil());
        loop {
            let page = {
                let mut conn = ctx.session().await;
                Upload::stale(&mut conn, ctx.domain(), before, behind, BATCH).await?
            };
            let Some(last) = page.last() else { break };
            behind = *last;
            for id in page {
                if delete(&ctx, id, before).await? {
                    progress.add(1).await?;
                }
            }
        }
        progress.finish().await?;
        disposal::finish(&ctx, "clean-up", 0).await
    }
}

/// False: somebody wants it after all.
async fn delete(ctx: &TaskContext, id: UploadId, before: DateTime<Utc>) -> Result<bool, TaskError> {
    loop {
        let step = ctx
            .fenced(async |conn| {
                let found = Upload::lock(conn, ctx.domain(), id).await?;
                let stale = found.is_some_and(|upload| upload.pulp_last_updated < before);
                if !stale || Upload::is_reserved(conn, id).await? {
                    return Ok(Step::Keep);
                }
                let buried = UploadChunk::bury(conn, id, 0, BATCH).await?;
                if buried.is_empty() {
                    Upload::delete(conn, id).await?;
                    Tally::add(conn, ctx.task(), [(UPLOADS.to_owned(), 1)]).await?;
                    return Ok(Step::Gone);
                }
                count_bytes(ctx, conn, &buried).await?;
                Ok(Step::More(buried))
            })
            .await?;
        match step {
            Step::Keep => return Ok(false),
            Step::Gone => return Ok(true),
            Step::More(buried) => drop(unlink(ctx.db(), ctx.storage(), &buried).await?),
        }
    }
}

enum Step {
    Keep,
    Gone,
    More(Vec<crate::models::Tombstone>),
}
