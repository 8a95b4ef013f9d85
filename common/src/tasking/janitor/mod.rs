//! Housekeeping of the whole fleet: one look a second, and a duty only where the look found work.
//!
//! Every worker asks; the database gives a pass to the first that finds one due. All duties are
//! compare-and-set or skip what is locked, so that two janitors at once do no harm.

mod announce;
mod look;
mod rescue;
mod sweep;

use crate::broker::{Link, Publisher};
use crate::config::Settings;
use crate::db::{Db, Session};
use crate::error::Error;
use crate::storage::Storage;
use log::warn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// What a pass was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Not due, or another process has it.
    NotDue,
    /// What had to be done at once.
    Done,
    /// That, and the slow round.
    WithSweep,
}

/// The janitor of a process.
pub struct Janitor {
    db: Db,
    storage: Storage,
    publisher: Publisher,
    link: Arc<Link>,
    settings: Arc<Settings>,
    session: Mutex<Option<Session>>,
    repairs: AtomicU64,
    rescues: AtomicU64,
}

impl Janitor {
    /// A janitor that announces through this publisher and asks queue depths over this link.
    #[must_use]
    pub fn new(
        db: Db,
        storage: Storage,
        publisher: Publisher,
        link: Arc<Link>,
        settings: Arc<Settings>,
    ) -> Self {
        let (repairs, rescues) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            db,
            storage,
            publisher,
            link,
            settings,
            session: Mutex::new(None),
            repairs,
            rescues,
        }
    }

    /// Takes the pass if it is due, and does what it finds.
    ///
    /// # Errors
    /// The database cannot be used now. A duty that fails is logged and met again in the next pass.
    pub async fn pass(&self) -> Result<Pass, Error> {
        let Some(found) = self.look().await? else {
            return Ok(Pass::NotDue);
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
        if found.unconfirmed {
            self.duty("announce again", self.announce_unconfirmed().await);
        }
        for class in &found.announced {
            self.duty("find lost messages", self.announce_lost(class).await);
        }
        if found.tombstones {
            self.duty("unlink files", self.unlink().await);
        }
        if found.sweep_due {
            self.duty("sweep", self.sweep(&found.sweep_after).await);
            return Ok(Pass::WithSweep);
        }
        Ok(Pass::Done)
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
            warn!(error:% = error, duty = what; "janitor: {what}: {}", cause(&error));
        }
    }
}

fn cause(error: &Error) -> String {
    use std::error::Error as _;
    error
        .source()
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
