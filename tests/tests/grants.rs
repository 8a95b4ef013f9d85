//! The programs run as a role that may do no more than docs/OPERATIONS.md grants it.

use millrace_tests::app::free_port;
use millrace_tests::client::{metric, sleep};
use millrace_tests::{TestApp, TestDb};
use serde_json::json;
use std::path::Path;
use url::Url;

const PASSWORD: &str = "the-password-of-this-test";

/// The statements of the document, for this role.
fn grants(role: &str, owner: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let text = std::fs::read_to_string(document).unwrap();
    let (_, block) = text.split_once("```sql\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let block = block.replace("millrace_run", &format!("\"{role}\""));
    block.replace("millrace_owner", &format!("\"{owner}\""))
}

#[tokio::test]
async fn what_the_document_grants_is_enough_for_the_programs_and_no_more() {
    let db = TestDb::create().await;
    let sql = db.sql().await;
    let role = sql.text("current_database() || '_run'").await;
    let owner = sql.text("current_user").await;
    sql.run(&format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD '{PASSWORD}'; {}",
        grants(&role, &owner)
    ))
    .await;
    let mut url = Url::parse(&db.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    let metrics = format!("127.0.0.1:{}", free_port());
    let mut app = TestApp::builder()
        .db(db)
        .database_url(url.to_string())
        .set("api.metrics_listen", &metrics)
        .set("worker.sweep_seconds", 1)
        .workers(1)
        .start()
        .await;
    work(&app).await;
    assert!((metric(&metrics, "millrace_database_gauges_up").await - 1.0).abs() < 0.1);
    for command in ["doctor", "fsck"] {
        let (code, text) = app.end_command(&[command], &[]).await;
        assert_eq!(code, 0, "{command}: {text}");
    }
    for log in [app.api.as_ref().unwrap().log(), app.workers[0].log()] {
        assert!(!log.contains("permission denied"), "{log}");
    }
    app.quiet(std::time::Duration::from_secs(30)).await;

    let as_role = millrace_tests::Sql::connect(url.as_str()).await;
    for forbidden in [
        "CREATE TABLE mine (a int)",
        "DROP TABLE task",
        "ALTER TABLE task ADD COLUMN mine int",
        "TRUNCATE task",
        "DELETE FROM __diesel_schema_migrations",
        "CREATE ROLE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ] {
        let refused = as_role.batch_execute(forbidden).await.unwrap_err();
        let said = format!("{refused:?}");
        assert!(
            said.contains("denied") || said.contains("must be"),
            "{forbidden}: {said}"
        );
    }
    // What a later migration makes is covered.
    app.sql.run("CREATE TABLE later (id bigserial)").await;
    as_role.run("INSERT INTO later DEFAULT VALUES").await;
    let migrated = app
        .end_command(&["migrate"], &[("database.url", &app.db.url())])
        .await;
    assert_eq!(migrated.0, 0, "{}", migrated.1);
    drop(as_role);
    app.api = None;
    app.workers.clear();
    app.sql
        .run(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""))
        .await;
}

/// A bit of everything.
async fn work(app: &TestApp) {
    let unit = app.unit("a", "one").await;
    let repository = app.repository("zoo").await;
    app.modify(&repository, &[unit], &[]).await;
    let href = &repository["pulp_href"];
    let body = json!({"repository": href});
    let task = app.post("publications/file/file/", &body).await.task();
    app.completed(&task).await;
    let body = json!({"name": "shop", "base_path": "shop", "repository": href});
    let task = app.post("distributions/file/file/", &body).await.task();
    app.completed(&task).await;
    app.send(app.anonymous(reqwest::Method::GET, "/pulp/content/shop/a"))
        .await
        .expect(200);
    app.post(
        "users/",
        &json!({"username": "somebody", "password": "a-long-password"}),
    )
    .await
    .expect(201);
    app.post("pauses/", &json!({"lane": "x"})).await;
    let long = app.sleeper(60.0, &["a"]).await;
    app.in_state(&long, "running").await;
    let behind = app.dispatch(&sleep(0.0, &["a"])).await;
    app.cancel(&long).await;
    app.completed(&behind).await;
    for (path, body) in [
        ("orphans/cleanup/", json!({"orphan_protection_time": 0})),
        ("repositories/reclaim_space/", json!({"repo_hrefs": [href]})),
        ("tasks/purge/", json!({"finished_before": "2100-01-01"})),
    ] {
        let task = app.post(path, &body).await.task();
        app.completed(&task).await;
    }
}
