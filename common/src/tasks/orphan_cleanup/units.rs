//! The units.

use super::super::disposal::{Account, BATCH, Count, sweep_debris, unless_protected};
use super::super::hands::{Cursor, Hand, Hands};
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
use tokio::join;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A deletion of units. It takes their artifacts with them, where nothing else needs those, and what they have stored in a
/// Pulp 2.
pub struct Units<'a> {
    pub ctx: &'a TaskContext,
    pub account: &'a Account<'a>,
    pub before: DateTime<Utc>,
    pub which: Orphans<'a>,
    /// True: an artifact that units of two batches have may stay. Then two batches go side by side, of which neither sees what
    /// the other one is about to delete.
    pub leaves_shared: bool,
}

/// What the batches of all passes have in common.
struct Work<'a> {
    progress: Progress,
    removal: Removal<'a>,
}

/// One over all units of these, by the hands of the run.
struct Pass<'a, 'w> {
    units: &'a Units<'a>,
    which: Orphans<'a>,
    plan: Plan,
    cursor: Cursor<ContentId>,
    work: &'a Mutex<Work<'w>>,
}

/// What one transaction has done.
#[derive(Default)]
struct Deleted {
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
        let mut hands = match self.which {
            Orphans::All | Orphans::Type(_) if self.leaves_shared => Hands::of(ctx, total).await,
            _ => Hands::one(ctx),
        };
        let work = Mutex::new(Work {
            progress,
            removal: Removal::of(ctx),
        });
        let plan = {
            let mut conn = ctx.session().await;
            Plan::of(&mut conn, "content", total, BATCH).await?
        };
        loop {
            sweep_debris(ctx).await?;
            if self.pass(&mut hands, &work, plan).await? == 0 {
                break;
            }
        }
        let kept = ctx.unless_stopped(self.count()).await?;
        if kept > 0 {
            info!(task_id:% = ctx.task(), skipped = kept; "{kept} orphan units are in use and are kept");
        }
        // Later passes find more than there was at the start.
        work.into_inner().progress.finish_of(total).await?;
        Ok(kept)
    }

    async fn count(&self) -> Result<i64, TaskError> {
        let mut conn = self.ctx.session().await;
        let (domain, before) = (self.ctx.domain(), self.before);
        Ok(self.which.count(&mut conn, domain, before).await?)
    }

    async fn pass(
        &self,
        hands: &mut Hands<'_>,
        work: &Mutex<Work<'_>>,
        plan: Plan,
    ) -> Result<i64, TaskError> {
        // A list is taken piece by piece: it may be longer than what one statement should be given.
        let Orphans::Units(all) = self.which else {
            return self.pass_over(self.which, hands, work, plan).await;
        };
        let mut deleted = 0;
        for piece in all.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let piece = Orphans::Units(piece);
            deleted += self.pass_over(piece, hands, work, plan).await?;
        }
        Ok(deleted)
    }

    async fn pass_over(
        &self,
        which: Orphans<'_>,
        hands: &mut Hands<'_>,
        work: &Mutex<Work<'_>>,
        plan: Plan,
    ) -> Result<i64, TaskError> {
        let pass = Pass {
            units: self,
            which,
            plan,
            cursor: Cursor::at(ContentId(Uuid::nil())),
            work,
        };
        let other = async {
            match &mut hands.other {
                Some(hand) => pass.delete(hand).await,
                None => Ok(0),
            }
        };
        // Neither is dropped in the middle of its batch.
        let (one, other) = join!(pass.delete(&mut hands.one), other);
        Ok(one? + other?)
    }

    /// Deletes locked units that are orphans still, and counts them. A unit that something else holds is skipped:
    /// first all at once, and where that fails, one by one.
    async fn delete_batch(&self, conn: &mut Conn, ids: &[ContentId]) -> Result<Deleted, TaskError> {
        let mut done = Deleted::default();
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
        if !artifacts.is_empty() {
            let unneeded = Artifact::lock_unneeded(conn, &artifacts).await?;
            let bury = self.account.bury(conn, &unneeded, Some(self.before));
            done.buried = bury.await?;
        }
        if stored > 0 {
            let kept = UnitTombstone::stored(conn, ids).await?;
            self.account.add(conn, Count::Stored, stored - kept).await?;
            done.stored = kept < stored;
        }
        // The counts come last: whoever counts is waited for until he commits.
        let by_type = deleted.iter().map(|(name, units)| (name.as_str(), *units));
        self.account.add_units(conn, by_type).await?;
        done.units = deleted.values().sum();
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

impl Pass<'_, '_> {
    /// Deletes batch by batch; gives how many units.
    async fn delete(&self, hand: &mut Hand<'_>) -> Result<i64, TaskError> {
        let deleted = Box::pin(self.delete_all(hand)).await;
        if deleted.is_err() {
            self.cursor.stop().await;
        }
        deleted
    }

    async fn delete_all(&self, hand: &mut Hand<'_>) -> Result<i64, TaskError> {
        let ctx = self.units.ctx;
        let (mut all, mut gone, mut buried) = (0, 0, Vec::new());
        loop {
            // What cannot be removed now is tried again at the end.
            let next = self.batch(hand);
            let done = unlink_beside(ctx.db(), ctx.storage(), &buried, next).await?;
            let mut work = self.work.lock().await;
            work.progress.add(gone).await?;
            let Some(done) = done else {
                return Ok(all);
            };
            if done.stored {
                work.removal.go_on().await?;
            }
            (gone, buried) = (done.units, done.buried);
            all += done.units;
        }
    }

    /// `None`: nothing is left.
    async fn batch(&self, hand: &mut Hand<'_>) -> Result<Option<Deleted>, TaskError> {
        let Some(start) = self.cursor.start().await else {
            return Ok(None);
        };
        let (units, behind) = (self.units, start.from());
        let (domain, before) = (units.ctx.domain(), units.before);
        let start = Mutex::new(Some(start));
        hand.fenced(async |conn| {
            let lock = self
                .which
                .lock(conn, domain, before, behind, BATCH, self.plan);
            let ids = lock.await?;
            if let Some(start) = start.lock().await.take() {
                start.moved(ids.last().copied());
            }
            if ids.is_empty() {
                return Ok(None);
            }
            units.delete_batch(conn, &ids).await.map(Some)
        })
        .await
    }
}
