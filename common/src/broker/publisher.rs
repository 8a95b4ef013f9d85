//! Publishing announcements: confirmed, mandatory, on a connection of its own, within one bounded
//! window a process.
//!
//! Nothing waits for it. When the window is full or the broker is away the hint is dropped: the
//! janitor announces whatever was never confirmed.

use super::announcement::{Announcement, Announcements};
use super::event::TaskEvent;
use super::link::{Backoff, BrokerError, Link, Silence};
use super::message::{Message, properties};
use super::topology::{DISPATCH_EXCHANGE, EVENTS_EXCHANGE};
use crate::cause::chain;
use crate::config::Broker;
use crate::crash::{self, Point};
use crate::db::Db;
use crate::ids::TaskId;
use crate::metrics::engine;
use crate::models::announcement::{Noted, note};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use log::{error, info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Confirmed announcements are noted together, this long after the first of them: most have been
/// claimed by then, and cost no write.
const NOTE_DELAY: Duration = Duration::from_millis(200);

enum Outgoing {
    Announce(Box<Announcement>, Instant),
    Event(Box<TaskEvent>),
}

/// The publisher of a process; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    outgoing: mpsc::Sender<Outgoing>,
    stats: Arc<Stats>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Stats {
    connected: AtomicBool,
    blocked: AtomicBool,
}

impl Publisher {
    /// Starts publishing in the background and connects there, for as long as the process lives.
    #[must_use]
    pub fn start(settings: &Broker, db: Db, name: &str) -> Self {
        let (outgoing, incoming) = mpsc::channel(settings.window);
        let publisher = Self {
            outgoing,
            stats: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (notes, noted) = mpsc::channel(settings.window * 2);
        tokio::spawn(keep_notes(db, noted));
        let stats = Arc::clone(&publisher.stats);
        let publishing = Publishing {
            link: Link::new(settings, &format!("{name} publish")),
            stats: Arc::clone(&publisher.stats),
            stop: publisher.stop.clone(),
            notes,
        };
        tokio::spawn(async move {
            if let Err(error) = tokio::spawn(publishing.run(incoming)).await {
                // From now on this process says that it cannot publish; janitors elsewhere do.
                stats.connected.store(false, Ordering::Relaxed);
                error!(error:% = error; "publishing has ended: {error}");
            }
        });
        publisher
    }

    /// A publisher that is never connected: for a process that dispatches nothing.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            outgoing: mpsc::channel(1).0,
            stats: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Publishes hints after the commit that made them true. Never waits, never fails.
    pub fn announce(&self, announcements: Announcements) {
        for announcement in announcements.0 {
            let hint = Outgoing::Announce(Box::new(announcement), Instant::now());
            if self.outgoing.try_send(hint).is_err() {
                engine().dropped.inc();
            }
        }
    }

    /// Tells the events exchange that a task has come into a state, as well as can be.
    pub fn state_changed(&self, task: TaskId, name: &str, state: &str) {
        // The last of the window is for announcements: those say what is to be done.
        if self.outgoing.capacity() <= self.outgoing.max_capacity() / 4 {
            return;
        }
        let event = TaskEvent::now(task, name, state);
        let _ = self.outgoing.try_send(Outgoing::Event(Box::new(event)));
    }

    /// How many hints would find room in the window now; none while the broker is away or refuses.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_connected() && !self.is_blocked() {
            self.outgoing.capacity()
        } else {
            0
        }
    }

    /// True while announcements can be published.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.stats.connected.load(Ordering::Relaxed)
    }

    /// True while the broker refuses messages because of an alarm.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.stats.blocked.load(Ordering::Relaxed)
    }

    /// Publishes what is in the window, then closes the connection; gives up after `limit`.
    pub async fn close(&self, limit: Duration) {
        self.stop.cancel();
        let _ = tokio::time::timeout(limit, self.outgoing.closed()).await;
    }
}

struct Publishing {
    link: Link,
    stats: Arc<Stats>,
    stop: CancellationToken,
    notes: mpsc::Sender<Noted>,
}

impl Publishing {
    async fn run(self, mut incoming: mpsc::Receiver<Outgoing>) {
        let mut backoff = Backoff::new(self.link.settings());
        let mut silence = Silence::default();
        loop {
            match self.serve(&mut incoming, &mut backoff).await {
                Ok(()) => break,
                Err(error) => {
                    self.link.forget_declared().await;
                    if self.stats.connected.swap(false, Ordering::Relaxed) {
                        warn!(error:% = error; "lost the broker for publishing: {}", chain(&error));
                    } else if silence.is_over() {
                        warn!(error:% = error; "no broker for publishing: {}", chain(&error));
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = backoff.pause() => {}
            }
        }
        incoming.close();
        self.link.close().await;
    }

    /// Publishes until the process stops (`Ok`) or the broker fails.
    async fn serve(
        &self,
        incoming: &mut mpsc::Receiver<Outgoing>,
        backoff: &mut Backoff,
    ) -> Result<(), BrokerError> {
        let mut losses = self.link.losses();
        let channel = self.link.channel().await?;
        self.link
            .within(
                "confirm.select",
                channel.confirm_select(ConfirmSelectOptions::default()),
            )
            .await?;
        // On a channel without confirms: what is confirmed and not waited for is kept by the client.
        let events = self.link.channel().await?;
        info!("publishing to the broker");
        self.stats.connected.store(true, Ordering::Relaxed);
        backoff.reset();

        let mut unconfirmed = FuturesUnordered::new();
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                Some(outcome) = unconfirmed.next(), if !unconfirmed.is_empty() => match outcome {
                    Ok(outcome) => self.confirmed(outcome).await,
                    Err(error) => self.unless_blocked(error).await?,
                },
                next = incoming.recv(), if unconfirmed.len() < self.link.settings().window => match next {
                    // A broker with an alarm reads nothing: waiting for it would fill the window.
                    Some(_) if self.link.is_blocked().await => self.drop_blocked(),
                    Some(Outgoing::Announce(announcement, since)) => {
                        match self.announce(&channel, &announcement, since).await {
                            Ok(confirm) => unconfirmed.push(confirm),
                            Err(error) => self.unless_blocked(error).await?,
                        }
                    }
                    Some(Outgoing::Event(event)) => {
                        if let Err(error) = self.event(&events, &event).await {
                            self.unless_blocked(error).await?;
                        }
                    }
                    None => return Ok(()),
                },
                _ = look.tick() => {
                    self.stats.blocked.store(self.link.is_blocked().await, Ordering::Relaxed);
                    if !channel.status().connected() || !events.status().connected() {
                        return Err(BrokerError::Ended);
                    }
                }
                _ = losses.changed() => return Err(BrokerError::HalfOpen),
                () = self.stop.cancelled(), if incoming.is_empty() && unconfirmed.is_empty() => return Ok(()),
            }
        }
    }

    /// A connection that is blocked is kept: a new one would be blocked as well, and what is closed while it
    /// is blocked stays with the client library.
    async fn unless_blocked(&self, error: BrokerError) -> Result<(), BrokerError> {
        if matches!(error, BrokerError::Timeout(..)) && self.link.is_blocked().await {
            self.drop_blocked();
            return Ok(());
        }
        Err(error)
    }

    fn drop_blocked(&self) {
        self.stats.blocked.store(true, Ordering::Relaxed);
        engine().dropped.inc();
    }

    async fn announce(
        &self,
        channel: &Channel,
        announcement: &Announcement,
        since: Instant,
    ) -> Result<impl Future<Output = Result<Outcome, BrokerError>> + use<>, BrokerError> {
        self.link
            .declare_class(channel, &announcement.class)
            .await?;
        self.publish(channel, announcement, since).await
    }

    async fn publish(
        &self,
        channel: &Channel,
        announcement: &Announcement,
        since: Instant,
    ) -> Result<impl Future<Output = Result<Outcome, BrokerError>> + use<>, BrokerError> {
        let at = announcement.at + since.elapsed();
        let body = serde_json::to_vec(&Message::of(announcement, at)).unwrap_or_default();
        let key = format!("{}.{}", announcement.class, announcement.name);
        let sent = channel.basic_publish(
            DISPATCH_EXCHANGE.into(),
            key.as_str().into(),
            BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            },
            &body,
            properties(announcement, at),
        );
        let confirm = self.link.within("basic.publish", sent).await?;
        crash::point(Point::PublishSent);
        let limit = self.link.settings().timeout_ms.get();
        let noted = Noted {
            id: announcement.id,
            number: announcement.number,
            at,
        };
        Ok(async move {
            let confirmation = tokio::time::timeout(limit, confirm)
                .await
                .map_err(|_elapsed| BrokerError::Timeout(limit, "publisher confirm"))??;
            Ok(Outcome {
                noted,
                confirmation,
            })
        })
    }

    async fn confirmed(&self, outcome: Outcome) {
        match outcome.confirmation {
            Confirmation::Ack(None) => {
                engine().confirmed.inc();
                crash::point(Point::PublishConfirmed);
                // A note that finds no room costs a second announcement.
                let _ = self.notes.try_send(outcome.noted);
            }
            // An unroutable message comes back inside an acknowledgement.
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                engine().returned.inc();
                let (task, text) = (outcome.noted.id, returned.reply_text);
                warn!(task_id:% = task; "the announcement of task {task} was returned: {text}");
                // Its queue has been deleted: the next announcement declares it again.
                self.link.forget_declared().await;
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => {
                engine().returned.inc();
                let task = outcome.noted.id;
                warn!(task_id:% = task; "the broker refused the announcement of task {task}");
            }
        }
    }

    async fn event(&self, channel: &Channel, event: &TaskEvent) -> Result<(), BrokerError> {
        let (key, body) = (event.routing_key(), event.encode());
        let properties = BasicProperties::default()
            .with_type(event.name.as_str().into())
            .with_timestamp(u64::try_from(event.at.timestamp()).unwrap_or_default())
            .with_content_type("application/json".into())
            .with_app_id("millrace".into());
        let sent = channel.basic_publish(
            EVENTS_EXCHANGE.into(),
            key.as_str().into(),
            BasicPublishOptions::default(),
            &body,
            properties,
        );
        self.link.within("basic.publish", sent).await.map(drop)
    }
}

struct Outcome {
    noted: Noted,
    confirmation: Confirmation,
}

/// Writes confirmations to the rows, in batches, where the task still waits for that announcement.
async fn keep_notes(db: Db, mut noted: mpsc::Receiver<Noted>) {
    let mut batch = Vec::new();
    while noted.recv_many(&mut batch, 1000).await > 0 {
        tokio::time::sleep(NOTE_DELAY).await;
        while batch.len() < 1000
            && let Ok(more) = noted.try_recv()
        {
            batch.push(more);
        }
        let written = async {
            let mut conn = db.get().await?;
            note(&mut conn, &batch)
                .await
                .map_err(crate::error::Error::from)
        };
        if let Err(error) = written.await {
            warn!(error:% = error; "could not note {} announcements, they will be repeated: {}", batch.len(), chain(&error));
        }
        batch.clear();
    }
}
