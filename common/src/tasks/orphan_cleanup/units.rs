//! The units.

use super::super::disposal::{Account, BATCH, sweep_debris, unless_protected};
use crate::db::Conn;
use crate::ids::ContentId;
use crate::models::Content;
use crate::tasking::{Progress, TaskContext, TaskError};
use chrono::{DateTime, Utc};
use log::{info, warn};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A clean-up of units.
pub struct Units<'a> {
    pub ctx: &'a TaskContext,
    pub account: &'a Account<'a>,
    pub before: DateTime<Utc>,
    /// Only these, where some are given.
    pub only: Option<&'a [ContentId]>,
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
        loop {
            sweep_debris(ctx).await?;
            let deleted = match self.only {
                Some(units) => self.pass_over_given(units, &mut progress).await?,
                None => self.pass_over_all(&mut progress).await?,
            };
            if deleted == 0 {
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
        let (domain, before) = (self.ctx.domain(), self.before);
        let mut conn = self.ctx.session().await;
        Ok(Content::count_orphans(&mut conn, domain, before, self.only).await?)
    }

    async fn pass_over_all(&self, progress: &mut Progress) -> Result<i64, TaskError> {
        let (domain, before) = (self.ctx.domain(), self.before);
        let mut behind = ContentId(Uuid::nil());
        let mut all = 0;
        loop {
            let (last, deleted) = self
                .ctx
                .fenced(async |conn| {
                    let ids = Content::lock_orphans(conn, domain, before, behind, BATCH).await?;
                    let deleted = self.delete_batch(conn, &ids).await?;
                    Ok((ids.last().copied(), deleted))
                })
                .await?;
            let Some(last) = last else { return Ok(all) };
            behind = last;
            all += deleted;
            progress.add(deleted).await?;
        }
    }

    async fn pass_over_given(
        &self,
        units: &[ContentId],
        progress: &mut Progress,
    ) -> Result<i64, TaskError> {
        let (domain, before) = (self.ctx.domain(), self.before);
        let mut all = 0;
        for batch in units.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let deleted = self
                .ctx
                .fenced(async |conn| {
                    let ids = Content::lock_given_orphans(conn, domain, before, batch).await?;
                    self.delete_batch(conn, &ids).await
                })
                .await?;
            all += deleted;
            progress.add(deleted).await?;
        }
        Ok(all)
    }

    /// Deletes locked units that are orphans still, and counts them. A unit that something else holds is skipped:
    /// first all at once, and where that fails, one by one.
    async fn delete_batch(&self, conn: &mut Conn, ids: &[ContentId]) -> Result<i64, TaskError> {
        let all = unless_protected(conn, async |conn| {
            Content::delete_orphans(conn, ids, self.before).await
        })
        .await?;
        let deleted = match all {
            Some(deleted) => deleted,
            None => self.delete_singly(conn, ids).await?,
        };
        let by_type = deleted.iter().map(|(name, units)| (name.as_str(), *units));
        self.account.add_units(conn, by_type).await?;
        Ok(deleted.values().sum())
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
                Content::delete_orphans(conn, one, self.before).await
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
