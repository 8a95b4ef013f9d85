//! Exchanges and queues. Declared by whoever needs them, again after every reconnect.

use super::link::{BrokerError, Link};
use crate::config::QueueType;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

/// Where announcements are published, with the routing key `<class>.<task name>`.
pub const DISPATCH_EXCHANGE: &str = "millrace.dispatch";
/// Where state changes are published, for people who bind queues of their own.
pub const EVENTS_EXCHANGE: &str = "millrace.events";
/// Where messages go that nobody can read.
pub const DEAD_EXCHANGE: &str = "millrace.dead";
/// The queue behind [`DEAD_EXCHANGE`].
pub const DEAD_QUEUE: &str = "millrace.dead";

/// State changes that wait for one reader at most.
const HEARD: i32 = 10_000;

/// The queue of a work class.
#[must_use]
pub fn queue_of(class: &str) -> String {
    format!("millrace.tasks.{class}")
}

pub(super) async fn declare_exchanges(link: &Link, channel: &Channel) -> Result<(), BrokerError> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    for (name, kind) in [
        (DISPATCH_EXCHANGE, ExchangeKind::Topic),
        (EVENTS_EXCHANGE, ExchangeKind::Topic),
        (DEAD_EXCHANGE, ExchangeKind::Fanout),
    ] {
        let declared = channel.exchange_declare(name.into(), kind, durable, FieldTable::default());
        link.within("exchange.declare", declared).await?;
    }
    declare_queue(link, channel, DEAD_QUEUE, FieldTable::default()).await?;
    bind(link, channel, DEAD_QUEUE, DEAD_EXCHANGE, "").await
}

/// Declares the queue of a work class and binds it. One class's queue is independent of the others'.
pub(super) async fn declare_class(
    link: &Link,
    channel: &Channel,
    class: &str,
) -> Result<(), BrokerError> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString(DEAD_EXCHANGE.into()),
    );
    let queue = queue_of(class);
    declare_queue(link, channel, &queue, arguments).await?;
    bind(
        link,
        channel,
        &queue,
        DISPATCH_EXCHANGE,
        &format!("{class}.#"),
    )
    .await
}

async fn declare_queue(
    link: &Link,
    channel: &Channel,
    name: &str,
    mut arguments: FieldTable,
) -> Result<(), BrokerError> {
    if link.settings().queue_type == QueueType::Quorum {
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
    }
    let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    link.within("queue.declare", declared).await.map(drop)
}

async fn bind(
    link: &Link,
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
) -> Result<(), BrokerError> {
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    link.within("queue.bind", bound).await
}

/// How many messages of a class wait for a consumer.
///
/// # Errors
/// The queue does not exist, or the broker does not answer; the channel is of no use then.
pub async fn queue_depth(link: &Link, channel: &Channel, class: &str) -> Result<u32, BrokerError> {
    Ok(queue_state(link, channel, class).await?.messages)
}

/// What there is in the queue of a work class, and who listens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that wait for a consumer.
    pub messages: u32,
    /// Slots that take messages. A slot that has been busy for minutes takes none.
    pub consumers: u32,
}

/// Looks at the queue of a work class.
///
/// # Errors
/// See [`queue_depth`].
pub async fn queue_state(
    link: &Link,
    channel: &Channel,
    class: &str,
) -> Result<QueueState, BrokerError> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    let declared = channel.queue_declare(
        queue_of(class).as_str().into(),
        passive,
        FieldTable::default(),
    );
    let queue = link.within("queue.declare", declared).await?;
    Ok(QueueState {
        messages: queue.message_count(),
        consumers: queue.consumer_count(),
    })
}

/// Declares a queue for this connection alone that hears of all state changes; gives its name. A reader that falls
/// behind misses the oldest.
pub(super) async fn declare_listener(
    link: &Link,
    channel: &Channel,
) -> Result<String, BrokerError> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("classic".into()),
    );
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(HEARD));
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare("".into(), options, arguments);
    let queue = link.within("queue.declare", declared).await?;
    let name = queue.name().as_str().to_owned();
    bind(link, channel, &name, EVENTS_EXCHANGE, "task.#").await?;
    Ok(name)
}
