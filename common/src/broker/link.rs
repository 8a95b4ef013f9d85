//! A connection that is made again whenever it is found broken.

use super::connect::connect;
use super::liveness::Liveness;
use super::topology::{declare_class, declare_exchanges};
use crate::config::Broker;
use lapin::types::LongString;
use lapin::{Channel, Connection, ConnectionProperties};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Why the broker could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// What the client library says.
    #[error("broker: {0}")]
    Client(#[from] lapin::Error),
    /// No answer in time.
    #[error("broker: no answer within {0:?} to {1}")]
    Timeout(Duration, &'static str),
    /// A stream of deliveries ended without an error, as it does when the broker cancels a consumer.
    #[error("broker: the consumer was cancelled")]
    Ended,
    /// The broker has messages for a consumer and gives it none.
    #[error("broker: it has messages and delivers none")]
    Overlooked,
    /// The broker answered nothing more on the connection, which was given up.
    #[error("broker: the connection is half open")]
    HalfOpen,
    /// The client library panicked.
    #[error("broker: the attempt to connect panicked: {0}")]
    Connect(#[from] tokio::task::JoinError),
}

/// Bytes of a frame. The client library keeps room for 64 of the largest a connection: 8 MiB of those of RabbitMQ's default, 1 MiB
/// of these. Our own headers fit: they name at most 4 KiB of resources.
const SMALL_FRAMES: u32 = 16 << 10;

/// One connection of a process, shared by its channels. Automatic recovery of the client library stays
/// off: it gives up after some attempts and does not reopen a channel that the broker closed.
pub struct Link {
    settings: Broker,
    name: String,
    /// Bytes; the broker's own where there are none.
    frame_max: Option<u32>,
    open: Mutex<Option<Open>>,
    /// An attempt to connect that has not come to an end: the client library cannot give one up, so there
    /// is only one at a time.
    connecting: Mutex<Option<Connecting>>,
    /// How many connections were found half open.
    losses: watch::Sender<u64>,
}

struct Connecting {
    attempt: JoinHandle<lapin::Result<Connection>>,
    since: Instant,
}

/// After so long an attempt is left to itself: its connection was cut without a word.
const ABANDONED: Duration = Duration::from_secs(60);

struct Open {
    connection: Connection,
    liveness: Liveness,
    /// False: the exchanges are declared before the next channel is used.
    exchanges: bool,
    /// Classes whose queue has been declared on this connection.
    declared: HashSet<String>,
}

impl Open {
    fn is_usable(&self) -> bool {
        self.connection.status().connected() && !self.liveness.is_lost()
    }
}

impl Link {
    /// A link under this connection name; nothing is connected yet.
    #[must_use]
    pub fn new(settings: &Broker, name: &str) -> Self {
        Self {
            settings: settings.clone(),
            name: name.to_owned(),
            frame_max: Some(SMALL_FRAMES),
            open: Mutex::new(None),
            connecting: Mutex::new(None),
            losses: watch::Sender::new(0),
        }
    }

    /// The same with frames as large as the broker sends, for who receives what others have written: a header is in one frame, and
    /// one that is too large for a connection ends it, time and again.
    #[must_use]
    pub fn with_large_frames(mut self) -> Self {
        self.frame_max = None;
        self
    }

    /// The settings of the broker.
    #[must_use]
    pub fn settings(&self) -> &Broker {
        &self.settings
    }

    /// A new channel, on a new connection if the last one is not usable.
    ///
    /// # Errors
    /// The broker does not answer, or refuses. The caller waits and asks again: see `Backoff`.
    pub async fn channel(&self) -> Result<Channel, BrokerError> {
        let mut open = self.open.lock().await;
        if let Some(usable) = open.as_mut().filter(|open| open.is_usable())
            && let Ok(channel) = self
                .within("channel.open", usable.connection.create_channel())
                .await
        {
            if !usable.exchanges {
                declare_exchanges(self, &channel).await?;
                usable.exchanges = true;
            }
            return Ok(channel);
        }
        if let Some(lost) = open.take()
            && lost.liveness.is_lost()
        {
            tokio::spawn(until_gone(lost.connection));
        }
        let connection = self.connect().await?;
        let channel = self
            .within("channel.open", connection.create_channel())
            .await?;
        // Once a connection: what was wiped with the broker is there again after it.
        declare_exchanges(self, &channel).await?;
        let asked = self
            .within("channel.open", connection.create_channel())
            .await?;
        let liveness = Liveness::start(&connection, asked, self.losses.clone(), &self.name);
        *open = Some(Open {
            connection,
            liveness,
            exchanges: true,
            declared: HashSet::new(),
        });
        Ok(channel)
    }

    /// Changes when a connection is found half open: what waits on one of its channels waits in vain. Ask before the
    /// channel is opened.
    #[must_use]
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Makes sure that the queue of a work class is there; declared once a connection, by one caller
    /// at a time, since brokers have been seen to fail declarations of one queue that meet.
    ///
    /// # Errors
    /// See [`Link::channel`].
    pub async fn declare_class(&self, channel: &Channel, class: &str) -> Result<(), BrokerError> {
        let mut open = self.open.lock().await;
        let Some(open) = open.as_mut() else {
            return Err(BrokerError::Ended);
        };
        if !open.declared.contains(class) {
            declare_class(self, channel, class).await?;
            open.declared.insert(class.to_owned());
        }
        Ok(())
    }

    /// Forgets what has been declared: a queue or an exchange may have been deleted under a living
    /// connection.
    pub async fn forget_declared(&self) {
        if let Some(open) = self.open.lock().await.as_mut() {
            open.exchanges = false;
            open.declared.clear();
        }
    }

    /// True while the broker refuses to take messages (an alarm).
    pub async fn is_blocked(&self) -> bool {
        self.open
            .lock()
            .await
            .as_ref()
            .is_some_and(|open| open.connection.status().blocked())
    }

    /// True while the connection can be used.
    pub async fn is_connected(&self) -> bool {
        let looking = async {
            let open = self.open.lock().await;
            open.as_ref().is_some_and(Open::is_usable)
        };
        // Held for as long as somebody tries to connect.
        timeout(Duration::from_secs(1), looking)
            .await
            .unwrap_or(false)
    }

    /// Closes the connection; what is not acknowledged goes back to its queue.
    pub async fn close(&self) {
        if let Some(open) = self.open.lock().await.take() {
            let closing = open.connection.close(200, "bye".into());
            let _ = timeout(self.settings.timeout_ms.get(), closing).await;
        }
    }

    /// Puts a bound on an answer of the broker: without it, a call on a dying connection may hang.
    ///
    /// # Errors
    /// [`BrokerError::Timeout`], or what the call fails with.
    pub async fn within<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, BrokerError> {
        let limit = self.settings.timeout_ms.get();
        timeout(limit, call)
            .await
            .map_err(|_elapsed| BrokerError::Timeout(limit, what))?
            .map_err(BrokerError::from)
    }

    async fn connect(&self) -> Result<Connection, BrokerError> {
        let properties = ConnectionProperties::default()
            .with_connection_name(LongString::from(self.name.as_str()))
            .with_client_property("product".into(), "Millrace".into())
            .with_client_property("version".into(), crate::VERSION.into());
        let mut connecting = self.connecting.lock().await;
        if connecting
            .as_ref()
            .is_none_or(|pending| pending.since.elapsed() >= ABANDONED)
        {
            let (settings, frame_max) = (self.settings.clone(), self.frame_max);
            *connecting = Some(Connecting {
                attempt: tokio::spawn(
                    async move { connect(&settings, frame_max, properties).await },
                ),
                since: Instant::now(),
            });
        }
        let limit = self.settings.timeout_ms.get();
        let Some(pending) = connecting.as_mut() else {
            return Err(BrokerError::Ended);
        };
        // Stays where it is while it is waited for: whoever waits may give up.
        let connected = timeout(limit, &mut pending.attempt)
            .await
            .map_err(|_elapsed| BrokerError::Timeout(limit, "connection.open"))?;
        *connecting = None;
        Ok(connected??)
    }
}

/// Keeps a connection that was given up until the client library has noticed, by its heartbeats: one that is closed before
/// waits for an answer to that, with its thread, for as long as the operating system has patience.
async fn until_gone(connection: Connection) {
    let noticed = async {
        while connection.status().connected() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let _ = timeout(ABANDONED, noticed).await;
}

/// Says again and again what is wrong, once a minute.
#[derive(Default)]
pub(super) struct Silence(Option<Instant>);

impl Silence {
    /// True at first, and a minute after it was true the last time.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self
            .0
            .is_none_or(|last| last.elapsed() >= Duration::from_secs(60));
        if over {
            self.0 = Some(Instant::now());
        }
        over
    }
}

/// Pauses between attempts: doubling up to a bound, with jitter, without an end.
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(settings: &Broker) -> Self {
        Self {
            next: Duration::from_millis(50),
            longest: settings.reconnect_max_ms.get(),
        }
    }

    pub(super) fn reset(&mut self) {
        self.next = Duration::from_millis(50);
    }

    pub(super) async fn pause(&mut self) {
        let jitter = rand::random_range(0.5..1.0);
        tokio::time::sleep(self.next.mul_f64(jitter)).await;
        self.next = (self.next * 2).min(self.longest);
    }
}
