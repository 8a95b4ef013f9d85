//! Claiming tasks together: each slot takes the locks of its own on its session, then one transaction makes all of them run.

use super::claim::{Claim, ClaimOutcome, Claimed, Pauses};
use super::resources::Resources;
use crate::db::{Conn, Prepare};
use crate::ids::{ClaimId, DomainId, ProcessId, TaskGroupId, TaskId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// A claim that is to be made with others: a session has its locks.
#[derive(Clone, Debug)]
pub struct Locked {
    /// The run.
    pub claim: Claim,
    /// What its task has reserved.
    pub reserved: Resources,
}

/// What came of the first half of a claim.
#[derive(Debug)]
pub enum Locking {
    /// The session has the locks of a task that may be claimed: [`claim_together`], or [`claim`](super::claim::claim) after all.
    Locked(Locked),
    /// What a claim would have come to; never `Claimed`. The session has no locks.
    Not(ClaimOutcome),
}

#[derive(QueryableByName)]
struct LockRow {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Integer>)]
    lock_count: Option<i32>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    reserved: Option<Vec<String>>,
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = SqlUuid)]
    claim: ClaimId,
    #[diesel(sql_type = Text)]
    enc_args: String,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = BigInt)]
    waited_ms: i64,
    #[diesel(sql_type = Text)]
    logging_cid: String,
    #[diesel(sql_type = Nullable<Integer>)]
    created_by: Option<i32>,
    #[diesel(sql_type = SqlUuid)]
    pulp_domain: DomainId,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    task_group: Option<TaskGroupId>,
    #[diesel(sql_type = Double)]
    blocked_seconds: f64,
}

/// Takes the locks of a task that is to be claimed with others, as [`claim`](super::claim::claim) does, and changes nothing else.
///
/// # Errors
/// As the session. The caller must [`release`](super::claim::release) then.
pub async fn lock(
    conn: &mut Conn,
    claim: Claim,
    name: &str,
    patience: Option<&CancellationToken>,
) -> QueryResult<Locking> {
    let mut pauses = Pauses::of(patience);
    loop {
        let row: LockRow =
            sql_query("SELECT outcome, lock_count, reserved FROM millrace_lock_task($1, $2)")
                .bind::<SqlUuid, _>(claim.task)
                .bind::<Text, _>(name)
                .prepared()
                .get_result(conn)
                .await?;
        if row.outcome == "locked" {
            let reserved = Resources::from_record(&row.reserved.unwrap_or_default());
            return Ok(Locking::Locked(Locked { claim, reserved }));
        }
        let outcome = ClaimOutcome::of(&row.outcome, row.lock_count);
        if !matches!(outcome, ClaimOutcome::Refused) || !pauses.next().await {
            return Ok(Locking::Not(outcome));
        }
    }
}

/// Claims tasks of which each has its locks on a session of its own ([`lock`]), in one transaction, on any session. `None`: it is to
/// be claimed alone, as it may not wait any more, or somebody has locked its row.
///
/// # Errors
/// As the session: none of them was claimed, unless it was lost.
pub async fn claim_together(
    conn: &mut Conn,
    locked: &[Locked],
    worker: ProcessId,
) -> QueryResult<Vec<Option<Claimed>>> {
    let of = |one: &Locked| (one.claim.task, one.claim.id);
    let (tasks, tokens): (Vec<TaskId>, Vec<ClaimId>) = locked.iter().map(of).unzip();
    let rows: Vec<ClaimedRow> = sql_query(
        "SELECT claim, enc_args, attempt, waited_ms, logging_cid, created_by, pulp_domain, task_group, blocked_seconds \
           FROM millrace_claim_together($1, $2, $3)",
    )
    .bind::<Array<SqlUuid>, _>(tasks)
    .bind::<Array<SqlUuid>, _>(tokens)
    .bind::<SqlUuid, _>(worker)
    .prepared()
    .load(conn)
    .await?;
    // By the token: of two who claim one task, as the session of the first is gone, one has it.
    let mut rows: HashMap<ClaimId, ClaimedRow> =
        rows.into_iter().map(|row| (row.claim, row)).collect();
    let claimed = |one: &Locked| rows.remove(&one.claim.id).map(|row| row.claimed(one));
    Ok(locked.iter().map(claimed).collect())
}

impl ClaimedRow {
    fn claimed(self, locked: &Locked) -> Claimed {
        Claimed {
            claim: locked.claim,
            enc_args: self.enc_args,
            attempt: self.attempt,
            waited_ms: self.waited_ms,
            blocked_seconds: self.blocked_seconds,
            cid: self.logging_cid,
            created_by: self.created_by,
            domain: self.pulp_domain,
            group: self.task_group,
            reserved: locked.reserved.clone(),
        }
    }
}
