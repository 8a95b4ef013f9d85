//! What goes wrong between the 202 and the end.

use super::{ORPHANS, complete, delete, file, get, hold_orphans, spawned, task};
use millrace_tests::TestApp;
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn broker_down_at_dispatch_is_a_202_all_the_same() {
    let app = TestApp::builder().without_broker().start().await;
    let id = spawned(&delete(&app, ORPHANS).await);
    let waiting = task(&app, &id).await;
    assert_eq!(waiting["state"], "waiting");
    for null in [
        "worker_name",
        "start_time",
        "finish_time",
        "result",
        "error",
    ] {
        assert!(waiting[null].is_null(), "{null}");
    }
}

#[tokio::test]
async fn unit_re_associated_between_202_and_execution_stays() {
    let app = TestApp::with_workers(1).await;
    let (used, gone) = (file(&app, "used").await, file(&app, "gone").await);
    let repository = app.repository("zoo").await;
    let holder = hold_orphans(&app).await;
    let single = spawned(&delete(&app, &format!("{ORPHANS}file/{used}/")).await);
    let all = spawned(&delete(&app, ORPHANS).await);
    let unit = format!("/pulp/api/v3/content/file/files/{used}/");
    app.modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    app.cancel(&holder).await.expect(200);
    for (id, result) in [(&single, json!({})), (&all, json!({"file": 1}))] {
        let task = complete(&app, id).await;
        assert_eq!(task["state"], "finished", "{task:#}");
        assert_eq!(task["result"], result);
    }
    app.get(&unit).await.expect(200);
    assert_eq!(
        app.get(&format!("content/file/files/{gone}/")).await.status,
        404
    );
    app.finish().await;
}

#[tokio::test]
async fn cancel_while_running_stops_it_and_the_lane_moves_on() {
    let app = TestApp::with_workers(1).await;
    let unit = file(&app, "one").await;
    let locker = app.db.sql().await;
    // Reads are let through, the deletion is not.
    locker.run("BEGIN; LOCK TABLE content IN SHARE MODE").await;
    let running = spawned(&delete(&app, ORPHANS).await);
    eventually(Duration::from_secs(30), async || {
        let state = task(&app, &running).await["state"].clone();
        holds(state == "running", || format!("{state}"))
    })
    .await;
    let canceled = delete(&app, &format!("tasks/{running}/")).await;
    canceled.expect(200);
    let next = spawned(&delete(&app, ORPHANS).await);
    locker.run("ROLLBACK").await;
    let stopped = complete(&app, &running).await;
    assert_eq!(stopped["state"], "canceled", "{stopped:#}");
    assert!(stopped["finish_time"].is_string());
    assert_eq!(complete(&app, &next).await["state"], "finished");
    get(&app, &format!("{ORPHANS}file/{unit}/"))
        .await
        .expect(404);
    app.finish().await;
}
