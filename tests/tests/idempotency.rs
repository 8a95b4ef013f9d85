//! Requests that are sent again under the same key.

use millrace_tests::client::{Answer, Client, sleep};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "Idempotency-Key";

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, path).json(body);
    client.send(request.header(KEY, key)).await
}

async fn tasks(app: &TestApp) -> i64 {
    app.sql.number("SELECT count(*) FROM task").await
}

/// Holds the lane of the domain in a transaction: nothing is dispatched meanwhile.
const HOLD: &str =
    "BEGIN; SELECT pg_advisory_xact_lock(millrace_lane_class(r), millrace_lane_key(r))
    FROM (SELECT 'prn:core.domain:' || pulp_id FROM domain) d(r)";

/// Waits until so many sessions of the API wait for a lock.
async fn until_wait(app: &TestApp, count: i64) {
    let other = app.db.sql().await;
    eventually(SOON, async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                          AND application_name = 'millrace-api' AND wait_event_type = 'Lock'";
        let waiting = other.number(waiting).await;
        holds(waiting == count, || format!("{waiting} wait"))
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_the_same_task() {
    let app = TestApp::with_workers(1).await;
    let body = sleep(0.0, &["a"]);
    let first = post(&app, "tasks/", "k1", &body).await.task();
    app.completed(&first).await;
    for _ in 0..3 {
        assert_eq!(post(&app, "tasks/", "k1", &body).await.task(), first);
    }
    // The order of keys in JSON does not count.
    let text = serde_json::to_string(&body).unwrap();
    let turned = format!(
        "{{\"exclusive_resources\": [\"a\"], \"kwargs\": {}, \"name\": {}}}",
        body["kwargs"], body["name"]
    );
    assert_ne!(text, turned);
    let request = app
        .request(Method::POST, "tasks/")
        .header("content-type", "application/json")
        .header(KEY, "k1");
    assert_eq!(app.send(request.body(turned)).await.task(), first);
    assert_eq!(tasks(&app).await, 1);
    // Another key, or none, is another request.
    assert_ne!(post(&app, "tasks/", "k2", &body).await.task(), first);
    assert_ne!(app.dispatch(&body).await, first);
    assert_eq!(tasks(&app).await, 3);
    app.finish().await;
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_account() {
    let app = TestApp::start().await;
    let body = json!({"states": ["completed"]});
    let first = post(&app, "tasks/purge/", "k", &body).await.task();
    for (path, body) in [
        ("tasks/purge/", json!({"states": ["failed"]})),
        ("tasks/purge/", json!({})),
        ("tasks/purge/?x=1", body.clone()),
        ("orphans/cleanup/", json!({})),
        ("tasks/", sleep(0.0, &["a"])),
    ] {
        let refusal = post(&app, path, "k", &body).await.expect(422);
        assert_eq!(refusal.as_object().unwrap().len(), 1, "{refusal}");
        assert!(refusal[KEY].is_array(), "{refusal}");
    }
    assert_eq!(tasks(&app).await, 1);
    let somebody = app.somebody().await;
    let other = post(&somebody, "tasks/purge/", "k", &body).await.task();
    assert_ne!(other, first);
    assert_eq!(post(&app, "tasks/purge/", "k", &body).await.task(), first);
    for task in [first, other] {
        app.cancel(&task).await.expect(200);
    }
    app.finish().await;
}

#[tokio::test]
async fn requests_that_come_at_once_are_one_task() {
    let app = TestApp::start().await;
    app.sql.run(HOLD).await;
    let body = sleep(0.0, &["a"]);
    let ask = || {
        let (client, body) = (app.client(), body.clone());
        tokio::spawn(async move { post(&client, "tasks/", "k", &body).await })
    };
    let asked: Vec<_> = (0..8).map(|_| ask()).collect();
    // One is about to dispatch; another one waits for it.
    until_wait(&app, 2).await;
    app.sql.run("COMMIT").await;
    let mut hrefs = Vec::new();
    for answer in asked {
        hrefs.push(answer.await.unwrap().task());
    }
    hrefs.dedup();
    assert_eq!(hrefs.len(), 1, "{hrefs:?}");
    assert_eq!(tasks(&app).await, 1);
    app.cancel(&hrefs[0]).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn another_request_with_the_key_of_one_that_is_on_its_way_is_refused() {
    let app = TestApp::start().await;
    app.sql.run(HOLD).await;
    let client = app.client();
    let first =
        tokio::spawn(async move { post(&client, "tasks/", "k", &sleep(0.0, &["a"])).await });
    until_wait(&app, 1).await;
    let client = app.client();
    let second =
        tokio::spawn(async move { post(&client, "tasks/", "k", &sleep(0.0, &["b"])).await });
    until_wait(&app, 2).await;
    app.sql.run("COMMIT").await;
    let task = first.await.unwrap().task();
    second.await.unwrap().expect(422);
    assert_eq!(tasks(&app).await, 1);
    app.cancel(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_request_whose_answer_got_lost_is_asked_for_again() {
    let app = TestApp::start().await;
    app.sql.run(HOLD).await;
    let (client, body) = (app.client(), sleep(0.0, &["a"]));
    let lost = tokio::spawn(async move { post(&client, "tasks/", "k", &body).await });
    until_wait(&app, 1).await;
    lost.abort();
    app.sql.run("COMMIT").await;
    let task = post(&app, "tasks/", "k", &sleep(0.0, &["a"])).await.task();
    assert_eq!(
        post(&app, "tasks/", "k", &sleep(0.0, &["a"])).await.task(),
        task
    );
    assert_eq!(tasks(&app).await, 1);
    app.cancel(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_process_that_dies_between_commit_and_answer_costs_no_second_task() {
    let mut app = TestApp::start().await;
    // Killed while it waits for its lane, and after its commit, before it answers: the immediate task of a system
    // without workers is waited for.
    let mut body = sleep(0.0, &["a"]);
    body["immediate"] = json!(true);
    app.sql.run(HOLD).await;
    let ask = || {
        let (client, body) = (app.client(), body.clone());
        tokio::spawn(async move {
            let request = client.request(Method::POST, "tasks/").json(&body);
            client.try_send(request.header(KEY, "k")).await
        })
    };
    let asked = ask();
    until_wait(&app, 1).await;
    app.api.as_mut().unwrap().kill();
    assert!(asked.await.unwrap().is_err());
    app.sql.run("COMMIT").await;
    assert_eq!(tasks(&app).await, 0);
    app.start_api().await;
    let (client, again) = (app.client(), body.clone());
    let asked = tokio::spawn(async move {
        let request = client.request(Method::POST, "tasks/").json(&again);
        client.try_send(request.header(KEY, "k")).await
    });
    eventually(SOON, async || {
        holds(tasks(&app).await == 1, || "no task".into())
    })
    .await;
    app.api.as_mut().unwrap().kill();
    assert!(asked.await.unwrap().is_err(), "it was answered before");
    app.start_api().await;
    let task = post(&app, "tasks/", "k", &body).await.task();
    assert_eq!(tasks(&app).await, 1);
    app.cancel(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_request_that_was_refused_is_not_remembered() {
    let app = TestApp::start().await;
    post(&app, "tasks/", "k", &json!({"name": "no.such"}))
        .await
        .expect(400);
    post(&app, "tasks/", "k", &json!([])).await.expect(400);
    let huge = json!({"name": "x", "exclusive_resources": ["x".repeat(5000)]});
    post(&app, "tasks/", "k", &huge).await.expect(400);
    let somebody = app.somebody().await;
    post(&somebody, "tasks/", "k", &sleep(0.0, &["a"]))
        .await
        .expect(403);
    assert_eq!(
        app.sql.number("SELECT count(*) FROM idempotency_key").await,
        0
    );
    let task = post(&app, "tasks/", "k", &sleep(0.0, &["a"])).await.task();
    app.cancel(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_key_is_a_short_printable_text() {
    let app = TestApp::start().await;
    let body = sleep(0.0, &["a"]);
    let long = "k".repeat(256);
    for bad in ["", " ", long.as_str()] {
        let refusal = post(&app, "tasks/", bad, &body).await.expect(400);
        assert!(refusal[KEY].is_array(), "{bad:?}: {refusal}");
    }
    for bytes in [&b"\xe4"[..], b"a\tb"] {
        let value = reqwest::header::HeaderValue::from_bytes(bytes).unwrap();
        let request = app.request(Method::POST, "tasks/").json(&body);
        let refusal = app.send(request.header(KEY, value)).await.expect(400);
        assert!(refusal[KEY].is_array(), "{bytes:?}: {refusal}");
    }
    let twice = app.request(Method::POST, "tasks/").json(&body);
    let twice = twice.header(KEY, "a").header(KEY, "b");
    assert!(app.send(twice).await.expect(400)[KEY].is_array());
    assert_eq!(tasks(&app).await, 0);
    let task = post(&app, "tasks/", &long[..255], &body).await.task();
    app.cancel(&task).await.expect(200);
    // What dispatches nothing, or is no POST, pays no heed to it.
    app.send(app.request(Method::GET, "tasks/").header(KEY, ""))
        .await
        .expect(200);
    app.finish().await;
}

fn form(path: &str, bytes: &[u8]) -> Form {
    // Each has a boundary of its own.
    Form::new()
        .text("relative_path", path.to_owned())
        .part("file", Part::bytes(bytes.to_vec()).file_name("file"))
}

#[tokio::test]
async fn an_upload_that_is_sent_again_is_given_up() {
    let app = TestApp::with_workers(1).await;
    let send = |key: &'static str, form: Form| {
        let request = app.request(Method::POST, "content/file/files/");
        app.send(request.header(KEY, key).multipart(form))
    };
    let bytes = vec![7u8; 300_000];
    let first = send("k", form("a", &bytes)).await.task();
    app.completed(&first).await;
    assert_eq!(send("k", form("a", &bytes)).await.task(), first);
    send("k", form("b", &bytes)).await.expect(422);
    send("k", form("a", &[8u8; 300_000])).await.expect(422);
    assert_eq!(tasks(&app).await, 1);
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 1);
    // Two at once: one is made, the other finds it in its transaction.
    app.sql.run(HOLD).await;
    let ask = || {
        let request = app.request(Method::POST, "content/file/files/");
        let request = request.header(KEY, "both").multipart(form("c", b"both"));
        let client = app.client();
        tokio::spawn(async move { client.send(request).await })
    };
    let (one, other) = (ask(), ask());
    until_wait(&app, 2).await;
    app.sql.run("COMMIT").await;
    let one = one.await.unwrap().task();
    assert_eq!(other.await.unwrap().task(), one);
    app.completed(&one).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 2);
    // Nothing is left of what was given up.
    eventually(SOON, async || {
        let files = millrace_tests::app::files_below(&app.media());
        let intents = app.sql.number("SELECT count(*) FROM intent").await;
        holds(files.len() == 2 && intents == 0, || {
            format!("{files:?}, {intents} intents")
        })
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn what_a_request_has_used_up_is_not_missed_by_its_repetition() {
    let app = TestApp::with_workers(1).await;
    let upload = app.post("uploads/", &json!({"size": 3})).await.expect(201);
    let upload = upload["pulp_href"].as_str().unwrap();
    let part = Part::bytes(b"abc".to_vec()).file_name("chunk");
    let chunk = app
        .request(Method::PUT, upload)
        .header("content-range", "bytes 0-2/3")
        .multipart(Form::new().part("file", part));
    app.send(chunk).await.expect(200);
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let (path, body) = (format!("{upload}commit/"), json!({"sha256": sha256}));
    let task = post(&app, &path, "k", &body).await.task();
    app.completed(&task).await;
    app.get(upload).await.expect(404);
    assert_eq!(post(&app, &path, "k", &body).await.task(), task);
    post(&app, &path, "other", &body).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn a_request_is_forgotten_with_its_task_and_with_time() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.sweep_seconds", 1)
        .set("tasks.idempotency_hours", 2)
        .start()
        .await;
    let body = sleep(0.0, &["a"]);
    let first = post(&app, "tasks/", "k", &body).await.task();
    app.completed(&first).await;
    app.delete(&first).await.expect(204);
    let second = post(&app, "tasks/", "k", &body).await.task();
    assert_ne!(second, first);
    app.completed(&second).await;
    // Expired, it gives way before it is swept, in one transaction that leaves no time in between.
    app.sql
        .run("BEGIN; UPDATE idempotency_key SET created = created - interval '119 min'; COMMIT")
        .await;
    assert_eq!(post(&app, "tasks/", "k", &body).await.task(), second);
    app.sql
        .run("UPDATE idempotency_key SET created = created - interval '2 min'")
        .await;
    let third = post(&app, "tasks/", "k", &body).await.task();
    assert_ne!(third, second);
    app.sql
        .run("UPDATE idempotency_key SET created = created - interval '3 hours'")
        .await;
    eventually(SOON, async || {
        let left = app.sql.number("SELECT count(*) FROM idempotency_key").await;
        holds(left == 0, || format!("{left} left"))
    })
    .await;
    app.completed(&third).await;
    app.finish().await;
}

#[tokio::test]
async fn the_document_offers_a_key_where_a_post_dispatches() {
    let app = TestApp::start().await;
    let document = app.get("docs/api.json").await.expect(200);
    let mut declared = 0;
    for operations in document["paths"].as_object().unwrap().values() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let has = parameters
                .iter()
                .any(|p| p["name"] == KEY && p["in"] == "header");
            let wanted = method == "post" && !operation["responses"]["202"].is_null();
            assert_eq!(has, wanted, "{method} {operation:#}");
            declared += usize::from(has);
        }
    }
    assert!(declared >= 9, "{declared}");
    app.finish().await;
}
