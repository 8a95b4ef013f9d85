//! Tasks of workers that are gone.

use super::Janitor;
use super::look::Lost;
use crate::crash::{self, Point};
use crate::db::Conn;
use crate::error::Error;
use crate::tasking::ending::{Ending, HELD};
use crate::tasking::settle::{HandBack, Settled, hand_back};
use crate::tasking::{Claim, Facts, TaskState, moves};
use diesel::sql_types::{Bool, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

#[derive(QueryableByName)]
struct Free {
    #[diesel(sql_type = Bool)]
    free: bool,
}

impl Janitor {
    /// Takes a task from a dead worker. A worker that lives and lost only the session of this task
    /// hands it back itself, or exits.
    pub(super) async fn rescue(&self, lost: &Lost) -> Result<(), Error> {
        if !lost.worker_gone {
            return Ok(());
        }
        let claim = Claim {
            task: lost.task,
            id: lost.claim,
        };
        let mut conn = self.db.get().await?;
        let rescued =
            crate::db::transaction(&mut conn, async |conn| rescue(conn, claim).await).await?;
        let Some(rescued) = rescued else {
            return Ok(());
        };
        crash::point(Point::Rescued);
        let (id, facts) = (lost.task, rescued.facts);
        moves::rescued(id, rescued.settled.is_none(), &facts);
        match rescued.settled {
            None => {
                let waiting = TaskState::Waiting.as_str();
                self.publisher.state_changed(id, &facts.name, waiting);
            }
            Some(settled) => {
                if settled.publish(&self.publisher, id) {
                    self.resume(&|| {}).await?;
                }
            }
        }
        Ok(())
    }
}

/// What became of a task whose worker is gone.
struct Rescued {
    /// What is known of the task, and from which worker it was taken.
    facts: Facts,
    /// `None`: it waits again, in its old place. Else it failed, or was being canceled.
    settled: Option<Settled>,
}

/// In one transaction: the lock is still free (and stays so until the commit), then the row changes.
/// `None`: somebody was faster.
async fn rescue(conn: &mut Conn, claim: Claim) -> Result<Option<Rescued>, Error> {
    let probe: Free = sql_query("SELECT pg_try_advisory_xact_lock(millrace_task_key($1)) AS free")
        .bind::<SqlUuid, _>(claim.task)
        .get_result(conn)
        .await?;
    if !probe.free {
        return Ok(None);
    }
    let Some(facts) = Facts::of(conn, claim.task).await? else {
        return Ok(None);
    };
    if hand_back(conn, claim, HandBack::Rescue).await? {
        let settled = None;
        return Ok(Some(Rescued { facts, settled }));
    }
    let ending = Ending::for_reason(claim, "Worker has gone missing.");
    Ok(ending.run(conn, &HELD).await?.map(|settled| Rescued {
        facts,
        settled: Some(settled),
    }))
}
