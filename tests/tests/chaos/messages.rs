//! Messages as a broker, or somebody with access to it, may spoil them.

use super::load::flood;
use super::world::World;
use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueuePurgeOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{FieldTable, LongString};
use millrace_tests::amqp::{channel, waiting};
use millrace_tests::eventually::holds;
use millrace_tests::{Vhost, eventually};
use std::time::Duration;

const QUEUE: &str = "millrace.tasks.default";
const DEAD_QUEUE: &str = "millrace.dead";
/// Less than what one frame holds, for headers as large as can be sent: the broker adds why a message is dead.
const LARGE: usize = 120_000;
/// Messages that wait at least before they are lost or doubled: fewer have hardly an order.
const ENOUGH: u32 = 8;
/// Tasks that are dispatched for that, at most: far more than workers take ahead.
const FLOOD: u32 = 200;
/// Longest wait for what is dead to be among the dead.
const LONG: Duration = Duration::from_secs(30);

async fn put(channel: &Channel, body: &[u8], properties: AMQPProperties) {
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), QUEUE.into(), options, body, properties);
    sent.await.unwrap();
}

/// Dispatches tasks that nothing keeps from starting until [`ENOUGH`] messages wait. Workers that stand still have taken
/// some ahead.
async fn pile_up(world: &World, channel: &Channel) {
    let apis = world.clients();
    let mut sent = 0;
    while waiting(channel, QUEUE).await < ENOUGH {
        assert!(
            sent < FLOOD,
            "{sent} tasks, and fewer than {ENOUGH} messages"
        );
        for api in &apis {
            flood(api, sent..sent + 4).await;
            sent += 4;
        }
        // They are announced after the answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Deletes the messages that wait; how many.
pub async fn lose(world: &World) -> u32 {
    let (connection, channel) = channel(&world.app.vhost.url()).await;
    pile_up(world, &channel).await;
    let mut count = 0;
    for queue in world.app.vhost.queues().await {
        if queue != DEAD_QUEUE {
            let purged = channel.queue_purge(queue.into(), QueuePurgeOptions::default());
            count += purged.await.unwrap();
        }
    }
    connection.close(200, "bye".into()).await.unwrap();
    assert!(count >= ENOUGH, "{count} messages");
    count
}

/// Takes the messages that wait, and puts each back twice, the last one first; how many they were.
pub async fn double(world: &World) -> u32 {
    let (connection, channel) = channel(&world.app.vhost.url()).await;
    pile_up(world, &channel).await;
    let mut taken = Vec::new();
    while taken.len() < FLOOD as usize
        && let Some(message) = channel
            .basic_get(QUEUE.into(), BasicGetOptions { no_ack: true })
            .await
            .unwrap()
    {
        taken.push((message.data.clone(), message.properties.clone()));
    }
    for (body, properties) in taken.iter().rev() {
        for _ in 0..2 {
            put(&channel, body, properties.clone()).await;
        }
    }
    connection.close(200, "bye".into()).await.unwrap();
    let count = u32::try_from(taken.len()).unwrap();
    assert!(count >= ENOUGH, "{count} messages");
    count
}

/// Puts what nobody can read, what nobody knows, and what is as large as can be, until it is where it belongs; how many
/// there were, and of those how many nobody can read.
pub async fn poison(vhost: &Vhost) -> (u32, u32) {
    let (connection, channel) = channel(&vhost.url()).await;
    let dead = waiting(&channel, DEAD_QUEUE).await;
    let unknown = format!(
        r#"{{"v":1,"id":"{}","name":"plugin.tasks.ledger","class":"default","versions":{{}},"number":0,"announced_at":"2026-01-01T00:00:00Z"}}"#,
        uuid::Uuid::now_v7()
    );
    let unreadable = ["not json", r#"{"v": 99}"#, "", "[]", "{}"];
    let mut headers = FieldTable::default();
    let text = LongString::from("x".repeat(LARGE));
    headers.insert("x-exclusive-resources".into(), text.into());
    let large = AMQPProperties::default().with_headers(headers);
    let mut sent = 0;
    for body in unreadable.into_iter().chain([unknown.as_str()]) {
        for properties in [AMQPProperties::default(), large.clone()] {
            put(&channel, body.as_bytes(), properties).await;
            sent += 1;
        }
    }
    let of_these = u32::try_from(unreadable.len() * 2).unwrap();
    eventually(LONG, async || {
        let more = waiting(&channel, DEAD_QUEUE).await.saturating_sub(dead);
        let left = waiting(&channel, QUEUE).await;
        holds(more == of_these, || {
            format!("{more} of {of_these} are dead letters, {left} messages wait")
        })
    })
    .await;
    connection.close(200, "bye".into()).await.unwrap();
    (sent, of_these)
}
