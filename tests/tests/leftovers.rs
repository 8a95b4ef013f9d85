//! What a run leaves whose task then ends without another one.

use crate::sync::shop::Shop;
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A worker that keeps house, and runs nothing but immediate tasks.
const KEEPER: [(&str, &str); 2] = [("worker.slots.default", "0"), ("worker.slots.storage", "0")];

/// Rows of what must not be left.
const LEFT: &str = "SELECT 'version' FROM repository_version WHERE NOT complete \
    UNION ALL SELECT 'membership' FROM repository_content WHERE version_added > 0 OR version_removed IS NOT NULL \
    UNION ALL SELECT 'publication' FROM publication \
    UNION ALL SELECT 'report' FROM progress_report WHERE state IN ('running', 'waiting') \
    UNION ALL SELECT 'temporary file' FROM temporary_file \
    UNION ALL SELECT 'intent' FROM intent \
    UNION ALL SELECT 'tombstone' FROM tombstone \
    UNION ALL SELECT 'reservation' FROM reservation";

/// A task that adds units to a repository stands in the middle of it; gives it and who stops it there.
async fn halfway() -> (TestApp, String, millrace_tests::Sql) {
    let app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    app.sql
        .run(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
             SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(('n' || n)::bytea), sha256(('u' || n)::bytea), \
                    jsonb_build_object('relative_path', 'u' || n) FROM generate_series(1, 5000) n, domain d",
        )
        .await;
    let zoo = app.repository("zoo").await;
    let units = app
        .sql
        .texts("SELECT pulp_id::text FROM content ORDER BY pulp_id")
        .await;
    let call = json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
        "args": [id_of(zoo["pulp_href"].as_str().unwrap()), units, []]});
    let task = app.dispatch(&call).await;
    let holder = app.db.sql().await;
    holder
        .run(&format!(
            "BEGIN; SELECT FROM content WHERE pulp_id = '{}' FOR UPDATE",
            units[4999]
        ))
        .await;
    (app, task, holder)
}

/// Kills a worker of its own that has written a part.
async fn run_and_die(app: &mut TestApp, task: &str, attempt: i64) {
    let place = app.spawn_worker(&[]);
    eventually(LONG, async || {
        let (state, attempts, _) = app.row(id_of(task)).await;
        let written = "SELECT count(*) FROM repository_content WHERE version_added > 0";
        let written = app.sql.number(written).await;
        let there = state == "running" && attempts == attempt && written == 4000;
        holds(there, || format!("{state} {attempts} {written}"))
    })
    .await;
    app.workers[place].kill();
}

async fn nothing_is_left(app: &TestApp) {
    eventually(LONG, async || {
        let left = app.sql.texts(LEFT).await;
        holds(left.is_empty(), || {
            format!("{} rows: {:?}", left.len(), left.first())
        })
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_canceled_after_its_worker_died_leaves_nothing() {
    let (mut app, task, holder) = halfway().await;
    run_and_die(&mut app, &task, 1).await;
    holder.run("ROLLBACK").await;
    app.spawn_worker(&KEEPER);
    app.in_state(&task, "waiting").await;
    assert_eq!(app.cancel(&task).await.expect(200)["state"], "canceled");
    nothing_is_left(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_whose_deadline_passes_after_its_worker_died_leaves_nothing() {
    let (mut app, task, holder) = halfway().await;
    run_and_die(&mut app, &task, 1).await;
    holder.run("ROLLBACK").await;
    app.sql
        .run("UPDATE task SET deadline = clock_timestamp()")
        .await;
    app.spawn_worker(&KEEPER);
    let ended = app.finished(&task).await;
    assert_eq!(ended["state"], "canceled");
    assert_eq!(
        ended["error"],
        json!({"reason": "The deadline of the task has passed."})
    );
    nothing_is_left(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_whose_last_attempt_died_leaves_nothing() {
    let (mut app, task, holder) = halfway().await;
    for attempt in 1..=3 {
        run_and_die(&mut app, &task, attempt).await;
    }
    holder.run("ROLLBACK").await;
    app.spawn_worker(&KEEPER);
    let ended: Value = app.finished(&task).await;
    assert_eq!(
        ended["error"],
        json!({"reason": "Worker has gone missing."})
    );
    nothing_is_left(&app).await;
    app.finish().await;
}

/// An application that sweeps often, without a worker.
async fn sweeping() -> TestApp {
    TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await
}

/// Runs the task up to its first write to this table, kills the worker there, and cancels the task: nothing
/// is left then.
async fn stopped_before(app: &mut TestApp, task: &str, table: &str) {
    let holder = app.db.sql().await;
    holder
        .run(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"))
        .await;
    let place = app.spawn_worker(&[]);
    eventually(LONG, async || {
        let waiting = app.sql.waiting_for(table).await;
        holds(!waiting.is_empty(), || format!("nobody waits for {table}"))
    })
    .await;
    app.workers[place].kill();
    holder.run("ROLLBACK").await;
    app.spawn_worker(&KEEPER);
    app.in_state(task, "waiting").await;
    assert_eq!(app.cancel(task).await.expect(200)["state"], "canceled");
    nothing_is_left(app).await;
}

#[tokio::test]
async fn a_synchronisation_that_died_and_was_canceled_leaves_nothing() {
    let mut shop = Shop::of(sweeping().await, "immediate").await;
    shop.upstream
        .publish("/pool", &[("a", "one"), ("b", "two")]);
    let task = shop.ask(&json!({"remote": shop.remote})).await.task();
    stopped_before(&mut shop.app, &task, "repository_content").await;
    shop.app.finish().await;
}

#[tokio::test]
async fn a_publication_that_died_and_was_canceled_leaves_nothing() {
    let mut app = sweeping().await;
    let zoo = app.repository("zoo").await;
    let body = json!({"repository": zoo["pulp_href"]});
    let task = app.post("publications/file/file/", &body).await.task();
    stopped_before(&mut app, &task, "publication").await;
    app.finish().await;
}

#[tokio::test]
async fn a_unit_for_a_repository_whose_creation_died_and_was_canceled_leaves_nothing() {
    let mut app = sweeping().await;
    let zoo = app.repository("zoo").await;
    let zoo = zoo["pulp_href"].as_str().unwrap().to_owned();
    let form = Form::new()
        .text("relative_path", "a")
        .text("repository", zoo)
        .part("file", Part::text("one").file_name("file"));
    let request = app.request(Method::POST, "content/file/files/");
    let task = app.send(request.multipart(form)).await.task();
    stopped_before(&mut app, &task, "repository_content").await;
    app.finish().await;
}
