//! Forgetting many tasks, and those that cannot be forgotten.

use millrace_tests::TestApp;
use serde_json::{Value, json};
use std::time::Duration;

/// Makes so many tasks that ended in one moment, each with a report, a created resource, and the one before it as
/// its parent. `$n` stands for the number.
const FILL: &str = "
    INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid,
                      finished_at, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss)
    SELECT lpad(to_hex(n), 32, '0')::uuid, '2020-01-01', '2020-01-01', d.pulp_id, -n, 'completed', 'old', 'default', 'cid',
           '2020-01-01', '', '{}', false, true, false FROM generate_series(1, $n) n, domain d;
    UPDATE task SET parent_task = lpad(to_hex(1 - ticket), 32, '0')::uuid WHERE name = 'old' AND ticket > -$n;
    INSERT INTO progress_report (pulp_id, task_id, message, code, state)
    SELECT gen_random_uuid(), pulp_id, 'm', 'c', 'completed' FROM task WHERE name = 'old';
    INSERT INTO created_resource (task_id, prn) SELECT pulp_id, 'prn:core.task:x' FROM task WHERE name = 'old'";

async fn fill(app: &TestApp, count: usize) {
    app.sql.run(&FILL.replace("$n", &count.to_string())).await;
}

async fn purged(app: &TestApp) -> Value {
    let body = json!({"finished_before": "2021-01-01"});
    let task = app.post("tasks/purge/", &body).await.task();
    app.completed(&task).await
}

/// Done and total of a report.
fn report(task: &Value, code: &str) -> (i64, i64) {
    let reports = task["progress_reports"].as_array().unwrap();
    let report = reports.iter().find(|r| r["code"] == code).unwrap();
    (
        report["done"].as_i64().unwrap(),
        report["total"].as_i64().unwrap(),
    )
}

#[tokio::test]
async fn many_tasks_that_ended_in_one_moment_are_forgotten_with_what_is_theirs() {
    let app = TestApp::with_workers(1).await;
    fill(&app, 3500).await;
    let kept = app.sleeper(0.0, &[]).await;
    app.completed(&kept).await;
    // Dispatched by one that goes.
    app.sql
        .run("UPDATE task SET parent_task = lpad('7', 32, '0')::uuid WHERE name <> 'old'")
        .await;
    let task = purged(&app).await;
    assert_eq!(task["result"], Value::Null);
    assert_eq!(report(&task, "purge.tasks.key.core.Task"), (3500, 3500));
    assert_eq!(
        report(&task, "purge.tasks.key.core.ProgressReport"),
        (3500, 3500)
    );
    assert_eq!(
        report(&task, "purge.tasks.key.core.CreatedResource"),
        (3500, 3500)
    );
    assert_eq!(report(&task, "purge.tasks.total"), (10_500, 10_500));
    assert_eq!(report(&task, "purge.tasks.error"), (0, 0));
    assert_eq!(app.task(&kept).await["parent_task"], Value::Null);
    let left = "SELECT count(*) FROM task WHERE name = 'old'";
    assert_eq!(app.sql.number(left).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn tasks_that_others_need_or_hold_are_left_and_counted() {
    let app = TestApp::with_workers(1).await;
    fill(&app, 1500).await;
    app.sql
        .run(
            "CREATE TABLE keeper (task uuid REFERENCES task ON DELETE RESTRICT);
             INSERT INTO keeper SELECT lpad(to_hex(n), 32, '0')::uuid FROM unnest(ARRAY[3, 4, 1400]) n",
        )
        .await;
    app.sql
        .run("BEGIN; SELECT FROM task WHERE pulp_id = lpad(to_hex(900), 32, '0')::uuid FOR UPDATE")
        .await;
    let task = purged(&app).await;
    assert_eq!(report(&task, "purge.tasks.key.core.Task"), (1495, 1495));
    // The one that is held, and its parent, too.
    assert_eq!(report(&task, "purge.tasks.error"), (5, 5));
    app.sql.run("COMMIT; DROP TABLE keeper").await;
    let task = purged(&app).await;
    assert_eq!(report(&task, "purge.tasks.key.core.Task"), (5, 5));
    assert_eq!(report(&task, "purge.tasks.error"), (0, 0));
    app.finish().await;
}

#[tokio::test]
async fn a_purge_that_dies_goes_on() {
    let mut app = TestApp::with_workers(1).await;
    fill(&app, 2500).await;
    // The second page waits for this row's report, which nobody skips.
    app.sql
        .run("BEGIN; SELECT FROM progress_report WHERE task_id = lpad(to_hex(1500), 32, '0')::uuid FOR UPDATE")
        .await;
    let body = json!({"finished_before": "2021-01-01"});
    let task = app.post("tasks/purge/", &body).await.task();
    let other = app.db.sql().await;
    millrace_tests::eventually(Duration::from_secs(20), async || {
        let left = other
            .number("SELECT count(*) FROM task WHERE name = 'old'")
            .await;
        millrace_tests::eventually::holds(left == 1500, || format!("{left} left"))
    })
    .await;
    app.workers[0].kill();
    app.sql.run("COMMIT").await;
    app.spawn_worker(&[]);
    app.completed(&task).await;
    assert_eq!(app.row(millrace_tests::client::id_of(&task)).await.1, 2);
    let left = "SELECT count(*) FROM task WHERE name = 'old'";
    assert_eq!(app.sql.number(left).await, 0);
    app.finish().await;
}
