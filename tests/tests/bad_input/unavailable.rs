//! The database down, or all of its sessions busy.

use millrace_tests::stack::Instance;
use millrace_tests::{TestApp, TestDb, eventually};
use std::time::{Duration, Instant};

#[tokio::test]
async fn without_its_database_the_api_says_so_and_comes_back_by_itself() {
    let server = tokio::task::spawn_blocking(|| Instance::postgresql(&[]))
        .await
        .unwrap();
    let db = TestDb::create_on(server.database_url()).await;
    let app = TestApp::builder().db(db).start().await;
    app.get("tasks/").await.expect(200);
    server.run("stop-pg").await;
    for path in ["tasks/", "repositories/file/file/", "workers/"] {
        let start = Instant::now();
        let answer = app.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        assert!(answer.headers.contains_key("retry-after"), "{path}");
        assert!(start.elapsed() < Duration::from_secs(12));
    }
    let dispatch = app
        .post("tasks/", &millrace_tests::client::sleep(0.0, &[]))
        .await;
    assert_eq!(dispatch.status, 503);
    app.get("livez/").await.expect(200);
    let status = app.get("status/").await.expect(200);
    assert_eq!(
        status["database_connection"]["connected"], false,
        "{status:#}"
    );
    server.run("start-pg").await;
    eventually(Duration::from_secs(20), async || {
        let answer = app.get("tasks/").await;
        millrace_tests::eventually::holds(answer.status == 200, || answer.text.clone())
    })
    .await;
}

#[tokio::test]
async fn when_all_sessions_are_busy_a_request_is_told_to_come_back() {
    let app = TestApp::builder()
        .set("database.pool_size", 1)
        .set("database.pool_wait_ms", 300)
        .start()
        .await;
    app.get("tasks/").await.expect(200);
    app.sql
        .run("BEGIN; LOCK TABLE task IN ACCESS EXCLUSIVE MODE")
        .await;
    let client = app.client();
    let stuck = tokio::spawn(async move { client.get("tasks/").await });
    let busy = eventually(Duration::from_secs(8), async || {
        let answer = app.get("repositories/file/file/").await;
        if answer.status == 503 {
            Ok(answer)
        } else {
            Err(answer.status.to_string())
        }
    })
    .await;
    assert!(busy.headers.contains_key("retry-after"));
    app.sql.run("COMMIT").await;
    stuck.await.unwrap();
    app.get("tasks/").await.expect(200);
}
