//! Bad input: a clear answer of the contract's kind, and the tables as they were.

mod bodies;
mod connections;
mod queries;
mod unavailable;
mod uploads;

use millrace_tests::{Sql, TestApp};
use serde_json::{Value, json};

/// What clients can change, as one text.
async fn tables(sql: &Sql) -> String {
    let mut all = String::new();
    for table in [
        "task",
        "task_group",
        "reservation",
        "artifact",
        "intent",
        "content",
        "content_artifact",
        "repository",
        "repository_version",
        "repository_content",
        "account",
        "upload",
        "upload_chunk",
        "task_schedule",
        "idempotency_key",
    ] {
        // Being named in a request may touch a unit, and a broker confirms when it likes: no changes.
        let rows = format!(
            "SELECT coalesce(md5(string_agg(r, ',' ORDER BY r)), '-') FROM
               (SELECT (to_jsonb(t) - 'timestamp_of_interest' - 'pulp_last_updated' - 'announced_at')::text AS r FROM {table} t) x"
        );
        all.push_str(&format!("{table} {}\n", sql.text(&rows).await));
    }
    all
}

/// One endpoint that takes a body, with a body that it would accept.
struct Taking {
    method: &'static str,
    path: String,
    good: Value,
}

/// All of them but those of uploads, on objects that exist.
async fn endpoints(app: &TestApp) -> Vec<Taking> {
    app.repository("taken").await;
    let repository = app.repository("there").await;
    let repository = repository["pulp_href"].as_str().unwrap();
    let unit = app.unit("there", "there").await;
    let upload = app.post("uploads/", &json!({"size": 5})).await.expect(201);
    let upload = upload["pulp_href"].as_str().unwrap();
    let task = app.sleeper(0.0, &["there"]).await;
    let group = uuid::Uuid::now_v7();
    app.sql
        .run(&format!("INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT '{group}', pulp_id, 'x' FROM domain"))
        .await;
    let taking = |method, path: &str, good| Taking {
        method,
        path: path.to_owned(),
        good,
    };
    vec![
        taking(
            "POST",
            "tasks/",
            json!({"name": "pulpcore.app.tasks.test.dummy_task"}),
        ),
        taking("PATCH", &task, json!({"state": "canceled"})),
        taking(
            "PATCH",
            &format!("/pulp/api/v3/task-groups/{group}/"),
            json!({"state": "canceled"}),
        ),
        taking("POST", "tasks/purge/", json!({"states": ["completed"]})),
        taking(
            "POST",
            "task-schedules/",
            json!({"name": "new", "task_name": "pulpcore.app.tasks.test.dummy_task"}),
        ),
        taking(
            "POST",
            "orphans/cleanup/",
            json!({"orphan_protection_time": 5}),
        ),
        taking("POST", "repositories/file/file/", json!({"name": "new"})),
        taking("POST", "uploads/", json!({"size": 5})),
        taking(
            "POST",
            &format!("{upload}commit/"),
            json!({"sha256": "0".repeat(64)}),
        ),
        taking("PATCH", repository, json!({"description": "new"})),
        taking("PUT", repository, json!({"name": "new"})),
        taking(
            "POST",
            &format!("{repository}modify/"),
            json!({"add_content_units": []}),
        ),
        taking(
            "POST",
            &format!("{repository}set_label/"),
            json!({"key": "k", "value": "v"}),
        ),
        taking(
            "POST",
            &format!("{repository}unset_label/"),
            json!({"key": "k"}),
        ),
        taking(
            "POST",
            &format!("{unit}set_label/"),
            json!({"key": "k", "value": "v"}),
        ),
        taking("POST", &format!("{unit}unset_label/"), json!({"key": "k"})),
    ]
}

/// Where a body may carry a file.
const UPLOADS: [&str; 3] = [
    "artifacts/",
    "content/file/files/",
    "content/file/files/upload/",
];

/// A started API, small limits, and what its tables hold.
async fn app() -> TestApp {
    TestApp::builder()
        .set("api.body_limit", 200_000)
        .set("api.request_timeout_ms", 1500)
        .start()
        .await
}
