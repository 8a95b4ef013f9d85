//! Deleting what nothing needs any more (contract 3.2).

mod artifacts;
mod units;

use super::disposal::{Account, Disposal, protected_since, sweep_debris};
use crate::ids::{ContentId, DomainId};
use crate::models::{Orphans, disposable};
use crate::prn;
use crate::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use units::Units;

/// Deletes units that are in no version of any repository, each batch with those of its artifacts that nothing else needs; then
/// artifacts that belong to no unit. Files go after the commit of their batch. What was of interest within the last minutes is
/// kept; what somebody uses at that moment is skipped and counted. Once it has completed, the files are gone. Its result says
/// what went. Safe to run again after dying anywhere; the result is that of all runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrphanCleanup {
    /// Only these units, when given; artifacts are looked at all the same.
    #[serde(default)]
    pub content_pks: Option<Vec<ContentId>>,
    /// Minutes; what was of interest more recently is kept.
    #[serde(default)]
    pub orphan_protection_time: u32,
    /// True: says what would go, and nothing does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
        // What deletions left would be swept first; nobody sees it.
        sweep_debris(&ctx).await?;
        let count = async {
            let mut conn = ctx.session().await;
            let now = crate::db::now(&mut conn).await?;
            let before = protected_since(now, self.orphan_protection_time);
            Ok(disposable::orphans(&mut conn, ctx.domain(), before, only).await?)
        };
        let found = ctx.unless_stopped(count).await?;
        Ok(Outcome::result(json!(Disposal::dry(found))))
    }
}

/// Deletes orphan units and artifacts with their files, within the task that calls it; the outcome holds what
/// went as the result (seed: `orphan_cleanup`). Once a task. Passes over the units repeat until one deletes nothing. The
/// task must hold the lane of [`prn::orphans`].
///
/// # Errors
/// As [`TaskContext::fenced`]. What was deleted until then stays deleted.
pub async fn orphan_cleanup(
    ctx: &TaskContext,
    content_pks: Option<&[ContentId]>,
    orphan_protection_time: u32,
) -> Result<Outcome, TaskError> {
    let account = Account::of(ctx, "orphan_cleanup");
    let before = account.protected_since(orphan_protection_time).await?;
    let units = Units {
        ctx,
        account: &account,
        before,
        which: content_pks.map_or(Orphans::All, Orphans::Units),
        // They are without a unit then, and go next.
        leaves_shared: true,
    };
    let kept = units.delete().await? + artifacts::delete(ctx, &account, before).await?;
    account.close("clean-up", kept).await
}

/// Deletes orphan units, with the artifacts of theirs that nothing else needs, within the task that calls it, and
/// says what went. Artifacts that belong to no unit stay: somebody may have stored one to make a unit of it. Else as
/// [`orphan_cleanup`].
///
/// # Errors
/// As [`TaskContext::fenced`]. What was deleted until then stays deleted.
pub async fn delete_orphans(
    ctx: &TaskContext,
    which: Orphans<'_>,
    protection_time: u32,
) -> Result<Disposal, TaskError> {
    let account = Account::of(ctx, "delete_orphans");
    let before = account.protected_since(protection_time).await?;
    let units = Units {
        ctx,
        account: &account,
        before,
        which,
        leaves_shared: false,
    };
    let kept = units.delete().await?;
    account.end("clean-up", kept).await
}
