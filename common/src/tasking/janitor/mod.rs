//! Housekeeping of the whole fleet: one look a second, and a duty only where the look found work.
//!
//! Every worker asks; the database gives a pass to the first that finds one due. All duties are
//! compare-and-set or skip what is locked, so that two janitors at once do no harm.

mod announce;
mod look;
mod rescue;
mod sweep;

use crate::broker::{Link, Publisher};
use crate::cause::chain;
use crate::config::Settings;
use crate::db::{Db, Session};
use crate::error::Error;
use crate::storage::Storage;
use log::warn;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex, Notify};

/// The janitor of a process.
pub struct Janitor {
    db: Db,
    storage: Storage,
    publisher: Publisher,
    link: Link,
    settings: Arc<Settings>,
    session: Mutex<Option<Session>>,
    chores: SyncMutex<Chores>,
    found: Notify,
    repairs: AtomicU64,
    rescues: AtomicU64,
}

/// What passes found that may take its time: nothing urgent waits behind it.
#[derive(Default)]
struct Chores {
    unconfirmed: bool,
    announced: BTreeSet<String>,
    tombstones: bool,
    sweep_after: Option<String>,
}

impl Janitor {
    /// A janitor that announces through this publisher. It asks for the depth of queues on a connection
    /// of its own: a broker that hangs holds up nobody else.
    #[must_use]
    pub fn new(
        db: Db,
        storage: Storage,
        publisher: Publisher,
        settings: Arc<Settings>,
        name: &str,
    ) -> Self {
        Self {
            db,
            storage,
            publisher,
            link: Link::new(&settings.broker, &format!("{name} janitor")),
            settings,
            session: Mutex::new(None),
            chores: SyncMutex::default(),
            found: Notify::new(),
            repairs: AtomicU64::new(0),
            rescues: AtomicU64::new(0),
        }
    }

    /// Takes the pass if it is due: does what is urgent, and leaves the rest to [`Janitor::chores`].
    ///
    /// # Errors
    /// The database cannot be used now. A duty that fails is logged and met again in the next pass.
    pub async fn pass(&self) -> Result<(), Error> {
        let Some(found) = self.look().await? else {
            return Ok(());
        };
        for lost in &found.lost {
            self.duty("rescue", self.rescue(lost).await);
        }
        for task in &found.expired {
            self.duty("expire", self.expire(*task).await);
        }
        if found.resume {
            self.duty("resume promotions", self.resume().await);
        }
        let mut chores = self.chores_now();
        chores.unconfirmed |= found.unconfirmed;
        chores.announced.extend(found.announced);
        chores.tombstones |= found.tombstones;
        if found.sweep_due {
            chores.sweep_after = Some(found.sweep_after);
        }
        drop(chores);
        self.found.notify_one();
        Ok(())
    }

    /// Waits for the next pass and does what it left. True: the slow round was among it.
    pub async fn chores(&self) -> bool {
        self.found.notified().await;
        let chores = std::mem::take(&mut *self.chores_now());
        if chores.unconfirmed {
            self.duty("announce again", self.announce_unconfirmed().await);
        }
        for class in &chores.announced {
            self.duty("find lost messages", self.announce_lost(class).await);
        }
        if chores.tombstones {
            self.duty("unlink files", self.unlink().await);
        }
        let Some(after) = chores.sweep_after else {
            return false;
        };
        self.duty("sweep", self.sweep(&after).await);
        true
    }

    fn chores_now(&self) -> MutexGuard<'_, Chores> {
        // Flags: a panic leaves them whole.
        self.chores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks that promotion had left behind; must stay zero.
    pub fn repairs(&self) -> u64 {
        self.repairs.load(Ordering::Relaxed)
    }

    /// Tasks taken from dead workers.
    pub fn rescues(&self) -> u64 {
        self.rescues.load(Ordering::Relaxed)
    }

    /// Looks on a session of its own: taken from the pool, each look would cost a ping besides.
    async fn look(&self) -> Result<Option<look::Found>, Error> {
        let mut session = self.session.lock().await;
        let conn = match &mut *session {
            Some(session) => session,
            closed => closed.insert(self.db.session("janitor").await?),
        };
        let found = look::look(&mut conn.conn, &self.settings.worker).await;
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
