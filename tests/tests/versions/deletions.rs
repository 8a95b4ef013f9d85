//! Deletions of more than fits into one write: whole or not at all, whatever happens meanwhile.

use super::sets::{href, numbers};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{Sql, TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// More than the units of two batches.
const MANY: i64 = 5000;

/// A repository whose version 1 added so many units, made behind the API's back.
async fn crowd(app: &TestApp, name: &str) -> Value {
    let repository = app.repository(name).await;
    let id = id_of(href(&repository));
    app.sql
        .run(&format!(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
             SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256((n || '{name}')::bytea), \
                    sha256((n || '{name}')::bytea), \
                    jsonb_build_object('relative_path', n || '{name}', 'digest', repeat('0', 64)) \
               FROM domain d, generate_series(1, {MANY}) n; \
             INSERT INTO repository_version (pulp_id, repository_id, number, complete) \
             VALUES (gen_random_uuid(), '{id}', 1, true); \
             INSERT INTO repository_version_count (version_id, kind, pulp_type, count) \
             SELECT pulp_id, k, 'file.file', {MANY} FROM repository_version, unnest('{{added,present}}'::text[]) k \
              WHERE repository_id = '{id}' AND number = 1; \
             INSERT INTO repository_content (repository_id, content_id, version_added) \
             SELECT '{id}', pulp_id, 1 FROM content WHERE fields ->> 'relative_path' LIKE '%{name}'; \
             UPDATE repository SET next_version = 2 WHERE pulp_id = '{id}'"
        ))
        .await;
    repository
}

async fn members(app: &TestApp) -> i64 {
    app.sql
        .number("SELECT count(*) FROM repository_content")
        .await
}

async fn clean_up(app: &TestApp) {
    let body = json!({"orphan_protection_time": 0});
    let task = app.post("orphans/cleanup/", &body).await.task();
    app.completed(&task).await;
}

#[tokio::test]
async fn what_is_left_of_an_older_version_is_removed_bit_by_bit() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    let repository = crowd(&app, "crowd").await;
    let body = json!({"remove_content_units": ["*"]});
    let task = app
        .post(&format!("{}modify/", href(&repository)), &body)
        .await
        .task();
    app.completed(&task).await;
    let version = format!("{}versions/1/", href(&repository));
    let task = app.delete(&version).await.task();
    app.completed(&task).await;
    assert_eq!(numbers(&app, &repository).await, [0, 2]);
    let shown = app.get(&version.replace("/1/", "/2/")).await.expect(200);
    assert_eq!(
        shown["content_summary"],
        json!({"added": {}, "removed": {}, "present": {}})
    );
    eventually(Duration::from_secs(20), async || {
        let left = members(&app).await;
        holds(left == 0, || format!("{left} memberships are left"))
    })
    .await;
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM membership_debris")
            .await,
        0
    );
    app.finish().await;
}

#[tokio::test]
async fn orphan_clean_up_removes_what_only_a_deleted_repository_or_version_held() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.sweep_seconds", 3600)
        .start()
        .await;
    let (one, other) = (crowd(&app, "one").await, crowd(&app, "other").await);
    let task = app.delete(href(&one)).await.task();
    app.completed(&task).await;
    assert_eq!(app.get(href(&one)).await.status, 404);
    assert!(members(&app).await > MANY, "a deletion is one small write");
    // The name is free at once.
    app.repository("one").await;
    clean_up(&app).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, MANY);
    let body = json!({"remove_content_units": ["*"]});
    let task = app
        .post(&format!("{}modify/", href(&other)), &body)
        .await
        .task();
    app.completed(&task).await;
    let body = json!({"retain_repo_versions": 1});
    let task = app.patch(href(&other), &body).await.task();
    app.completed(&task).await;
    assert_eq!(numbers(&app, &other).await, [2]);
    clean_up(&app).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 0);
    assert_eq!(members(&app).await, 0);
    app.finish().await;
}

/// The deletion of the newest version, stopped in the middle by a row that somebody holds.
async fn stuck(app: &TestApp, repository: &Value) -> (String, Sql) {
    let other = app.db.sql().await;
    let last = format!(
        "SELECT ctid FROM repository_content WHERE repository_id = '{}' \
          ORDER BY version_added DESC, content_id DESC LIMIT 1 FOR UPDATE",
        id_of(href(repository))
    );
    other.run(&format!("BEGIN; {last}")).await;
    let task = app
        .delete(&format!("{}versions/1/", href(repository)))
        .await
        .task();
    eventually(Duration::from_secs(20), async || {
        let left = members(app).await;
        holds(left < MANY, || format!("{left} are left"))
    })
    .await;
    // Gone for everybody, though most of it is there.
    assert!(members(app).await > 0);
    assert_eq!(numbers(app, repository).await, [0]);
    let shown = app.get(href(repository)).await.expect(200);
    let zero = format!("{}versions/0/", href(repository));
    assert_eq!(shown["latest_version_href"], zero);
    (task, other)
}

async fn assert_works(app: &TestApp, repository: &Value) {
    let unit = app.unit("new", "new").await;
    let task = app
        .modify(repository, std::slice::from_ref(&unit), &[])
        .await;
    let version = format!("{}versions/2/", href(repository));
    assert_eq!(task["created_resources"], json!([version]));
    assert_eq!(numbers(app, repository).await, [0, 2]);
    let list = format!("content/file/files/?repository_version={version}");
    assert_eq!(app.hrefs(&list).await, [unit]);
    assert_eq!(members(app).await, 1);
}

#[tokio::test]
async fn a_worker_that_dies_while_it_deletes_the_newest_version_is_followed_by_one_that_goes_on() {
    let mut app = TestApp::with_workers(1).await;
    let repository = crowd(&app, "crowd").await;
    let (task, other) = stuck(&app, &repository).await;
    app.workers[0].kill();
    other.run("ROLLBACK").await;
    app.spawn_worker(&[]);
    app.completed(&task).await;
    assert_eq!(members(&app).await, 0);
    assert_works(&app, &repository).await;
    app.finish().await;
}

#[tokio::test]
async fn a_deletion_that_is_canceled_in_the_middle_is_completed_by_the_next_task() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.sweep_seconds", 3600)
        .start()
        .await;
    let repository = crowd(&app, "crowd").await;
    let (task, other) = stuck(&app, &repository).await;
    app.cancel(&task).await;
    other.run("ROLLBACK").await;
    app.in_state(&task, "canceled").await;
    assert_eq!(numbers(&app, &repository).await, [0]);
    assert_works(&app, &repository).await;
    app.finish().await;
}
