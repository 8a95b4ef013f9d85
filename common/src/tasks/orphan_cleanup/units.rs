//! The units.

use super::super::disposal::{Account, BATCH, Count, sweep_debris, unless_protected};
use crate::db::Conn;
use crate::ids::ContentId;
use crate::models::plan::Plan;
use crate::models::{Artifact, Orphans, Tombstone, UnitTombstone};
use crate::storage::tombstones::unlink_beside;
use crate::tasking::{Progress, TaskContext, TaskError};
use crate::units::Removal;
use chrono::{DateTime, Utc};
use log::{info, warn};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A deletion of units. It takes their artifacts with them, where nothing else needs those, and what they have stored in a
/// Pulp 2.
pub struct Units<'a> {
    pub ctx: &'a TaskContext,
    pub account: &'a Account<'a>,
    pub before: DateTime<Utc>,
    pub which: Orphans<'a>,
}

/// What one transaction has done.
#[derive(Default)]
struct Deleted {
    /// The last unit that was looked at.
    last: Option<ContentId>,
    units: i64,
    /// Files of artifacts.
    buried: Vec<Tombstone>,
    /// True: some units have stored something elsewhere.
    stored: bool,
}

impl Units<'_> {
    /// Deletes orphan units in passes until one deletes nothing: a deleted unit may have been what kept another one.
    /// Gives how many are kept, as somebody uses them.
    pub async fn delete(&self) -> Result<i64, TaskError> {
        let ctx = self.ctx;
        sweep_debris(ctx).await?;
        let total = self.account.first("orphan units", self.count()).await?;
        let mut progress = ctx
            .progress("Clean up orphan Content", "clean-up.content", Some(total))
            .await?;
        progress.resume(self.account.units().await?);
        let mut removal = Removal::of(ctx);
        let plan = {
            let mut conn = ctx.session().await;
            Plan::of(&mut conn, "content", total, BATCH).await?
        };
        loop {
            sweep_debris(ctx).await?;
            if self.pass(&mut progress, &mut removal, plan).await? == 0 {
                break;
            }
        }
        let kept = ctx.unless_stopped(self.count()).await?;
        if kept > 0 {
            info!(task_id:% = ctx.task(), skipped = kept; "{kept} orphan units are in use and are kept");
        }
        // Later passes find more than there was at the start.
        progress.finish_of(total).await?;
        Ok(kept)
    }

    async fn count(&self) -> Result<i64, TaskError> {
        let mut conn = self.ctx.session().await;
        let (domain, before) = (self.ctx.domain(), self.before);
        Ok(self.which.count(&mut conn, domain, before).await?)
    }

    async fn pass(
        &self,
        progress: &mut Progress,
        removal: &mut Removal<'_>,
        plan: Plan,
    ) -> Result<i64, TaskError> {
        // A list is taken piece by piece: it may be longer than what one statement should be given.
        let Orphans::Units(all) = self.which else {
            return self.pass_over(self.which, progress, removal, plan).await;
        };
        let mut deleted = 0;
        for piece in all.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let piece = Orphans::Units(piece);
            deleted += self.pass_over(piece, progress, removal, plan).await?;
        }
        Ok(deleted)
    }

    async fn pass_over(
        &self,
        which: Orphans<'_>,
        progress: &mut Progress,
        removal: &mut Removal<'_>,
        plan: Plan,
    ) -> Result<i64, TaskError> {
        let (ctx, domain) = (self.ctx, self.ctx.domain());
        let mut behind = ContentId(Uuid::nil());
        let (mut all, mut gone, mut buried) = (0, 0, Vec::new());
        loop {
            let next = ctx.fenced(async |conn| {
                let ids = which
                    .lock(conn, domain, self.before, behind, BATCH, plan)
                    .await?;
                self.delete_batch(conn, &ids).await
            });
            // What cannot be removed now is tried again at the end.
            let done = unlink_beside(ctx.db(), ctx.storage(), &buried, next).await?;
            progress.add(gone).await?;
            let Some(last) = done.last else {
                return Ok(all);
            };
            (behind, gone, buried) = (last, done.units, done.buried);
            all += done.units;
            if done.stored {
                removal.go_on().await?;
            }
        }
    }

    /// Deletes locked units that are orphans still, and counts them. A unit that something else holds is skipped:
    /// first all at once, and where that fails, one by one.
    async fn delete_batch(&self, conn: &mut Conn, ids: &[ContentId]) -> Result<Deleted, TaskError> {
        if ids.is_empty() {
            return Ok(Deleted::default());
        }
        let mut done = Deleted {
            last: ids.last().copied(),
            ..Deleted::default()
        };
        let stored = UnitTombstone::sign(conn, ids, self.ctx.task()).await?;
        let artifacts = Orphans::artifacts(conn, ids).await?;
        let all = unless_protected(conn, async |conn| {
            Orphans::delete(conn, ids, self.before).await
        })
        .await?;
        let deleted = match all {
            Some(deleted) => deleted,
            None => self.delete_singly(conn, ids).await?,
        };
        let by_type = deleted.iter().map(|(name, units)| (name.as_str(), *units));
        self.account.add_units(conn, by_type).await?;
        done.units = deleted.values().sum();
        if stored > 0 {
            let kept = UnitTombstone::stored(conn, ids).await?;
            self.account.add(conn, Count::Stored, stored - kept).await?;
            done.stored = kept < stored;
        }
        if !artifacts.is_empty() {
            let unneeded = Artifact::lock_unneeded(conn, &artifacts).await?;
            let bury = self.account.bury(conn, &unneeded, Some(self.before));
            done.buried = bury.await?;
        }
        Ok(done)
    }

    async fn delete_singly(
        &self,
        conn: &mut Conn,
        ids: &[ContentId],
    ) -> Result<BTreeMap<String, i64>, TaskError> {
        let mut all = BTreeMap::new();
        for id in ids {
            let one = std::slice::from_ref(id);
            let deleted = unless_protected(conn, async |conn| {
                Orphans::delete(conn, one, self.before).await
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
}
