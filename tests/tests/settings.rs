//! What settings do to running programs.

use base64::Engine;
use millrace_tests::TestApp;
use millrace_tests::client::sleep;
use serde_json::Value;

/// Writes another key beside the one that the test began with; gives both paths.
fn another_key(app: &TestApp) -> (String, String) {
    let path = |name: &str| app.dir().join(name).to_str().unwrap().to_owned();
    let key = base64::engine::general_purpose::STANDARD.encode([9u8; 32]);
    std::fs::write(path("other"), key).unwrap();
    (path("key"), path("other"))
}

#[tokio::test]
async fn a_lost_key_breaks_no_listing_and_fails_only_what_it_had_encrypted() {
    let mut app = TestApp::start().await;
    let old = app.dispatch(&sleep(0.0, &["a"])).await;
    let (_, other) = another_key(&app);
    app.api.take().unwrap().kill();
    app.set("secrets.key_files", &other);
    app.start_api().await;
    assert_eq!(app.get("tasks/").await.expect(200)["count"], 1);
    assert_eq!(app.task(&old).await["state"], "waiting");

    app.spawn_worker(&[]);
    let old = app.finished(&old).await;
    assert_eq!(old["state"], "failed");
    let said = old["error"]["description"].as_str().unwrap();
    assert!(said.contains("cannot be read"), "{said}");
    let new = app.dispatch(&sleep(0.0, &["a"])).await;
    app.completed(&new).await;
    app.finish().await;
}

#[tokio::test]
async fn a_key_is_rotated_by_listing_the_new_one_first() {
    let mut app = TestApp::start().await;
    let old = app.dispatch(&sleep(0.0, &["a"])).await;
    let (key, other) = another_key(&app);
    app.api.take().unwrap().kill();
    app.set("secrets.key_files", &format!("{other},{key}"));
    app.start_api().await;
    let new = app.dispatch(&sleep(0.0, &["a"])).await;
    app.spawn_worker(&[]);
    app.completed(&old).await;
    app.completed(&new).await;
    // What was dispatched since needs the old key no more.
    app.workers.clear();
    app.spawn_worker(&[("secrets.key_files", &other)]);
    let last = app.dispatch(&sleep(0.0, &["a"])).await;
    app.completed(&last).await;
    app.finish().await;
}

#[tokio::test]
async fn a_log_of_json_is_one_object_a_line_with_its_ids_as_fields() {
    let mut app = TestApp::start().await;
    app.spawn_worker(&[("log.format", "json")]);
    let task = app.dispatch(&sleep(0.0, &[])).await;
    app.completed(&task).await;
    let log = app.workers[0].log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let id = millrace_tests::client::id_of(&task);
    let about = |line: &&Value| line.to_string().contains(id);
    assert!(lines.iter().filter(about).count() >= 2, "{log}");
    app.finish().await;
}
