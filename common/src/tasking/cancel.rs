//! Canceling a task in whatever state it is.

use super::ending::Ending;
use super::facts::Facts;
use super::moves;
use super::settle::Settled;
use super::state::TaskState;
use crate::crash::{self, Point};
use crate::db::{Conn, Prepare};
use crate::error::Error;
use crate::ids::TaskId;
use crate::schema::task;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;
use serde_json::json;

/// What came of a cancel.
#[derive(Debug)]
pub enum CancelOutcome {
    /// It waited and is canceled now; publish what came of it.
    Canceled(Settled),
    /// It runs: its worker has been told. The name of its type, where this cancel was the first.
    Canceling(Option<String>),
    /// It had ended before, in this state.
    AlreadyFinal(TaskState),
    /// There is no such task.
    NotFound,
}

/// The channel on which workers hear of cancels; the payload is the task's id.
pub const CANCEL_CHANNEL: &str = "millrace_cancel";

/// Cancels a task. A waiting one ends here, in a transaction with its lanes; a running one becomes
/// `canceling` and its worker is told. A race that is lost to a claim or a settle is tried again.
///
/// # Errors
/// As the session.
pub async fn cancel(conn: &mut Conn, id: TaskId) -> Result<CancelOutcome, Error> {
    loop {
        let found: Option<(String, String)> = task::table
            .find(id)
            .select((task::state, task::name))
            .first(conn)
            .await
            .optional()
            .map_err(Error::from)?;
        let Some((state, name)) = found else {
            return Ok(CancelOutcome::NotFound);
        };
        match state.parse().map_err(Error::internal)? {
            TaskState::Waiting => {
                if let Some(settled) = cancel_waiting(conn, id, None).await? {
                    crash::point(Point::CancelCommitted);
                    return Ok(CancelOutcome::Canceled(settled));
                }
            }
            TaskState::Running => {
                if cancel_running(conn, id).await? {
                    return Ok(CancelOutcome::Canceling(Some(name)));
                }
            }
            TaskState::Canceling => return Ok(CancelOutcome::Canceling(None)),
            state => return Ok(CancelOutcome::AlreadyFinal(state)),
        }
    }
}

/// Cancels a task that waits, with a reason that clients read, or none. `None`: it does not wait.
async fn cancel_waiting(
    conn: &mut Conn,
    id: TaskId,
    reason: Option<&str>,
) -> Result<Option<Settled>, Error> {
    let error = reason.map(|reason| json!({ "reason": reason }));
    let ending = Ending::new(id, None, TaskState::Canceled).error(error);
    crate::db::retrying(conn, async |conn| {
        ending.run(conn, &[TaskState::Waiting]).await
    })
    .await
}

/// What clients read of a task that could not start at once and may not be deferred (contract 2.6).
const UNAVAILABLE: &str = "Resources temporarily unavailable.";

/// What clients read of a task whose deadline has passed.
pub const DEADLINE_PASSED: &str = "The deadline of the task has passed.";

/// Cancels a waiting task that was not claimed in time: its deadline has passed, or it may not be deferred.
/// Gives what came of it and why; `None`: it does not wait any more.
///
/// # Errors
/// As the session.
pub async fn expire(conn: &mut Conn, id: TaskId) -> Result<Option<(Settled, &'static str)>, Error> {
    let overdue: bool = task::table
        .find(id)
        .filter(task::deadline.is_not_null())
        .select(sql::<Bool>("deadline <= clock_timestamp()"))
        .first(conn)
        .await
        .optional()?
        .unwrap_or(false);
    let reason = if overdue {
        DEADLINE_PASSED
    } else {
        UNAVAILABLE
    };
    let settled = cancel_waiting(conn, id, Some(reason)).await?;
    Ok(settled.map(|settled| (settled, reason)))
}

async fn cancel_running(conn: &mut Conn, id: TaskId) -> Result<bool, Error> {
    // A batch of the body holds the row until it ends: the worker is told first, so that it does.
    notify(conn, id).await?;
    let moved = diesel::update(
        task::table
            .find(id)
            .filter(task::state.eq(TaskState::Running.as_str())),
    )
    .set(task::state.eq(TaskState::Canceling.as_str()))
    .execute(conn)
    .await?;
    if moved == 0 {
        return Ok(false);
    }
    // Again: the first may have come between the claim and the run.
    notify(conn, id).await?;
    if let Some(facts) = Facts::of(conn, id).await? {
        moves::canceling(id, &facts);
    }
    Ok(true)
}

async fn notify(conn: &mut Conn, id: TaskId) -> QueryResult<()> {
    sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(CANCEL_CHANNEL)
        .bind::<Text, _>(id.to_string())
        .prepared()
        .execute(conn)
        .await
        .map(drop)
}
