//! How tasks leave an unfinished state: by the one statement that does it, alone or several together.

use super::claim::Claim;
use super::facts::Facts;
use super::moves;
use super::settle::Settled;
use super::state::TaskState;
use super::task::{Outcome, TaskError};
use crate::broker::{Announcement, Announcements, Publisher};
use crate::db::{Conn, Prepare};
use crate::error::Error;
use crate::ids::{ClaimId, ProcessId, TaskId};
use crate::prn::Prn;
use diesel::sql_types::{Array, Bool, Double, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The states of a run that has not been settled.
pub(super) const HELD: [TaskState; 2] = [TaskState::Running, TaskState::Canceling];

/// How a task is to end, unless it is being canceled: then it is canceled.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    task: TaskId,
    /// `None`: whoever holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<ClaimId>,
    to: TaskState,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// Names of what the task made, in this order; of one after `millrace_hold` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    created: Vec<String>,
}

/// What became of several endings.
#[derive(Debug)]
pub struct Together {
    /// Each ending's own: what it came to, without successors. `None`: somebody else is busy with one of its lanes,
    /// and it is still to be settled, alone.
    pub settled: Vec<Option<Settled>>,
    /// The successors of all of them: to be published when all of them have given their locks back.
    pub announcements: Announcements,
    /// True: more successors wait for [`super::resume_promotions`].
    pub more: bool,
}

/// Announcements that several runs made necessary. Published when the last of those has dropped its share.
pub struct Successors {
    /// Where they go.
    pub publisher: Publisher,
    /// What is to be published.
    pub announcements: Announcements,
    /// True: more of them wait for [`super::resume_promotions`], so that none of these is to be kept back.
    pub more: bool,
}

impl Successors {
    /// Drops a share. The last one may take a successor out, which is then not published.
    pub fn give_up(
        share: Arc<Self>,
        wanted: impl Fn(&Announcement) -> bool,
    ) -> Option<Announcement> {
        let mut all = Arc::into_inner(share)?;
        if all.more {
            return None;
        }
        moves::handed_on(&mut all.announcements, wanted)
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        let announcements = std::mem::take(&mut self.announcements);
        moves::unblocked(&announcements.0);
        self.publisher.announce(announcements);
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    task_id: Option<TaskId>,
    #[diesel(sql_type = Nullable<Text>)]
    final_state: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    class: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    cid: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    attempt: Option<i32>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    worker: Option<ProcessId>,
    #[diesel(sql_type = Nullable<Double>)]
    blocked: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    waited: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    ran: Option<f64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    announcements: Option<Value>,
    #[diesel(sql_type = Nullable<Bool>)]
    more: Option<bool>,
}

impl Ending {
    /// An end of whoever holds the task, or of this run.
    pub(super) fn new(task: TaskId, claim: Option<Claim>, to: TaskState) -> Self {
        Self {
            task,
            claim: claim.map(|claim| claim.id),
            to,
            result: None,
            error: None,
            created: Vec::new(),
        }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// With this error, which clients read.
    pub(super) fn error(mut self, error: Option<Value>) -> Self {
        self.error = error;
        self
    }

    /// With what the task made.
    pub(super) fn created(mut self, made: &[Prn]) -> Self {
        self.created = made.iter().map(ToString::to_string).collect();
        self
    }

    /// The end of a run that its body came to. `None`: it has effects, which go into a transaction of its own, or
    /// has lost its claim.
    #[must_use]
    pub fn of_body(claim: Claim, verdict: &Result<Outcome, TaskError>) -> Option<Self> {
        match verdict {
            Ok(outcome) if outcome.has_effects() => None,
            Ok(outcome) => Some(Self::completed(claim, outcome.effects.result.as_ref())),
            Err(error) => Self::failed(claim, error),
        }
    }

    /// The end of a run that a cancel has stopped. The row may not say so yet: who cancels tells the worker first.
    #[must_use]
    pub fn canceled(claim: Claim) -> Self {
        Self::new(claim.task, Some(claim), TaskState::Canceled)
    }

    /// The end of a run that failed for a reason outside its body (contract 2.9: `{"reason": …}`).
    #[must_use]
    pub fn for_reason(claim: Claim, reason: &str) -> Self {
        Self::new(claim.task, Some(claim), TaskState::Failed)
            .error(Some(json!({ "reason": reason })))
    }

    pub(super) fn completed(claim: Claim, result: Option<&Value>) -> Self {
        Self {
            result: result.cloned(),
            ..Self::new(claim.task, Some(claim), TaskState::Completed)
        }
    }

    /// `None`: the claim was lost.
    pub(super) fn failed(claim: Claim, error: &TaskError) -> Option<Self> {
        let error = match error {
            TaskError::Fenced => return None,
            // The body stopped although nobody canceled the task: that is an end without success.
            TaskError::Canceled => json!({"reason": "The task stopped by itself."}),
            error => error.to_json(),
        };
        Some(Self::new(claim.task, Some(claim), TaskState::Failed).error(Some(error)))
    }

    /// One statement; waits for the task's lanes. `None` when it was not in one of the states.
    pub(super) async fn run(
        &self,
        conn: &mut Conn,
        from: &[TaskState],
    ) -> Result<Option<Settled>, Error> {
        let together = run(conn, std::slice::from_ref(self), from, false).await?;
        Ok(together.of_one())
    }

    /// As [`Ending::run`], after `millrace_hold` in the same transaction: that has the lanes.
    pub(super) async fn run_held(&self, conn: &mut Conn) -> Result<Option<Settled>, Error> {
        let together = run(conn, std::slice::from_ref(self), &HELD, true).await?;
        Ok(together.of_one())
    }
}

impl Together {
    /// What became of the one ending, with its successors.
    fn of_one(mut self) -> Option<Settled> {
        let mut settled = self.settled.pop().flatten();
        match &mut settled {
            Some(Settled::Final {
                announcements,
                more,
                ..
            }) => {
                *announcements = self.announcements;
                *more = self.more;
                settled
            }
            _ => None,
        }
    }
}

/// Settles runs that end at the same time, in one transaction. One alone waits for its lanes, 5 s at most; of several
/// none does. May be called again after an error: it then finds each of them ended, or none.
///
/// # Errors
/// As the session. Then each of them is to be settled alone: what one of them cannot store is no fault of the others.
pub async fn settle_together(conn: &mut Conn, endings: &[Ending]) -> Result<Together, Error> {
    run(conn, endings, &HELD, false).await
}

/// See `millrace_settle` in the migrations for the locks.
const SETTLE: &str = "SELECT task_id, final_state, name, class, cid, attempt, worker, blocked, waited, ran, \
    announcements, more FROM millrace_settle($1, $2, is_held => $3)";

async fn run(
    conn: &mut Conn,
    endings: &[Ending],
    from: &[TaskState],
    is_held: bool,
) -> Result<Together, Error> {
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    let rows: Vec<Row> = sql_query(SETTLE)
        .bind::<Jsonb, _>(serde_json::to_value(endings).map_err(Error::internal)?)
        .bind::<Array<Text>, _>(from)
        .bind::<Bool, _>(is_held)
        .prepared()
        .load(conn)
        .await?;
    let mut together = Together {
        settled: Vec::with_capacity(endings.len()),
        announcements: Announcements::default(),
        more: false,
    };
    let mut found = HashMap::new();
    for row in rows {
        match row.task_id {
            Some(task) => {
                found.insert(task, row.settled()?);
            }
            None => {
                together.announcements =
                    Announcements::from_json(row.announcements.unwrap_or_default())
                        .map_err(Error::internal)?;
                together.more = row.more.unwrap_or_default();
            }
        }
    }
    let of = |ending: &Ending| found.remove(&ending.task).unwrap_or(Some(Settled::Lost));
    together.settled = endings.iter().map(of).collect();
    Ok(together)
}

impl Row {
    /// `None`: a lane of it is busy.
    fn settled(self) -> Result<Option<Settled>, Error> {
        let Some(state) = self.final_state else {
            return Ok(None);
        };
        Ok(Some(Settled::Final {
            state: state.parse().map_err(Error::internal)?,
            facts: Facts {
                name: self.name.unwrap_or_default(),
                class: self.class.unwrap_or_default(),
                cid: self.cid.unwrap_or_default(),
                attempt: self.attempt.unwrap_or_default(),
                worker: self.worker,
                blocked: self.blocked,
                waited: self.waited,
                ran: self.ran,
            },
            announcements: Announcements::default(),
            children: Vec::new(),
            more: false,
        }))
    }
}
