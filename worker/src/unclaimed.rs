//! What becomes of a message whose task was not claimed.

use crate::sessions::SlotSession;
use crate::worker::Shared;
use log::{debug, warn};
use millrace_common::broker::Message;
use millrace_common::cause::chain;
use millrace_common::metrics::engine;
use millrace_common::tasking::{self, ClaimOutcome};
use std::time::Duration;

/// The first and the longest pause before a task that could not be claimed is announced again.
type Pauses = (Duration, Duration);
/// Somebody held a lock, or the lock table was full for now.
const SOON: Pauses = (Duration::from_millis(500), Duration::from_millis(500));
/// This worker, or this server, cannot run the task as it is.
const LATER: Pauses = (Duration::from_secs(5), Duration::from_secs(30));

/// Why a task is put off that this worker cannot run.
const UNKNOWN: &str = "it waits for a worker that knows it";

/// Leaves a task that this worker does not know to others.
pub(crate) async fn unknown(session: Option<&SlotSession>, message: &Message) {
    engine().unknown_types.inc();
    defer(session, message, UNKNOWN, LATER).await;
}

/// Deals with a claim that did not succeed.
pub(crate) async fn answer(
    shared: &Shared,
    session: Option<&SlotSession>,
    message: &Message,
    outcome: ClaimOutcome,
) {
    let (metrics, id) = (engine(), message.id);
    match outcome {
        ClaimOutcome::Stale => {
            metrics.stale_deliveries.inc();
            debug!(task_id:% = id; "a message about task {id} is late");
        }
        ClaimOutcome::Paused => {
            metrics.paused_deliveries.inc();
            debug!(task_id:% = id; "task {id} is paused");
        }
        ClaimOutcome::Refused => {
            metrics.lock_refusals.inc();
            defer(session, message, "a lock of it is still held", SOON).await;
        }
        ClaimOutcome::Full => {
            metrics.lock_table_refusals.inc();
            defer(session, message, "the lock table has no room", SOON).await;
        }
        ClaimOutcome::Oversized { needed } => {
            metrics.lock_table_refusals.inc();
            warn!(
                task_id:% = id, needed;
                "task {id} needs {needed} locks, more than the lock table of PostgreSQL is sized for: \
                 it waits; raise max_locks_per_transaction"
            );
            defer(session, message, "the lock table is too small", LATER).await;
        }
        ClaimOutcome::Expired => match shared.db().get().await {
            Ok(mut conn) => match tasking::expire(&mut conn, id).await {
                Ok(settled) => {
                    if let Some((settled, reason)) = settled {
                        if reason == tasking::DEADLINE_PASSED {
                            metrics.deadlines_passed.inc();
                        }
                        settled.publish(&shared.publisher, id);
                    }
                }
                Err(error) => {
                    warn!(error:% = error, task_id:% = id; "expire: {}", chain(&error))
                }
            },
            Err(error) => warn!(error:% = error, task_id:% = id; "expire: {}", chain(&error)),
        },
        ClaimOutcome::Early | ClaimOutcome::Claimed(_) => {}
    }
}

async fn defer(
    session: Option<&SlotSession>,
    message: &Message,
    why: &str,
    (delay, longest): Pauses,
) {
    let Some(session) = session else { return };
    let mut conn = session.conn.lock().await;
    if let Err(error) = tasking::defer(&mut conn, message.id, why, delay, longest).await {
        // Nothing is lost: the janitor finds an announcement that nobody claims.
        warn!(error:% = error, task_id:% = message.id; "defer: {}", chain(&error));
    }
}
