//! Housekeeping of the whole fleet: one look a second, and a duty only where the look found work.
//!
//! Every worker asks; the database gives a pass to the first that finds one due. All duties are
//! compare-and-set or skip what is locked, so that two janitors at once do no harm.

mod announce;
mod look;
mod overdue;
mod rescue;
mod schedules;
mod sweep;

use crate::broker::{Link, Publisher};
use crate::cause::chain;
use crate::config::Settings;
use crate::db::{Db, Session};
use crate::error::Error;
use crate::secrets::Keyring;
use crate::storage::Storage;
use crate::tasking::{Execution, Registry};
use log::warn;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// A look that takes longer is given up with its session.
const PATIENCE: Duration = Duration::from_secs(10);

/// The janitor of a process.
pub struct Janitor {
    db: Db,
    storage: Storage,
    publisher: Publisher,
    link: Link,
    settings: Arc<Settings>,
    registry: Arc<Registry>,
    keyring: Keyring,
    session: Mutex<Option<Session>>,
    left: SyncMutex<Left>,
    to_announce: Notify,
    chores: Notify,
    schedules: Notify,
    overdue: Notify,
}

/// What passes found that may take its time: nothing urgent waits behind it. Announcements wait for no file.
#[derive(Default)]
struct Left {
    unconfirmed: bool,
    announced: BTreeSet<String>,
    tombstones: bool,
    sweep_after: Option<String>,
}

impl Janitor {
    /// A janitor that works with what bodies work with, and announces through this publisher. It asks for the
    /// depth of queues on a connection of its own: a broker that hangs holds up nobody else.
    #[must_use]
    pub fn new(execution: &Execution, publisher: Publisher, name: &str) -> Self {
        let settings = Arc::clone(&execution.settings);
        Self {
            db: execution.db.clone(),
            storage: execution.storage.clone(),
            publisher,
            link: Link::new(&settings.broker, &format!("{name} janitor")),
            registry: Arc::clone(&execution.registry),
            keyring: execution.keyring.clone(),
            settings,
            session: Mutex::new(None),
            left: SyncMutex::default(),
            to_announce: Notify::new(),
            chores: Notify::new(),
            schedules: Notify::new(),
            overdue: Notify::new(),
        }
    }

    /// Takes the pass if it is due: does what is urgent, and leaves the rest to
    /// [`Janitor::expire_overdue`], [`Janitor::dispatch_schedules`], [`Janitor::announce_again`] and
    /// [`Janitor::chores`].
    ///
    /// `alive` is called whenever it has come a step further.
    ///
    /// # Errors
    /// The database cannot be used now. A duty that fails is logged and met again in the next pass.
    pub async fn pass(&self, alive: &(dyn Fn() + Send + Sync)) -> Result<(), Error> {
        let Some(found) = self.look().await? else {
            return Ok(());
        };
        for lost in &found.lost {
            alive();
            self.duty("rescue", self.rescue(lost).await);
        }
        if found.overdue {
            self.overdue.notify_one();
        }
        if found.schedules {
            self.schedules.notify_one();
        }
        if found.resume {
            self.duty("resume promotions", self.resume(alive).await);
        }
        let mut left = self.left();
        left.unconfirmed |= found.unconfirmed;
        left.announced.extend(found.announced);
        left.tombstones |= found.tombstones;
        if found.sweep_due {
            left.sweep_after = Some(found.sweep_after);
        }
        drop(left);
        self.to_announce.notify_one();
        self.chores.notify_one();
        Ok(())
    }

    /// Waits for the next pass and announces what it left.
    pub async fn announce_again(&self) {
        self.to_announce.notified().await;
        let (unconfirmed, announced) = {
            let mut left = self.left();
            let announced = std::mem::take(&mut left.announced);
            (std::mem::take(&mut left.unconfirmed), announced)
        };
        if unconfirmed {
            // What a pause holds is unconfirmed too.
            self.duty("release", self.release_paused().await);
            self.duty("announce again", self.announce_unconfirmed().await);
        }
        for class in &announced {
            self.duty("find lost messages", self.announce_lost(class).await);
        }
    }

    /// Waits for the next pass and does what else it left. True: the slow round was among it.
    pub async fn chores(&self) -> bool {
        self.chores.notified().await;
        let (tombstones, sweep_after) = {
            let mut left = self.left();
            let sweep_after = left.sweep_after.take();
            (std::mem::take(&mut left.tombstones), sweep_after)
        };
        if tombstones {
            self.duty("unlink files", self.unlink().await);
        }
        let Some(after) = sweep_after else {
            return false;
        };
        self.duty("sweep", self.sweep(&after).await);
        for (name, chore) in self.registry.chores() {
            self.duty(name, chore(&self.db, &self.settings).await);
        }
        true
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        // Flags: a panic leaves them whole.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks on a session of its own: taken from the pool, each look would cost a ping besides.
    async fn look(&self) -> Result<Option<look::Found>, Error> {
        let mut session = self.session.lock().await;
        let conn = match &mut *session {
            Some(session) => session,
            closed => closed.insert(self.db.session("janitor").await?),
        };
        let looking = look::look(&mut conn.conn, &self.settings.worker);
        let found = tokio::time::timeout(PATIENCE, looking)
            .await
            .unwrap_or_else(|elapsed| {
                Err(Error::Unavailable {
                    what: "database",
                    source: elapsed.into(),
                })
            });
        if found.is_err() {
            *session = None;
        }
        found
    }

    fn duty(&self, what: &'static str, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            warn!(error:% = error, duty = what; "janitor: {what}: {}", chain(&error));
        }
    }
}
