//! Claiming a task: its advisory locks on the slot's session, then `waiting` → `running`.

use super::facts::Facts;
use super::moves;
use super::resources::Resources;
use crate::db::{Conn, Prepare};
use crate::ids::{ClaimId, DomainId, ProcessId, TaskGroupId, TaskId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The identity of one run: which task, and the token that all its writes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// The token.
    pub id: ClaimId,
}

/// A task that this session holds now.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The run.
    pub claim: Claim,
    /// Encrypted arguments; decoded only after the claim, so that a task which kills its reader
    /// uses up attempts.
    pub enc_args: String,
    /// Which run this is, from 1.
    pub attempt: i32,
    /// Milliseconds between being unblocked and this claim.
    pub waited_ms: i64,
    /// Seconds between the dispatch and being unblocked.
    pub blocked_seconds: f64,
    /// Correlation id.
    pub cid: String,
    /// The account that dispatched it.
    pub created_by: Option<i32>,
    /// Its domain.
    pub domain: DomainId,
    /// Its group.
    pub group: Option<TaskGroupId>,
    /// What it has reserved.
    pub reserved: Resources,
}

/// What came of a claim. Everything but `Claimed` leaves the session without locks.
#[derive(Clone, Debug)]
pub enum ClaimOutcome {
    /// The session holds the task.
    Claimed(Box<Claimed>),
    /// The row does not wait to be run: the message is late. Drop it.
    Stale,
    /// The row says "not before": leave it to the janitor.
    Early,
    /// It is paused, and held until that ends: leave it alone.
    Paused,
    /// Its time to be claimed has passed: it is to be canceled.
    Expired,
    /// One of its locks was held, at every attempt. Defer it.
    Refused,
    /// The lock table has no room for its resources now. Defer it.
    Full,
    /// The lock table of this server is too small for it. Defer it, and say so.
    Oversized {
        /// Locks that it needs.
        needed: i32,
    },
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Text>)]
    enc_args: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    attempt: Option<i32>,
    #[diesel(sql_type = Nullable<BigInt>)]
    waited_ms: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    blocked_seconds: Option<f64>,
    #[diesel(sql_type = Nullable<Text>)]
    logging_cid: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    created_by: Option<i32>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pulp_domain: Option<DomainId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    task_group: Option<TaskGroupId>,
    #[diesel(sql_type = Nullable<Integer>)]
    lock_count: Option<i32>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    reserved: Option<Vec<String>>,
}

/// Pauses between the attempts at a lock that is held. Whoever ends a run commits first, and gives its locks back a moment
/// later: what several of them have unblocked may be claimed before the last has done so.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(6),
    Duration::from_millis(12),
    Duration::from_millis(25),
];

/// Claims a task on this session, which must not be pooled: the locks live as long as it does. With patience, tries again for
/// some 50 ms where a lock of it is held, unless that is cancelled: for a task whose announcement is its first, as one whose
/// lock stays held would take so much of a slot time and again.
///
/// # Errors
/// As the session. The caller must [`release`] then: a lock may have been taken. Where the session is
/// lost, the claim may have been committed all the same: whoever chose its token looks for it.
pub async fn claim(
    conn: &mut Conn,
    claim: Claim,
    name: &str,
    worker: ProcessId,
    patience: Option<&CancellationToken>,
) -> QueryResult<ClaimOutcome> {
    let mut pauses = Pauses::of(patience);
    loop {
        let outcome = attempt(conn, claim, name, worker).await?;
        if !matches!(outcome, ClaimOutcome::Refused) || !pauses.next().await {
            return Ok(outcome);
        }
    }
}

/// The pauses that are left before further attempts at a lock.
pub(super) struct Pauses<'a> {
    left: std::array::IntoIter<Duration, 5>,
    stop: Option<&'a CancellationToken>,
}

impl<'a> Pauses<'a> {
    /// None without patience.
    pub(super) fn of(patience: Option<&'a CancellationToken>) -> Self {
        Self {
            left: PAUSES.into_iter(),
            stop: patience,
        }
    }

    /// False: no further attempt.
    pub(super) async fn next(&mut self) -> bool {
        let (Some(stop), Some(pause)) = (self.stop, self.left.next()) else {
            return false;
        };
        let paused = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        paused.is_some()
    }
}

impl ClaimOutcome {
    /// Of a claim that did not succeed.
    pub(super) fn of(outcome: &str, lock_count: Option<i32>) -> Self {
        match outcome {
            "early" => Self::Early,
            "paused" => Self::Paused,
            "expired" => Self::Expired,
            "refused" => Self::Refused,
            "full" => Self::Full,
            "oversized" => Self::Oversized {
                needed: lock_count.unwrap_or(0),
            },
            _ => Self::Stale,
        }
    }
}

async fn attempt(
    conn: &mut Conn,
    claim: Claim,
    name: &str,
    worker: ProcessId,
) -> QueryResult<ClaimOutcome> {
    let row: Row = sql_query(
        "SELECT outcome, enc_args, attempt, waited_ms, logging_cid, created_by, pulp_domain, task_group, lock_count, \
                blocked_seconds, reserved \
           FROM millrace_claim($1, $2, $3, $4)",
    )
        .bind::<SqlUuid, _>(claim.task)
        .bind::<Text, _>(name)
        .bind::<SqlUuid, _>(claim.id)
        .bind::<SqlUuid, _>(worker)
        .prepared()
        .get_result(conn)
        .await?;
    if row.outcome != "claimed" {
        return Ok(ClaimOutcome::of(&row.outcome, row.lock_count));
    }
    Ok(ClaimOutcome::Claimed(Box::new(Claimed {
        claim,
        enc_args: row.enc_args.unwrap_or_default(),
        attempt: row.attempt.unwrap_or(1),
        waited_ms: row.waited_ms.unwrap_or(0),
        blocked_seconds: row.blocked_seconds.unwrap_or_default(),
        cid: row.logging_cid.unwrap_or_default(),
        created_by: row.created_by,
        domain: row.pulp_domain.unwrap_or(DomainId::DEFAULT),
        group: row.task_group,
        reserved: Resources::from_record(&row.reserved.unwrap_or_default()),
    })))
}

/// Gives all locks of this session back.
///
/// # Errors
/// As the session, which is of no use then.
pub async fn release(conn: &mut Conn) -> QueryResult<()> {
    sql_query("SELECT pg_advisory_unlock_all()")
        .prepared()
        .execute(conn)
        .await
        .map(drop)
}

/// Leaves a waiting task to an announcement after `delay` at first, then after as long as it has waited,
/// up to `longest`; nothing happens where it waits no more. `why` is for the log.
///
/// # Errors
/// As the session.
pub async fn defer(
    conn: &mut Conn,
    task: TaskId,
    why: &str,
    delay: Duration,
    longest: Duration,
) -> QueryResult<()> {
    let facts: Option<Facts> = sql_query(
        "SELECT f.name, f.class, f.cid, f.attempt, f.worker, f.blocked, f.waited, f.ran \
           FROM millrace_defer($1, make_interval(secs => $2), make_interval(secs => $3)) d, \
                LATERAL millrace_facts($1) f",
    )
    .bind::<SqlUuid, _>(task)
    .bind::<Double, _>(delay.as_secs_f64())
    .bind::<Double, _>(longest.as_secs_f64())
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    if let Some(facts) = facts {
        moves::deferred(task, why, &facts);
    }
    Ok(())
}
