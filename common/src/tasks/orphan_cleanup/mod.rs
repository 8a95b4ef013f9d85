//! Deleting what nothing needs any more (contract 3.2).

mod artifacts;
mod units;

use super::disposal::{self, Disposal};
use crate::ids::{ContentId, DomainId};
use crate::models::disposable;
use crate::prn;
use crate::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Deletes units that are in no version of any repository, then artifacts that belong to no unit, then
/// their files. What was of interest within the last minutes is kept; what somebody uses at that moment
/// is skipped and counted. Once it has completed, the files are gone. Its result says what went. Safe to run
/// again after dying anywhere; the result is that of all runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrphanCleanup {
    /// Only these units, when given; artifacts are looked at all the same.
    #[serde(default)]
    pub content_pks: Option<Vec<ContentId>>,
    /// Minutes; what was of interest more recently is kept.
    #[serde(default)]
    pub orphan_protection_time: u32,
    /// True: says what would go, and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Task for OrphanCleanup {
    const NAME: &'static str = "pulpcore.app.tasks.orphan.orphan_cleanup";
    const ARGS: &'static [&'static str] = &["content_pks", "orphan_protection_time", "dry_run"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        Resources::exclusive(prn::orphans(DomainId::DEFAULT))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let only = self.content_pks.as_deref();
        if !self.dry_run {
            return orphan_cleanup(&ctx, only, self.orphan_protection_time).await;
        }
        let before = moment(&ctx, self.orphan_protection_time).await?;
        let mut conn = ctx.session().await;
        let found = disposable::orphans(&mut conn, ctx.domain(), before, only).await?;
        Ok(Outcome::result(json!(Disposal::dry(found))))
    }
}

/// Deletes orphan units and artifacts with their files, within the task that calls it; the outcome holds what
/// went as the result (seed: `orphan_cleanup`). Passes over the units repeat until one deletes nothing. The
/// task must hold the lane of [`prn::orphans`].
///
/// # Errors
/// As [`TaskContext::fenced`]. What was deleted until then stays deleted.
pub async fn orphan_cleanup(
    ctx: &TaskContext,
    content_pks: Option<&[ContentId]>,
    orphan_protection_time: u32,
) -> Result<Outcome, TaskError> {
    let before = moment(ctx, orphan_protection_time).await?;
    let skipped = units::delete(ctx, before, content_pks).await?;
    let kept = artifacts::delete(ctx, before).await?;
    disposal::finish(ctx, "clean-up", skipped + kept).await
}

/// What was last of interest before it is old enough.
async fn moment(ctx: &TaskContext, minutes: u32) -> Result<DateTime<Utc>, TaskError> {
    let now = crate::db::now(&mut *ctx.session().await).await?;
    Ok(protected_since(now, minutes))
}

/// What was of interest within the last minutes is protected; the database knows no years as early as the longest
/// protection reaches.
#[must_use]
pub fn protected_since(now: DateTime<Utc>, minutes: u32) -> DateTime<Utc> {
    (now - Duration::minutes(minutes.into())).max(DateTime::UNIX_EPOCH)
}
