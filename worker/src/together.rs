//! Runs that end at the same time are settled in one transaction: the first of them takes those with it that have come
//! by the time the one before has been settled. One that comes alone does not wait for others.

use crate::running::lock;
use log::debug;
use millrace_common::broker::Publisher;
use millrace_common::cause::chain;
use millrace_common::db::Conn;
use millrace_common::tasking::{Ending, Settled, Successors, settle_together};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Runs of one transaction at most: more are settled in the next one.
const MOST: usize = 64;

/// A run whose turn does not come within so long is settled alone: the transaction of the others may wait for something
/// that is none of its business.
const PATIENCE: Duration = Duration::from_millis(50);

/// A transaction of several is given up with its session when it takes longer: they wait for it.
const LONGEST: Duration = Duration::from_secs(6);

/// What became of a run that was to be settled with others.
#[derive(Default)]
pub(crate) enum Answer {
    /// It was settled. The share in the successors of all that were settled with it is given up once its locks have
    /// been given back.
    Settled(Box<Settled>, Arc<Successors>),
    /// Nothing: it is to be settled alone.
    Alone,
    /// Perhaps it was, and the answer was lost: it is to be settled alone.
    #[default]
    Unheard,
    /// As unheard, and the session is of no use any more.
    Stuck,
}

struct Waiting {
    number: u64,
    ending: Ending,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: Vec<Waiting>,
}

/// The runs of this process that wait to be settled.
#[derive(Default)]
pub(crate) struct Together {
    queue: Mutex<Queue>,
    turn: tokio::sync::Mutex<()>,
}

impl Together {
    /// Settles a run with those that end now, on this session or on that of one of them.
    pub(crate) async fn settle(
        &self,
        conn: &mut Conn,
        publisher: &Publisher,
        ending: Ending,
    ) -> Answer {
        let (number, mut answered) = self.enter(ending);
        let turn = tokio::select! {
            biased;
            answer = &mut answered => return answer.unwrap_or_default(),
            turn = timeout(PATIENCE, self.turn.lock()) => turn.ok(),
        };
        // Who is not there any more has been taken along by another one, who answers.
        if let Some(mine) = self.leave(number) {
            if turn.is_none() {
                return Answer::Alone;
            }
            if !self.lead(conn, publisher, mine).await {
                return Answer::Stuck;
            }
        }
        answered.await.unwrap_or_default()
    }

    fn enter(&self, ending: Ending) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let mut queue = lock(&self.queue);
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push(Waiting {
            number,
            ending,
            answer,
        });
        (number, answered)
    }

    fn leave(&self, number: u64) -> Option<Waiting> {
        let mut queue = lock(&self.queue);
        let place = queue.waiting.iter().position(|one| one.number == number)?;
        Some(queue.waiting.remove(place))
    }

    /// Settles this one and the first that wait, each task once. False: the session does not answer.
    async fn lead(&self, conn: &mut Conn, publisher: &Publisher, mine: Waiting) -> bool {
        let mut all = vec![mine];
        {
            let mut queue = lock(&self.queue);
            for one in std::mem::take(&mut queue.waiting) {
                let is_new = all
                    .iter()
                    .all(|other| other.ending.task() != one.ending.task());
                if is_new && all.len() < MOST {
                    all.push(one);
                } else {
                    queue.waiting.push(one);
                }
            }
        }
        let endings: Vec<Ending> = all.iter().map(|one| one.ending.clone()).collect();
        let together = match timeout(LONGEST, settle_together(conn, &endings)).await {
            Ok(Ok(together)) => together,
            Ok(Err(error)) => {
                debug!(error:% = error; "settling {} runs together: {}", all.len(), chain(&error));
                return true;
            }
            Err(_elapsed) => return false,
        };
        let successors = Arc::new(Successors {
            publisher: publisher.clone(),
            announcements: together.announcements,
            more: together.more,
        });
        let mut more = together.more;
        for (one, settled) in all.into_iter().zip(together.settled) {
            let answer = match settled {
                Some(mut settled) => {
                    // One of them goes on with the promotions.
                    if let Settled::Final { more: own, .. } = &mut settled {
                        *own = std::mem::take(&mut more);
                    }
                    Answer::Settled(Box::new(settled), Arc::clone(&successors))
                }
                None => Answer::Alone,
            };
            let _ = one.answer.send(answer);
        }
        true
    }
}
