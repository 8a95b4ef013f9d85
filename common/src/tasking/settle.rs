//! Ending a run: its last write, its final state and its successors, in one transaction (ADR 0016).

use super::claim::Claim;
use super::dispatch::{Dispatched, dispatch_many};
use super::ending::{Ending, HELD};
use super::facts::Facts;
use super::moves;
use super::new_task::NewTask;
use super::resources::Resources;
use super::state::TaskState;
use super::task::{Outcome, TaskError};
use crate::broker::{Announcement, Announcements, Publisher};
use crate::cause::chain;
use crate::crash::{self, Point};
use crate::db::{Conn, Patience, Prepare, RetryCause};
use crate::error::Error;
use crate::ids::TaskId;
use crate::models::permission::{self, Maker};
use crate::schema::task;
use crate::secrets::Keyring;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use log::error;
use std::panic::AssertUnwindSafe;

/// What settling did.
#[derive(Debug)]
pub enum Settled {
    /// The task is final.
    Final {
        /// The state that it ended in: `canceled` where a cancel came in time.
        state: TaskState,
        /// What is known of it.
        facts: Facts,
        /// Successors.
        announcements: Announcements,
        /// Tasks that the body dispatched.
        children: Vec<Dispatched>,
        /// True: more successors wait for [`super::resume_promotions`].
        more: bool,
    },
    /// The claim was lost before: nothing was written.
    Lost,
}

impl Settled {
    /// Takes one of the successors out, which is then not published; none where more are still to be promoted.
    pub fn take_successor(
        &mut self,
        wanted: impl Fn(&Announcement) -> bool,
    ) -> Option<Announcement> {
        let Self::Final {
            announcements,
            more: false,
            ..
        } = self
        else {
            return None;
        };
        moves::handed_on(announcements, wanted)
    }

    /// Publishes what came of it, after the commit: the successors, and the task's new state. True: more
    /// successors wait for [`super::resume_promotions`].
    pub fn publish(self, publisher: &Publisher, task: TaskId) -> bool {
        match self {
            Self::Final {
                state,
                facts,
                announcements,
                children,
                more,
            } => {
                moves::ended(task, state, &facts);
                moves::unblocked(&announcements.0);
                publisher.announce(announcements);
                for child in children {
                    child.publish(publisher);
                }
                publisher.state_changed(task, &facts.name, state.as_str());
                more
            }
            Self::Lost => false,
        }
    }
}

/// The last write of a body panicked.
#[derive(Debug, thiserror::Error)]
#[error("the last write of the task panicked")]
struct Panicked;

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
}

/// Ends a run with what its body returned. Runs on the slot's session, or on another one when that was
/// lost; the claim decides. May be called again after an error: it then finds the effect and its record
/// both done, or neither.
///
/// # Errors
/// As the session. An error of the body's last write is no error here: the task fails by it.
pub async fn settle(
    conn: &mut Conn,
    keyring: &Keyring,
    claim: Claim,
    verdict: &Result<Outcome, TaskError>,
) -> Result<Settled, Error> {
    match verdict {
        Ok(outcome) if outcome.has_effects() => {
            settle_with_effects(conn, keyring, claim, outcome).await
        }
        verdict => match Ending::of_body(claim, verdict) {
            Some(ending) => settle_alone(conn, &ending).await,
            None => Ok(Settled::Lost),
        },
    }
}

/// Why the transaction of a last write was rolled back: nothing of it is left.
enum Void {
    /// The claim was lost.
    Lost,
    /// The task is being canceled.
    Canceled,
    /// The last write failed, and so does its task.
    Failed(TaskError),
    /// Anything else: the caller decides.
    Error(Error),
}

impl From<DieselError> for Void {
    fn from(error: DieselError) -> Self {
        Self::Error(error.into())
    }
}

impl From<Error> for Void {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<TaskError> for Void {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Fenced => Self::Lost,
            TaskError::Internal(cause) if cause.is::<Panicked>() => {
                Self::Error(Error::Internal(cause))
            }
            // Worth another attempt, or the session is gone.
            error if error.is_transient() => Self::Error(Error::internal(transient_cause(error))),
            error => Self::Failed(error),
        }
    }
}

impl RetryCause for Void {
    fn diesel(&self) -> Option<&DieselError> {
        match self {
            Self::Error(error) => error.diesel(),
            _ => None,
        }
    }
}

/// In one transaction. Where that is void, a second one ends the task: the locks of the run are held on, and its claim still
/// decides.
async fn settle_with_effects(
    conn: &mut Conn,
    keyring: &Keyring,
    claim: Claim,
    outcome: &Outcome,
) -> Result<Settled, Error> {
    let work = async |conn: &mut Conn| write(conn, keyring, claim, outcome).await;
    let written = if outcome.is_brief {
        crate::db::brief_transaction(conn, Patience::OfLanes, work).await
    } else {
        crate::db::transaction(conn, work).await
    };
    let error = match written {
        Ok(settled) => return Ok(settled),
        // What it waited for may stay locked, and nothing else hears of a cancel meanwhile.
        Err(Void::Error(error)) => {
            return match is_canceled(conn, claim).await {
                Ok(true) => settle_alone(conn, &Ending::canceled(claim)).await,
                _ => Err(error),
            };
        }
        Err(Void::Lost) => return Ok(Settled::Lost),
        Err(Void::Canceled) => return settle_alone(conn, &Ending::canceled(claim)).await,
        Err(Void::Failed(error)) => error,
    };
    let Some(ending) = Ending::failed(claim, &error) else {
        return Ok(Settled::Lost);
    };
    let settled = settle_alone(conn, &ending).await?;
    if let (TaskError::Internal(cause), Settled::Final { .. }) = (&error, &settled) {
        let (task, cause) = (claim.task, chain(&**cause));
        error!(error = cause, task_id:% = task; "the last write of task {task}: {cause}");
    }
    Ok(settled)
}

async fn write(
    conn: &mut Conn,
    keyring: &Keyring,
    claim: Claim,
    outcome: &Outcome,
) -> Result<Settled, Void> {
    let late = match &outcome.early {
        Some(early) => Some(caught(early(conn)).await?),
        None => None,
    };
    let lanes = outcome
        .dispatches
        .iter()
        .fold(Resources::default(), |all, task| all.and(task.lanes()));
    let held: Held = sql_query("SELECT millrace_hold($1, $2, $3, $4) AS state")
        .bind::<SqlUuid, _>(claim.task)
        .bind::<SqlUuid, _>(claim.id)
        .bind::<Array<Text>, _>(lanes.exclusive_names().collect::<Vec<_>>())
        .bind::<Array<Text>, _>(lanes.shared_names().collect::<Vec<_>>())
        .prepared()
        .get_result(conn)
        .await?;
    match held.state.as_deref() {
        None => return Err(Void::Lost),
        Some("canceling") => return Err(Void::Canceled),
        Some(_) => {}
    }
    let mut effects = outcome.effects.clone();
    if let Some(flip) = late.as_ref().or(outcome.flip.as_ref()) {
        let flipped = caught(flip(conn)).await?;
        effects.result = flipped.result.or(effects.result);
        effects.created.extend(flipped.created);
    }
    permission::own(conn, Maker::DispatcherOf(claim.task), &effects.created).await?;
    let dispatched = dispatch_children(conn, keyring, claim, &outcome.dispatches).await?;
    let ending = Ending::completed(claim, effects.result.as_ref()).created(&effects.created);
    let Some(mut settled) = ending.run_held(conn).await? else {
        return Err(Void::Lost);
    };
    if let Settled::Final { children, .. } = &mut settled {
        *children = dispatched;
    }
    crash::point(Point::SettleWritten);
    Ok(settled)
}

/// True where this run is to be canceled.
async fn is_canceled(conn: &mut Conn, claim: Claim) -> QueryResult<bool> {
    let found: Option<Held> = sql_query(
        "SELECT state FROM task WHERE pulp_id = $1 AND claim_id = $2 AND state = 'canceling'",
    )
    .bind::<SqlUuid, _>(claim.task)
    .bind::<SqlUuid, _>(claim.id)
    .get_result(conn)
    .await
    .optional()?;
    Ok(found.is_some())
}

/// A part of a last write. A panic may have left a transaction open inside this one: both are void.
async fn caught<T>(part: BoxFuture<'_, Result<T, TaskError>>) -> Result<T, TaskError> {
    AssertUnwindSafe(part)
        .catch_unwind()
        .await
        .map_err(|_panic| TaskError::internal(Panicked))?
}

/// Tasks that a task dispatches are its children, and of its request (contract 2.1, 2.11).
async fn dispatch_children(
    conn: &mut Conn,
    keyring: &Keyring,
    claim: Claim,
    tasks: &[NewTask],
) -> Result<Vec<Dispatched>, TaskError> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let (cid, created_by): (String, Option<i32>) = task::table
        .find(claim.task)
        .select((task::logging_cid, task::created_by))
        .first(conn)
        .await?;
    let children: Vec<NewTask> = tasks
        .iter()
        .map(|child| child.clone().child_of(claim.task, &cid, created_by))
        .collect();
    Ok(dispatch_many(conn, keyring, &children).await?)
}

/// Ends a run that has no effects. May be called again after an error.
///
/// # Errors
/// As the session.
pub async fn settle_alone(conn: &mut Conn, ending: &Ending) -> Result<Settled, Error> {
    crate::db::retrying(conn, async |conn| end(conn, ending).await).await
}

async fn end(conn: &mut Conn, ending: &Ending) -> Result<Settled, Error> {
    let settled = ending.run(conn, &HELD).await?;
    Ok(settled.unwrap_or(Settled::Lost))
}

/// Why a run is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandBack {
    /// Its worker is gone: the attempt counts, three at most.
    Rescue,
    /// Its worker lives and lost the session: counted apart, ten at most.
    Loss,
    /// Its worker never learned that it had the task: counted as a loss, of any type.
    Unheard,
    /// Its worker stops: counts as nothing.
    Shutdown,
}

/// Puts the task of a run back into its place in the lanes. False: the task was not this run's any
/// more, is being canceled, or is of a type that may not run again, or not once more.
///
/// # Errors
/// As the session.
pub async fn hand_back(conn: &mut Conn, claim: Claim, why: HandBack) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        done: bool,
    }
    let why = match why {
        HandBack::Rescue => "rescue",
        HandBack::Loss => "loss",
        HandBack::Unheard => "unheard",
        HandBack::Shutdown => "shutdown",
    };
    let row: Row = sql_query("SELECT millrace_hand_back($1, $2, $3) AS done")
        .bind::<SqlUuid, _>(claim.task)
        .bind::<SqlUuid, _>(claim.id)
        .bind::<Text, _>(why)
        .prepared()
        .get_result(conn)
        .await?;
    Ok(row.done)
}

fn transient_cause(error: TaskError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        TaskError::Internal(cause) => cause,
        other => other.into(),
    }
}
