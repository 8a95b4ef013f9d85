//! Connections that are half open: one side, or something between, has forgotten them and told nobody. The operating
//! system sees nothing amiss, so whoever waits for an answer must find out.

use crate::chaos::world::address;
use diesel_async::SimpleAsyncConnection;
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::tasking::Resources;
use millrace_tests::app::ledger;
use millrace_tests::eventually::holds;
use millrace_tests::proxy::Proxy;
use millrace_tests::{TestApp, TestDb, eventually};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

/// Twice what it takes on a busy machine, and no more than it takes to find out by other means.
const SOON: Duration = Duration::from_secs(15);

/// Sessions over a line that can be forgotten.
async fn sessions() -> (TestDb, Proxy, Db) {
    let test_db = TestDb::create().await;
    let line = Proxy::to(address(&test_db.url())).await;
    let url = (
        "MILLRACE__DATABASE__URL".to_owned(),
        line.url(&test_db.url()),
    );
    let settings = Settings::from_variables(None, [url]).unwrap();
    let db = Db::new(&settings.database, "test").unwrap();
    (test_db, line, db)
}

/// A worker whose sessions go over a line that can be forgotten.
async fn far_worker() -> (TestApp, Proxy) {
    let mut app = TestApp::engine(0).await;
    let line = Proxy::to(address(&app.db.url())).await;
    let url = line.url(&app.db.url());
    app.spawn_worker(&[("database.url", &url)]);
    (app, line)
}

/// Waits until one statement of this database waits for that event.
async fn until_waiting(test_db: &TestDb, event: &str) {
    let sql = test_db.sql().await;
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = '{event}'"
    );
    eventually(SOON, async || {
        let count = sql.number(&count).await;
        holds(count == 1, || format!("{count} wait for {event}"))
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_takes_its_time_is_left_alone() {
    let (_test_db, _line, db) = sessions().await;
    let mut session = db.session("slow").await.unwrap();
    let sleeping = session.conn.batch_execute("SELECT pg_sleep(4)");
    sleeping.await.unwrap();

    let mut holder = db.session("holder").await.unwrap();
    let lock = "SELECT pg_advisory_lock(1)";
    holder.conn.batch_execute(lock).await.unwrap();
    let waiting = async { session.conn.batch_execute(lock).await };
    let releasing = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        holder
            .conn
            .batch_execute("SELECT pg_advisory_unlock(1)")
            .await
    };
    let (waited, released) = tokio::join!(waiting, releasing);
    waited.unwrap();
    released.unwrap();

    // Idle, and in a transaction that says nothing.
    session.conn.batch_execute("BEGIN").await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    session.conn.batch_execute("COMMIT").await.unwrap();
    assert!(!db.doubts(session.opened));
}

#[tokio::test]
async fn who_waits_on_a_forgotten_session_hears_of_it_and_others_are_doubted() {
    let (test_db, line, db) = sessions().await;
    let mut session = db.session("one").await.unwrap();
    let mut other = db.session("other").await.unwrap();
    // Under way on the server: its answer is lost. Of what is asked after that, the question.
    let lost = async {
        until_waiting(&test_db, "PgSleep").await;
        line.forget_connections();
    };
    let sleeping = async {
        let sleeping = session.conn.batch_execute("SELECT pg_sleep(1)");
        tokio::time::timeout(SOON, sleeping).await
    };
    let (sleeping, ()) = tokio::join!(sleeping, lost);
    sleeping.expect("it ends").unwrap_err();
    let asking = other.conn.batch_execute("SELECT 1");
    let asked = tokio::time::timeout(SOON, asking).await;
    asked.expect("it ends").unwrap_err();

    assert!(db.doubts(session.opened) && db.doubts(other.opened));
    let new = db.session("new").await.unwrap();
    assert!(!db.doubts(new.opened));
}

#[tokio::test]
async fn an_answer_that_stops_in_its_middle_has_an_end() {
    let (test_db, line, db) = sessions().await;
    let mut session = db.session("much").await.unwrap();
    let reading = async {
        let much = "SELECT repeat('x', 1000000), pg_sleep(CASE n WHEN 20 THEN 1 ELSE 0 END) \
                      FROM generate_series(1, 400) n";
        tokio::time::timeout(SOON, session.conn.batch_execute(much)).await
    };
    let forgetting = async {
        until_waiting(&test_db, "PgSleep").await;
        line.forget_connections();
    };
    let (read, ()) = tokio::join!(reading, forgetting);
    read.expect("it ends").unwrap_err();
}

#[tokio::test]
async fn a_pool_of_forgotten_sessions_costs_one_wait_and_not_one_each() {
    let app = TestApp::start().await;
    let line = Proxy::to(address(&app.db.url())).await;
    let url = line.url(&app.db.url());
    let settings = [("database.url", url.as_str()), ("database.pool_size", "8")];
    let (_api, client) = app.another_api(&["serve"], &settings).await;
    let asks = (0..8).map(|_| client.try_send(client.request(Method::GET, "tasks/")));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let there = line.connections();
    assert!(there >= 5, "{there} sessions are hardly a pool");
    line.forget_connections();
    let begun = Instant::now();
    let first = client.request(Method::GET, "tasks/").timeout(SOON);
    let first = client.try_send(first).await.expect("an answer");
    assert!(
        [200, 503].contains(&first.status.as_u16()),
        "{}",
        first.text
    );
    for _ in 0..8 {
        let next = client.request(Method::GET, "tasks/");
        assert_eq!(client.send(next).await.status, 200);
    }
    // A wait for each would be longer.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_last_write_on_a_forgotten_session_is_made_again_on_another() {
    let (app, line) = far_worker().await;
    let mut dispatcher = app.dispatcher().await;
    let arguments = json!({"steps": 1, "pause_ms": 1, "flip_ms": 1500});
    let task = dispatcher.task("plugin.tasks.ledger", arguments, Resources::exclusive("a"));
    let id = dispatcher.dispatch(&[task]).await[0].id;
    let next = dispatcher.ledger(1, 1, Resources::exclusive("a")).await;
    until_waiting(&app.db, "PgSleep").await;
    line.forget_connections();
    app.until(id, "completed", SOON).await;
    app.until(next, "completed", SOON).await;
    app.assert_completed_once().await;
    assert_eq!(ledger::count(&app.sql, &id.to_string(), "start").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_worker_whose_sessions_are_all_forgotten_gives_its_lanes_back() {
    let (app, line) = far_worker().await;
    let mut dispatcher = app.dispatcher().await;
    let long = dispatcher.ledger(40, 50, Resources::exclusive("a")).await;
    app.until_noted(long, "beat").await;
    line.forget_connections();
    // In that lane, and in others, which are claimed on sessions that are as dead.
    let mut waiting = vec![dispatcher.ledger(1, 1, Resources::exclusive("a")).await];
    for n in 0..12 {
        let lane = Resources::exclusive(format!("b{n}"));
        waiting.push(dispatcher.ledger(1, 1, lane).await);
    }
    for task in waiting {
        app.until(task, "completed", SOON).await;
    }
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn a_worker_finds_out_that_the_broker_has_forgotten_it() {
    let mut app = TestApp::engine(0).await;
    let line = Proxy::to(address(&app.vhost.url())).await;
    let url = line.url(&app.vhost.url());
    // Heartbeats are not to be what finds out.
    app.spawn_worker(&[("broker.url", &url), ("broker.heartbeat_seconds", "60")]);
    let mut dispatcher = app.dispatcher().await;
    let first = dispatcher.ledger(1, 1, Resources::exclusive("a")).await;
    app.until(first, "completed", SOON).await;
    line.forget_connections();
    // The broker hands some out on the dead connection, as it has not noticed: one for each of its slots at most.
    let mut tasks = Vec::new();
    for n in 0..12 {
        let lane = Resources::exclusive(format!("b{n}"));
        tasks.push(dispatcher.ledger(1, 1, lane).await);
    }
    for task in tasks {
        app.until(task, "completed", SOON).await;
    }
    app.assert_completed_once().await;
    app.finish().await;
}
