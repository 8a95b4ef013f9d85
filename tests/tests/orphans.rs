//! Orphan clean-up: what goes, what stays, and that no byte that a row names is ever lost.

mod faults;
pub mod many;
mod races;
mod results;

use millrace_tests::app::files_below;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

async fn cleanup(app: &TestApp, body: Value) -> Value {
    let task = app.post("orphans/cleanup/", &body).await.task();
    app.completed(&task).await
}

fn done(task: &Value, code: &str) -> (i64, i64) {
    let report = task["progress_reports"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["code"] == code);
    let report = report.unwrap_or_else(|| panic!("no {code}: {task:#}"));
    (
        report["total"].as_i64().unwrap(),
        report["done"].as_i64().unwrap(),
    )
}

async fn unit(app: &TestApp, text: &str, path: &str) -> (Value, String) {
    let artifact = app.upload(text.as_bytes().to_vec()).await;
    let unit = app.file(&artifact, path).await;
    (artifact, unit)
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// Every artifact row has its whole file, and no file is there without a row, an upload or a tombstone.
async fn assert_bytes(app: &TestApp) {
    let rows = app
        .sql
        .texts("SELECT storage_key || ' ' || size FROM artifact")
        .await;
    for row in &rows {
        let (key, size) = row.split_once(' ').unwrap();
        let file =
            std::fs::metadata(app.media().join(key)).unwrap_or_else(|e| panic!("{key}: {e}"));
        assert_eq!(file.len().to_string(), size, "{key}");
    }
}

/// Files leave the disk soon after their rows.
async fn files_are(app: &TestApp, count: usize) {
    eventually(Duration::from_secs(15), async || {
        let files = files_below(&app.media());
        let left = "SELECT 'tombstone ' || to_json(t) FROM tombstone t UNION ALL SELECT 'intent ' || to_json(i) FROM intent i";
        let left = app.sql.texts(left).await;
        holds(files.len() == count, || {
            format!("{} files, not {count}; {left:#?}", files.len())
        })
    })
    .await;
}

#[tokio::test]
async fn what_no_version_ever_held_goes_and_what_any_version_holds_stays() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let (_, kept) = unit(&app, "kept", "kept").await;
    let (_, removed) = unit(&app, "removed", "removed").await;
    let (artifact, orphan) = unit(&app, "orphan", "orphan").await;
    let lone = app.upload(b"lone".to_vec()).await;
    app.modify(&repository, &[kept.clone(), removed.clone()], &[])
        .await;
    app.modify(&repository, &[], std::slice::from_ref(&removed))
        .await;
    files_are(&app, 4).await;

    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    assert_eq!(done(&task, "clean-up.content"), (1, 1));
    assert_eq!(done(&task, "clean-up.artifacts"), (2, 2));
    for gone in [orphan.as_str(), href(&artifact), href(&lone)] {
        assert_eq!(app.get(gone).await.status, 404, "{gone}");
    }
    app.get(&kept).await.expect(200);
    app.get(&removed).await.expect(200);
    files_are(&app, 2).await;
    assert_bytes(&app).await;

    // Without the repository nothing holds them any more.
    let task = app.delete(href(&repository)).await.task();
    app.completed(&task).await;
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    assert_eq!(done(&task, "clean-up.content"), (2, 2));
    files_are(&app, 0).await;
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    assert_eq!(
        done(&task, "clean-up.content"),
        (0, 0),
        "a further pass finds nothing"
    );
    app.finish().await;
}

#[tokio::test]
async fn what_was_used_lately_is_protected() {
    let app = TestApp::with_workers(1).await;
    let (old_artifact, old) = unit(&app, "old", "old").await;
    let (_, new) = unit(&app, "new", "new").await;
    app.sql
        .run("UPDATE content SET timestamp_of_interest = now() - interval '2 hours' WHERE fields ->> 'relative_path' = 'old';
              UPDATE artifact SET timestamp_of_interest = now() - interval '2 hours' WHERE size = 3")
        .await;
    app.sql
        .run("UPDATE artifact SET timestamp_of_interest = now() WHERE pulp_id IN (SELECT artifact_id FROM content_artifact WHERE relative_path = 'new')")
        .await;
    // The default protects for a day.
    for body in [
        json!({}),
        json!({"orphan_protection_time": null}),
        json!({"orphan_protection_time": 180}),
    ] {
        let task = cleanup(&app, body.clone()).await;
        assert_eq!(done(&task, "clean-up.content"), (0, 0), "{body}");
    }
    let deprecated = app.delete("orphans/").await.task();
    assert_eq!(
        done(&app.completed(&deprecated).await, "clean-up.content"),
        (0, 0)
    );

    // Naming a unit in a request uses it: it is spared from then on.
    let repository = app.repository("zoo").await;
    let body = json!({"add_content_units": [old]});
    app.sql.run("UPDATE task SET state = state").await;
    let before = app
        .sql
        .text("SELECT timestamp_of_interest FROM content WHERE fields ->> 'relative_path' = 'old'")
        .await;
    let task = app
        .post(&format!("{}modify/", href(&repository)), &body)
        .await
        .task();
    app.completed(&task).await;
    let after = app
        .sql
        .text("SELECT timestamp_of_interest FROM content WHERE fields ->> 'relative_path' = 'old'")
        .await;
    assert!(after > before);
    let task = app.delete(href(&repository)).await.task();
    app.completed(&task).await;
    let task = cleanup(&app, json!({"orphan_protection_time": 60})).await;
    assert_eq!(done(&task, "clean-up.content"), (0, 0));
    app.get(&old).await.expect(200);
    app.get(&new).await.expect(200);
    app.get(href(&old_artifact)).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn only_the_given_units_go_but_all_orphan_artifacts_do() {
    let app = TestApp::with_workers(1).await;
    let (_, one) = unit(&app, "one", "one").await;
    let (_, other) = unit(&app, "other", "other").await;
    app.upload(b"lone".to_vec()).await;
    let body = json!({"orphan_protection_time": 0, "content_hrefs": [one]});
    let task = cleanup(&app, body).await;
    assert_eq!(done(&task, "clean-up.content"), (1, 1));
    assert_eq!(done(&task, "clean-up.artifacts"), (2, 2));
    assert_eq!(app.get(&one).await.status, 404);
    app.get(&other).await.expect(200);
    files_are(&app, 1).await;
    assert_bytes(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn an_artifact_that_units_share_stays_until_the_last_of_them_is_gone() {
    let app = TestApp::with_workers(1).await;
    let artifact = app.upload(b"shared".to_vec()).await;
    let (one, other) = (
        app.file(&artifact, "one").await,
        app.file(&artifact, "other").await,
    );
    let cleanup_only = |unit: &str| json!({"orphan_protection_time": 0, "content_hrefs": [unit]});
    cleanup(&app, cleanup_only(&one)).await;
    app.get(href(&artifact)).await.expect(200);
    assert_bytes(&app).await;
    files_are(&app, 1).await;
    cleanup(&app, cleanup_only(&other)).await;
    assert_eq!(app.get(href(&artifact)).await.status, 404);
    files_are(&app, 0).await;
    app.finish().await;
}

/// Posts a file unit with its artifact; gives its task.
async fn create(app: &TestApp, artifact: &Value, path: &str, repository: Option<&Value>) -> String {
    let mut form = reqwest::multipart::Form::new()
        .text("artifact", href(artifact).to_owned())
        .text("relative_path", path.to_owned());
    if let Some(repository) = repository {
        form = form.text("repository", href(repository).to_owned());
    }
    let request = app.request(reqwest::Method::POST, "content/file/files/");
    app.send(request.multipart(form)).await.task()
}

/// Occupies the lane of a repository; gives the task that does.
async fn occupy(app: &TestApp, repository: &Value) -> String {
    let task = app.sleeper(600.0, &[href(repository)]).await;
    app.in_state(&task, "running").await;
    task
}

#[tokio::test]
async fn what_a_waiting_task_is_going_to_use_is_spared_however_long_it_waits() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    let zoo = app.repository("zoo").await;
    let holder = occupy(&app, &zoo).await;
    let artifact = app.upload(b"same".to_vec()).await;
    let (_, unit) = unit(&app, "unit", "unit").await;
    let creating = create(&app, &artifact, "first", Some(&zoo)).await;
    let body = json!({"add_content_units": [unit]});
    let adding = app.post(&format!("{}modify/", href(&zoo)), &body).await;
    // The same bytes again, by somebody who comes later and is done sooner.
    let other = app.file(&artifact, "second").await;

    let everything = json!({"orphan_protection_time": 0});
    let task = cleanup(&app, everything.clone()).await;
    assert_eq!(done(&task, "clean-up.content"), (1, 1), "only `second`");
    assert_eq!(done(&task, "clean-up.artifacts"), (0, 0));
    assert_eq!(app.get(&other).await.status, 404);

    app.cancel(&holder).await.expect(200);
    app.completed(&creating).await;
    app.completed(&adding.task()).await;
    let newest = app.get(href(&zoo)).await.expect(200)["latest_version_href"].clone();
    let list = format!(
        "content/file/files/?repository_version={}",
        newest.as_str().unwrap()
    );
    assert_eq!(app.get(&list).await.expect(200)["count"], 2);
    assert_bytes(&app).await;

    // What was used by tasks that have ended is not spared any more.
    let task = app.delete(href(&zoo)).await.task();
    app.completed(&task).await;
    let task = cleanup(&app, everything).await;
    assert_eq!(done(&task, "clean-up.content"), (2, 2));
    eventually(Duration::from_secs(10), async || {
        let uses = app.sql.number("SELECT count(*) FROM task_use").await;
        holds(uses == 0, || format!("{uses} uses are left"))
    })
    .await;
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn units_of_a_sub_repository_go_with_the_unit_that_it_is_a_part_of() {
    let app = TestApp::with_workers(1).await;
    let part = app.repository("variant").await;
    let (_, inside) = unit(&app, "inside", "inside").await;
    let (_, tree) = unit(&app, "tree", "tree").await;
    app.modify(&part, std::slice::from_ref(&inside), &[]).await;
    // No built-in type has such parts; a type of a plug-in may.
    let id = |href: &str| millrace_tests::client::id_of(href).to_owned();
    app.sql
        .run(&format!(
            "UPDATE repository SET user_hidden = true, part_of = '{}' WHERE pulp_id = '{}'",
            id(&tree),
            id(href(&part))
        ))
        .await;
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    // One pass alone would leave what was inside: it was no orphan when the pass began.
    assert_eq!(done(&task, "clean-up.content"), (2, 2));
    for gone in [&inside, &tree, href(&part)] {
        assert_eq!(app.get(gone).await.status, 404, "{gone}");
    }
    files_are(&app, 0).await;
    app.finish().await;
}
