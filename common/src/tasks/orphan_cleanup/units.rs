//! The units.

use super::super::disposal::{Account, BATCH, Count, sweep_debris, unless_protected};
use super::super::hands::{Cursor, Hand};
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
    /// Batches that go side by side: one where an artifact that units of two batches share must go with them. Of two
    /// batches neither sees what the other is about to delete.
    pub hands: usize,
}

/// What the batches of all passes have in common.
struct Work<'a> {
    total: i64,
    progress: Progress,
    removal: Removal<'a>,
}

/// Those that go over the units, each a batch at a time.
struct Hands<'a, 'w> {
    units: &'a Units<'a>,
    which: Orphans<'a>,
    plan: Plan,
    cursor: Cursor<ContentId>,
    work: &'a Mutex<Work<'w>>,
}

/// What one transaction has done.
#[derive(Default)]
struct Deleted {
    /// True: no units were left to be looked at.
    is_end: bool,
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
        let work = Mutex::new(Work {
            total,
            progress,
            removal: Removal::of(ctx),
        });
        let plan = {
            let mut conn = ctx.session().await;
            Plan::of(&mut conn, "content", total, BATCH).await?
        };
        loop {
            sweep_debris(ctx).await?;
            if self.pass(&work, plan).await? == 0 {
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

    async fn pass(&self, work: &Mutex<Work<'_>>, plan: Plan) -> Result<i64, TaskError> {
        // A list is taken piece by piece: it may be longer than what one statement should be given.
        let Orphans::Units(all) = self.which else {
            return self.pass_over(self.which, work, plan).await;
        };
        let mut deleted = 0;
        for piece in all.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            deleted += self.pass_over(Orphans::Units(piece), work, plan).await?;
        }
        Ok(deleted)
    }

    async fn pass_over(
        &self,
        which: Orphans<'_>,
        work: &Mutex<Work<'_>>,
        plan: Plan,
    ) -> Result<i64, TaskError> {
        let hands = Hands {
            units: self,
            which,
            plan,
            cursor: Cursor::at(ContentId(Uuid::nil())),
            work,
        };
        let one = hands.delete(Hand::of_run(self.ctx));
        let is_long = matches!(which, Orphans::All | Orphans::Type(_));
        if self.hands == 1 || !is_long || work.lock().await.total <= BATCH {
            return one.await;
        }
        let other = async {
            match Hand::beside(self.ctx).await {
                Some(hand) => hands.delete(hand).await,
                None => Ok(0),
            }
        };
        // Neither is dropped in the middle of its batch.
        let (one, other) = join!(one, other);
        Ok(one? + other?)
    }

    /// Deletes locked units that are orphans still, and counts them. A unit that something else holds is skipped:
    /// first all at once, and where that fails, one by one.
    async fn delete_batch(&self, conn: &mut Conn, ids: &[ContentId]) -> Result<Deleted, TaskError> {
        let mut done = Deleted {
            is_end: ids.is_empty(),
            ..Deleted::default()
        };
        if done.is_end {
            return Ok(done);
        }
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

impl Hands<'_, '_> {
    /// Deletes batch by batch; gives how many units.
    async fn delete(&self, hand: Hand<'_>) -> Result<i64, TaskError> {
        let deleted = Box::pin(self.delete_all(hand)).await;
        if deleted.is_err() {
            self.cursor.stop().await;
        }
        deleted
    }

    async fn delete_all(&self, mut hand: Hand<'_>) -> Result<i64, TaskError> {
        let ctx = self.units.ctx;
        let (mut all, mut gone, mut buried) = (0, 0, Vec::new());
        loop {
            let begun = Mutex::new(None);
            let next = hand.fenced(async |conn| self.batch(conn, &begun).await);
            // What cannot be removed now is tried again at the end.
            let done = unlink_beside(ctx.db(), ctx.storage(), &buried, next).await?;
            let mut work = self.work.lock().await;
            work.progress.add(gone).await?;
            if done.is_end {
                return Ok(all);
            }
            if done.stored {
                work.removal.go_on().await?;
            }
            (gone, buried) = (done.units, done.buried);
            all += done.units;
        }
    }

    async fn batch(
        &self,
        conn: &mut Conn,
        begun: &Mutex<Option<ContentId>>,
    ) -> Result<Deleted, TaskError> {
        let units = self.units;
        let place = self.cursor.place(begun).await;
        let mut ids = Vec::new();
        if let Some(behind) = place.begin() {
            let (domain, before) = (units.ctx.domain(), units.before);
            let lock = self
                .which
                .lock(conn, domain, before, behind, BATCH, self.plan);
            ids = lock.await?;
            place.moved(ids.last().copied());
        }
        units.delete_batch(conn, &ids).await
    }
}
