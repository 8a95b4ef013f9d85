//! State changes of tasks, as they happen.

use millrace_tests::client::{Client, id_of, sleep};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const GROUP: &str = "pulpcore.app.tasks.test.dummy_group_task";

/// A client that listens.
struct Listener {
    response: Response,
    text: String,
}

impl Listener {
    async fn open(client: &Client, query: &str) -> Self {
        let request = client.request(Method::GET, &format!("tasks/events/{query}"));
        let request = request.header("accept", "text/event-stream");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut listener = Self {
            response,
            text: String::new(),
        };
        assert_eq!(listener.next().await, ("ready".to_owned(), json!({})));
        listener
    }

    /// The next event and its data; `None` at the end.
    async fn try_next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((piece, rest)) = self.text.split_once("\n\n") {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some((event, data)) = piece.split_once('\n')
                    && let Some(event) = event.strip_prefix("event: ")
                {
                    let data = data.strip_prefix("data: ").unwrap();
                    return Some((event.to_owned(), serde_json::from_str(data).unwrap()));
                }
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await;
            let chunk = chunk.expect("nothing came").ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> (String, Value) {
        self.try_next().await.expect("the stream ended")
    }

    /// The states of a task from now on, until this one.
    async fn states(&mut self, task: &str, last: &str) -> Vec<String> {
        let mut states = Vec::new();
        while states.last().is_none_or(|state| state != last) {
            let (event, data) = self.next().await;
            assert_eq!(event, "task");
            if data["task"] == task {
                states.push(data["state"].as_str().unwrap().to_owned());
            }
        }
        states
    }
}

#[tokio::test]
async fn the_whole_life_of_a_task_is_heard() {
    let app = TestApp::with_workers(1).await;
    let mut listener = Listener::open(&app, "").await;
    let task = app.sleeper(0.0, &["a"]).await;
    let states = listener.states(&task, "completed").await;
    assert_eq!(states, ["waiting", "running", "completed"]);
    let running = app.sleeper(60.0, &["a"]).await;
    app.in_state(&running, "running").await;
    let waiting = app.sleeper(0.0, &["a"]).await;
    app.cancel(&waiting).await.expect(200);
    assert_eq!(
        listener.states(&waiting, "canceled").await,
        ["waiting", "canceled"]
    );
    app.cancel(&running).await.expect(200);
    // The API tells the one and the worker the other: nobody promises which of them is heard first, and a worker that
    // ends the task before the row says `canceling` leaves that out.
    let heard = listener.states(&running, "canceled").await;
    assert!(
        heard == ["canceling", "canceled"] || heard == ["canceled"],
        "{heard:?}"
    );
    let failing = json!({"name": "pulpcore.app.tasks.test.failing_task"});
    let failing = app.dispatch(&failing).await;
    assert_eq!(
        listener.states(&failing, "failed").await.last().unwrap(),
        "failed"
    );
    app.finish().await;
}

#[tokio::test]
async fn children_of_tasks_and_what_is_handed_back_are_heard() {
    let mut app = TestApp::builder().workers(1).plugin().start().await;
    let mut waiting = Listener::open(&app, "?state=waiting").await;
    let parent = app
        .dispatch(&json!({"name": GROUP, "kwargs": {"inbetween": 0, "intervals": [0]}}))
        .await;
    assert_eq!(waiting.next().await.1["task"], json!(parent));
    let (_, child) = waiting.next().await;
    assert_eq!(child["name"], "pulpcore.app.tasks.test.sleep");
    let child = app.completed(child["task"].as_str().unwrap()).await;
    assert_eq!(child["parent_task"], json!(parent));
    // Of a type that may run again: back to waiting when its worker dies.
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher
        .ledger(
            1,
            20_000,
            millrace_common::tasking::Resources::exclusive("a"),
        )
        .await;
    app.until(id, "running", SOON).await;
    app.workers[0].kill();
    app.spawn_worker(&[]);
    let (_, again) = waiting.next().await;
    assert_eq!(id_of(again["task"].as_str().unwrap()), id.to_string());
    app.cancel(again["task"].as_str().unwrap())
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn clients_hear_what_they_ask_for_and_may_see() {
    let app = TestApp::with_workers(1).await;
    let blocker = app.sleeper(60.0, &["a"]).await;
    app.in_state(&blocker, "running").await;
    let (mine, other) = (
        app.sleeper(0.0, &["a"]).await,
        app.sleeper(0.0, &["a"]).await,
    );
    let somebody = app.somebody().await;
    let own = format!(
        "UPDATE task SET created_by = (SELECT id FROM account WHERE username = 'somebody') WHERE pulp_id = '{}'",
        id_of(&mine)
    );
    app.sql.run(&own).await;
    let mut own = Listener::open(&somebody, "").await;
    let mut one = Listener::open(
        &app,
        &format!("?task={other}&state=running&state=completed"),
    )
    .await;
    app.cancel(&blocker).await.expect(200);
    app.completed(&other).await;
    for state in ["running", "completed"] {
        let (_, data) = own.next().await;
        assert_eq!(
            (&data["task"], &data["state"]),
            (&json!(mine), &json!(state))
        );
        let (_, data) = one.next().await;
        assert_eq!(
            (&data["task"], &data["state"]),
            (&json!(other), &json!(state))
        );
    }
    let refusal = app.get("tasks/events/?state=odd&limit=3").await.expect(400);
    assert!(
        refusal.get("state").is_some() && refusal.get("limit").is_some(),
        "{refusal}"
    );
    let anonymous = app.anonymous(Method::GET, "tasks/events/");
    assert_eq!(app.send(anonymous).await.status, 401);
    app.send(app.request(Method::HEAD, "tasks/events/"))
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_lost_broker_is_told_and_what_comes_after_it_is_heard() {
    let app = TestApp::with_workers(1).await;
    let mut listener = Listener::open(&app, "").await;
    eventually(SOON, async || {
        app.vhost.close_connections().await;
        let piece = tokio::time::timeout(Duration::from_secs(5), listener.next()).await;
        piece
            .map_err(|elapsed| elapsed.to_string())
            .and_then(|(event, _)| holds(event == "interrupted", || event.clone()))
    })
    .await;
    assert_eq!(listener.next().await.0, "ready");
    // Whoever publishes may take a moment to find back, too.
    eventually(SOON, async || {
        let task = app.sleeper(0.0, &[]).await;
        app.completed(&task).await;
        let heard = tokio::time::timeout(Duration::from_secs(5), listener.next()).await;
        heard
            .map_err(|elapsed| elapsed.to_string())
            .and_then(|(event, _)| holds(event == "task", || event.clone()))
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_further_client_is_refused_until_one_has_gone() {
    let app = TestApp::builder()
        .workers(1)
        .set("api.event_streams", 1)
        .start()
        .await;
    let first = Listener::open(&app, "").await;
    let refusal = app.get("tasks/events/").await;
    refusal.expect(503);
    assert!(refusal.headers.contains_key("retry-after"));
    drop(first);
    eventually(SOON, async || {
        // It is noticed when something is sent.
        let task = app.dispatch(&sleep(0.0, &[])).await;
        app.completed(&task).await;
        let answer = app
            .request(Method::GET, "tasks/events/")
            .send()
            .await
            .unwrap();
        holds(answer.status() == 200, || answer.status().to_string())
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_and_does_not_wait_for_them() {
    let mut app = TestApp::start().await;
    let mut listener = Listener::open(&app, "").await;
    let mut api = app.api.take().unwrap();
    api.signal("TERM");
    assert_eq!(listener.try_next().await, None);
    assert!(api.end(Duration::from_secs(20)).await.success());
}
