//! Workers that die, hang, come back as zombies, are told to stop, or know too little.

use millrace_common::tasking::Resources;
use millrace_tests::app::ledger;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_worker_killed_between_body_and_settle_leaves_no_half_effect() {
    let mut app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let arguments =
        json!({"steps": 1, "pause_ms": 1, "flip_ms": 3000, "file": app.dir().join("lines")});
    let task = dispatcher.task("plugin.tasks.ledger", arguments, Resources::exclusive("a"));
    let id = dispatcher.dispatch(&[task]).await[0].id;
    eventually(SOON, async || {
        let sleeping = app
            .sql
            .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
            .await;
        holds(sleeping == 1, || "the last write has not begun".into())
    })
    .await;
    app.workers[0].kill();
    assert_eq!(ledger::count(&app.sql, &id.to_string(), "flip").await, 0);

    app.spawn_worker(&[]);
    app.until(id, "completed", Duration::from_secs(40)).await;
    app.assert_completed_once().await;
    assert_eq!(app.row(id).await.1, 2, "two runs");
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_may_not_run_again_fails_with_its_worker_and_its_lane_moves_on() {
    let mut app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let arguments = json!({"steps": 1000, "pause_ms": 50});
    let task = dispatcher.task(
        "plugin.tasks.ledger_once",
        arguments,
        Resources::exclusive("a"),
    );
    let lost = dispatcher.dispatch(&[task]).await[0].id;
    let next = dispatcher.ledger(1, 1, Resources::exclusive("a")).await;
    app.until_noted(lost, "start").await;
    app.workers[0].kill();
    app.spawn_worker(&[]);

    app.until(next, "completed", SOON).await;
    let (state, runs, error) = app.row(lost).await;
    assert_eq!((state.as_str(), runs), ("failed", 1));
    assert!(error.unwrap().contains("Worker has gone missing."));
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_kills_every_worker_uses_up_its_attempts() {
    let mut app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher
        .ledger(10_000, 50, Resources::exclusive("a"))
        .await;
    for attempt in 1..=3 {
        eventually(SOON, async || {
            let (state, runs, _) = app.row(id).await;
            holds(state == "running" && runs == attempt, || {
                format!("{state}, {runs} runs")
            })
        })
        .await;
        app.workers.pop().unwrap().kill();
        app.spawn_worker(&[]);
    }
    app.until(id, "failed", SOON).await;
    assert!(
        app.row(id)
            .await
            .2
            .unwrap()
            .contains("Worker has gone missing.")
    );
    app.finish().await;
}

#[tokio::test]
async fn a_stopped_worker_loses_its_task_and_writes_nothing_more_as_a_zombie() {
    let app = TestApp::engine(2).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher.ledger(60, 50, Resources::exclusive("a")).await;
    app.until_noted(id, "beat").await;
    let zombie = app.worker_of(id).await;
    app.workers[zombie].signal("STOP");
    eventually(Duration::from_secs(45), async || {
        let (state, runs, _) = app.row(id).await;
        holds(runs == 2 && state != "waiting", || {
            format!("{state}, {runs} runs")
        })
    })
    .await;
    app.workers[zombie].signal("CONT");
    app.until(id, "completed", SOON).await;
    app.assert_completed_once().await;

    // The zombie is a worker again: both take tasks.
    for n in 0..12 {
        dispatcher
            .ledger(10, 50, Resources::exclusive(format!("b{n}")))
            .await;
    }
    app.quiet(SOON).await;
    let workers =
        "SELECT count(DISTINCT worker_id) FROM task WHERE state = 'completed' AND pulp_id <> '";
    assert_eq!(app.sql.number(&format!("{workers}{id}'")).await, 2);
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn a_worker_told_to_stop_lets_its_task_finish_and_takes_no_other() {
    let mut app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher.ledger(20, 100, Resources::exclusive("a")).await;
    app.until_noted(id, "start").await;
    app.workers[0].signal("TERM");
    let waiting = dispatcher.ledger(1, 1, Resources::exclusive("b")).await;
    let status = app.workers[0].end(SOON).await;
    assert!(status.success(), "{status}");
    let (state, runs, _) = app.row(id).await;
    assert_eq!((state.as_str(), runs), ("completed", 1));
    assert_eq!(app.row(waiting).await.0, "waiting");
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM app_status WHERE app_type = 'worker'")
            .await,
        0
    );
    app.spawn_worker(&[]);
    app.until(waiting, "completed", SOON).await;
    app.finish().await;
}

#[tokio::test]
async fn a_second_signal_hands_the_task_back_to_another_worker() {
    let mut app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let again = dispatcher.ledger(60, 100, Resources::exclusive("a")).await;
    let task = dispatcher.task(
        "plugin.tasks.ledger_once",
        json!({"steps": 600, "pause_ms": 100}),
        Resources::exclusive("b"),
    );
    let once = dispatcher.dispatch(&[task]).await[0].id;
    app.until_noted(again, "start").await;
    app.until_noted(once, "start").await;
    app.workers[0].signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.workers[0].signal("TERM");
    assert!(app.workers[0].end(SOON).await.success());
    assert_eq!(app.row(again).await.0, "waiting");
    let (state, _, error) = app.row(once).await;
    assert_eq!(state, "failed");
    assert!(error.unwrap().contains("Aborted during worker shutdown."));

    app.spawn_worker(&[]);
    app.until(again, "completed", Duration::from_secs(30)).await;
    assert_eq!(ledger::count(&app.sql, &again.to_string(), "flip").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_worker_that_lacks_the_type_leaves_the_task_to_one_that_has_it() {
    let mut app = TestApp::builder().plugin().without_api().start().await;
    app.spawn_worker_program("millrace-worker", &[]);
    app.workers_online(1).await;
    let mut dispatcher = app.dispatcher().await;
    let sum = dispatcher.task(
        "plugin.tasks.sum",
        json!({"a": 2, "b": 3}),
        Resources::exclusive("a"),
    );
    let newer = dispatcher.task(
        "plugin.tasks.sum",
        json!({"a": 2, "b": 3}),
        Resources::exclusive("b"),
    );
    let newer = newer
        .versions(
            dispatcher.registry(),
            BTreeMap::from([("plugin".into(), "99.0".into())]),
        )
        .unwrap();
    let [sum, newer] = &dispatcher.dispatch(&[sum, newer]).await[..] else {
        panic!()
    };
    let (sum, newer) = (sum.id, newer.id);
    let old = &app.workers[0];
    eventually(SOON, async || {
        holds(
            old.log().contains("waits for a worker that knows it"),
            || old.log(),
        )
    })
    .await;
    assert_eq!(app.row(sum).await.0, "waiting");

    app.spawn_worker(&[]);
    app.until(sum, "completed", Duration::from_secs(30)).await;
    assert_eq!(app.row(newer).await.0, "waiting", "nobody has that version");
    assert!(app.workers[0].ended().is_none(), "the old worker lives");
    dispatcher.cancel(newer).await;
    app.finish().await;
}
