//! Messages that nobody can read, or that are about nothing, with headers as large as can be: what they do to a worker.

use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use millrace_common::tasking::Resources;
use millrace_tests::amqp::{channel, waiting};
use millrace_tests::app::free_port;
use millrace_tests::client::metric;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const QUEUE: &str = "millrace.tasks.default";
const DEAD_QUEUE: &str = "millrace.dead";
const LONG: Duration = Duration::from_secs(60);
/// What a header frame holds beside the text of its one header, whose name is a letter: the frame itself 8, class,
/// weight, size and flags 14, the length of the table 4, name, type and length of the header 7.
const AROUND: u32 = 33;
/// Enough for what the broker writes into the headers of a dead letter.
const WHY: u32 = 1024;

/// A worker that tells what it counts, and whoever sends it messages of his own making.
struct Poisoned {
    app: TestApp,
    health: String,
    connection: Connection,
    channel: Channel,
}

impl Poisoned {
    async fn start() -> Self {
        let mut app = TestApp::engine(0).await;
        let health = format!("127.0.0.1:{}", free_port());
        app.spawn_worker(&[("worker.health_listen", &health)]);
        app.workers_online(1).await;
        let (connection, channel) = channel(&app.vhost.url()).await;
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await.unwrap();
        let poisoned = Self {
            app,
            health,
            connection,
            channel,
        };
        // Its queue is there.
        poisoned.assert_alive().await;
        poisoned
    }

    /// The largest headers that a frame has room for, but for so many bytes.
    fn headers(&self, left: u32) -> BasicProperties {
        let length = self.connection.configuration().frame_max() - AROUND - left;
        let mut headers = FieldTable::default();
        let text = LongString::from("x".repeat(usize::try_from(length).unwrap()));
        headers.insert("x".into(), text.into());
        BasicProperties::default().with_headers(headers)
    }

    async fn put(&self, body: &str, properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let body = body.as_bytes();
        let sent = self
            .channel
            .basic_publish("".into(), QUEUE.into(), options, body, properties);
        // It is in the queue, or with who consumes it, when that is confirmed.
        let confirmed = sent.await.unwrap().await.unwrap();
        assert!(matches!(confirmed, Confirmation::Ack(None)));
    }

    /// Waits until there are so many dead letters.
    async fn until_dead(&self, count: u32) {
        eventually(LONG, async || {
            let dead = waiting(&self.channel, DEAD_QUEUE).await;
            holds(dead == count, || format!("{dead} of {count} dead letters"))
        })
        .await;
    }

    async fn take_dead(&self) -> Option<BasicGetMessage> {
        let options = BasicGetOptions { no_ack: true };
        let got = self.channel.basic_get(DEAD_QUEUE.into(), options).await;
        got.unwrap()
    }

    /// A task runs that is dispatched now.
    async fn assert_alive(&self) {
        let mut dispatcher = self.app.dispatcher().await;
        let task = dispatcher.ledger(1, 0, Resources::exclusive("lane")).await;
        self.app.until(task, "completed", LONG).await;
    }
}

/// Queue and reason of a death, of a message that died once.
fn death(message: &BasicGetMessage) -> (String, String) {
    let headers = message.properties.headers().as_ref().unwrap();
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
        panic!("no x-death: {headers:?}")
    };
    let [AMQPValue::FieldTable(death)] = deaths.as_slice() else {
        panic!("not one death: {deaths:?}")
    };
    let text = |name: &str| match death.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    (text("queue"), text("reason"))
}

#[tokio::test]
async fn a_message_that_nobody_can_read_is_a_dead_letter_that_says_why() {
    let poisoned = Poisoned::start().await;
    let bodies = ["not json", r#"{"v": 99}"#, "", "[]", "{}"];
    for body in bodies {
        poisoned.put(body, BasicProperties::default()).await;
        poisoned.put(body, poisoned.headers(WHY)).await;
    }
    poisoned.until_dead(10).await;
    let mut dead = Vec::new();
    while let Some(message) = poisoned.take_dead().await {
        let why = death(&message);
        assert_eq!(why, (QUEUE.to_owned(), "rejected".to_owned()));
        dead.push(String::from_utf8(message.delivery.data).unwrap());
    }
    let mut wanted: Vec<&str> = bodies.iter().flat_map(|body| [*body, *body]).collect();
    wanted.sort_unstable();
    dead.sort_unstable();
    assert_eq!(dead, wanted);
    assert_eq!(waiting(&poisoned.channel, QUEUE).await, 0);
    poisoned.assert_alive().await;
    poisoned.app.finish().await;
}

#[tokio::test]
async fn headers_that_fill_their_frame_kill_a_message_and_no_worker() {
    let poisoned = Poisoned::start().await;
    for _ in 0..3 {
        poisoned.put("not json", poisoned.headers(0)).await;
    }
    poisoned.until_dead(3).await;
    poisoned.assert_alive().await;
    // With what the broker has added they fit into no frame: the management UI has them all the same.
    let dead = poisoned.app.vhost.messages(DEAD_QUEUE).await;
    let why = |message: &Value| {
        let death = &message["properties"]["headers"]["x-death"][0];
        json!([death["queue"], death["reason"]])
    };
    let why: Vec<Value> = dead.iter().map(why).collect();
    assert_eq!(why, vec![json!([QUEUE, "rejected"]); 3]);
    poisoned.app.finish().await;
}

#[tokio::test]
async fn headers_that_fill_their_frame_and_come_back_kill_a_message_and_no_worker() {
    let mut poisoned = Poisoned::start().await;
    poisoned.app.vhost.set_policies().await;
    poisoned.app.workers[0].signal("STOP");
    poisoned.put("not json", poisoned.headers(0)).await;
    // The worker that does not move has it.
    eventually(LONG, async || {
        let left = waiting(&poisoned.channel, QUEUE).await;
        holds(left == 0, || format!("{left} messages wait"))
    })
    .await;
    // From now on the broker counts its deliveries, in one header more, and no connection bears the message any more: what
    // is shipped sets a limit.
    poisoned.app.workers.remove(0).kill();
    poisoned.app.spawn_worker(&[]);
    poisoned.assert_alive().await;
    poisoned.until_dead(1).await;
    poisoned.assert_alive().await;
    poisoned.app.finish().await;
}

#[tokio::test]
async fn a_message_about_no_task_is_acknowledged_and_counted() {
    let mut poisoned = Poisoned::start().await;
    let message = |name: &str| {
        json!({
            "v": 1, "id": uuid::Uuid::now_v7(), "name": name, "class": "default", "versions": {},
            "number": 0, "announced_at": "2026-01-01T00:00:00Z",
        })
        .to_string()
    };
    let counts = [
        "millrace_stale_deliveries_total",
        "millrace_unknown_types_total",
    ];
    let before = [
        metric(&poisoned.health, counts[0]).await,
        metric(&poisoned.health, counts[1]).await,
    ];
    for name in ["plugin.tasks.ledger", "no.such.task"] {
        poisoned
            .put(&message(name), BasicProperties::default())
            .await;
        poisoned.put(&message(name), poisoned.headers(0)).await;
    }
    for (count, before) in counts.into_iter().zip(before) {
        eventually(LONG, async || {
            let more = metric(&poisoned.health, count).await - before;
            holds((more - 2.0).abs() < 0.5, || format!("{count}: {more} more"))
        })
        .await;
    }
    poisoned.assert_alive().await;
    assert_eq!(waiting(&poisoned.channel, DEAD_QUEUE).await, 0);
    // What it had not acknowledged would come back.
    poisoned.app.workers.remove(0).kill();
    eventually(LONG, async || {
        let consumers = poisoned.app.vhost.connections().await;
        holds(consumers <= 2, || format!("{consumers} connections"))
    })
    .await;
    assert_eq!(waiting(&poisoned.channel, QUEUE).await, 0);
    poisoned.app.finish().await;
}
