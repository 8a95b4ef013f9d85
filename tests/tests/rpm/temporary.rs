//! However the task of a temporary file ends, the file is gone.

use super::{files_are, finished, href, post, repository, unit};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::packages::Recipe;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::time::Duration;

/// Sweeps follow each other closely; there is no worker yet.
async fn app() -> TestApp {
    let builder = TestApp::builder().set("worker.sweep_seconds", 1);
    builder.start().await
}

async fn temporary_files(app: &TestApp) -> i64 {
    app.sql.number("SELECT count(*) FROM temporary_file").await
}

/// Waits until the task's run number `attempt` waits for a lock that somebody else holds.
async fn until_it_waits(app: &TestApp, task: &str, attempt: i64) {
    eventually(Duration::from_secs(30), async || {
        let (state, attempts, _) = app.row(id_of(task)).await;
        let waiting = app
            .sql
            .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await;
        let is_there = state == "running" && attempts == attempt && waiting > 0;
        holds(is_there, || format!("{state} {attempts}, {waiting} wait"))
    })
    .await;
}

#[tokio::test]
async fn a_file_waits_for_its_task_and_becomes_the_artifact_of_the_unit() {
    let mut app = app().await;
    let zoo = href(&repository(&app, "zoo").await);
    let (one, two) = (Recipe::new("one", "1"), Recipe::new("two", "1"));
    let first = post(&app, &one.build(), &[]).await.task();
    let second = post(&app, &two.build(), &[("repository", &zoo)])
        .await
        .task();
    assert_eq!(temporary_files(&app).await, 2);
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
    let keys = "SELECT string_agg(storage_key, ' ' ORDER BY storage_key) FROM ";
    let before = app.sql.text(&format!("{keys} temporary_file")).await;
    app.spawn_worker(&[]);
    app.completed(&first).await;
    app.completed(&second).await;
    // The rows were taken over: nothing was copied.
    assert_eq!(app.sql.text(&format!("{keys} artifact")).await, before);
    files_are(&app, 2).await;
    // Bytes that are there already: the second copy goes.
    unit(&app, &one.build(), &[]).await;
    files_are(&app, 2).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_goes_at_once_with_a_task_that_fails() {
    let mut app = TestApp::builder()
        .set("worker.sweep_seconds", 3600)
        .start()
        .await;
    let zoo = href(&repository(&app, "zoo").await);
    let package = Recipe::new("gwt", "1").build();
    let orphaned = post(&app, &package, &[("repository", &zoo)]).await.task();
    app.sql
        .run("DELETE FROM repository_version; DELETE FROM repository")
        .await;
    app.spawn_worker(&[]);
    let task = app.finished(&orphaned).await;
    assert_eq!(
        task["error"]["description"],
        "no Repository matches the given query"
    );
    files_are(&app, 0).await;
    let task = finished(&app, b"text", &[]).await;
    assert_eq!(task["state"], "failed");
    files_are(&app, 0).await;
    app.finish().await;
}

/// The last write of a task fails: whatever it had taken over is what it was, and goes then.
#[tokio::test]
async fn a_file_goes_with_a_task_whose_last_write_fails() {
    let mut app = app().await;
    app.sql
        .run(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'no' USING ERRCODE = 'check_violation'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON content EXECUTE FUNCTION refuse()",
        )
        .await;
    app.spawn_worker(&[]);
    let task = finished(&app, &Recipe::new("gwt", "1").build(), &[]).await;
    assert_eq!(task["state"], "failed", "{task:#}");
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_goes_with_a_task_that_is_canceled_before_it_starts() {
    let mut app = app().await;
    let task = post(&app, &Recipe::new("gwt", "1").build(), &[])
        .await
        .task();
    assert_eq!(temporary_files(&app).await, 1);
    assert_eq!(app.cancel(&task).await.expect(200)["state"], "canceled");
    assert_eq!(temporary_files(&app).await, 0);
    app.spawn_worker(&[]);
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_goes_with_a_task_that_is_canceled_while_it_runs() {
    let mut app = app().await;
    let zoo = href(&repository(&app, "zoo").await);
    let package = Recipe::new("gwt", "1").build();
    let task = post(&app, &package, &[("repository", &zoo)]).await.task();
    let holder = app.db.sql().await;
    holder.run("BEGIN; SELECT FROM repository FOR UPDATE").await;
    app.spawn_worker(&[]);
    until_it_waits(&app, &task, 1).await;
    app.cancel(&task).await.expect(200);
    holder.run("ROLLBACK").await;
    app.in_state(&task, "canceled").await;
    files_are(&app, 0).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_failed_and_could_not_say_so_fails_for_the_same_reason_again() {
    let mut app = app().await;
    let task = post(&app, b"text", &[]).await.task();
    // Whoever ends the task waits for its lanes.
    let holder = app.db.sql().await;
    holder
        .run("BEGIN; SELECT pg_advisory_xact_lock(millrace_lane_class(resource), millrace_lane_key(resource)) FROM reservation")
        .await;
    let place = app.spawn_worker(&[]);
    until_it_waits(&app, &task, 1).await;
    assert_eq!(temporary_files(&app).await, 1);
    app.workers[place].kill();
    holder.run("ROLLBACK").await;
    app.spawn_worker(&[]);
    let again = app.finished(&task).await;
    assert_eq!(again["state"], "failed");
    let plain = finished(&app, b"text", &[]).await;
    assert_eq!(again["error"]["description"], plain["error"]["description"]);
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_outlives_a_worker_and_goes_with_the_last_attempt() {
    let mut app = app().await;
    let zoo = href(&repository(&app, "zoo").await);
    let package = Recipe::new("gwt", "1").build();
    let task = post(&app, &package, &[("repository", &zoo)]).await.task();
    let holder = app.db.sql().await;
    holder.run("BEGIN; SELECT FROM repository FOR UPDATE").await;
    for attempt in 1..=3 {
        let place = app.spawn_worker(&[]);
        until_it_waits(&app, &task, attempt).await;
        assert_eq!(temporary_files(&app).await, 1);
        app.workers[place].kill();
    }
    app.spawn_worker(&[]);
    let ended = app.finished(&task).await;
    assert_eq!(
        ended["error"],
        json!({"reason": "Worker has gone missing."})
    );
    holder.run("ROLLBACK").await;
    files_are(&app, 0).await;
    app.finish().await;
}

/// The run that took the file over died before its end: the next one goes on with the artifact.
#[tokio::test]
async fn a_file_that_was_taken_over_is_found_by_the_next_run() {
    let mut app = app().await;
    let zoo = href(&repository(&app, "zoo").await);
    let package = Recipe::new("gwt", "1").build();
    let task = post(&app, &package, &[("repository", &zoo)]).await.task();
    // The unit is in the version; completing it waits.
    let holder = app.db.sql().await;
    holder
        .run("BEGIN; LOCK TABLE repository_version_count IN ACCESS EXCLUSIVE MODE")
        .await;
    app.spawn_worker(&[]);
    eventually(Duration::from_secs(30), async || {
        let taken = app.sql.number("SELECT count(*) FROM artifact").await;
        holds(taken == 1, || "it is not taken over".to_owned())
    })
    .await;
    until_it_waits(&app, &task, 1).await;
    app.workers[0].kill();
    holder.run("ROLLBACK").await;
    app.spawn_worker(&[]);
    let done = app.completed(&task).await;
    assert_eq!(done["created_resources"].as_array().unwrap().len(), 2);
    assert_eq!(app.row(id_of(&task)).await.1, 2);
    files_are(&app, 1).await;
    app.finish().await;
}

/// A request that is refused, or breaks off, leaves no file either.
#[tokio::test]
async fn a_file_of_a_refused_request_goes_at_once() {
    let app = TestApp::start().await;
    let part = Part::bytes(Recipe::new("gwt", "1").build()).file_name("f");
    let form = Form::new().part("file", part).text("odd", "1");
    let request = app.request(Method::POST, super::PACKAGES);
    app.send(request.multipart(form)).await.expect(400);
    files_are(&app, 0).await;
    app.finish().await;
}

/// A task of a plug-in calls the body itself; whoever names a file first has it.
#[tokio::test]
async fn a_plug_in_makes_its_units_of_temporary_files_too() {
    let mut app = TestApp::builder()
        .plugin()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    // A request of this tree leaves the file; its task is forgotten, as if a plug-in's had left it.
    let mut files = Vec::new();
    for text in ["Lions\nroar", "", "Bears\nroar"] {
        let task = post(&app, text.as_bytes(), &[]).await.task();
        let owned = format!("task_id = '{}'", id_of(&task));
        let file = format!("SELECT pulp_id::text FROM temporary_file WHERE {owned}");
        files.push(app.sql.text(&file).await);
        let free = format!("UPDATE temporary_file SET task_id = NULL WHERE {owned}");
        app.sql.run(&free).await;
        app.cancel(&task).await.expect(200);
    }
    let take = |file: &String| json!({"name": "plugin.tasks.take_note", "args": [file]});
    let good = app.dispatch(&take(&files[0])).await;
    let again = app.dispatch(&take(&files[0])).await;
    let bad = app.dispatch(&take(&files[1])).await;
    let waiting = app.dispatch(&take(&files[2])).await;
    app.cancel(&waiting).await.expect(200);
    app.spawn_worker(&[]);
    let done = app.completed(&good).await;
    assert_eq!(done["result"], json!({"title": "Lions"}));
    for (task, said) in [(&again, "PulpTemporaryFile"), (&bad, "A note has a title.")] {
        let task = app.finished(task).await;
        let error = task["error"]["description"].as_str().unwrap();
        assert!(error.contains(said), "{error}");
    }
    files_are(&app, 1).await;
    app.finish().await;
}
