//! What waits costs nothing: a backlog slows nobody else, and an idle fleet hardly asks.

use millrace_common::tasking::Resources;
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::{Dispatcher, TestApp, TestDb, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

async fn latencies(app: &TestApp, dispatcher: &mut Dispatcher) -> Vec<Duration> {
    let mut figures = Vec::new();
    for _ in 0..25 {
        let start = Instant::now();
        let id = dispatcher
            .ledger(1, 0, Resources::exclusive("elsewhere"))
            .await;
        app.until(id, "completed", LONG).await;
        figures.push(start.elapsed());
    }
    figures.sort();
    figures
}

#[tokio::test]
async fn seventeen_thousand_tasks_behind_one_lane_do_not_slow_a_task_on_another() {
    let app = TestApp::engine(1).await;
    let mut dispatcher = app.dispatcher().await;
    let idle = latencies(&app, &mut dispatcher).await[12];

    let holder = dispatcher
        .ledger(100_000, 50, Resources::exclusive("busy"))
        .await;
    app.until_noted(holder, "start").await;
    let task = |_| {
        dispatcher.task(
            "plugin.tasks.ledger",
            json!({"steps": 1, "pause_ms": 0}),
            Resources::exclusive("busy"),
        )
    };
    let backlog: Vec<_> = (0..17_000).map(task).collect();
    for part in backlog.chunks(500) {
        dispatcher.dispatch(part).await;
    }
    let loaded = latencies(&app, &mut dispatcher).await[12];
    println!("median latency: {idle:?} idle, {loaded:?} beside 17,000 waiting tasks");
    assert!(
        loaded < idle * 3 + Duration::from_millis(60),
        "{idle:?} became {loaded:?}"
    );
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM task WHERE state = 'waiting'")
            .await,
        17_000
    );

    // The lane moves on as it does with a short queue: a walk over it would take tenths of a second a task.
    dispatcher.cancel(holder).await;
    let done = "SELECT count(*) FROM task WHERE state = 'completed'";
    let before = app.sql.number(done).await;
    let more = async |count: i64, limit: Duration| {
        eventually(limit, async || {
            let more = app.sql.number(done).await - before;
            holds(more >= count, || format!("{more} of {count} tasks"))
        })
        .await;
    };
    more(1, LONG).await;
    more(51, idle * 200 + Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_idle_fleet_of_a_hundred_slots_asks_less_than_twenty_times_a_second() {
    let server = tokio::task::spawn_blocking(|| {
        Instance::postgresql(&[
            "shared_preload_libraries = 'pg_stat_statements'",
            "max_connections = 200",
        ])
    })
    .await
    .unwrap();
    let db = TestDb::create_on(server.database_url()).await;
    let mut app = TestApp::builder().without_api().db(db).start().await;
    app.sql.run("CREATE EXTENSION pg_stat_statements").await;
    for _ in 0..4 {
        app.spawn_worker(&[
            ("worker.slots.default", "21"),
            ("worker.slots.storage", "2"),
            ("worker.slots.immediate", "2"),
        ]);
    }
    app.workers_online(4).await;
    let slots = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name ~ '(default|storage|immediate)[.][0-9]+$'";
    eventually(LONG, async || {
        let slots = app.sql.number(slots).await;
        holds(slots == 100, || format!("{slots} slots"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calls = "SELECT sum(calls) FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND toplevel";
    let before = app.sql.number(calls).await;
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let rate = (app.sql.number(calls).await - before) as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.1} statements a second");
    assert!(rate > 1.0 && rate < 20.0, "{rate} statements a second");
    app.finish().await;
}
