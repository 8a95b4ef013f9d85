//! Runs that end at the same time are settled in one transaction.

use log::{Level, log};
use millrace_common::broker::Publisher;
use millrace_common::cause::chain;
use millrace_common::db::{Conn, RetryCause};
use millrace_common::error::failure_level;
use millrace_common::gathering::{Gathering, LONGEST, Party, Role};
use millrace_common::ids::TaskId;
use millrace_common::metrics::engine;
use millrace_common::tasking::{Ending, Settled, Successors, settle_together};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::time::timeout;

/// What became of a run that was to be settled with others.
pub(crate) enum Answer {
    /// It was settled. The share in the successors of all that were settled with it is given up once its locks have
    /// been given back.
    Settled(Box<Settled>, Arc<Successors>),
    /// Nothing: it is to be settled alone.
    Alone,
    /// Perhaps it was, and the answer was lost: it is to be settled alone.
    Unheard,
    /// As unheard, and the session is of no use any more.
    Stuck,
}

/// The runs of this process that wait to be settled.
#[derive(Default)]
pub(crate) struct Endings(Gathering<Ending, Answer>);

impl Endings {
    /// Settles a run with those that end now, on this session or on that of one of them.
    pub(crate) async fn settle(
        &self,
        conn: &mut Conn,
        publisher: &Publisher,
        ending: Ending,
    ) -> Answer {
        match self.0.join(ending).await {
            Role::Answered(answer) => answer,
            Role::Unheard => Answer::Unheard,
            Role::Late => Answer::Alone,
            Role::Leads(leader) => lead(conn, publisher, leader.gather()).await,
        }
    }
}

/// Settles these, each task once. Where it fails, nobody hears what became of his run.
async fn lead(conn: &mut Conn, publisher: &Publisher, party: Party<'_, Ending, Answer>) -> Answer {
    let mut seen: HashSet<TaskId> = HashSet::new();
    let is_new: Vec<bool> = party
        .items()
        .iter()
        .map(|ending| seen.insert(ending.task()))
        .collect();
    let endings: Vec<Ending> = party
        .items()
        .iter()
        .zip(&is_new)
        .filter(|(_, is_new)| **is_new)
        .map(|(ending, _)| ending.clone())
        .collect();
    let count = endings.len();
    let together = match timeout(LONGEST, settle_together(conn, &endings)).await {
        Ok(Ok(together)) => together,
        Ok(Err(error)) => {
            let why = chain(&error);
            let level = error.diesel().map_or(Level::Warn, failure_level);
            log!(level, error:% = error; "settling {count} runs together: {why}");
            return Answer::Unheard;
        }
        Err(_elapsed) => return Answer::Stuck,
    };
    let settled = together.settled.iter().flatten().count();
    if settled > 1 {
        engine().settled_together.inc_by(settled as u64);
    }
    let successors = Arc::new(Successors {
        publisher: publisher.clone(),
        announcements: together.announcements,
        more: together.more,
    });
    let mut more = together.more;
    let mut settled = together.settled.into_iter();
    let answers: Vec<Answer> = is_new
        .into_iter()
        .map(
            |is_new| match is_new.then(|| settled.next()).flatten().flatten() {
                Some(mut settled) => {
                    // One of them goes on with the promotions.
                    if let Settled::Final { more: own, .. } = &mut settled {
                        *own = std::mem::take(&mut more);
                    }
                    Answer::Settled(Box::new(settled), Arc::clone(&successors))
                }
                None => Answer::Alone,
            },
        )
        .collect();
    drop(successors);
    party.answer(answers).unwrap_or(Answer::Unheard)
}
