//! State changes of tasks, for the clients of this process that listen: one reader of the broker's exchange, and a
//! bounded memory that all of them read at their own pace.

use crate::auth::Actor;
use log::{info, warn};
use millrace_common::broker::{EventConsumer, TaskEvent};
use millrace_common::cause::chain;
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::ids::TaskId;
use millrace_common::models::task::Task;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::{self, Receiver};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Changes that are kept for a client which reads slowly.
const KEPT: usize = 4096;
/// With nobody left who listens, the broker is left so much later.
const LINGER: Duration = Duration::from_secs(30);

/// What those who listen are told.
#[derive(Clone, Debug)]
pub enum Told {
    /// From now on changes are heard.
    Ready,
    /// The broker was lost: changes are missed until it is `Ready` again.
    Interrupted,
    /// A task changed.
    Task(Arc<Change>),
}

/// A state change, and who may hear of it beside administrators.
#[derive(Debug)]
pub struct Change {
    /// What happened.
    pub event: TaskEvent,
    /// The account that dispatched the task; not looked up where only administrators listen.
    pub owner: Option<i32>,
}

/// The listeners of a process; cheap to clone.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    told: broadcast::Sender<Told>,
    seats: Arc<Semaphore>,
    /// Listeners that are no administrators.
    others: AtomicUsize,
    ready: AtomicBool,
    wanted: Notify,
    stop: CancellationToken,
}

/// One who listens; its seat is free again when it is dropped.
pub struct Listener {
    /// What is told.
    pub told: Receiver<Told>,
    /// True where changes were heard already when it began.
    pub ready: bool,
    /// The process stops.
    pub stop: CancellationToken,
    actor: Actor,
    events: Events,
    _seat: OwnedSemaphorePermit,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(seats: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                told: broadcast::channel(KEPT).0,
                seats: Arc::new(Semaphore::new(seats)),
                others: AtomicUsize::new(0),
                ready: AtomicBool::new(false),
                wanted: Notify::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Begins to listen. `None`: as many listen as may.
    #[must_use]
    pub fn listen(&self, actor: Actor) -> Option<Listener> {
        let seat = Arc::clone(&self.inner.seats).try_acquire_owned().ok()?;
        if !actor.is_superuser {
            self.inner.others.fetch_add(1, Ordering::Relaxed);
        }
        let told = self.inner.told.subscribe();
        self.inner.wanted.notify_one();
        Some(Listener {
            told,
            ready: self.inner.ready.load(Ordering::SeqCst),
            stop: self.inner.stop.clone(),
            actor,
            events: self.clone(),
            _seat: seat,
        })
    }

    /// Ends all listening.
    pub fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Reads the exchange while somebody listens, until it is stopped.
    pub async fn keep(self, settings: Settings, db: Db) {
        let stop = self.inner.stop.clone();
        let mut consumer = EventConsumer::new(&settings.broker, "millrace-api events");
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.serve(&mut consumer, &db) => {}
        }
        consumer.close().await;
    }

    async fn serve(&self, consumer: &mut EventConsumer, db: &Db) {
        loop {
            self.inner.wanted.notified().await;
            while self.is_wanted() {
                match consumer.open().await {
                    Ok(()) => self.hear(consumer, db).await,
                    Err(error) => {
                        warn!(error:% = error; "no events for now: {}", chain(&error));
                        consumer.pause().await;
                    }
                }
            }
            consumer.close().await;
        }
    }

    fn is_wanted(&self) -> bool {
        self.inner.told.receiver_count() > 0
    }

    /// Passes on what is heard, until the broker is lost or nobody listens any more.
    async fn hear(&self, consumer: &mut EventConsumer, db: &Db) {
        info!("listening for events");
        self.inner.ready.store(true, Ordering::SeqCst);
        let _ = self.inner.told.send(Told::Ready);
        let mut look = tokio::time::interval(LINGER);
        look.reset();
        loop {
            tokio::select! {
                heard = consumer.next() => match heard {
                    Ok(events) => self.pass_on(events, db).await,
                    Err(error) => {
                        warn!(error:% = error; "events are interrupted: {}", chain(&error));
                        break;
                    }
                },
                _ = look.tick() => if !self.is_wanted() { break },
            }
        }
        self.inner.ready.store(false, Ordering::SeqCst);
        let _ = self.inner.told.send(Told::Interrupted);
        consumer.pause().await;
    }

    async fn pass_on(&self, events: Vec<TaskEvent>, db: &Db) {
        let mut owners = HashMap::new();
        if self.inner.others.load(Ordering::Relaxed) > 0 {
            let ids: Vec<TaskId> = events.iter().map(|event| event.task).collect();
            let found = async {
                Ok::<_, millrace_common::error::Error>(
                    Task::owners(&mut *db.get().await?, &ids).await?,
                )
            };
            match found.await {
                Ok(found) => owners = found.into_iter().collect(),
                // They miss some.
                Err(error) => warn!(error:% = error; "whose tasks these are: {}", chain(&error)),
            }
        }
        for event in events {
            let owner = owners.get(&event.task).copied();
            let _ = self
                .inner
                .told
                .send(Told::Task(Arc::new(Change { event, owner })));
        }
    }
}

impl Listener {
    /// True where the listener may hear of this.
    #[must_use]
    pub fn may_hear(&self, change: &Change) -> bool {
        self.actor.is_superuser || change.owner == Some(self.actor.id)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.actor.is_superuser {
            self.events.inner.others.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Events {
    /// Tells those who listen, as if it had been heard.
    pub fn tell(&self, told: Told) {
        let _ = self.inner.told.send(told);
    }
}
