//! Slots of a worker that claim at the same time.

use millrace_common::tasking::{NewTask, Resources};
use millrace_tests::app::free_port;
use millrace_tests::client::metric;
use millrace_tests::eventually::holds;
use millrace_tests::{Dispatcher, TestApp, eventually};
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// So many short tasks, a lane each.
fn on_lanes(dispatcher: &Dispatcher, count: usize) -> Vec<NewTask> {
    let arguments = json!({"steps": 1, "pause_ms": 0});
    (0..count)
        .map(|n| {
            let lane = Resources::exclusive(format!("lane-{n}"));
            dispatcher.task("plugin.tasks.ledger", arguments.clone(), lane)
        })
        .collect()
}

#[tokio::test]
async fn they_do_so_in_one_transaction_and_each_task_runs_once() {
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 8)
        .start()
        .await;
    let health = format!("127.0.0.1:{}", free_port());
    let mut dispatcher = app.dispatcher().await;
    let tasks = on_lanes(&dispatcher, 200);
    dispatcher.dispatch_all(&tasks).await;
    app.spawn_worker(&[("worker.health_listen", &health)]);
    app.quiet(LONG).await;
    app.assert_completed_once().await;
    let count = async |name: &str| metric(&health, &format!("millrace_{name}_total")).await;
    let (all, together) = (count("claims").await, count("claimed_together").await);
    assert!(
        (2.0..=all).contains(&together),
        "{together} of {all} claims were made with others"
    );
    app.finish().await;
}

#[tokio::test]
async fn one_whose_row_somebody_has_locked_holds_up_none_of_the_others() {
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 8)
        .start()
        .await;
    let health = format!("127.0.0.1:{}", free_port());
    let mut dispatcher = app.dispatcher().await;
    let tasks = on_lanes(&dispatcher, 200);
    let dispatched = dispatcher.dispatch_all(&tasks).await;
    // Its slot waits for this, with what is locked for the run.
    let other = app.db.sql().await;
    other.run("BEGIN").await;
    let lock = format!(
        "SELECT FROM task WHERE pulp_id = '{}' FOR UPDATE",
        dispatched[0].id
    );
    other.run(&lock).await;
    app.spawn_worker(&[("worker.health_listen", &health)]);
    eventually(LONG, async || {
        let left = app
            .sql
            .number("SELECT count(*) FROM task WHERE state <> 'completed'");
        let left = left.await;
        holds(left == 1, || format!("{left} are not completed"))
    })
    .await;
    // It does not have the turn meanwhile: the others claim together.
    let together = metric(&health, "millrace_claimed_together_total").await;
    assert!(together >= 2.0, "{together} claims were made with others");
    other.run("COMMIT").await;
    app.quiet(LONG).await;
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn sessions_that_end_while_their_slots_claim_cost_no_task_its_run() {
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 8)
        .start()
        .await;
    // A claim takes a while: the locks of others are there when it is made.
    app.sql
        .run(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$; \
             CREATE TRIGGER slow BEFORE UPDATE ON task FOR EACH ROW WHEN (OLD.state = 'waiting' AND NEW.state = 'running') \
             EXECUTE FUNCTION slow()",
        )
        .await;
    let mut dispatcher = app.dispatcher().await;
    let tasks = on_lanes(&dispatcher, 200);
    dispatcher.dispatch_all(&tasks).await;
    app.spawn_worker(&[]);
    // Those that have locked a task which is not claimed yet, the one that claims for all among them.
    let end = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l
                 JOIN task t ON millrace_task_key(t.pulp_id) = (l.classid::bigint << 32 | l.objid::bigint)
                WHERE t.state = 'waiting' AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut ended = 0;
    eventually(LONG, async || {
        if ended < 10 {
            ended += app.sql.number(end).await;
        }
        let left = app
            .sql
            .number("SELECT count(*) FROM task WHERE state <> 'completed'");
        let left = left.await;
        holds(left == 0, || format!("{left} are not completed"))
    })
    .await;
    assert!(ended >= 10, "{ended} sessions were ended");
    app.assert_completed_once().await;
    app.finish().await;
}
