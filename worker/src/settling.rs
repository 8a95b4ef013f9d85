//! From the end of a body to the end of its task.

use crate::running::Cause;
use crate::sessions::{self, SlotSession};
use crate::worker::Shared;
use diesel_async::pooled_connection::{PoolableConnection, RecyclingMethod};
use log::{error, warn};
use millrace_common::broker::Announcements;
use millrace_common::cause::chain;
use millrace_common::crash::{self, Point};
use millrace_common::db::{Backend, Conn};
use millrace_common::error::Error;
use millrace_common::metrics::engine;
use millrace_common::models::task::Task;
use millrace_common::models::worker_session;
use millrace_common::tasking::{
    self, Claim, Claimed, Ended, HandBack, Outcome, Settled, TaskError, TaskState, TaskType,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SESSION_LOST: &str = "The worker lost its database session.";
const AWAY: &str = "The database or the artifact store was away, again and again.";

/// A verdict that was refused so often is given up: once may have been an operator who canceled the
/// statement, or a disk that was full for a moment.
const REFUSALS: u32 = 3;

/// So many attempts may meet a lost session or a lock that does not come. Each had a new session: a last write
/// that takes longer than the engine lets it stand still ends here.
const DISTURBANCES: u32 = 20;

/// A verdict is written even by a worker that was told to stop, if the database comes back within so long.
const LEFT: Duration = Duration::from_secs(20);

/// Longest wait for a statement that takes no time.
const ANSWER: Duration = Duration::from_secs(3);

/// What is to become of the task.
enum Verdict {
    /// What its body returned.
    Body(Result<Outcome, TaskError>),
    /// It is canceled.
    Canceled,
    /// It fails for this reason outside its body.
    Failed(&'static str),
    /// It goes back to its place, or fails for this reason where its type may not run again.
    HandBack(HandBack, &'static str),
}

/// Settles, through losses of the database, then publishes what came of it. Gives the session that the
/// slot may go on with; `None` where it needs a new one.
pub(crate) async fn settle(
    shared: &Arc<Shared>,
    kind: &TaskType,
    claimed: &Claimed,
    ended: Ended,
    cause: Option<Cause>,
    session: SlotSession,
    clean: bool,
) -> Option<SlotSession> {
    let id = claimed.claim.task;
    // The body may meet the loss of its session before the ping does.
    let met_loss = matches!(ended, Ended::Finished(Err(TaskError::Internal(_))))
        && cause.is_none()
        && !answers(&session).await;
    let (cause, clean) = if met_loss {
        (Some(Cause::Lost), false)
    } else {
        (cause, clean)
    };
    let mut verdict = judge(kind, claimed, ended, cause);
    if let Verdict::Body(Err(TaskError::Internal(cause))) = &verdict {
        let cause = chain(&**cause);
        error!(error = cause, task_id:% = id, cid = claimed.cid; "task {id} ({}): {cause}", kind.name);
    }
    let (mut usable, mut left) = (None, None);
    if clean && !session.conn.lock().await.is_broken() {
        usable = Some(session);
    } else {
        left = Some(session.backend.clone());
        drop(session);
    }
    let mut tries = Tries::default();
    loop {
        // A session without the locks will do where theirs was lost: the claim decides.
        let session = match usable.take() {
            Some(session) => session,
            None => sessions::open_patiently(shared, "settle", LEFT).await?,
        };
        let mut conn = session.conn.lock().await;
        match write(shared, &mut conn, claimed, &verdict, left.as_ref()).await {
            Ok(settled) => {
                crash::point(match settled {
                    Some(_) => Point::SettleCommitted,
                    None => Point::HandedBack,
                });
                let released = timeout(ANSWER, tasking::release(&mut conn)).await;
                crash::point(Point::SettleReleased);
                drop(conn);
                if matches!(verdict, Verdict::Failed(tasking::DEADLINE_PASSED)) {
                    engine().deadlines_passed.inc();
                }
                let why = match &verdict {
                    Verdict::HandBack(_, why) => why,
                    _ => "",
                };
                publish(shared, kind, claimed, settled, why).await;
                return matches!(released, Ok(Ok(()))).then_some(session);
            }
            Err(error) => {
                warn!(error:% = error, task_id:% = id; "settling task {id}: {}", chain(&error));
                if tries.are_used_up(&error) {
                    // Nothing that the body returned can be stored as it is: the task fails instead.
                    verdict = Verdict::Body(Err(TaskError::internal(error)));
                }
            }
        }
        drop(conn);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Attempts to settle that failed.
#[derive(Default)]
struct Tries {
    refused: u32,
    disturbed: u32,
}

impl Tries {
    fn are_used_up(&mut self, error: &Error) -> bool {
        if error.is_transient() {
            self.disturbed += 1;
        } else {
            self.refused += 1;
        }
        self.refused >= REFUSALS || self.disturbed >= DISTURBANCES
    }
}

/// True where the server still answers on this session.
async fn answers(session: &SlotSession) -> bool {
    let mut conn = session.conn.lock().await;
    let ping = conn.ping(&RecyclingMethod::Verified);
    matches!(timeout(ANSWER, ping).await, Ok(Ok(())))
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
            return Verdict::Canceled;
        }
        (Ended::Aborted | Ended::Finished(Err(TaskError::Canceled)), Some(Cause::Overdue)) => {
            return Verdict::Failed(tasking::DEADLINE_PASSED);
        }
        // As at a loss: the body can do without what was away for a moment if it may run again.
        (Ended::Finished(Err(error)), None) if kind.rerun_after_loss && error.is_transient() => {
            let (id, cause) = (claimed.claim.task, chain(&error));
            warn!(error = cause, task_id:% = id; "task {id} ({}) is to run again: {cause}", kind.name);
            return Verdict::HandBack(HandBack::Loss, AWAY);
        }
        (Ended::Finished(Err(error)), _) => Err(error),
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

async fn write(
    shared: &Shared,
    conn: &mut Conn,
    claimed: &Claimed,
    verdict: &Verdict,
    left: Option<&Backend>,
) -> Result<Option<Settled>, Error> {
    if let Some(left) = left {
        // It holds locks, on the task's own row too.
        worker_session::end(conn, left).await?;
    }
    match verdict {
        Verdict::Body(body) => {
            tasking::settle(conn, &shared.execution.keyring, claimed.claim, body)
                .await
                .map(Some)
        }
        Verdict::Canceled => tasking::settle_canceled(conn, claimed.claim)
            .await
            .map(Some),
        Verdict::Failed(reason) => tasking::fail_for_reason(conn, claimed.claim, reason)
            .await
            .map(Some),
        Verdict::HandBack(why, reason) => {
            if tasking::hand_back(conn, claimed.claim, *why).await? {
                return Ok(None);
            }
            tasking::fail_for_reason(conn, claimed.claim, reason)
                .await
                .map(Some)
        }
    }
}

/// Puts a task back that names this worker although no slot looks after it. False: the row is another run's now.
pub(crate) async fn give_back(shared: &Shared, claim: Claim) -> Result<bool, Error> {
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
    match tasking::fail_for_reason(&mut conn, claim, SESSION_LOST).await? {
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
