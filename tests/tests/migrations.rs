//! Bringing a database to the schema, while others work on it.

use millrace_common::db::migrate;
use millrace_tests::eventually::holds;
use millrace_tests::test_db::settings;
use millrace_tests::{Sql, TestApp, TestDb, eventually};
use std::time::Duration;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(20);

/// The migrations at work, and those of them that wait for an open transaction.
const MIGRATING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'millrace migrate'";
const WAITING: &str = "wait_event = 'virtualxid'";

#[tokio::test]
async fn a_migration_that_is_told_to_stop_ends_at_once_and_leaves_no_half() {
    let app = TestApp::builder().without_api().start().await;
    let (sql, lock) = (&app.sql, app.db.sql().await);
    // As before the first migration, but for the table of migrations, which another session holds: the first one
    // gets as far as its note of itself.
    sql.run(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; \
         CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, \
             run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )
    .await;
    lock.run("BEGIN; LOCK TABLE __diesel_schema_migrations IN SHARE MODE")
        .await;
    let mut migrating = app.start_command("migrate", &["migrate"]);
    until(sql, "wait_event_type = 'Lock'", 1).await;
    migrating.signal("TERM");
    let status = migrating.end(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", migrating.log());
    assert!(
        migrating.log().contains("told to stop"),
        "{}",
        migrating.log()
    );
    until(sql, "true", 0).await;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(sql.number(tables).await, 1);

    // While it waits for its turn.
    lock.run("COMMIT; SELECT pg_advisory_lock(7114, 1)").await;
    let mut waiting = app.start_command("waiting", &["migrate"]);
    until(sql, "true", 1).await;
    waiting.signal("TERM");
    assert_eq!(waiting.end(SOON).await.code(), Some(1));
    lock.run("SELECT pg_advisory_unlock(7114, 1)").await;
    let (code, text) = app.end_command(&["migrate"], &[]).await;
    assert_eq!(code, 0, "{text}");
}

/// A database that lacks an index of `task`, and a session in whose transaction a task was written.
async fn lacking() -> (TestDb, Sql, Sql) {
    let db = TestDb::create().await;
    let (sql, busy) = (db.sql().await, db.sql().await);
    sql.run(
        "DELETE FROM __diesel_schema_migrations WHERE version LIKE '%000016'; DROP INDEX task_ended",
    )
    .await;
    busy.run("BEGIN; DELETE FROM task").await;
    (db, sql, busy)
}

fn migrating(db: &TestDb) -> JoinHandle<Result<usize, String>> {
    let settings = settings(&db.url());
    tokio::spawn(async move {
        let done = migrate(&settings.database).await;
        done.map(|done| done.len())
            .map_err(|error| error.to_string())
    })
}

async fn until(sql: &Sql, condition: &str, count: i64) {
    eventually(SOON, async || {
        let found = sql.number(&format!("{MIGRATING} AND {condition}")).await;
        holds(found == count, || format!("{found}"))
    })
    .await;
}

async fn is_valid(sql: &Sql) -> bool {
    let valid =
        "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('task_ended') AND indisvalid";
    sql.number(valid).await == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_is_built_while_others_write_and_migrations_wait_in_turn() {
    let (db, sql, busy) = lacking().await;
    let first = migrating(&db);
    until(&sql, WAITING, 1).await;
    let second = migrating(&db);
    until(&sql, "true", 2).await;
    // Longer than a deadlock takes to be found.
    sql.run("SET statement_timeout = '5s'; SELECT pg_sleep(2); DELETE FROM task; UPDATE task SET attempts = 1")
        .await;
    busy.run("COMMIT").await;
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(second.await.unwrap(), Ok(0));
    assert!(is_valid(&sql).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_that_died_while_it_built_an_index_is_made_up_for() {
    let (db, sql, busy) = lacking().await;
    let dying = migrating(&db);
    until(&sql, WAITING, 1).await;
    sql.run(&MIGRATING.replace("count(*)", "pg_terminate_backend(pid)"))
        .await;
    dying.await.unwrap().unwrap_err();
    assert!(!is_valid(&sql).await);
    busy.run("COMMIT").await;
    assert_eq!(migrating(&db).await.unwrap(), Ok(1));
    assert!(is_valid(&sql).await);
    assert_eq!(migrating(&db).await.unwrap(), Ok(0));
}
