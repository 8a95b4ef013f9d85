//! Requests that dispatch at the same time record their tasks in one transaction.

use log::debug;
use millrace_common::cause::chain;
use millrace_common::db::{Db, RetryCause};
use millrace_common::error::{Error, is_connection_loss};
use millrace_common::gathering::{Gathering, Turn};
use millrace_common::secrets::Keyring;
use millrace_common::tasking::{Dispatched, Lanes, NewTask, dispatch_together};
use std::sync::Arc;
use std::time::Duration;

/// Tasks of one transaction at most.
const MOST: usize = 64;

/// Whose turn does not come within so long records its task alone.
const PATIENCE: Duration = Duration::from_millis(50);

/// What became of a task.
#[derive(Clone)]
enum Answer {
    Recorded(Box<Dispatched>),
    /// Nothing: somebody was in its way.
    LeftOut,
    /// Perhaps it was recorded: the session was lost, for this reason.
    Unheard(String),
}

/// The requests of this process that wait to have a task recorded.
pub struct Together {
    /// With lanes that are free: nobody waits for a lane of another one.
    free: Gathering<NewTask, Answer>,
    /// With lanes that were not. Many wait for one and the same, behind the run that is on it.
    busy: Gathering<NewTask, Answer>,
    db: Db,
    keyring: Keyring,
}

impl Together {
    /// None so far.
    #[must_use]
    pub fn new(db: Db, keyring: Keyring) -> Self {
        Self {
            free: Gathering::new(MOST, PATIENCE),
            busy: Gathering::new(MOST, PATIENCE),
            db,
            keyring,
        }
    }

    /// Records a task with those that come now, and waits a moment at most where somebody holds one of its lanes. `None`: it was
    /// not recorded, and is to be recorded alone, as a lane is held for longer, or for whatever else is wrong. Goes
    /// to its end also where the client has gone: others may wait for it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a database; it may have been recorded then.
    pub async fn record(self: &Arc<Self>, task: NewTask) -> Result<Option<Dispatched>, Error> {
        let together = Arc::clone(self);
        tokio::spawn(async move {
            let free = together.join(&together.free, Lanes::Free, task.clone());
            if let Some(dispatched) = free.await? {
                return Ok(Some(dispatched));
            }
            together.join(&together.busy, Lanes::Soon, task).await
        })
        .await
        .map_err(Error::internal)?
    }

    async fn join(
        &self,
        gathering: &Gathering<NewTask, Answer>,
        lanes: Lanes,
        task: NewTask,
    ) -> Result<Option<Dispatched>, Error> {
        let answer = match gathering.join(task).await {
            Turn::Answered(answer) => Some(answer),
            Turn::Unheard => None,
            Turn::Late(_) => Some(Answer::LeftOut),
            Turn::Leads(leader) => {
                let mut conn = self.db.get().await?;
                let party = leader.gather();
                let recorded = dispatch_together(&mut conn, &self.keyring, party.items(), lanes);
                let answers = match recorded.await {
                    Ok(recorded) => recorded.into_iter().map(Answer::of).collect(),
                    Err(error) => vec![Answer::of_error(&error); party.items().len()],
                };
                // The next one finds it free.
                drop(conn);
                party.answer(answers)
            }
        };
        match answer {
            Some(Answer::Recorded(dispatched)) => Ok(Some(*dispatched)),
            Some(Answer::LeftOut) => Ok(None),
            Some(Answer::Unheard(why)) => Err(unavailable(why)),
            None => Err(unavailable("no answer".to_owned())),
        }
    }
}

impl Answer {
    fn of(dispatched: Option<Dispatched>) -> Self {
        dispatched.map_or(Self::LeftOut, |dispatched| {
            Self::Recorded(Box::new(dispatched))
        })
    }

    fn of_error(error: &Error) -> Self {
        let why = chain(error);
        if error.diesel().is_some_and(is_connection_loss) {
            return Self::Unheard(why);
        }
        // One of them is the reason: alone each hears its own.
        debug!(error:% = error; "recording tasks together: {why}");
        Self::LeftOut
    }
}

fn unavailable(why: String) -> Error {
    Error::Unavailable {
        what: "database",
        source: why.into(),
    }
}
