//! Consuming: one channel a slot, one message at a time.

use super::link::{Backoff, BrokerError, Link, Silence};
use super::message::{Message, Unreadable};
use super::topology::{queue_of, queue_state};
use crate::cause::chain;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use log::{info, warn};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// A consumer that has heard nothing for so long looks whether messages wait ...
const IDLE: Duration = Duration::from_millis(1500);
/// ... and after so long whether they still do. Brokers have been seen to make a queue that was deleted anew with the
/// consumers that it had, and to count as delivered what no client gets.
const AGAIN: Duration = Duration::from_millis(500);

/// The consumer of one slot. It finds its way back after every failure, for as long as it is asked.
pub struct SlotConsumer {
    link: Arc<Link>,
    class: String,
    tag: String,
    open: Option<Open>,
    backoff: Backoff,
    silence: Silence,
}

struct Open {
    channel: Channel,
    consumer: Consumer,
    /// See [`Link::losses`].
    losses: watch::Receiver<u64>,
}

/// A message that this slot has and must answer.
pub struct Delivered {
    /// What it says.
    pub message: Message,
    /// True when the broker has delivered it before.
    pub redelivered: bool,
    delivery: Delivery,
}

impl SlotConsumer {
    /// The consumer of a slot for one work class. `tag` is what people see in the management UI.
    #[must_use]
    pub fn new(link: Arc<Link>, class: &str, tag: &str) -> Self {
        let backoff = Backoff::new(link.settings());
        Self {
            link,
            class: class.to_owned(),
            tag: tag.to_owned(),
            open: None,
            backoff,
            silence: Silence::default(),
        }
    }

    /// The next message that can be read; what cannot be goes to the dead-letter queue. Waits as long as
    /// it takes, through restarts of the broker. May be dropped at any await: a message that has been
    /// delivered meanwhile goes back to its queue.
    pub async fn next(&mut self) -> Delivered {
        loop {
            match self.receive().await {
                Ok(Ok(delivered)) => {
                    self.backoff.reset();
                    return delivered;
                }
                Ok(Err((error, delivery))) => {
                    warn!(error:% = error, tag = self.tag; "dead-lettering a message: {}", chain(&error));
                    let rejected = delivery.acker.reject(BasicRejectOptions { requeue: false });
                    if let Err(error) = self.link.within("basic.reject", rejected).await {
                        self.fail(&error).await;
                    }
                }
                Err(error) => self.fail(&error).await,
            }
        }
    }

    /// Says that the message needs nothing more.
    pub async fn acknowledge(&mut self, delivered: Delivered) {
        let acknowledged = delivered.delivery.acker.ack(BasicAckOptions::default());
        if let Err(error) = self.link.within("basic.ack", acknowledged).await {
            // The broker delivers it again; whoever gets it sees that the row does not wait.
            self.open = None;
            warn!(error:% = error, tag = self.tag; "could not acknowledge: {}", chain(&error));
        }
    }

    /// Acknowledges early and takes no further message until [`SlotConsumer::next`] is asked: for a
    /// task that runs longer than the broker would let its message stay unacknowledged.
    pub async fn acknowledge_early(&mut self, delivered: Delivered) {
        if let Some(open) = &self.open {
            let tag = open.consumer.tag();
            let cancelled = open
                .channel
                .basic_cancel(tag, BasicCancelOptions::default());
            if let Err(error) = self.link.within("basic.cancel", cancelled).await {
                warn!(error:% = error, tag = self.tag; "could not pause the consumer: {}", chain(&error));
            }
        }
        self.acknowledge(delivered).await;
        self.close().await;
    }

    /// Gives the channel up without waiting; a message that is not acknowledged goes back to its queue.
    pub fn abandon(&mut self) {
        self.open = None;
    }

    /// Closes the channel; a message that is not acknowledged goes back to its queue.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = self
                .link
                .within("channel.close", open.channel.close(200, "bye".into()))
                .await;
        }
    }

    async fn receive(&mut self) -> Result<Result<Delivered, (Unreadable, Delivery)>, BrokerError> {
        let mut overlooked = false;
        let delivery = loop {
            let open = match &mut self.open {
                Some(open) => open,
                closed => closed.insert(Self::consume(&self.link, &self.class, &self.tag).await?),
            };
            let Open {
                channel,
                consumer,
                losses,
            } = open;
            let look = async {
                sleep(if overlooked { AGAIN } else { IDLE }).await;
                queue_state(&self.link, channel, &self.class).await
            };
            let state = tokio::select! {
                // An ended stream is a failure: the broker canceled the consumer.
                next = consumer.next() => break next.ok_or(BrokerError::Ended)??,
                _ = losses.changed() => return Err(BrokerError::HalfOpen),
                state = look => state?,
            };
            if overlooked && state.messages > 0 {
                return Err(BrokerError::Overlooked);
            }
            overlooked = state.messages > 0;
        };
        Ok(match Message::decode(&delivery.data) {
            Ok(message) => Ok(Delivered {
                message,
                redelivered: delivery.redelivered,
                delivery,
            }),
            Err(error) => Err((error, delivery)),
        })
    }

    async fn consume(link: &Link, class: &str, tag: &str) -> Result<Open, BrokerError> {
        let losses = link.losses();
        let channel = link.channel().await?;
        link.declare_class(&channel, class).await?;
        link.within(
            "basic.qos",
            channel.basic_qos(1, BasicQosOptions::default()),
        )
        .await?;
        let consuming = channel.basic_consume(
            queue_of(class).as_str().into(),
            tag.into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = link.within("basic.consume", consuming).await?;
        info!(tag; "consuming {}", queue_of(class));
        Ok(Open {
            channel,
            consumer,
            losses,
        })
    }

    async fn fail(&mut self, error: &BrokerError) {
        // The failure may be that the queue was deleted.
        self.link.forget_declared().await;
        if self.open.take().is_some() || self.silence.is_over() {
            warn!(error:% = error, tag = self.tag; "cannot consume {}: {error}", queue_of(&self.class));
        }
        self.backoff.pause().await;
    }
}
