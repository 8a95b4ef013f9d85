//! What is logged of a task: one line for each of its moves, its ids as fields, and nothing secret.

use base64::Engine;
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{eventually, process::Process};
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "hush-this-is-secret";

async fn logging(format: &str, filter: &str) -> TestApp {
    TestApp::builder()
        .set("log.format", format)
        .set("log.filter", filter)
        .workers(1)
        .start()
        .await
}

/// The lines about a task, of these processes, in the order of their times.
fn about(task: &str, processes: &[&Process]) -> Vec<Value> {
    let id = id_of(task);
    let mut lines: Vec<Value> = processes
        .iter()
        .flat_map(|process| process.log().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .filter(|line| line["task_id"] == id && line["state"].is_string())
        .collect();
    lines.sort_by_key(|line| line["ts"].as_str().unwrap().to_owned());
    lines
}

fn states(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_move_of_a_task_is_one_line_with_its_ids() {
    let app = logging("json", "info,lapin=off").await;
    let cid = uuid::Uuid::now_v7().simple().to_string();
    let first = app.sleeper(60.0, &["the-lane"]).await;
    app.in_state(&first, "running").await;
    let body = millrace_tests::client::sleep(0.0, &["the-lane"]);
    let request = app.request(reqwest::Method::POST, "tasks/").json(&body);
    let behind = app
        .send(request.header("correlation-id", &cid))
        .await
        .task();
    let never = app.sleeper(0.0, &["the-lane"]).await;
    app.cancel(&never).await.expect(200);
    app.cancel(&first).await.expect(200);
    app.completed(&behind).await;
    let processes = [app.api.as_ref().unwrap(), &app.workers[0]];
    let lines = eventually(Duration::from_secs(20), async || {
        let lines = about(&behind, &processes);
        let ended = states(&lines).contains(&"completed");
        if ended {
            Ok(lines)
        } else {
            Err(format!("{lines:#?}"))
        }
    })
    .await;
    assert_eq!(
        states(&lines),
        ["waiting", "waiting", "running", "completed"],
        "{lines:#?}"
    );
    for line in &lines {
        assert_eq!(line["cid"], cid.as_str(), "{line}");
        assert_eq!(line["name"], "pulpcore.app.tasks.test.sleep", "{line}");
        assert_eq!(line["class"], "default", "{line}");
    }
    let attempts: Vec<_> = lines
        .iter()
        .map(|line| line["attempt"].as_i64().unwrap())
        .collect();
    assert_eq!(attempts, [0, 0, 1, 1]);
    assert_eq!(lines[0]["lane"], "the-lane");
    assert_eq!(lines[2]["worker"], "worker-1");
    for (line, key) in [
        (2, "blocked_seconds"),
        (2, "waited_seconds"),
        (3, "blocked_seconds"),
        (3, "waited_seconds"),
        (3, "run_seconds"),
    ] {
        assert!(lines[line][key].is_f64(), "{key}: {}", lines[line]);
    }
    let lines = about(&first, &processes);
    // A worker that is told of a cancel may be faster than who tells it.
    let mut states_of_first = states(&lines);
    states_of_first.retain(|state| *state != "canceling");
    assert_eq!(
        states_of_first,
        ["waiting", "running", "canceled"],
        "{lines:#?}"
    );
    let lines = about(&never, &processes);
    assert_eq!(states(&lines), ["waiting", "canceled"], "{lines:#?}");
}

#[tokio::test]
async fn a_rescue_and_a_deferral_are_lines_too() {
    let mut app = logging("json", "info,lapin=off").await;
    let lost = app.sleeper(60.0, &["a"]).await;
    app.in_state(&lost, "running").await;
    app.spawn_worker(&[]);
    app.workers_online(2).await;
    app.workers[0].kill();
    app.finished(&lost).await;
    let held = app.db.sql().await;
    held.run("SELECT pg_advisory_lock(millrace_resource_key('held'))")
        .await;
    let refused = app.sleeper(0.0, &["held"]).await;
    eventually(Duration::from_secs(30), async || {
        let lines = about(&refused, &[&app.workers[1]]);
        let why = "a lock of it is still held";
        holds(lines.iter().any(|line| line["why"] == why), || {
            format!("{lines:?}")
        })
    })
    .await;
    held.run("SELECT pg_advisory_unlock_all()").await;
    app.completed(&refused).await;
    let lines = about(&lost, &[&app.workers[1]]);
    // Taken from the worker that had it, and failed by that.
    assert_eq!(states(&lines), ["failed", "failed"], "{lines:#?}");
    assert_eq!(lines[0]["level"], "WARN");
    assert!(
        lines[0]["worker"].is_string() && lines[0]["attempt"] == 1,
        "{lines:#?}"
    );
}

/// Uses secrets in every way that a client can, well and wrongly.
async fn use_secrets(app: &TestApp) {
    let refused =
        json!({"name": "r", "url": "http://127.0.0.1:1/PULP_MANIFEST", "password": [SECRET]});
    app.post("remotes/file/file/", &refused).await.expect(400);
    let remote = json!({"name": "r", "url": "http://127.0.0.1:1/PULP_MANIFEST", "username": "u", "password": SECRET});
    let made = app.post("remotes/file/file/", &remote).await.expect(201);
    let href = made["pulp_href"].as_str().unwrap().to_owned();
    for change in [
        json!({"password": SECRET}),
        json!({"proxy_password": SECRET, "proxy_username": "p"}),
    ] {
        let answer = app.patch(&href, &change).await;
        if answer.status == 202 {
            app.finished(&answer.task()).await;
        }
    }
    // Arguments of tasks, of those that end well, that fail, and that are refused.
    let repository = app.repository("with-secrets").await;
    let sync = json!({"remote": href});
    let path = format!("{}sync/", repository["pulp_href"].as_str().unwrap());
    app.finished(&app.post(&path, &sync).await.task()).await;
    let failing = "pulpcore.app.tasks.test.failing_task";
    let task = json!({"name": failing, "kwargs": {"error_message": SECRET}});
    app.finished(&app.dispatch(&task).await).await;
    for arguments in [json!({SECRET: 1}), json!({"error_message": [SECRET]})] {
        let task = json!({"name": failing, "kwargs": arguments});
        app.post("tasks/", &task).await.expect(400);
    }
    let request = app.anonymous(reqwest::Method::GET, "tasks/");
    app.send(request.basic_auth("admin", Some(SECRET)))
        .await
        .expect(401);
}

/// How a secret may stand in a line: as it is, as bytes, or in the header of a request.
fn forms(secret: &str) -> [String; 3] {
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let header = base64::engine::general_purpose::STANDARD.encode(format!("admin:{secret}"));
    [secret.to_owned(), bytes.join(", "), header]
}

async fn nothing_secret_is_logged(format: &str) {
    let app = logging(format, "trace").await;
    use_secrets(&app).await;
    let passwords = [app.db.url(), app.vhost.url()].map(|url| {
        let url = url::Url::parse(&url).unwrap();
        url.password().unwrap().to_owned()
    });
    for process in [app.api.as_ref().unwrap(), &app.workers[0]] {
        let log = process.log();
        assert!(log.lines().count() > 10, "{log}");
        for secret in [SECRET, "test-password", &passwords[0], &passwords[1]] {
            for form in forms(secret) {
                let line = log.lines().find(|line| line.contains(&form));
                assert_eq!(line, None, "{}", process.name);
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_of_text() {
    nothing_secret_is_logged("text").await;
}

#[tokio::test]
async fn no_secret_is_in_a_log_of_json() {
    nothing_secret_is_logged("json").await;
}
