//! Messages as a broker, or somebody with access to it, may spoil them.

use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{FieldTable, LongString};
use lapin::{Channel, Connection, ConnectionProperties};
use millrace_tests::Vhost;

const QUEUE: &str = "millrace.tasks.default";
/// Less than what one frame holds, for headers as large as can be sent.
const LARGE: usize = 120_000;

/// An own connection to a virtual host, with a channel.
async fn channel(vhost: &Vhost) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&vhost.url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn put(channel: &Channel, body: &[u8], properties: AMQPProperties) {
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), QUEUE.into(), options, body, properties);
    sent.await.unwrap();
}

/// Takes the messages that wait, and puts each back twice, the last one first.
pub async fn double(vhost: &Vhost) {
    let (connection, channel) = channel(vhost).await;
    let mut taken = Vec::new();
    while taken.len() < 200
        && let Some(message) = channel
            .basic_get(QUEUE.into(), BasicGetOptions { no_ack: true })
            .await
            .unwrap()
    {
        taken.push((message.data.clone(), message.properties.clone()));
    }
    for (body, properties) in taken.into_iter().rev() {
        for _ in 0..2 {
            put(&channel, &body, properties.clone()).await;
        }
    }
    connection.close(200, "bye".into()).await.unwrap();
}

/// Puts what nobody can read, what nobody knows, and what is as large as can be.
pub async fn poison(vhost: &Vhost) {
    let (connection, channel) = channel(vhost).await;
    let unknown = format!(
        r#"{{"v":1,"id":"{}","name":"plugin.tasks.ledger","class":"default","versions":{{}},"number":0,"announced_at":"2026-01-01T00:00:00Z"}}"#,
        uuid::Uuid::now_v7()
    );
    for body in ["not json", r#"{"v": 99}"#, "", "[]", &unknown] {
        put(&channel, body.as_bytes(), AMQPProperties::default()).await;
    }
    let mut headers = FieldTable::default();
    let text = LongString::from("x".repeat(LARGE));
    headers.insert("x-exclusive-resources".into(), text.into());
    let properties = AMQPProperties::default().with_headers(headers);
    put(&channel, b"{}", properties.clone()).await;
    put(&channel, unknown.as_bytes(), properties).await;
    connection.close(200, "bye".into()).await.unwrap();
}
