//! Deleting what nothing needs any more (contract 3.2).

use crate::db::{Conn, Work, transaction};
use crate::error::Error;
use crate::ids::{ArtifactId, ContentId, DomainId};
use crate::models::{Artifact, Content, MembershipDebris, Tombstone};
use crate::prn;
use crate::storage::tombstones::{Unlinked, unlink};
use crate::tasking::{Outcome, Progress, Resources, Task, TaskContext, TaskError};
use chrono::{DateTime, Duration, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use log::{info, warn};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Rows of one transaction.
const BATCH: i64 = 2000;
/// Files removed between two looks at the wish to stop.
const FILES: i64 = 500;

/// Deletes units that are in no version of any repository, then artifacts that belong to no unit, then
/// their files. What was of interest within the last minutes is kept; what somebody uses at that moment
/// is skipped. Once it has completed, the files are gone. Safe to run again after dying anywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrphanCleanup {
    /// Only these units, when given; artifacts are looked at all the same.
    #[serde(default)]
    pub content_pks: Option<Vec<ContentId>>,
    /// Minutes; what was of interest more recently is kept.
    #[serde(default)]
    pub orphan_protection_time: u32,
}

impl Task for OrphanCleanup {
    const NAME: &'static str = "pulpcore.app.tasks.orphan.orphan_cleanup";
    const ARGS: &'static [&'static str] = &["content_pks", "orphan_protection_time"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        Resources::exclusive(prn::orphans(DomainId::DEFAULT))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let started = crate::db::now(&mut *ctx.session().await).await?;
        let before = started - Duration::minutes(self.orphan_protection_time.into());
        // The database knows no years as early as the longest protection reaches.
        let before = before.max(DateTime::UNIX_EPOCH);
        delete_content(&ctx, before, self.content_pks.as_deref()).await?;
        let mut gone = delete_artifacts(&ctx, before).await?;
        // What an earlier run of this task, or anybody else, buried and did not come to remove.
        gone += unlink_buried_before(&ctx, started).await?;
        info!(task_id:% = ctx.task(), files = gone.files, bytes = gone.bytes, failed = gone.failed;
            "orphan clean-up removed {} files of {} bytes; {} could not be removed",
            gone.files, gone.bytes, gone.failed);
        Ok(Outcome::default())
    }
}

/// Removes the memberships that deletions left: they keep their units from being orphans. What another
/// process is removing at this moment is waited for.
async fn sweep(ctx: &TaskContext) -> Result<(), TaskError> {
    loop {
        let seen = ctx
            .fenced(async |conn| Ok(MembershipDebris::sweep(conn, BATCH).await?))
            .await?;
        if seen == 0 {
            if !MembershipDebris::any(&mut *ctx.session().await).await? {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Passes over the units until one deletes nothing: a deleted unit may have been what kept another one.
async fn delete_content(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    only: Option<&[ContentId]>,
) -> Result<(), TaskError> {
    sweep(ctx).await?;
    let total = {
        let mut conn = ctx.session().await;
        Content::count_orphans(&mut conn, ctx.domain(), before, only).await?
    };
    let mut progress = ctx
        .progress("Clean up orphan Content", "clean-up.content", Some(total))
        .await?;
    loop {
        sweep(ctx).await?;
        let deleted = match only {
            Some(units) => pass_over_given(ctx, before, units, &mut progress).await?,
            None => pass_over_all(ctx, before, &mut progress).await?,
        };
        if deleted == 0 {
            break;
        }
    }
    let left = total - progress.done();
    if left > 0 {
        info!(task_id:% = ctx.task(), skipped = left; "{left} orphan units were in use and are kept");
        return progress.finish().await;
    }
    // Later passes find more than there was at the start.
    progress.finish_as_total().await
}

async fn pass_over_all(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    progress: &mut Progress,
) -> Result<usize, TaskError> {
    let mut behind = ContentId(Uuid::nil());
    let mut all = 0;
    loop {
        let (last, deleted) = ctx
            .fenced(async |conn| {
                let ids = Content::lock_orphans(conn, ctx.domain(), before, behind, BATCH).await?;
                let deleted = delete_units(conn, &ids, before).await?;
                Ok((ids.last().copied(), deleted))
            })
            .await?;
        let Some(last) = last else { return Ok(all) };
        behind = last;
        all += deleted;
        progress.add(i64::try_from(deleted).unwrap_or(0)).await?;
    }
}

async fn pass_over_given(
    ctx: &TaskContext,
    before: DateTime<Utc>,
    units: &[ContentId],
    progress: &mut Progress,
) -> Result<usize, TaskError> {
    let mut all = 0;
    for batch in units.chunks(usize::try_from(BATCH).unwrap_or(1)) {
        let deleted = ctx
            .fenced(async |conn| {
                let ids = Content::lock_given_orphans(conn, ctx.domain(), before, batch).await?;
                delete_units(conn, &ids, before).await
            })
            .await?;
        all += deleted;
        progress.add(i64::try_from(deleted).unwrap_or(0)).await?;
    }
    Ok(all)
}

/// Deletes locked units that are orphans still. A unit that something else holds is skipped: first all
/// at once, and where that fails, one by one.
async fn delete_units(
    conn: &mut Conn,
    ids: &[ContentId],
    before: DateTime<Utc>,
) -> Result<usize, TaskError> {
    if let Some(deleted) = unless_protected(conn, async |conn| {
        Content::delete_orphans(conn, ids, before).await
    })
    .await?
    {
        return Ok(deleted);
    }
    let mut all = 0;
    for id in ids {
        let one = std::slice::from_ref(id);
        let deleted = unless_protected(conn, async |conn| {
            Content::delete_orphans(conn, one, before).await
        })
        .await?;
        match deleted {
            Some(deleted) => all += deleted,
            None => warn!(content:% = id; "{id} is needed by something else and is kept"),
        }
    }
    Ok(all)
}

async fn delete_artifacts(ctx: &TaskContext, before: DateTime<Utc>) -> Result<Unlinked, TaskError> {
    let total = {
        let mut conn = ctx.session().await;
        Artifact::count_orphans(&mut conn, ctx.domain(), before).await?
    };
    let mut progress = ctx
        .progress(
            "Clean up orphan Artifacts",
            "clean-up.artifacts",
            Some(total),
        )
        .await?;
    let mut gone = Unlinked::default();
    let mut behind = None;
    loop {
        let (last, buried) = ctx
            .fenced(async |conn| {
                let ids = Artifact::lock_orphans(conn, ctx.domain(), before, behind, FILES).await?;
                let buried = bury(conn, &ids, before).await?;
                Ok((ids.last().copied(), buried))
            })
            .await?;
        if last.is_none() {
            break;
        }
        behind = last;
        gone += unlink(ctx.db(), ctx.storage(), &buried).await?;
        progress
            .add(i64::try_from(buried.len()).unwrap_or(0))
            .await?;
    }
    progress.finish().await?;
    Ok(gone)
}

async fn bury(
    conn: &mut Conn,
    ids: &[ArtifactId],
    before: DateTime<Utc>,
) -> Result<Vec<Tombstone>, TaskError> {
    if let Some(buried) = unless_protected(conn, async |conn| {
        Artifact::bury_many(conn, ids, before).await
    })
    .await?
    {
        return Ok(buried);
    }
    let mut all = Vec::new();
    for id in ids {
        let one = std::slice::from_ref(id);
        let buried = unless_protected(conn, async |conn| {
            Artifact::bury_many(conn, one, before).await
        })
        .await?;
        match buried {
            Some(buried) => all.extend(buried),
            None => warn!(artifact:% = id; "{id} is needed by something else and is kept"),
        }
    }
    Ok(all)
}

async fn unlink_buried_before(
    ctx: &TaskContext,
    moment: DateTime<Utc>,
) -> Result<Unlinked, TaskError> {
    let mut gone = Unlinked::default();
    let mut behind = String::new();
    loop {
        ctx.checkpoint()?;
        let page = {
            let mut conn = ctx.session().await;
            Tombstone::page(&mut conn, &behind, moment, FILES).await?
        };
        match page.last() {
            None => return Ok(gone),
            Some(last) => last.storage_key.as_str().clone_into(&mut behind),
        }
        gone += unlink(ctx.db(), ctx.storage(), &page).await?;
    }
}

/// Runs a delete in a savepoint. `None`: a foreign key protects one of the rows; nothing is deleted.
async fn unless_protected<'a, T, F>(conn: &mut Conn, delete: F) -> Result<Option<T>, TaskError>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, DieselError>
        + Work<&'r mut Conn, Result<T, DieselError>, Fut: Send>
        + Send
        + Sync
        + 'a,
    T: Send + 'a,
{
    match transaction(conn, delete).await {
        Ok(done) => Ok(Some(done)),
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(None),
        Err(error) => Err(Error::from(error).into()),
    }
}
