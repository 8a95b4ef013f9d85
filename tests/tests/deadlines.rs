//! Tasks that are to be over by some moment.

use millrace_tests::app::free_port;
use millrace_tests::client::{id_of, metric, sleep};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The first request of an account takes longer than others: nobody's deadline passes meanwhile.
async fn warm_up(app: &TestApp) {
    app.get("tasks/").await.expect(200);
}

/// A moment so many milliseconds from now, as clients write it.
async fn moment(app: &TestApp, milliseconds: i64) -> String {
    app.sql
        .text(&format!(
            "SELECT to_char((clock_timestamp() + interval '{milliseconds} ms') AT TIME ZONE 'UTC', \
                'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        ))
        .await
}

fn reason() -> Value {
    json!({"reason": "The deadline of the task has passed."})
}

async fn sleeper(app: &TestApp, seconds: f64, lanes: &[&str], deadline: &str) -> String {
    let mut body = sleep(seconds, lanes);
    body["deadline"] = json!(deadline);
    app.dispatch(&body).await
}

/// Puts the deadline of a task that runs two seconds from now: however slow the machine, it runs first.
async fn bring_forward(app: &TestApp, task: &str) {
    let id = id_of(task);
    app.sql
        .run(&format!(
            "UPDATE task SET deadline = clock_timestamp() + interval '2 s' WHERE pulp_id = '{id}'"
        ))
        .await;
}

/// Milliseconds between the deadline of a task and its end.
async fn overrun(app: &TestApp, task: &str) -> i64 {
    let id = id_of(task);
    app.sql
        .number(&format!(
            "SELECT extract(epoch FROM finished_at - deadline) * 1000 FROM task WHERE pulp_id = '{id}'"
        ))
        .await
}

#[tokio::test]
async fn a_task_that_waits_beyond_its_deadline_is_canceled_and_its_lane_moves_on() {
    let app = TestApp::with_workers(1).await;
    let blocker = app.sleeper(60.0, &["a"]).await;
    app.in_state(&blocker, "running").await;
    let deadline = moment(&app, 1500).await;
    let late = sleeper(&app, 0.0, &["a", "b"], &deadline).await;
    assert_eq!(app.task(&late).await["deadline"], deadline);
    let next = app.sleeper(0.0, &["b"]).await;
    let late = app.finished(&late).await;
    assert_eq!(
        (&late["state"], &late["error"]),
        (&json!("canceled"), &reason())
    );
    assert_eq!(late["started_at"], Value::Null);
    let over = overrun(&app, late["pulp_href"].as_str().unwrap()).await;
    assert!((0..10_000).contains(&over), "{over} ms");
    app.completed(&next).await;
    assert_eq!(app.task(&blocker).await["state"], "running");
    app.cancel(&blocker).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_runs_beyond_its_deadline_is_stopped_and_fails() {
    let app = TestApp::with_workers(1).await;
    let task = sleeper(&app, 60.0, &["a"], &moment(&app, 60_000).await).await;
    let next = app.sleeper(0.0, &["a"]).await;
    app.in_state(&task, "running").await;
    bring_forward(&app, &task).await;
    let task = app.finished(&task).await;
    assert_eq!(
        (&task["state"], &task["error"]),
        (&json!("failed"), &reason())
    );
    let over = overrun(&app, task["pulp_href"].as_str().unwrap()).await;
    assert!((0..10_000).contains(&over), "{over} ms");
    app.completed(&next).await;
    let early = sleeper(&app, 0.0, &["a"], &moment(&app, 60_000).await).await;
    app.completed(&early).await;
    app.finish().await;
}

#[tokio::test]
async fn a_claim_after_the_deadline_ends_the_task() {
    let mut app = TestApp::start().await;
    warm_up(&app).await;
    let task = sleeper(&app, 0.0, &["a"], &moment(&app, 2000).await).await;
    let next = app.sleeper(0.0, &["a"]).await;
    eventually(SOON, async || {
        let passed = "SELECT count(*) FROM task WHERE deadline < clock_timestamp()";
        holds(app.sql.number(passed).await == 1, || "not yet".into())
    })
    .await;
    // The janitor comes too late.
    app.spawn_worker(&[("worker.janitor_ms", "60000")]);
    let task = app.finished(&task).await;
    assert_eq!(
        (&task["state"], &task["error"]),
        (&json!("canceled"), &reason())
    );
    assert_eq!(task["started_at"], Value::Null);
    app.completed(&next).await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_keeps_its_deadline_when_its_worker_dies() {
    let mut app = TestApp::builder().plugin().workers(1).start().await;
    let deadline = moment(&app, 60_000).await;
    let body = json!({"name": "plugin.tasks.ledger", "deadline": deadline,
        "kwargs": {"steps": 1000, "pause_ms": 50}});
    let task = app.dispatch(&body).await;
    app.until_noted(id_of(&task), "start").await;
    bring_forward(&app, &task).await;
    app.workers[0].kill();
    let stuck = app.sleeper(0.0, &[]).await;
    // It knows the type, and runs the task again until the moment.
    app.spawn_worker(&[]);
    let task = app.finished(&task).await;
    assert_eq!(task["error"], reason(), "{task:#}");
    assert_ne!(task["deadline"], Value::Null);
    let runs = app.row(id_of(task["pulp_href"].as_str().unwrap())).await.1;
    let state = if runs == 1 { "canceled" } else { "failed" };
    assert_eq!(task["state"], state, "{runs} runs");
    let over = overrun(&app, task["pulp_href"].as_str().unwrap()).await;
    assert!(over >= 0, "{over} ms");
    app.completed(&stuck).await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_ends_at_its_deadline_is_one_thing_or_the_other() {
    let app = TestApp::builder()
        .workers(2)
        .set("worker.beat_ms", 100)
        .set("worker.janitor_ms", 100)
        .start()
        .await;
    warm_up(&app).await;
    let mut tasks = Vec::new();
    for n in 0..60 {
        let lane = format!("lane-{}", n % 6);
        let deadline = moment(&app, 1000 + n * 20).await;
        tasks.push(sleeper(&app, 0.1, &[&lane], &deadline).await);
    }
    for task in &tasks {
        let task = app.finished(task).await;
        let whole = match task["state"].as_str().unwrap() {
            "completed" => task["error"].is_null(),
            "failed" => task["error"] == reason() && !task["started_at"].is_null(),
            "canceled" => task["error"] == reason() && task["started_at"].is_null(),
            _ => false,
        };
        assert!(whole, "{task:#}");
    }
    app.finish().await;
}

#[tokio::test]
async fn every_call_that_dispatches_takes_a_deadline() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let href = repository["pulp_href"].as_str().unwrap();
    let moment = moment(&app, 60_000).await;
    let calls = [
        (Method::POST, "tasks/purge/".to_owned(), json!({})),
        (Method::POST, "orphans/cleanup/".to_owned(), json!({})),
        (Method::POST, format!("{href}modify/"), json!({})),
        (Method::PATCH, href.to_owned(), json!({"name": "ark"})),
        (Method::POST, "tasks/".to_owned(), sleep(0.0, &["a"])),
        (Method::DELETE, href.to_owned(), json!({})),
    ];
    for (n, (method, path, body)) in calls.into_iter().enumerate() {
        let deadline = if n % 2 == 0 { "60" } else { moment.as_str() };
        let request = app.request(method, &path).json(&body);
        let answer = app.send(request.header("Task-Deadline", deadline)).await;
        let task = app.completed(&answer.task()).await;
        let id = id_of(task["pulp_href"].as_str().unwrap());
        let ahead = app
            .sql
            .number(&format!(
                "SELECT extract(epoch FROM deadline - pulp_created) FROM task WHERE pulp_id = '{id}'"
            ))
            .await;
        assert!((1..=61).contains(&ahead), "{path}: {ahead} s");
    }
    let document = app.get("docs/api.json").await.expect(200);
    let mut declared = 0;
    for operations in document["paths"].as_object().unwrap().values() {
        for operation in operations.as_object().unwrap().values() {
            let has = |name: &str| {
                let parameters = operation["parameters"].as_array().unwrap();
                parameters
                    .iter()
                    .any(|p| p["name"] == name && p["in"] == "header" && p["required"] != true)
            };
            let dispatches = !operation["responses"]["202"].is_null();
            assert_eq!(has("Task-Deadline"), dispatches, "{operation:#}");
            declared += usize::from(dispatches);
        }
    }
    assert!(declared > 15, "{declared}");
    app.finish().await;
}

#[tokio::test]
async fn a_deadline_that_makes_no_sense_is_refused_and_stores_nothing() {
    let app = TestApp::start().await;
    let past = moment(&app, -1000).await;
    let ask = |value: &str| {
        let request = app
            .request(Method::POST, "tasks/")
            .json(&sleep(0.0, &["a"]));
        app.send(request.header("Task-Deadline", value))
    };
    for bad in [
        "",
        "soon",
        "0",
        "-5",
        "1.5",
        "99999999999999999999",
        "2100-01-01",
        "9999999999999-01-01T00:00:00Z",
        &past,
    ] {
        let refusal = ask(bad).await.expect(400);
        assert!(refusal["Task-Deadline"].is_array(), "{bad}: {refusal}");
    }
    let twice = app
        .request(Method::POST, "tasks/")
        .json(&sleep(0.0, &["a"]));
    let twice = twice
        .header("Task-Deadline", "5")
        .header("Task-Deadline", "6");
    assert!(app.send(twice).await.expect(400)["Task-Deadline"].is_array());
    for bad in [
        json!("soon"),
        json!(5),
        json!(past),
        json!("-0001-01-01T00:00:00Z"),
    ] {
        let mut body = sleep(0.0, &["a"]);
        body["deadline"] = bad.clone();
        let refusal = app.post("tasks/", &body).await.expect(400);
        assert!(refusal["deadline"].is_array(), "{bad}: {refusal}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    let mut body = sleep(0.0, &["a"]);
    body["deadline"] = Value::Null;
    let task = app.dispatch(&body).await;
    assert_eq!(app.task(&task).await["deadline"], Value::Null);
    app.cancel(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_deadline_that_many_tasks_share_holds_up_nobody() {
    let mut app = TestApp::start().await;
    app.sql
        .run(
            "INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, \
                 logging_cid, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss, deadline, \
                 claim_before) \
             SELECT gen_random_uuid(), now(), now(), d.pulp_id, nextval('task_ticket'), 'waiting', \
                    CASE n WHEN 1 THEN 'stuck' WHEN 600 THEN 'at once' ELSE 'late' END, 'default', 'cid', '', '{}', \
                    n = 600, n <> 600, false, '2020-01-01', '2020-01-01'::timestamptz + n * interval '1 s' \
               FROM generate_series(1, 600) n, domain d; \
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN RAISE 'no' USING ERRCODE = 'check_violation'; END $$; \
             CREATE TRIGGER refuse BEFORE UPDATE ON task FOR EACH ROW WHEN (OLD.name = 'stuck') EXECUTE FUNCTION refuse(); \
             UPDATE janitor SET last_pass = '2020-01-01'",
        )
        .await;
    let health = format!("127.0.0.1:{}", free_port());
    // One pass.
    app.spawn_worker(&[
        ("worker.janitor_ms", "60000"),
        ("worker.health_listen", &health),
    ]);
    eventually(SOON, async || {
        let left = "SELECT name FROM task WHERE state = 'waiting'";
        let left = app.sql.texts(left).await;
        holds(left == ["stuck"], || format!("{} wait", left.len()))
    })
    .await;
    let before = "SELECT count(*) FROM task WHERE finished_at < (SELECT finished_at FROM task WHERE name = 'at once')";
    assert_eq!(app.sql.number(before).await, 0);
    let others = "SELECT count(*) FROM task WHERE state = 'canceled' AND error ->> 'reason' LIKE 'The deadline%'";
    assert_eq!(app.sql.number(others).await, 599);
    eventually(SOON, async || {
        let counted = metric(&health, "millrace_deadlines_passed_total").await;
        holds((counted - 599.0).abs() < 0.5, || format!("{counted}"))
    })
    .await;
    app.sql
        .run("DROP TRIGGER refuse ON task; DELETE FROM task")
        .await;
    app.finish().await;
}
