//! Tasks that slots claim at the same time are claimed in one transaction.

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::pooled_connection::PoolableConnection;
use log::log;
use millrace_common::cause::chain;
use millrace_common::db::Conn;
use millrace_common::error::{failure_level, is_connection_loss};
use millrace_common::gathering::{Gathering, LONGEST, Party, Role};
use millrace_common::ids::ProcessId;
use millrace_common::metrics::engine;
use millrace_common::tasking::{self, Claim, ClaimOutcome, Claimed, Locked, Locking};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest turn of one who claims alone: others, who have locked by then, wait for it.
const HELD: Duration = Duration::from_millis(20);

/// What came of a claim.
pub(crate) enum Made {
    /// This.
    Came(ClaimOutcome),
    /// Perhaps it was made, and the answer was lost. The session is of no use any more.
    Unheard,
}

/// What became of a claim that was to be made with others.
enum Answer {
    /// It was made.
    Claimed(Box<Claimed>),
    /// It was not: it is to be made alone.
    Alone,
    /// Perhaps it was, and the answer was lost.
    Unheard,
}

/// The claims of this process that wait to be made: the slot of each has its locks.
#[derive(Default)]
pub(crate) struct Claims(Gathering<Locked, Answer>);

/// Who claims: a slot, on its session.
pub(crate) struct Claimant<'a> {
    pub conn: &'a mut Conn,
    pub worker: ProcessId,
    pub claim: Claim,
    /// The type that the message names.
    pub name: &'a str,
    /// See [`tasking::claim`].
    pub patience: Option<&'a CancellationToken>,
}

impl Claims {
    /// Claims in one statement where no other slot does so now; else takes the locks first, and is claimed with the others.
    ///
    /// # Errors
    /// As [`tasking::claim`].
    pub(crate) async fn claim(&self, mut claimant: Claimant<'_>) -> QueryResult<Made> {
        if let Some(turn) = self.0.take_turn() {
            // Who has to wait for something holds up nobody.
            let outcome = {
                let mut attempt = pin!(claimant.attempt(None));
                if let Ok(outcome) = timeout(HELD, &mut attempt).await {
                    outcome?
                } else {
                    drop(turn);
                    attempt.await?
                }
            };
            if !matches!(outcome, ClaimOutcome::Refused) || claimant.patience.is_none() {
                return Ok(Made::Came(outcome));
            }
        }
        let (claim, name) = (claimant.claim, claimant.name);
        let locking = tasking::lock(claimant.conn, claim, name, claimant.patience);
        let locked = match locking.await? {
            Locking::Locked(locked) => locked,
            Locking::Not(outcome) => return Ok(Made::Came(outcome)),
        };
        let answer = match self.0.join(locked).await {
            Role::Answered(answer) => answer,
            Role::Unheard => Answer::Unheard,
            Role::Late => Answer::Alone,
            Role::Leads(leader) => claimant.lead(leader.gather()).await?,
        };
        Ok(match answer {
            // Its locks went with its session.
            Answer::Claimed(_) if claimant.conn.is_broken() => Made::Unheard,
            Answer::Claimed(claimed) => Made::Came(ClaimOutcome::Claimed(claimed)),
            Answer::Alone => Made::Came(claimant.after_all().await?),
            Answer::Unheard => Made::Unheard,
        })
    }
}

impl Claimant<'_> {
    async fn attempt(&mut self, patience: Option<&CancellationToken>) -> QueryResult<ClaimOutcome> {
        let (claim, name) = (self.claim, self.name);
        tasking::claim(self.conn, claim, name, self.worker, patience).await
    }

    /// Alone. The locks are given back first: they would count twice, and what comes out before one is tried (the task has ended,
    /// or is to start later) would leave them.
    async fn after_all(&mut self) -> QueryResult<ClaimOutcome> {
        tasking::release(self.conn).await?;
        self.attempt(self.patience).await
    }

    /// Makes the claims of all.
    async fn lead(&mut self, party: Party<'_, Locked, Answer>) -> QueryResult<Answer> {
        let count = party.items().len();
        let together = tasking::claim_together(self.conn, party.items(), self.worker);
        let claimed = match timeout(LONGEST, together).await {
            Ok(Ok(claimed)) => claimed,
            // What the server refuses has changed nothing.
            Ok(Err(error @ Error::DatabaseError(..))) if !is_connection_loss(&error) => {
                let why = chain(&error);
                log!(failure_level(&error), error:% = error; "claiming {count} tasks together: {why}");
                vec![None; count]
            }
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => return Ok(Answer::Unheard),
        };
        let made = claimed.iter().flatten().count();
        if made > 1 {
            engine().claimed_together.inc_by(made as u64);
        }
        let answer = |claimed: Option<Claimed>| match claimed {
            Some(claimed) => Answer::Claimed(Box::new(claimed)),
            None => Answer::Alone,
        };
        let own = party.answer(claimed.into_iter().map(answer));
        Ok(own.unwrap_or(Answer::Unheard))
    }
}
