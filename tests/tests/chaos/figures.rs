//! How long it takes until work goes on. `MILLRACE_TEST_ROUNDS` says how often each is measured (2).
//!
//! Nothing in it is chosen at random: there is no seed to repeat a run by.

use millrace_common::tasking::Resources;
use millrace_tests::stack::Instance;
use millrace_tests::{Dispatcher, TestApp, eventually, stack};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(60);
/// Far above what it takes, and below what a worker's time to live or a silent broker would cost.
const SLOWEST: Duration = Duration::from_secs(15);

fn rounds() -> usize {
    stack::setting("MILLRACE_TEST_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// Prints the middle one and the one that one in a hundred exceeds.
fn print(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_millis();
    let (count, middle, slow) = (took.len(), at(50), at(99));
    println!("{what}: p50 {middle} ms, p99 {slow} ms of {count}");
    assert!(took.iter().all(|took| *took < SLOWEST), "{what}: {took:?}");
}

/// When the task began, by its own log.
async fn begun(file: &Path, task: impl std::fmt::Display) -> SystemTime {
    let task = task.to_string();
    eventually(LONG, async || {
        let log = std::fs::read_to_string(file).unwrap_or_default();
        let mut lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let start = lines.find(|line| line["task"] == *task && line["what"] == "start");
        let start = start.ok_or_else(|| format!("{task} has not begun"))?;
        let nanoseconds = start["at"].as_str().unwrap().parse().unwrap();
        Ok(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    })
    .await
}

async fn ledger(dispatcher: &mut Dispatcher, name: &str, steps: u32, file: &Path) -> String {
    let arguments = json!({"steps": steps, "pause_ms": 100, "file": file});
    let task = dispatcher.task(name, arguments, Resources::exclusive("lane"));
    dispatcher.dispatch(&[task]).await[0].id.to_string()
}

#[tokio::test]
async fn a_killed_worker_s_lane_goes_on() {
    let mut app = TestApp::engine(2).await;
    let (file, mut dispatcher) = (app.dir().join("history"), app.dispatcher().await);
    let mut took = Vec::new();
    for _ in 0..rounds() {
        let victim = ledger(&mut dispatcher, "plugin.tasks.ledger_once", 600, &file).await;
        let successor = ledger(&mut dispatcher, "plugin.tasks.ledger", 1, &file).await;
        begun(&file, &victim).await;
        let place = app.worker_of(&victim).await;
        let killed = SystemTime::now();
        app.workers.remove(place).kill();
        let begun = begun(&file, &successor).await;
        took.push(begun.duration_since(killed).unwrap());
        app.until(&successor, "completed", LONG).await;
        app.spawn_worker(&[]);
        app.workers_online(2).await;
    }
    print(
        "kill -9 of a worker to the start of its lane's next task",
        took,
    );
    app.finish().await;
}

#[tokio::test]
async fn a_broker_that_is_back_has_work_at_once() {
    let broker = tokio::task::spawn_blocking(|| Instance::rabbitmq(&[]));
    let broker = broker.await.unwrap();
    let vhost =
        millrace_tests::Vhost::create_on(&broker.broker_url(), &broker.management_url()).await;
    let builder = TestApp::builder().plugin().without_api().vhost(vhost);
    let app = builder.workers(2).start().await;
    let (file, mut dispatcher) = (app.dir().join("history"), app.dispatcher().await);
    let mut took = Vec::new();
    for _ in 0..rounds().div_ceil(4) {
        let first = ledger(&mut dispatcher, "plugin.tasks.ledger", 1, &file).await;
        app.until(&first, "completed", LONG).await;
        broker.run("stop-rabbitmq").await;
        let waiting = ledger(&mut dispatcher, "plugin.tasks.ledger", 1, &file).await;
        broker.run("start-rabbitmq").await;
        let back = SystemTime::now();
        let begun = begun(&file, &waiting).await;
        took.push(begun.duration_since(back).unwrap_or_default());
    }
    print(
        "start of RabbitMQ to the start of a task that waited for it",
        took,
    );
    app.finish().await;
}
