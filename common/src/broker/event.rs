//! State changes of tasks, as the exchange `millrace.events` carries them, and one reader of them a process.

use super::link::{Backoff, BrokerError, Link};
use super::topology::declare_listener;
use crate::config::Broker;
use crate::ids::TaskId;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::ReadyChunks;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Version of the body.
const VERSION: u32 = 1;
/// Messages that are read at once, and that the broker sends ahead.
const BATCH: usize = 256;

/// A task came into a state. Best effort: one may be lost, or come before an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// Version of this form.
    v: u32,
    /// The task.
    pub task: TaskId,
    /// Its type's name.
    pub name: String,
    /// The state.
    pub state: String,
    /// When it was told, by the clock of who told it.
    pub at: DateTime<Utc>,
}

impl TaskEvent {
    pub(super) fn now(task: TaskId, name: &str, state: &str) -> Self {
        Self {
            v: VERSION,
            task,
            name: name.to_owned(),
            state: state.to_owned(),
            at: Utc::now(),
        }
    }

    pub(super) fn routing_key(&self) -> String {
        format!("task.{}.{}", self.state, self.name)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What others publish there is none of ours.
    fn decode(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body)
            .ok()
            .filter(|event: &Self| event.v == VERSION)
    }
}

struct Open {
    /// Closed with this.
    _channel: Channel,
    consumer: ReadyChunks<Consumer>,
    /// See [`Link::losses`].
    losses: watch::Receiver<u64>,
}

/// Reads all state changes, on a connection and a queue of its own. Every call may be dropped at any await.
pub struct EventConsumer {
    link: Link,
    open: Option<Open>,
    /// What the next call acknowledges, with all before it.
    read: Option<Delivery>,
    backoff: Backoff,
}

impl EventConsumer {
    /// A reader under this connection name; nothing is connected yet.
    #[must_use]
    pub fn new(settings: &Broker, name: &str) -> Self {
        Self {
            link: Link::new(settings, name).with_large_frames(),
            open: None,
            read: None,
            backoff: Backoff::new(settings),
        }
    }

    /// Begins to listen: what happens from the return on is heard.
    ///
    /// # Errors
    /// The broker does not answer; [`EventConsumer::pause`], then try again.
    pub async fn open(&mut self) -> Result<(), BrokerError> {
        let losses = self.link.losses();
        let channel = self.link.channel().await?;
        let ahead = u16::try_from(BATCH).unwrap_or(u16::MAX);
        let qos = channel.basic_qos(ahead, BasicQosOptions::default());
        self.link.within("basic.qos", qos).await?;
        let queue = declare_listener(&self.link, &channel).await?;
        let consuming = channel.basic_consume(
            queue.as_str().into(),
            "events".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = self.link.within("basic.consume", consuming).await?;
        self.open = Some(Open {
            _channel: channel,
            consumer: consumer.ready_chunks(BATCH),
            losses,
        });
        self.backoff.reset();
        Ok(())
    }

    /// What has happened since; waits for the first.
    ///
    /// # Errors
    /// The broker was lost, and with it what happens until it is opened again.
    pub async fn next(&mut self) -> Result<Vec<TaskEvent>, BrokerError> {
        let open = self.open.as_mut().ok_or(BrokerError::Ended)?;
        if let Some(last) = &self.read {
            let all = BasicAckOptions { multiple: true };
            self.link.within("basic.ack", last.acker.ack(all)).await?;
            self.read = None;
        }
        // Nothing is awaited behind this: what has been read is given.
        let batch = tokio::select! {
            next = open.consumer.next() => next.ok_or(BrokerError::Ended)?,
            _ = open.losses.changed() => return Err(BrokerError::HalfOpen),
        };
        let mut events = Vec::with_capacity(batch.len());
        for delivery in batch {
            let delivery = delivery?;
            events.extend(TaskEvent::decode(&delivery.data));
            self.read = Some(delivery);
        }
        Ok(events)
    }

    /// Waits before another attempt, longer each time.
    pub async fn pause(&mut self) {
        (self.open, self.read) = (None, None);
        self.link.forget_declared().await;
        self.backoff.pause().await;
    }

    /// Listens no more.
    pub async fn close(&mut self) {
        (self.open, self.read) = (None, None);
        self.link.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_and_what_is_none_is_left_out() {
        let event = TaskEvent::now(TaskId::new(), "core.tasks.x", "running");
        assert_eq!(event.routing_key(), "task.running.core.tasks.x");
        assert_eq!(TaskEvent::decode(&event.encode()), Some(event));
        for body in ["", "{}", "[]", r#"{"v": 2, "task": 1}"#] {
            assert_eq!(TaskEvent::decode(body.as_bytes()), None, "{body}");
        }
    }
}
