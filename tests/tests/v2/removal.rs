//! Asking for the removal of orphans: what is checked, dispatched and reported.

use super::{
    ORPHANS, TAG, complete, delete, file, get, hold_orphans, result, spawned, task, tasks_in,
    who_may,
};
use millrace_tests::TestApp;
use serde_json::json;

const NAMES: &str = "pulp.server.managers.content.orphan.";

#[tokio::test]
async fn delete_all_needs_delete_and_dispatches_delete_all_with_exactly_one_tag() {
    let app = TestApp::with_workers(1).await;
    let deleter = who_may(&app, "deleter", "DELETE").await;
    let reader = who_may(&app, "reader", "READ").await;
    delete(&reader, ORPHANS).await.expect(401);
    assert_eq!(tasks_in(&app).await, 0);
    // Even with nothing to delete.
    let id = spawned(&delete(&deleter, ORPHANS).await);
    let task = complete(&app, &id).await;
    assert_eq!(task["task_type"], format!("{NAMES}delete_all_orphans"));
    assert_eq!(task["tags"], json!([TAG]));
    assert_eq!(task["result"], json!({}));
    app.finish().await;
}

#[tokio::test]
async fn delete_by_type_needs_delete_checks_the_type_and_passes_it_with_one_tag() {
    let app = TestApp::with_workers(1).await;
    let deleter = who_may(&app, "deleter", "DELETE").await;
    let reader = who_may(&app, "reader", "READ").await;
    delete(&reader, "content/orphans/file/").await.expect(401);
    let kept = file(&app, "kept").await;
    let removal = delete(&deleter, "content/orphans/rpm/").await;
    let id = spawned(&removal);
    let of_rpm = complete(&app, &id).await;
    assert_eq!(
        of_rpm["task_type"],
        format!("{NAMES}delete_orphans_by_type")
    );
    assert_eq!(of_rpm["tags"], json!([TAG]));
    assert_eq!(of_rpm["result"], json!({}));
    get(&app, &format!("{ORPHANS}file/{kept}/"))
        .await
        .expect(200);
    let removal = delete(&deleter, "content/orphans/file/").await;
    assert_eq!(result(&app, &removal).await, json!({"file": 1}));
    app.finish().await;
}

#[tokio::test]
async fn delete_by_unknown_type_gives_not_found_and_dispatches_nothing() {
    let app = TestApp::start().await;
    let body = delete(&app, "content/orphans/nope/").await.expect(404);
    assert_eq!(body["resources"], json!({"content_type_id": "nope"}));
    assert_eq!(body["http_request_method"], "DELETE");
    let body = delete(&app, "content/orphans/nope/x/").await.expect(404);
    let named = json!({"content_type": "nope", "content_unit": "x"});
    assert_eq!(body["resources"], named);
    assert_eq!(tasks_in(&app).await, 0);
}

#[tokio::test]
async fn delete_single_needs_delete_looks_up_first_and_dispatches_by_id_with_one_tag() {
    let app = TestApp::with_workers(1).await;
    let deleter = who_may(&app, "deleter", "DELETE").await;
    let reader = who_may(&app, "reader", "READ").await;
    let (gone, kept) = (file(&app, "gone").await, file(&app, "kept").await);
    let one = format!("{ORPHANS}file/{gone}/");
    delete(&reader, &one).await.expect(401);
    let id = spawned(&delete(&deleter, &one).await);
    let task = complete(&app, &id).await;
    assert_eq!(task["task_type"], format!("{NAMES}delete_orphans_by_id"));
    assert_eq!(task["tags"], json!([TAG]));
    assert_eq!(task["result"], json!({"file": 1}));
    get(&app, &format!("{ORPHANS}file/{kept}/"))
        .await
        .expect(200);
    delete(&deleter, &one).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn the_task_of_a_202_can_be_read_at_once() {
    let app = TestApp::with_workers(1).await;
    let holder = hold_orphans(&app).await;
    for _ in 0..10 {
        let id = spawned(&delete(&app, ORPHANS).await);
        let waiting = task(&app, &id).await;
        assert_eq!(waiting["state"], "waiting");
        assert_eq!(waiting["queue"], "");
        delete(&app, &format!("tasks/{id}/")).await.expect(200);
    }
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn removals_reserve_what_the_clean_up_of_version_3_does() {
    let app = TestApp::with_workers(1).await;
    let holder = hold_orphans(&app).await;
    let two = spawned(&delete(&app, ORPHANS).await);
    let three = app.delete("orphans/").await.task();
    assert_eq!(task(&app, &two).await["state"], "waiting");
    assert_eq!(app.task(&three).await["state"], "waiting");
    app.cancel(&holder).await.expect(200);
    app.completed(&three).await;
    assert_eq!(task(&app, &two).await["state"], "finished");
    app.finish().await;
}
