//! Requests that dispatch at the same time record their tasks in one transaction.

use crate::permits::Permits;
use log::log;
use millrace_common::cause::chain;
use millrace_common::db::{self, Conn, Db, Pooled, RetryCause};
use millrace_common::error::{Error, failure_level, is_connection_loss};
use millrace_common::gathering::{Gathering, LONGEST, Role};
use millrace_common::metrics::engine;
use millrace_common::secrets::Keyring;
use millrace_common::tasking::{
    Attempt, BusyLanes, Dispatched, NewTask, dispatch, dispatch_together,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::time::timeout;

/// Those that wait for a lane do so with others that wait for the same one, and seldom with any that wait for another.
const BUCKETS: usize = 64;

/// Bytes of arguments, and units that are used, of a task that is recorded with others: they wait until all of it is written.
const SMALL: usize = 16 << 10;
const FEW: usize = 100;

/// True for a task that may be recorded with others.
#[must_use]
pub fn is_small(task: &NewTask) -> bool {
    task.uses().len() <= FEW && task.arguments_len() <= SMALL
}

/// What became of a task.
#[derive(Clone)]
enum Answer {
    Tried(Attempt),
    /// Perhaps it was recorded.
    Unheard,
}

/// A task that is there.
pub enum Recorded {
    /// It is to be published.
    Now(Box<Dispatched>),
    /// By a transaction whose answer was lost. The janitor announces it.
    Unheard,
}

/// The requests of this process that wait to have a task recorded.
pub struct Together {
    free: Gathering<NewTask, Answer>,
    busy: Vec<Gathering<NewTask, Answer>>,
    db: Db,
    keyring: Keyring,
    permits: Arc<Permits>,
}

impl Together {
    /// None so far.
    #[must_use]
    pub fn new(db: Db, keyring: Keyring, permits: Arc<Permits>) -> Self {
        Self {
            free: Gathering::default(),
            busy: (0..BUCKETS).map(|_| Gathering::default()).collect(),
            db,
            keyring,
            permits,
        }
    }

    /// Records a small task with those that come now, and waits a moment at most where somebody holds one of its lanes. `None`:
    /// it is to be recorded alone, as a lane is held for longer, or for whatever else is wrong; where that finds its row
    /// (`is_there`), it was recorded here, and nobody answered. Goes to its end also where the client has gone: others may wait for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a resource that cannot be reserved; [`Error::Unavailable`] without a database: it may have been
    /// recorded then.
    pub async fn record(self: &Arc<Self>, task: NewTask) -> Result<Option<Recorded>, Error> {
        task.check_resources()?;
        let together = Arc::clone(self);
        tokio::spawn(async move { together.attempt(task).await })
            .await
            .map_err(Error::internal)?
    }

    async fn attempt(&self, task: NewTask) -> Result<Option<Recorded>, Error> {
        let mut answer = self.join(&self.free, BusyLanes::Skip, task.clone()).await?;
        if let Answer::Tried(Attempt::Busy) = answer
            && let Some(gathering) = self.busy.get(bucket(&task))
        {
            answer = self.join(gathering, BusyLanes::Wait, task.clone()).await?;
        }
        match answer {
            Answer::Tried(Attempt::Dispatched(dispatched)) => Ok(Some(Recorded::Now(dispatched))),
            Answer::Tried(Attempt::Busy | Attempt::LeftOut) => Ok(None),
            Answer::Unheard => self.again(&task).await,
        }
    }

    async fn join(
        &self,
        gathering: &Gathering<NewTask, Answer>,
        lanes: BusyLanes,
        task: NewTask,
    ) -> Result<Answer, Error> {
        let leader = match gathering.join(task).await {
            Role::Answered(answer) => return Ok(answer),
            Role::Unheard => return Ok(Answer::Unheard),
            Role::Late => return Ok(Answer::Tried(Attempt::LeftOut)),
            Role::Leads(leader) => leader,
        };
        // As whoever waits alone: others find a session, too.
        let _permit = match lanes {
            BusyLanes::Wait => match self.permits.get_now() {
                Some(permit) => Some(permit),
                None => return Ok(Answer::Tried(Attempt::LeftOut)),
            },
            BusyLanes::Skip => None,
        };
        let mut conn = self.db.get().await?;
        let party = leader.gather();
        let attempts = dispatch_together(&mut conn, &self.keyring, party.items(), lanes);
        let answers = match timeout(LONGEST, attempts).await {
            Ok(Ok(attempts)) => {
                note(&attempts);
                attempts.into_iter().map(Answer::Tried).collect()
            }
            Ok(Err(error)) => vec![Answer::of_error(&error); party.items().len()],
            Err(_elapsed) => vec![Answer::Unheard; party.items().len()],
        };
        if let Some(Answer::Unheard) = answers.first() {
            // It is busy still, or dead: nobody is to find it in the pool.
            drop(Pooled::take(conn));
        } else {
            // The next one finds it free.
            drop(conn);
        }
        Ok(party.answer(answers).unwrap_or(Answer::Unheard))
    }

    /// Records a task that may have been recorded: waits for whoever did, if anybody does. `None`: it is not recorded, or not
    /// yet, and something is in its way.
    async fn again(&self, task: &NewTask) -> Result<Option<Recorded>, Error> {
        let _permit = self.permits.get().await?;
        let mut conn = self.db.get().await?;
        let recorded = if task.uses().is_empty() {
            let alone = async |conn: &mut Conn| dispatch(conn, &self.keyring, task).await;
            let dispatched = db::retrying(&mut conn, alone).await;
            dispatched.map(|dispatched| Attempt::Dispatched(Box::new(dispatched)))
        } else {
            // Units that are gone are not passed over.
            let one = std::slice::from_ref(task);
            let together = async |conn: &mut Conn| {
                dispatch_together(conn, &self.keyring, one, BusyLanes::Wait).await
            };
            let tried = db::retrying(&mut conn, together).await;
            tried.map(|mut all| all.pop().unwrap_or(Attempt::LeftOut))
        };
        match recorded {
            Ok(Attempt::Dispatched(dispatched)) => Ok(Some(Recorded::Now(dispatched))),
            Ok(Attempt::Busy | Attempt::LeftOut) => Ok(None),
            Err(error) if is_there(&error) => Ok(Some(Recorded::Unheard)),
            Err(error) => Err(error),
        }
    }
}

/// Where those gather that wait for the lane of this task.
fn bucket(task: &NewTask) -> usize {
    let mut hasher = DefaultHasher::new();
    task.likely_lane().hash(&mut hasher);
    usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or_default()
}

/// True where a row has the id already: of a task whose recording nobody answered, it says that it was recorded.
pub(crate) fn is_there(error: &impl RetryCause) -> bool {
    use diesel::result::{DatabaseErrorKind, Error as DieselError};
    let Some(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)) = error.diesel()
    else {
        return false;
    };
    info.constraint_name() == Some("task_pkey")
}

/// Counts those that were recorded with others.
fn note(attempts: &[Attempt]) {
    let is_recorded = |attempt: &&Attempt| matches!(attempt, Attempt::Dispatched(_));
    let recorded = attempts.iter().filter(is_recorded).count();
    if recorded > 1 {
        engine().dispatched_together.inc_by(recorded as u64);
    }
}

impl Answer {
    /// Of a statement that failed.
    fn of_error(error: &Error) -> Self {
        let why = chain(error);
        match error.diesel() {
            Some(cause) if is_connection_loss(cause) => Self::Unheard,
            Some(cause) => {
                log!(failure_level(cause), error:% = error; "recording tasks together: {why}");
                // One of them is the reason: alone each hears its own.
                Self::Tried(Attempt::LeftOut)
            }
            // Nothing says whether it was sent.
            None => Self::Unheard,
        }
    }
}
