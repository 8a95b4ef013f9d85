//! A slot: one message at a time, from its delivery to its acknowledgement.

use crate::claiming::{Claimant, Made};
use crate::running::{Cause, Engaged, Run};
use crate::sessions::{self, SlotSession};
use crate::settling;
use crate::slots::{Phase, Place};
use crate::unclaimed;
use crate::watch::watch;
use crate::worker::Shared;
use log::warn;
use millrace_common::broker::{Delivered, Message, SlotConsumer};
use millrace_common::cause::chain;
use millrace_common::crash::{self, Point};
use millrace_common::error::is_out_of_locks;
use millrace_common::metrics::engine;
use millrace_common::tasking::{
    self, Announcement, Claim, ClaimOutcome, Claimed, Ended, IMMEDIATE_CLASS, IMMEDIATE_TIMEOUT,
    TaskType,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause before a task is claimed again whose claim was not heard of; a little more than the row says the first time.
const UNHEARD: Duration = Duration::from_millis(120);

/// So many tasks follow each other in a slot, and for so long, before it takes the next message.
const CHAIN: u32 = 16;
const CHAIN_TIME: Duration = Duration::from_secs(1);

/// How far the tasks may go on that follow a message.
struct Chain {
    left: u32,
    until: Instant,
    /// True for the task of the message itself, at its first delivery.
    first: bool,
}

/// What a slot does next.
enum Next {
    /// The task that follows in the lane.
    Successor(Announcement),
    /// The next message.
    None,
    /// Nothing: the worker stops.
    Stopped,
}

/// The type of a task, where this worker can run it.
fn runnable<'a>(
    shared: &'a Shared,
    name: &str,
    versions: &BTreeMap<String, String>,
) -> Option<&'a TaskType> {
    let registry = &shared.execution.registry;
    registry
        .get(name)
        .filter(|_| registry.can_run(name, versions))
}

struct Slot {
    shared: Arc<Shared>,
    class: String,
    label: String,
    consumer: SlotConsumer,
    session: Option<SlotSession>,
    place: Place,
}

/// Works until the worker drains.
pub(crate) async fn run(shared: Arc<Shared>, class: String, number: u16) {
    let label = format!("{class}.{number}");
    let tag = format!("{}.{label}", shared.name);
    let place = shared.slots.enter(&class);
    let consumer = SlotConsumer::new(Arc::clone(&shared.link), &class, &tag);
    let mut slot = Slot {
        shared,
        class,
        label,
        consumer,
        session: None,
        place,
    };
    slot.work().await;
    slot.consumer.close().await;
}

impl Slot {
    async fn work(&mut self) {
        let drain = self.shared.shutdown.drain.clone();
        loop {
            // A message is taken only where it can be claimed.
            self.place.is(Phase::Opening);
            if self.session.is_none() {
                tokio::select! {
                    () = drain.cancelled() => return,
                    session = sessions::open_patiently(&self.shared, &self.label, Duration::ZERO) => self.session = session,
                }
            }
            self.place.is(Phase::Receiving);
            let delivered = tokio::select! {
                biased;
                () = drain.cancelled() => None,
                delivered = self.consumer.next() => Some(delivered),
            };
            match delivered {
                Some(delivered) => self.serve(delivered).await,
                None => return,
            }
        }
    }

    /// Serves a message, and then the tasks that follow in its lanes, without the broker: what is handed on so is
    /// not announced. The message stays unacknowledged until the last of them.
    async fn serve(&mut self, delivered: Delivered) {
        let mut chain = Chain {
            left: CHAIN,
            until: Instant::now() + CHAIN_TIME,
            first: !delivered.redelivered,
        };
        let mut message = delivered.message.clone();
        let mut delivered = Some(delivered);
        loop {
            chain.left -= 1;
            match self.serve_one(&message, &mut delivered, &chain).await {
                Next::Successor(successor) => message = Message::of(&successor, successor.at),
                Next::None => break,
                // The message goes back with the channel; a successor is announced by the janitor.
                Next::Stopped => return,
            }
            chain.first = false;
        }
        match delivered {
            Some(delivered) => self.consumer.acknowledge(delivered).await,
            // Acknowledged early, or about to be when the body ended: the next message needs a channel of
            // its own in any case.
            None => self.consumer.abandon(),
        }
    }

    async fn serve_one(
        &mut self,
        message: &Message,
        delivered: &mut Option<Delivered>,
        chain: &Chain,
    ) -> Next {
        self.place.is(Phase::Claiming);
        let shared = Arc::clone(&self.shared);
        let Some(kind) = runnable(&shared, &message.name, &message.versions) else {
            unclaimed::unknown(self.session.as_ref(), message).await;
            return Next::None;
        };
        crash::point(Point::Delivered);
        let Some((outcome, engaged)) = self.claim(&shared, message).await else {
            return Next::Stopped;
        };
        match outcome {
            ClaimOutcome::Claimed(claimed) => {
                if chain.first {
                    shared.progress.claimed(&self.class, message.announced_at);
                }
                crash::point(Point::Claimed);
                self.run_claimed(kind, &claimed, engaged, delivered, chain)
                    .await
            }
            outcome => {
                drop(engaged);
                unclaimed::answer(&shared, self.session.as_ref(), message, outcome).await;
                Next::None
            }
        }
    }

    /// Claims on the slot's session, on a new one if that turns out dead. `None`: the worker stops.
    async fn claim<'a>(
        &mut self,
        shared: &'a Shared,
        message: &Message,
    ) -> Option<(ClaimOutcome, Engaged<'a>)> {
        let mut unheard = None;
        loop {
            self.place.is(Phase::Opening);
            let db = shared.db();
            self.session.take_if(|session| db.doubts(session.opened));
            if self.session.is_none() {
                self.session =
                    sessions::open_patiently(&self.shared, &self.label, Duration::ZERO).await;
            }
            let session = self.session.as_ref()?;
            self.place.is(Phase::Claiming);
            // It may have been committed all the same. Its session has been ended.
            if let Some(claim) = unheard.take()
                && settling::give_back(shared, claim).await
            {
                tokio::time::sleep(UNHEARD).await;
            }
            let mut conn = session.conn.lock().await;
            let engaged = shared.running.engage();
            let claim = Claim {
                task: message.id,
                id: engaged.claim,
            };
            let claimant = Claimant {
                conn: &mut conn,
                worker: shared.id,
                claim,
                name: &message.name,
                patience: (message.number == 0).then_some(&shared.shutdown.drain),
            };
            match shared.claims.claim(claimant).await {
                Ok(Made::Came(outcome)) => return Some((outcome, engaged)),
                Ok(Made::Unheard) => {
                    let id = message.id;
                    warn!(task_id:% = id; "claiming task {id} with others: no answer");
                }
                Err(error) if is_out_of_locks(&error) => {
                    let id = message.id;
                    warn!(task_id:% = id; "the lock table of PostgreSQL is full: task {id} waits; raise max_locks_per_transaction");
                    if tasking::release(&mut conn).await.is_ok() {
                        return Some((ClaimOutcome::Full, engaged));
                    }
                }
                Err(error) => {
                    warn!(error:% = error, task_id:% = message.id; "claim: {}", chain(&error))
                }
            }
            drop(conn);
            shared.running.give_up(engaged);
            unheard = Some(claim);
            self.session = None;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn run_claimed(
        &mut self,
        kind: &TaskType,
        claimed: &Claimed,
        engaged: Engaged<'_>,
        delivered: &mut Option<Delivered>,
        chain: &Chain,
    ) -> Next {
        let Some(session) = self.session.take() else {
            return Next::None;
        };
        let shared = Arc::clone(&self.shared);
        let (id, name) = (claimed.claim.task, kind.name);
        tasking::claimed(claimed, name, &self.class, &shared.name);
        shared.publisher.state_changed(id, name, "running");

        self.place.is(Phase::Running);
        let started = Instant::now();
        let run = Arc::new(Run::new(
            claimed.claim,
            Arc::clone(&session.conn),
            session.backend.clone(),
        ));
        let entered = shared.running.enter(&run);
        let ended = self.execute(kind, claimed, &run, delivered).await;
        crash::point(Point::BodyEnded);
        drop(entered);

        // What a body left in its session that did not come to its end (a cursor, a setting) goes with that.
        let clean = matches!(ended, Ended::Finished(_)) && !run.is_lost();
        let cause = run.cause();
        // Its hold on the session goes with it: settle must be able to close that.
        drop(run);
        let is_held = delivered.is_some();
        let follows = |successor: &Announcement| {
            is_held
                && chain.left > 0
                && Instant::now() < chain.until
                && successor.class == self.class
                && !shared.shutdown.drain.is_cancelled()
                && runnable(&shared, &successor.name, &successor.versions).is_some()
        };
        let ended = settling::EndedRun {
            kind,
            claimed,
            ended,
            cause,
            clean,
        };
        let (session, successor) = settling::settle(&shared, ended, session, follows).await;
        self.session = session;
        crash::point(Point::SettlePublished);
        drop(engaged);
        engine().observe_run(name, started.elapsed().as_secs_f64());
        successor.map_or(Next::None, Next::Successor)
    }

    /// Runs the body; meanwhile watches its session, acknowledges early what takes long, and passes a
    /// shutdown on.
    async fn execute(
        &mut self,
        kind: &TaskType,
        claimed: &Claimed,
        run: &Run,
        delivered: &mut Option<Delivered>,
    ) -> Ended {
        let shared = Arc::clone(&self.shared);
        let worker = &shared.settings().worker;
        let limit = if self.class == IMMEDIATE_CLASS {
            Some(IMMEDIATE_TIMEOUT)
        } else {
            kind.timeout
        };
        let grace = worker.cancel_grace_ms.get();
        let running = shared.execution.run(
            kind,
            claimed,
            Arc::clone(&run.session),
            limit,
            &run.stop,
            grace,
        );
        let patience = tokio::time::sleep(Duration::from_secs(worker.acknowledge_after_seconds));
        let watching = watch(&shared, run);
        let consumer = &mut self.consumer;
        // A broker that hangs holds up nothing else of the run.
        let acknowledging = async {
            patience.await;
            if let Some(delivered) = delivered.take() {
                consumer.acknowledge_early(delivered).await;
            }
        };
        let mut acknowledged = false;
        tokio::pin!(running, watching, acknowledging);
        loop {
            tokio::select! {
                ended = &mut running => break ended,
                () = &mut watching, if !run.is_lost() => {}
                () = shared.shutdown.hand_back.cancelled(), if run.cause().is_none() => {
                    run.stop(Cause::Shutdown);
                }
                () = &mut acknowledging, if !acknowledged => acknowledged = true,
            }
        }
    }
}
