//! Clean-ups that are disturbed between two of their steps.

use super::{assert_bytes, cleanup, done, files_are, href, occupy, unit};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::time::Duration;

/// Waits until so many sessions wait for the lock that holds the clean-up up.
async fn held_up(app: &TestApp, sessions: i64) {
    eventually(Duration::from_secs(20), async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let waiting = app.sql.number(waiting).await;
        holds(waiting == sessions, || format!("{waiting} wait"))
    })
    .await;
}

#[tokio::test]
async fn what_a_task_comes_to_use_while_a_clean_up_looks_is_spared() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let unit = app.unit("unit", "unit").await;
    let holder = occupy(&app, &zoo).await;
    // The first look at units waits for this lock, with what it saw before.
    app.sql
        .run(
            "CREATE FUNCTION wait_here() RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 IF current_query() LIKE '%FOR UPDATE%' AND current_query() LIKE '%\"content\"%' THEN
                     PERFORM pg_advisory_xact_lock_shared(4711);
                 END IF;
                 RETURN true;
             END $$;
             CREATE OR REPLACE VIEW used_object AS
                 SELECT u.object_id FROM task_use u JOIN task t ON t.pulp_id = u.task_id
                  WHERE t.state IN ('waiting', 'running', 'canceling')
                 UNION ALL SELECT NULL::uuid WHERE NOT wait_here();
             SELECT pg_advisory_lock(4711)",
        )
        .await;
    let everything = json!({"orphan_protection_time": 0});
    let cleaning = app.post("orphans/cleanup/", &everything).await.task();
    held_up(&app, 1).await;
    let body = json!({"add_content_units": [unit]});
    let adding = app.post(&format!("{}modify/", href(&zoo)), &body).await;
    let adding = adding.task();
    app.sql.run("SELECT pg_advisory_unlock(4711)").await;
    let task = app.completed(&cleaning).await;
    assert_eq!(done(&task, "clean-up.content"), (1, 0), "seen, and spared");
    app.get(&unit).await.expect(200);
    app.cancel(&holder).await.expect(200);
    let task = app.completed(&adding).await;
    assert_eq!(task["created_resources"].as_array().unwrap().len(), 1);
    assert_bytes(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_clean_up_whose_commit_fails_removes_no_file() {
    let app = TestApp::with_workers(1).await;
    let (artifact, _) = unit(&app, "unit", "unit").await;
    app.sql
        .run(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON artifact DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let everything = json!({"orphan_protection_time": 0});
    let task = app.post("orphans/cleanup/", &everything).await.task();
    assert_eq!(app.finished(&task).await["state"], "failed");
    app.get(href(&artifact)).await.expect(200);
    files_are(&app, 1).await;
    assert_bytes(&app).await;
    app.sql.run("DROP TRIGGER refuse ON artifact").await;
    cleanup(&app, everything).await;
    assert_eq!(app.get(href(&artifact)).await.status, 404);
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn a_clean_up_that_is_canceled_inside_two_batches_ends() {
    let app = TestApp::with_workers(1).await;
    app.sql
        .run(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields)
             SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(n::text::bytea), '{}' FROM generate_series(1, 5000) n, domain d;
             CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
             CREATE TRIGGER wait_here BEFORE DELETE ON content FOR EACH STATEMENT EXECUTE FUNCTION wait_here();
             SELECT pg_advisory_lock(4711)",
        )
        .await;
    let everything = json!({"orphan_protection_time": 0});
    let cleaning = app.post("orphans/cleanup/", &everything).await.task();
    held_up(&app, 2).await;
    app.cancel(&cleaning).await.expect(200);
    // Both would wait for ever.
    let task = app.finished(&cleaning).await;
    assert_eq!(task["state"], "canceled");
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 5000);
    app.sql
        .run("SELECT pg_advisory_unlock(4711); DROP TRIGGER wait_here ON content")
        .await;
    let result = cleanup(&app, everything).await["result"].clone();
    assert_eq!(result["units"], 5000);
    app.finish().await;
}
