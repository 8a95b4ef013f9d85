//! From the end of a body to the end of its task.

use crate::endings::Answer;
use crate::running::Cause;
use crate::sessions::{self, SlotSession};
use crate::tries::Tries;
use crate::worker::Shared;
use diesel_async::SimpleAsyncConnection;
use diesel_async::pooled_connection::PoolableConnection;
use log::{error, warn};
use millrace_common::broker::Announcements;
use millrace_common::cause::chain;
use millrace_common::crash::{self, Point};
use millrace_common::db::{Conn, RetryCause};
use millrace_common::error::{Error, is_connection_loss};
use millrace_common::metrics::engine;
use millrace_common::models::task::Task;
use millrace_common::tasking::{
    self, Announcement, Claim, Claimed, Ended, HandBack, Outcome, Settled, Successors, TaskError,
    TaskState, TaskType,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SESSION_LOST: &str = "The worker lost its database session.";
const AWAY: &str = "The database or the artifact store was away, again and again.";

/// A verdict is written even by a worker that was told to stop, if the database comes back within so long.
const LEFT: Duration = Duration::from_secs(20);

/// Longest wait for a statement that takes no time.
const ANSWER: Duration = Duration::from_secs(3);

/// What is to become of the task.
enum Verdict {
    /// What its body returned.
    Body(Result<Outcome, TaskError>),
    /// It ends so, whatever its body returned.
    Ends(tasking::Ending),
    /// It goes back to its place, or fails for this reason where its type may not run again.
    HandBack(HandBack, &'static str),
}

impl Verdict {
    /// How it ends a run that has nothing else to write.
    fn ending(&self, claim: Claim) -> Option<tasking::Ending> {
        match self {
            Self::Body(body) => tasking::Ending::of_body(claim, body),
            Self::Ends(ending) => Some(ending.clone()),
            Self::HandBack(..) => None,
        }
    }
}

/// A run whose body has ended.
pub(crate) struct EndedRun<'a> {
    pub kind: &'a TaskType,
    pub claimed: &'a Claimed,
    pub ended: Ended,
    /// Why it was asked to stop, if it was.
    pub cause: Option<Cause>,
    /// True: its session is as the body found it.
    pub clean: bool,
}

/// What a slot goes on with: its session, `None` where it needs a new one, and the task that it is to run next, as
/// that was not published.
type GoesOn = (Option<SlotSession>, Option<Announcement>);

/// Settles, through losses of the database, then publishes what came of it, but for a successor that `follows`.
pub(crate) async fn settle(
    shared: &Arc<Shared>,
    run: EndedRun<'_>,
    session: SlotSession,
    follows: impl Fn(&Announcement) -> bool,
) -> GoesOn {
    let (kind, claimed, id) = (run.kind, run.claimed, run.claimed.claim.task);
    // The body may meet the loss of its session before the ping does.
    let met_loss = matches!(
        run.ended,
        Ended::Finished(Err(TaskError::Internal(_))) | Ended::Panicked(_)
    ) && run.cause.is_none()
        && !answers(&session).await;
    let (cause, clean) = if met_loss {
        (Some(Cause::Lost), false)
    } else {
        (run.cause, run.clean)
    };
    let verdict = judge(kind, claimed, run.ended, cause);
    if let Verdict::Body(Err(TaskError::Internal(cause))) = &verdict {
        let cause = chain(&**cause);
        error!(error = cause, task_id:% = id, cid = claimed.cid; "task {id} ({}): {cause}", kind.name);
    }
    let mut settling = Settling {
        shared,
        kind,
        claimed,
        cause,
        verdict,
        is_unheard: false,
    };
    let is_usable = clean && !session.conn.lock().await.is_broken();
    let mut usable = is_usable.then_some(session);
    // Who was asked to stop may have a statement under way that the others would wait for.
    if let Some(session) = usable.take_if(|_| cause.is_none()) {
        match settling.together(&session).await {
            Answer::Settled(settled, share) => {
                return settling
                    .conclude(session, Some(*settled), Some(share), follows)
                    .await;
            }
            Answer::Alone => usable = Some(session),
            Answer::Unheard => {
                settling.is_unheard = true;
                usable = Some(session);
            }
            Answer::Stuck => settling.is_unheard = true,
        }
    }
    settling.alone(usable, follows).await
}

struct Settling<'a> {
    shared: &'a Arc<Shared>,
    kind: &'a TaskType,
    claimed: &'a Claimed,
    /// Why it was asked to stop, if it was.
    cause: Option<Cause>,
    verdict: Verdict,
    /// True: an attempt had no answer.
    is_unheard: bool,
}

impl Settling<'_> {
    /// With those that end now.
    async fn together(&self, session: &SlotSession) -> Answer {
        let Some(ending) = self.verdict.ending(self.claimed.claim) else {
            return Answer::Alone;
        };
        let mut conn = session.conn.lock().await;
        let (endings, publisher) = (&self.shared.endings, &self.shared.publisher);
        endings.settle(&mut conn, publisher, ending).await
    }

    /// In a transaction of its own, again and again.
    async fn alone(
        mut self,
        mut usable: Option<SlotSession>,
        follows: impl Fn(&Announcement) -> bool,
    ) -> GoesOn {
        let (shared, id) = (self.shared, self.claimed.claim.task);
        let mut tries = Tries::default();
        loop {
            // A session without the locks will do where theirs was lost: the claim decides. To open it ends what was
            // given up, which holds a lock on the task's own row too.
            let session = match usable.take() {
                Some(session) => session,
                None => match sessions::open_patiently(shared, "settle", LEFT).await {
                    Some(session) => session,
                    None => return (None, None),
                },
            };
            let mut conn = session.conn.lock().await;
            match write(shared, &mut conn, self.claimed, &self.verdict).await {
                Ok(settled) => {
                    drop(conn);
                    return self.conclude(session, settled, None, follows).await;
                }
                Err(error) => {
                    warn!(error:% = error, task_id:% = id; "settling task {id}: {}", chain(&error));
                    self.is_unheard |= error.diesel().is_some_and(is_connection_loss);
                    if tries.are_used_up(&error) {
                        // Nothing that the body returned can be stored as it is: the task fails instead.
                        self.verdict = Verdict::Body(Err(TaskError::internal(error)));
                    }
                }
            }
            drop(conn);
            tokio::time::sleep(tries.pause()).await;
        }
    }

    /// Gives the locks back, then publishes.
    async fn conclude(
        self,
        session: SlotSession,
        mut settled: Option<Settled>,
        share: Option<Arc<Successors>>,
        follows: impl Fn(&Announcement) -> bool,
    ) -> GoesOn {
        crash::point(match settled {
            Some(_) => Point::SettleCommitted,
            None => Point::HandedBack,
        });
        let mut conn = session.conn.lock().await;
        let released = timeout(ANSWER, tasking::release(&mut conn)).await;
        crash::point(Point::SettleReleased);
        drop(conn);
        let session = matches!(released, Ok(Ok(()))).then_some(session);
        if self.is_unheard && matches!(settled, Some(Settled::Lost)) {
            // By the attempt without an answer, or by somebody else: nobody can tell. What it unblocked the
            // janitor announces.
            let id = self.claimed.claim.task;
            warn!(task_id:% = id; "task {id} has ended, or is another run's: an answer of the database was lost");
            return (session, None);
        }
        if matches!(self.verdict, Verdict::Ends(_)) && self.cause == Some(Cause::Overdue) {
            engine().deadlines_passed.inc();
        }
        let why = match &self.verdict {
            Verdict::HandBack(_, why) => why,
            _ => "",
        };
        let follows = |successor: &Announcement| session.is_some() && follows(successor);
        // Its locks are free: of what was settled with it, the last one publishes the successors.
        let successor = match share {
            Some(share) => Successors::give_up(share, follows),
            None => settled
                .as_mut()
                .and_then(|settled| settled.take_successor(follows)),
        };
        publish(self.shared, self.kind, self.claimed, settled, why).await;
        (session, successor)
    }
}

/// True where the server still answers on this session, be it that the body left a failed transaction open.
async fn answers(session: &SlotSession) -> bool {
    let mut conn = session.conn.lock().await;
    match timeout(ANSWER, conn.batch_execute("SELECT 1")).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => !is_connection_loss(&error),
        Err(_elapsed) => false,
    }
}

fn judge(kind: &TaskType, claimed: &Claimed, ended: Ended, cause: Option<Cause>) -> Verdict {
    let body = match (ended, cause) {
        (Ended::Finished(Ok(outcome)), _) => Ok(outcome),
        (_, Some(Cause::Lost)) => {
            return Verdict::HandBack(HandBack::Loss, SESSION_LOST);
        }
        (Ended::Aborted | Ended::Finished(Err(TaskError::Canceled)), Some(Cause::Shutdown)) => {
            return Verdict::HandBack(HandBack::Shutdown, "Aborted during worker shutdown.");
        }
        (Ended::Aborted | Ended::Finished(Err(TaskError::Canceled)), Some(Cause::Canceled)) => {
            return Verdict::Ends(tasking::Ending::canceled(claimed.claim));
        }
        (Ended::Aborted | Ended::Finished(Err(TaskError::Canceled)), Some(Cause::Overdue)) => {
            let reason = tasking::DEADLINE_PASSED;
            return Verdict::Ends(tasking::Ending::for_reason(claimed.claim, reason));
        }
        // As at a loss: the body can do without what was away for a moment if it may run again.
        (Ended::Finished(Err(error)), None) if kind.rerun_after_loss && error.is_transient() => {
            let (id, cause) = (claimed.claim.task, chain(&error));
            warn!(error = cause, task_id:% = id; "task {id} ({}) is to run again: {cause}", kind.name);
            return Verdict::HandBack(HandBack::Loss, AWAY);
        }
        (Ended::Finished(Err(error)) | Ended::Panicked(error), _) => Err(error),
        (Ended::Aborted, _) => Err(TaskError::Canceled),
        (Ended::TimedOut(limit), _) => Err(TaskError::coded(
            "PLP0024",
            format!(
                "Immediate task {} (type: {}) timed out after {} seconds.",
                claimed.claim.task,
                kind.name,
                limit.as_secs()
            ),
        )),
    };
    Verdict::Body(body)
}

async fn fail_for_reason(conn: &mut Conn, claim: Claim, reason: &str) -> Result<Settled, Error> {
    tasking::settle_alone(conn, &tasking::Ending::for_reason(claim, reason)).await
}

async fn write(
    shared: &Shared,
    conn: &mut Conn,
    claimed: &Claimed,
    verdict: &Verdict,
) -> Result<Option<Settled>, Error> {
    match verdict {
        Verdict::Body(body) => {
            tasking::settle(conn, &shared.execution.keyring, claimed.claim, body)
                .await
                .map(Some)
        }
        Verdict::Ends(ending) => tasking::settle_alone(conn, ending).await.map(Some),
        Verdict::HandBack(why, reason) => {
            if tasking::hand_back(conn, claimed.claim, *why).await? {
                return Ok(None);
            }
            fail_for_reason(conn, claimed.claim, reason).await.map(Some)
        }
    }
}

/// Puts a task back that names this worker although no slot looks after it. False: it was not this run's, or the database
/// does not answer, and the beat finds it again.
pub(crate) async fn give_back(shared: &Shared, claim: Claim) -> bool {
    let id = claim.task;
    match put_back(shared, claim).await {
        Ok(given) => {
            if given {
                warn!(task_id:% = id; "task {id} was claimed on a session that was lost: it is given back");
            }
            given
        }
        Err(error) => {
            warn!(error:% = error, task_id:% = id; "giving back task {id}: {}", chain(&error));
            false
        }
    }
}

/// False: the row is another run's now.
async fn put_back(shared: &Shared, claim: Claim) -> Result<bool, Error> {
    let mut conn = shared.db().get().await?;
    let why = if shared.running.is_unheard(claim.id) {
        HandBack::Unheard
    } else {
        HandBack::Loss
    };
    if tasking::hand_back(&mut conn, claim, why).await? {
        if let Some(name) = Task::type_name(&mut conn, claim.task).await? {
            let waiting = TaskState::Waiting.as_str();
            shared.publisher.state_changed(claim.task, &name, waiting);
        }
        return Ok(true);
    }
    match fail_for_reason(&mut conn, claim, SESSION_LOST).await? {
        Settled::Lost => Ok(false),
        settled => {
            settled.publish(&shared.publisher, claim.task);
            Ok(true)
        }
    }
}

/// After the commit and the release of the locks: successors first, then the rest of a long run.
async fn publish(
    shared: &Arc<Shared>,
    kind: &TaskType,
    claimed: &Claimed,
    settled: Option<Settled>,
    why: &str,
) {
    let (id, name) = (claimed.claim.task, kind.name);
    match settled {
        Some(settled @ Settled::Final { .. }) => {
            if settled.publish(&shared.publisher, id)
                && let Err(error) = resume(shared).await
            {
                // The janitor resumes it.
                warn!(error:% = error; "resuming promotions: {}", chain(&error));
            }
        }
        Some(Settled::Lost) => {
            engine().fence_rejections.inc();
            warn!(task_id:% = id, cid = claimed.cid, name, attempt = claimed.attempt;
                  "the claim on task {id} was lost: nothing of this run was written");
        }
        None => {
            shared
                .publisher
                .state_changed(id, name, TaskState::Waiting.as_str());
            tasking::handed_back(claimed, name, &shared.name, why);
        }
    }
}

async fn resume(shared: &Shared) -> Result<(), Error> {
    let mut conn = shared.db().get().await?;
    let mut more: Option<Announcements> = tasking::resume_promotions(&mut conn).await?;
    while let Some(announcements) = more {
        shared.publisher.announce(announcements);
        more = tasking::resume_promotions(&mut conn).await?;
    }
    Ok(())
}
