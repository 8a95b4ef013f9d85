//! Removing what deleted units have stored, after the commit that deleted them.

use super::storage::{Fault, Storage, Stored};
use crate::config::Settings;
use crate::crash::{self, Point};
use crate::db::{Db, Session};
use crate::error::Error;
use crate::models::UnitTombstone;
use crate::tasking::{TaskContext, TaskError};
use log::warn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Things that are removed in one go.
const BATCH: i64 = 500;

/// How long a task waits while others remove, or units come in.
const TASK_WAITS_MS: u32 = 5000;

/// The same for the janitor, who comes again.
const JANITOR_WAITS_MS: u32 = 1;

/// Longest time that one round of the janitor removes.
const LONGEST: Duration = Duration::from_secs(10);

/// Time between two looks whether the lock is held still, while something is removed; and the longest wait for an answer.
const LOOK: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);

/// The removal of what the units of a task have stored.
pub struct Removal<'a> {
    ctx: &'a TaskContext,
    session: Option<Session>,
    behind: i64,
    /// False: somebody else was at it for long. The janitor does the rest.
    is_free: bool,
}

impl<'a> Removal<'a> {
    /// That of this task.
    #[must_use]
    pub fn of(ctx: &'a TaskContext) -> Self {
        Self {
            ctx,
            session: None,
            behind: 0,
            is_free: true,
        }
    }

    /// Removes what the task's units have left since the last time. What cannot be removed is logged, and left to
    /// the janitor.
    ///
    /// # Errors
    /// As the session.
    pub async fn go_on(&mut self) -> Result<(), TaskError> {
        self.remove(false).await
    }

    /// Removes what earlier runs have left, too. Gives how much of it is left all the same.
    ///
    /// # Errors
    /// As the session.
    pub async fn end(mut self) -> Result<i64, TaskError> {
        self.behind = 0;
        self.remove(self.ctx.attempt() > 1).await?;
        let mut conn = self.ctx.session().await;
        Ok(UnitTombstone::left_by(&mut conn, self.ctx.task()).await?)
    }

    async fn remove(&mut self, again: bool) -> Result<(), TaskError> {
        let (ctx, task) = (self.ctx, self.ctx.task());
        while self.is_free {
            ctx.checkpoint()?;
            let claimed = {
                let mut conn = ctx.db().get().await?;
                UnitTombstone::claim_of(&mut conn, task, self.behind, again, BATCH).await?
            };
            let Some(last) = claimed.last() else { break };
            self.behind = last.id;
            let session = match &mut self.session {
                Some(session) => session,
                none => none.insert(ctx.db().session("unit storage").await?),
            };
            let conn = &mut session.conn;
            let locking = async { Ok(UnitTombstone::lock(conn, TASK_WAITS_MS).await?) };
            self.is_free = ctx.unless_stopped(locking).await?;
            if self.is_free {
                let batch = Batch::of(conn, ctx.settings(), claimed).await?;
                crash::point(Point::UnitsBuried);
                let (stop, lost) = (ctx.clone(), Flag::default());
                let seen = lost.clone();
                let removing = ctx
                    .blocking(move || batch.remove(|| seen.is_set() || stop.checkpoint().is_err()));
                let done = watched(removing, &lost, lock_is_lost(conn)).await?;
                crash::point(Point::UnitsRemoved);
                UnitTombstone::forget(conn, &done).await?;
                UnitTombstone::unlock(conn).await?;
            }
        }
        Ok(())
    }
}

/// Removes what is due, whoever has left it, for some time. Several processes may do it at once.
///
/// # Errors
/// [`Error::Unavailable`] when the database does not answer.
pub async fn remove_due(db: &Db, settings: &Settings) -> Result<(), Error> {
    if !UnitTombstone::any_due(&mut *db.get().await?).await? {
        return Ok(());
    }
    let mut session = db.session("unit storage").await?;
    let conn = &mut session.conn;
    if !UnitTombstone::lock(conn, JANITOR_WAITS_MS).await? {
        return Ok(());
    }
    let started = Instant::now();
    while started.elapsed() < LONGEST {
        let claimed = UnitTombstone::claim_due(conn, BATCH).await?;
        if claimed.is_empty() {
            break;
        }
        let batch = Batch::of(conn, settings, claimed).await?;
        let lost = Flag::default();
        let seen = lost.clone();
        let removing = tokio::task::spawn_blocking(move || batch.remove(|| seen.is_set()));
        let done = watched(removing, &lost, lock_is_lost(conn)).await;
        UnitTombstone::forget(conn, &done.map_err(Error::internal)?).await?;
    }
    Ok(())
}

/// Says that nothing more may be removed.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets a flag where it is dropped.
struct OnDrop<'f>(&'f Flag);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Waits for a removal that goes on elsewhere, and lets it know by the flag when the lock is lost, or nobody waits any more:
/// the lock goes with the session, and after that the paths may be those of new units.
async fn watched<T>(
    removing: impl Future<Output = T>,
    lost: &Flag,
    lock_is_lost: impl Future<Output = ()>,
) -> T {
    let _guard = OnDrop(lost);
    let mut removing = std::pin::pin!(removing);
    tokio::select! {
        done = &mut removing => done,
        () = lock_is_lost => {
            lost.set();
            removing.await
        }
    }
}

/// Ends when the session with the lock does not answer in time any more.
async fn lock_is_lost(conn: &mut crate::db::Conn) {
    loop {
        tokio::time::sleep(LOOK).await;
        let answer = tokio::time::timeout(ANSWER, UnitTombstone::check_lock(conn)).await;
        if !matches!(answer, Ok(Ok(()))) {
            return;
        }
    }
}

/// Claimed tombstones, looked at under the lock.
struct Batch {
    root: PathBuf,
    /// Named by a unit still, or again.
    kept: Vec<i64>,
    stored: Vec<(i64, Stored)>,
}

impl Batch {
    async fn of(
        conn: &mut crate::db::Conn,
        settings: &Settings,
        claimed: Vec<UnitTombstone>,
    ) -> Result<Self, Error> {
        let uses = UnitTombstone::uses(conn, &claimed).await?;
        let mut batch = Self {
            root: settings.units.storage_root.clone(),
            kept: Vec::new(),
            stored: Vec::new(),
        };
        for (one, by_others) in claimed.into_iter().zip(uses) {
            if by_others.named {
                batch.kept.push(one.id);
                continue;
            }
            let stored = Stored {
                path: one.path,
                again: one.tries > 1,
                holds_others: by_others.holds_others,
                shares_others: by_others.shares_others,
            };
            batch.stored.push((one.id, stored));
        }
        Ok(batch)
    }

    /// Removes it, on a thread that may wait; gives the tombstones that are done with.
    fn remove(self, is_stopped: impl Fn() -> bool) -> Vec<i64> {
        let mut done = self.kept;
        if self.stored.is_empty() {
            return done;
        }
        let storage = match Storage::open(&self.root) {
            Ok(storage) => storage,
            Err(fault) => {
                let waiting = self.stored.len();
                warn!("what {waiting} units have stored cannot be removed now: {fault}");
                return done;
            }
        };
        for (id, stored) in self.stored {
            if is_stopped() {
                break;
            }
            match storage.remove(&stored) {
                Ok(_) => done.push(id),
                Err(fault) => log_fault(&stored, &fault),
            }
        }
        done
    }
}

fn log_fault(stored: &Stored, fault: &Fault) {
    let path = &stored.path;
    warn!(path = path.as_str(); "what a unit has stored cannot be removed: '{path}': {fault}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_removal_stops_when_its_lock_is_lost_or_nobody_waits() {
        let lost = Flag::default();
        let removing = async {
            while !lost.is_set() {
                tokio::task::yield_now().await;
            }
            "stopped"
        };
        assert_eq!(watched(removing, &lost, async {}).await, "stopped");

        let (dropped, held) = (Flag::default(), std::future::pending());
        let mut waiting = Box::pin(watched(std::future::pending::<()>(), &dropped, held));
        assert!(futures_util::poll!(&mut waiting).is_pending() && !dropped.is_set());
        drop(waiting);
        assert!(dropped.is_set());
    }
}
