//! PostgreSQL restarted, crashed, or with too small a lock table.

use diesel_async::SimpleAsyncConnection;
use millrace_common::ids::TaskId;
use millrace_common::tasking::Resources;
use millrace_tests::app::free_port;
use millrace_tests::client::metric;
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::{TestApp, TestDb, eventually};
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);

async fn own_server(lines: &'static [&'static str]) -> (Instance, TestDb) {
    let server = tokio::task::spawn_blocking(|| Instance::postgresql(lines))
        .await
        .unwrap();
    let db = TestDb::create_on(server.database_url()).await;
    (server, db)
}

#[tokio::test]
async fn a_database_that_restarts_and_crashes_under_load_costs_no_task_and_no_worker() {
    let (server, db) = own_server(&[]).await;
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .db(db)
        .workers(2)
        .start()
        .await;
    for (round, verbs) in [["restart-pg", ""], ["kill-pg", "start-pg"]]
        .iter()
        .enumerate()
    {
        let mut dispatcher = app.dispatcher().await;
        for n in 0..60 {
            let lane = Resources::exclusive(format!("lane-{}", n % 5));
            dispatcher.ledger(4, 25, lane).await;
        }
        for verb in verbs.iter().filter(|verb| !verb.is_empty()) {
            server.run(verb).await;
        }
        app.sql = app.db.sql().await;
        app.quiet(LONG).await;
        assert!(
            app.workers.iter_mut().all(|w| w.ended().is_none()),
            "round {round}"
        );
    }
    app.assert_completed_once().await;
    let mut dispatcher = app.dispatcher().await;
    eventually(LONG, async || {
        let start = std::time::Instant::now();
        for _ in 0..5 {
            let id = dispatcher.ledger(1, 0, Resources::exclusive("probe")).await;
            app.until(id, "completed", LONG).await;
        }
        holds(start.elapsed() < Duration::from_secs(2), || {
            "not at full rate".into()
        })
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_database_that_hangs_under_load_costs_no_task_and_no_worker() {
    let (server, db) = own_server(&[]).await;
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .db(db)
        .workers(2)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    for n in 0..60 {
        let lane = Resources::exclusive(format!("lane-{}", n % 5));
        dispatcher.ledger(4, 25, lane).await;
    }
    server.run("freeze-pg").await;
    // Longer than a run bears to hear nothing of its session.
    tokio::time::sleep(Duration::from_secs(8)).await;
    server.run("thaw-pg").await;
    app.quiet(LONG).await;
    assert!(app.workers.iter_mut().all(|w| w.ended().is_none()));
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn a_process_that_stands_still_inside_a_transaction_keeps_no_lock() {
    let app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher.ledger(1, 0, Resources::exclusive("a")).await;
    app.until(id, "completed", LONG).await;
    // As a process that was stopped by a signal between two statements.
    let mut stopped = dispatcher.db().get().await.unwrap();
    let hold = format!("BEGIN; SELECT pg_advisory_xact_lock(millrace_task_key('{id}'))");
    stopped.batch_execute(&hold).await.unwrap();
    let free = format!("SELECT pg_try_advisory_xact_lock(millrace_task_key('{id}'))::int::bigint");
    assert_eq!(app.sql.number(&free).await, 0);
    eventually(Duration::from_secs(20), async || {
        holds(app.sql.number(&free).await == 1, || "still held".into())
    })
    .await;
    assert!(stopped.batch_execute("COMMIT").await.is_err());
    app.finish().await;
}

/// Ends the session that holds the lock of a task.
async fn cut_session_of(app: &TestApp, id: TaskId) {
    let key = format!("millrace_task_key('{id}')");
    let cut = app
        .sql
        .number(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = {key}"
        ))
        .await;
    assert_eq!(cut, 1);
}

#[tokio::test]
async fn a_slot_session_that_is_cut_stops_the_body_and_the_task_runs_again() {
    let app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher.ledger(60, 50, Resources::exclusive("a")).await;
    app.until_noted(id, "beat").await;
    cut_session_of(&app, id).await;
    app.until(id, "completed", LONG).await;
    app.assert_completed_once().await;
    let losses = app
        .sql
        .number(&format!("SELECT losses FROM task WHERE pulp_id = '{id}'"))
        .await;
    assert_eq!(
        (app.row(id).await.1, losses),
        (1, 1),
        "a loss with a living worker counts apart"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_asks_nothing_of_the_database_hears_all_the_same_that_its_session_was_cut() {
    let app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let id = dispatcher
        .ledger(2, 600_000, Resources::exclusive("a"))
        .await;
    app.until_noted(id, "start").await;
    cut_session_of(&app, id).await;
    // Three seconds without an answer are a loss.
    eventually(Duration::from_secs(10), async || {
        let losses = format!("SELECT losses::bigint FROM task WHERE pulp_id = '{id}'");
        let losses = app.sql.number(&losses).await;
        holds(losses == 1, || "nobody has missed the session".into())
    })
    .await;
    dispatcher.cancel(id).await;
    app.until(id, "canceled", LONG).await;
    app.finish().await;
}

/// Processes of the server behind the sessions of the slots of the class `default`.
const SLOTS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '% default.%'";

#[tokio::test]
async fn a_session_that_stands_still_while_runs_are_settled_is_given_up_and_they_end_all_the_same()
{
    let app = TestApp::builder()
        .plugin()
        .without_api()
        .set("worker.slots.default", 1)
        .workers(1)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let first = dispatcher.ledger(1, 0, Resources::exclusive("a")).await;
    app.until(first, "completed", LONG).await;
    // As a server process that gets no answer from its disk: it waits for no lock, and no other one does.
    app.sql
        .run(&format!(
            "CREATE TABLE still AS {SLOTS}; \
             CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 WHILE EXISTS (SELECT FROM still WHERE pid = pg_backend_pid()) LOOP \
                     PERFORM pg_sleep(0.05); \
                 END LOOP; \
                 RETURN NEW; \
             END $$; \
             CREATE TRIGGER stand_still BEFORE UPDATE ON task FOR EACH ROW WHEN (NEW.state = 'completed') \
                 EXECUTE FUNCTION stand_still()"
        ))
        .await;
    assert_eq!(app.sql.number("SELECT count(*) FROM still").await, 1);
    // They have no last write, so that they are settled with others.
    let name = "pulpcore.app.tasks.test.sleep";
    let task = || dispatcher.task(name, json!({"interval": 0}), Resources::exclusive("a"));
    let tasks = [task(), task()];
    let ids = dispatcher.dispatch(&tasks).await;
    // Long before the server itself gives the statement up.
    let soon = Duration::from_secs(20);
    for one in ids {
        app.until(one.id, "completed", soon).await;
        assert_eq!(app.row(one.id).await.1, 1);
    }
    let old = format!("SELECT count(*) FROM ({SLOTS}) slot JOIN still USING (pid)");
    assert_eq!(app.sql.number(&old).await, 0, "the session is there still");
    app.finish().await;
}

#[tokio::test]
async fn where_the_lock_table_is_too_small_the_large_task_waits_and_all_others_run() {
    // The server's own defaults: 6,400 locks.
    let (_server, db) =
        own_server(&["max_locks_per_transaction = 64", "max_connections = 100"]).await;
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .db(db)
        .start()
        .await;
    let health = format!("127.0.0.1:{}", free_port());
    app.spawn_worker(&[("worker.health_listen", &health)]);
    app.workers_online(1).await;
    let mut dispatcher = app.dispatcher().await;
    let many = |from: u32, count: u32| {
        (from..from + count).fold(Resources::default(), |all, n| {
            all.and_exclusive(format!("r{n}"))
        })
    };
    // One that can never be claimed here, some that fit only one after another, and small ones.
    let oversized = dispatcher.ledger(1, 0, many(0, 10_000)).await;
    for n in 0..3 {
        dispatcher
            .ledger(3, 30, many(20_000 + n * 1500, 1500))
            .await;
    }
    for n in 0..20 {
        dispatcher.ledger(1, 0, many(30_000 + n, 1)).await;
    }
    eventually(LONG, async || {
        let done = "SELECT count(*) FROM task WHERE state = 'completed'";
        let done = app.sql.number(done).await;
        holds(done == 23, || format!("{done} completed"))
    })
    .await;
    assert_eq!(app.row(oversized).await.0, "waiting");
    let log = app.workers[0].log();
    let said = log.lines().any(|line| {
        line.contains(&oversized.to_string()) && line.contains("raise max_locks_per_transaction")
    });
    assert!(said, "{log}");
    let refusals = metric(&health, "millrace_lock_table_refusals_total").await;
    assert!(refusals >= 1.0, "{refusals}");
    dispatcher.cancel(oversized).await;
    app.assert_no_failures().await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_with_ten_thousand_resources_completes_on_the_shipped_configuration() {
    let app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let all = (0..10_000).fold(Resources::default(), |all, n| {
        all.and_exclusive(format!("r{n}"))
    });
    let large = dispatcher.ledger(2, 10, all).await;
    let behind = dispatcher
        .ledger(1, 0, Resources::exclusive("r77").and_shared("r9999"))
        .await;
    app.until(large, "completed", LONG).await;
    app.until(behind, "completed", LONG).await;
    app.assert_completed_once().await;
    app.finish().await;
}
