//! Live and ready, and when not.

use millrace_tests::app::free_port;
use millrace_tests::client::sleep;
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::{TestApp, TestDb, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);

/// The status and the body of a worker's answer.
async fn ask(address: &str, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("http://{address}/{path}"))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until a worker answers so, and its body has this.
async fn until(address: &str, path: &str, status: u16, key: &str, value: Value) {
    eventually(LONG, async || {
        let Ok(answer) = reqwest::get(format!("http://{address}/{path}")).await else {
            return Err("no answer".to_owned());
        };
        let seen = (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        );
        holds(seen.0 == status && seen.1[key] == value, || {
            format!("{path}: {seen:?}")
        })
    })
    .await;
}

#[tokio::test]
async fn a_worker_without_its_broker_or_told_to_stop_is_not_ready_and_is_live() {
    let mut app = TestApp::start().await;
    let health = format!("127.0.0.1:{}", free_port());
    app.spawn_worker(&[("worker.health_listen", &health)]);
    app.workers_online(1).await;
    until(&health, "readyz", 200, "ready", json!(true)).await;
    app.vhost.delete().await;
    until(&health, "readyz", 503, "broker", json!(false)).await;
    assert_eq!(ask(&health, "livez").await.0, 200);
    app.vhost.make().await;
    until(&health, "readyz", 200, "ready", json!(true)).await;
    // A task that runs keeps it alive while it stops.
    let task = app.dispatch(&sleep(60.0, &[])).await;
    app.in_state(&task, "running").await;
    app.workers[0].signal("TERM");
    until(&health, "readyz", 503, "draining", json!(true)).await;
    assert_eq!(ask(&health, "livez").await.0, 200);
    app.workers[0].signal("TERM");
    app.workers[0].end(LONG).await;
}

#[tokio::test]
async fn without_the_database_nobody_is_ready_and_all_are_live() {
    let server = tokio::task::spawn_blocking(|| Instance::postgresql(&[]))
        .await
        .unwrap();
    let db = TestDb::create_on(server.database_url()).await;
    let mut app = TestApp::builder().db(db).start().await;
    let health = format!("127.0.0.1:{}", free_port());
    app.spawn_worker(&[("worker.health_listen", &health)]);
    app.workers_online(1).await;
    until(&health, "readyz", 200, "ready", json!(true)).await;
    let body = app.get("readyz/").await.expect(200);
    assert_eq!(body["ready"], true);
    server.run("kill-pg").await;
    until(&health, "readyz", 503, "database", json!(false)).await;
    let request = || app.anonymous(reqwest::Method::GET, "readyz/");
    eventually(LONG, async || {
        let answer = app.send(request()).await;
        let is = answer.status == 503 && answer.json()["database"] == false;
        holds(is, || answer.text.clone())
    })
    .await;
    assert_eq!(ask(&health, "livez").await.0, 200);
    app.get("livez/").await.expect(200);
    server.run("start-pg").await;
    until(&health, "readyz", 200, "ready", json!(true)).await;
    eventually(LONG, async || {
        let answer = app.send(request()).await;
        holds(answer.status == 200, || answer.text.clone())
    })
    .await;
}

#[tokio::test]
async fn an_api_without_the_broker_is_ready_and_says_that_it_is_degraded() {
    let app = TestApp::builder().without_broker().start().await;
    let answer = app
        .send(app.anonymous(reqwest::Method::GET, "readyz/"))
        .await;
    let body = answer.expect(200);
    assert_eq!(
        body,
        json!({"ready": true, "degraded": true, "database": true, "migrated": true, "broker": false})
    );
    // A content server needs none.
    let (_process, content) = app.another_api(&["serve", "--only", "content"], &[]).await;
    let body = content.get("readyz/").await.expect(200);
    assert_eq!(body["degraded"], false);
}

#[tokio::test]
async fn an_api_on_a_schema_of_before_is_not_ready() {
    let app = TestApp::start().await;
    app.get("readyz/").await.expect(200);
    app.sql
        .run("DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)")
        .await;
    eventually(LONG, async || {
        let answer = app.get("readyz/").await;
        let is = answer.status == 503 && answer.json()["migrated"] == false;
        holds(is, || answer.text.clone())
    })
    .await;
}

#[tokio::test]
async fn a_worker_whose_loops_stand_still_is_not_live() {
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", threads + 2)
        .set("worker.stuck_seconds", 20)
        .start()
        .await;
    let health = format!("127.0.0.1:{}", free_port());
    app.spawn_worker(&[("worker.health_listen", &health)]);
    app.workers_online(1).await;
    until(&health, "livez", 200, "live", json!(true)).await;
    let mut dispatcher = app.dispatcher().await;
    let block = json!({"kind": "block_thread", "seconds": 40});
    let tasks: Vec<_> = (0..threads)
        .map(|_| {
            let none = millrace_common::tasking::Resources::default();
            dispatcher.task("plugin.tasks.fault", block.clone(), none)
        })
        .collect();
    dispatcher.dispatch(&tasks).await;
    eventually(LONG, async || {
        let (status, body) = ask(&health, "livez").await;
        let stuck = body["stuck"]
            .as_array()
            .is_some_and(|s| s.contains(&json!("beat")));
        holds(status == 503 && stuck, || body.to_string())
    })
    .await;
    until(&health, "livez", 200, "live", json!(true)).await;
    app.quiet(LONG).await;
}
