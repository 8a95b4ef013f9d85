//! Requests that others get in the way of, and tasks by their older names.

use super::{href, hrefs, unit};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Waits until somebody waits for a lock.
async fn until_one_waits(app: &TestApp) {
    let other = app.db.sql().await;
    eventually(Duration::from_secs(20), async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        holds(other.number(waiting).await > 0, || "nobody waits".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_unit_that_goes_while_it_is_being_added_is_refused() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let (kept, gone) = (unit(&app, "kept").await, unit(&app, "gone").await);
    let path = format!("{}modify/", href(&repository));
    // As a clean-up does it: locked first, deleted then.
    let row = format!("FROM content WHERE pulp_id = '{}'", id_of(&gone));
    app.sql
        .run(&format!("BEGIN; SELECT {row} FOR UPDATE"))
        .await;
    let client = app.client();
    let body = json!({"add_content_units": [kept, gone]});
    let asked = tokio::spawn(async move { client.post(&path, &body).await });
    until_one_waits(&app).await;
    app.sql.run(&format!("DELETE {row}; COMMIT")).await;
    let refusal = asked.await.unwrap().expect(400);
    assert_eq!(
        refusal["add_content_units"][0],
        format!("Could not find the following content units: ['{gone}']")
    );
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_name_that_is_taken_meanwhile_fails_the_task_by_its_field() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    app.sql
        .run(
            "BEGIN; INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name)
             SELECT gen_random_uuid(), pulp_domain, pulp_type, 'ark' FROM repository",
        )
        .await;
    let (client, path) = (app.client(), href(&repository).to_owned());
    let asked = tokio::spawn(async move { client.patch(&path, &json!({"name": "ark"})).await });
    until_one_waits(&app).await;
    app.sql.run("COMMIT").await;
    let task = app.finished(&asked.await.unwrap().task()).await;
    assert_eq!(task["state"], "failed", "{task:#}");
    assert_eq!(
        task["error"]["description"],
        "{\"name\":[\"This field must be unique.\"]}"
    );
    app.finish().await;
}

/// A thousand versions of six units; version n toggles unit n modulo 6.
async fn long_history(app: &TestApp, repository: &str) {
    for n in 0..6 {
        unit(app, &format!("unit-{n}")).await;
    }
    let id = id_of(repository);
    app.sql
        .run(&format!(
            "INSERT INTO repository_version (pulp_id, repository_id, number, complete)
             SELECT gen_random_uuid(), '{id}', n, true FROM generate_series(1, 1000) n;
             UPDATE repository SET next_version = 1001 WHERE pulp_id = '{id}';
             INSERT INTO repository_content (repository_id, content_id, version_added, version_removed)
             SELECT '{id}', u.pulp_id, a, CASE WHEN a + 6 <= 1000 THEN a + 6 END
               FROM (SELECT pulp_id, row_number() OVER (ORDER BY pulp_id)::int AS first FROM content) u,
                    generate_series(u.first, 1000, 12) a;
             INSERT INTO repository_version_count (version_id, kind, pulp_type, count)
             SELECT v.pulp_id, 'present', 'file.file', count(*) FROM repository_version v
               JOIN repository_content m ON m.repository_id = v.repository_id AND m.version_added <= v.number
                AND (m.version_removed IS NULL OR m.version_removed > v.number) GROUP BY v.pulp_id"
        ))
        .await;
}

#[tokio::test]
async fn a_long_history_is_given_up_without_changing_what_is_kept() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let href = href(&repository);
    long_history(&app, href).await;
    let held = async || {
        let mut all = Vec::new();
        for version in 998..=1000 {
            let version = format!("{href}versions/{version}/");
            let list = format!("content/file/files/?repository_version={version}");
            all.push(hrefs(&app, &list).await);
        }
        all
    };
    let before = held().await;
    assert!(before.iter().all(|units| !units.is_empty()), "{before:?}");
    let body = json!({"retain_repo_versions": 3});
    let task = app.patch(href, &body).await.task();
    app.completed(&task).await;
    assert_eq!(held().await, before);
    let versions = app.get(&format!("{href}versions/")).await.expect(200);
    assert_eq!(versions["count"], 3);
    let oldest = &versions["results"][2];
    assert_eq!(oldest["number"], 998);
    let summary = &oldest["content_summary"];
    let count = |kind: &str| summary[kind]["file.file"]["count"].clone();
    assert_eq!(count("added"), before[0].len());
    assert_eq!(count("present"), before[0].len());
    assert_eq!(summary["removed"], json!({}));
    // Nothing is left of what only older versions held.
    let stale = "SELECT count(*) FROM repository_content WHERE version_removed <= 998";
    assert_eq!(app.sql.number(stale).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn the_general_tasks_are_known_by_their_older_names_too() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let on = |name: &str, more: Value| {
        let mut kwargs = json!({
            "instance_id": id_of(href(&repository)),
            "app_label": "file", "serializer_name": "FileRepositorySerializer",
        });
        let fields = more.as_object().cloned().unwrap();
        kwargs.as_object_mut().unwrap().extend(fields);
        json!({"name": format!("pulpcore.app.tasks.base.{name}"), "kwargs": kwargs})
    };
    let change = json!({"data": {"name": "ark"}, "partial": true});
    let task = app.dispatch(&on("general_update", change)).await;
    let task = app.completed(&task).await;
    assert_eq!(task["result"], Value::Null);
    let shown = app.get(href(&repository)).await.expect(200);
    assert_eq!(shown["name"], "ark");
    let task = app.dispatch(&on("general_delete", json!({}))).await;
    app.completed(&task).await;
    app.get(href(&repository)).await.expect(404);
    app.finish().await;
}
