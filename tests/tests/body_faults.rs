//! Bodies that end badly: the task ends, its lane moves on, and the slot takes the next task.

use millrace_common::ids::TaskId;
use millrace_common::tasking::Resources;
use millrace_tests::{Dispatcher, TestApp};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A worker with one slot for all that is not immediate.
async fn one_slot() -> (TestApp, Dispatcher) {
    let app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 1)
        .workers(1)
        .start()
        .await;
    let dispatcher = app.dispatcher().await;
    (app, dispatcher)
}

async fn fault(dispatcher: &mut Dispatcher, kind: &str) -> TaskId {
    let lane = Resources::exclusive("lane");
    let task = dispatcher.task("plugin.tasks.fault", json!({"kind": kind}), lane);
    dispatcher.dispatch(&[task]).await[0].id
}

/// The next task of the same lane runs on the same slot.
async fn assert_all_goes_on(app: TestApp, dispatcher: &mut Dispatcher) {
    let next = dispatcher.ledger(1, 0, Resources::exclusive("lane")).await;
    app.until(next, "completed", SOON).await;
    app.assert_completed_once().await;
    app.finish().await;
}

/// The task of this kind fails at its first run, and nothing else does.
async fn assert_fails_once(kind: &str) {
    let (app, mut dispatcher) = one_slot().await;
    let id = fault(&mut dispatcher, kind).await;
    app.until(id, "failed", SOON).await;
    let (_, runs, error) = app.row(id).await;
    assert_eq!(runs, 1);
    assert!(error.unwrap().contains("An internal error occurred."));
    assert_all_goes_on(app, &mut dispatcher).await;
}

#[tokio::test]
async fn a_body_that_panics_inside_a_transaction_fails_its_task_and_nothing_else() {
    assert_fails_once("panic_in_batch").await;
}

#[tokio::test]
async fn a_body_that_panics_after_a_failed_statement_fails_its_task_and_nothing_else() {
    assert_fails_once("panic_after_error").await;
}

#[tokio::test]
async fn a_body_that_hears_nothing_inside_a_transaction_is_canceled_all_the_same() {
    let (app, mut dispatcher) = one_slot().await;
    let id = fault(&mut dispatcher, "deaf_in_batch").await;
    app.until(id, "running", SOON).await;
    dispatcher.cancel(id).await;
    app.until(id, "canceled", SOON).await;
    assert_all_goes_on(app, &mut dispatcher).await;
}

#[tokio::test]
async fn a_last_write_that_panics_fails_its_task_and_costs_no_slot() {
    assert_fails_once("panic_in_flip").await;
}

/// What follows on the slot finds nothing that was not its own.
async fn assert_no_list_is_left(app: TestApp, dispatcher: &mut Dispatcher) {
    let id = fault(dispatcher, "find_list").await;
    app.until(id, "completed", SOON).await;
    assert_all_goes_on(app, dispatcher).await;
}

#[tokio::test]
async fn the_list_of_an_export_goes_with_a_body_that_panics() {
    let (app, mut dispatcher) = one_slot().await;
    let id = fault(&mut dispatcher, "panic_with_list").await;
    app.until(id, "failed", SOON).await;
    assert_no_list_is_left(app, &mut dispatcher).await;
}

#[tokio::test]
async fn the_list_of_an_export_goes_with_a_body_that_does_not_stop() {
    let (app, mut dispatcher) = one_slot().await;
    let id = fault(&mut dispatcher, "deaf_with_list").await;
    app.until(id, "running", SOON).await;
    dispatcher.cancel(id).await;
    app.until(id, "canceled", SOON).await;
    assert_no_list_is_left(app, &mut dispatcher).await;
}
