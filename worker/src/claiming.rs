//! Tasks that slots claim at the same time are claimed in one transaction.

use log::debug;
use millrace_common::cause::chain;
use millrace_common::db::Conn;
use millrace_common::error::is_connection_loss;
use millrace_common::gathering::{Gathering, LONGEST, MOST, PATIENCE, Party, Role};
use millrace_common::ids::ProcessId;
use millrace_common::tasking::{self, Claim, ClaimOutcome, Claimed, Fence, claim_together};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What became of a claim that was to be made with others.
enum Answer {
    /// It was made.
    Claimed(Box<Claimed>),
    /// It was not: it is to be made alone.
    Alone,
    /// Perhaps it was, and the answer was lost.
    Unheard,
}

/// The claims of this process that wait to be made: each has its locks.
pub(crate) struct Claims(Gathering<Claim, Answer>);

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

impl Default for Claims {
    fn default() -> Self {
        Self(Gathering::new(MOST, PATIENCE))
    }
}

impl Claims {
    /// Claims in one statement where no other slot does so now; else locks first, and is claimed with the others. `None`: perhaps it
    /// was claimed, as after an error of the session, which is of no use then.
    ///
    /// # Errors
    /// As [`tasking::claim`].
    pub(crate) async fn claim(
        &self,
        mut claimant: Claimant<'_>,
    ) -> diesel::QueryResult<Option<ClaimOutcome>> {
        if let Some(_turn) = self.0.turn() {
            return claimant.alone().await.map(Some);
        }
        let (claim, name) = (claimant.claim, claimant.name);
        let fence = tasking::fence(claimant.conn, claim.task, name, claimant.patience);
        let reserved = match fence.await? {
            Fence::Locked(reserved) => reserved,
            Fence::Not(outcome) => return Ok(Some(outcome)),
        };
        let answer = match self.0.join(claim).await {
            Role::Answered(answer) => answer,
            Role::Unheard => Answer::Unheard,
            Role::Late => Answer::Alone,
            Role::Leads(leader) => claimant.lead(leader.gather()).await?,
        };
        match answer {
            Answer::Claimed(mut claimed) => {
                claimed.reserved = reserved;
                Ok(Some(ClaimOutcome::Claimed(claimed)))
            }
            Answer::Alone => claimant.after_all().await.map(Some),
            Answer::Unheard => Ok(None),
        }
    }
}

impl Claimant<'_> {
    async fn alone(&mut self) -> diesel::QueryResult<ClaimOutcome> {
        let (claim, name) = (self.claim, self.name);
        tasking::claim(self.conn, claim, name, self.worker, self.patience).await
    }

    /// Alone, with its locks: a claim that is not made gives back only what it has taken itself.
    async fn after_all(&mut self) -> diesel::QueryResult<ClaimOutcome> {
        let outcome = self.alone().await?;
        if !matches!(outcome, ClaimOutcome::Claimed(_)) {
            tasking::release(self.conn).await?;
        }
        Ok(outcome)
    }

    /// Makes the claims of all.
    async fn lead(&mut self, party: Party<'_, Claim, Answer>) -> diesel::QueryResult<Answer> {
        let count = party.items().len();
        let together = claim_together(self.conn, party.items(), self.worker);
        let claimed = match timeout(LONGEST, together).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(error)) if is_connection_loss(&error) => return Err(error),
            Ok(Err(error)) => {
                debug!(error:% = error; "claiming {count} tasks together: {}", chain(&error));
                vec![None; count]
            }
            Err(_elapsed) => return Ok(Answer::Unheard),
        };
        let answer = |claimed: Option<Claimed>| match claimed {
            Some(claimed) => Answer::Claimed(Box::new(claimed)),
            None => Answer::Alone,
        };
        let own = party.answer(claimed.into_iter().map(answer));
        Ok(own.unwrap_or(Answer::Unheard))
    }
}
