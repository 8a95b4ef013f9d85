//! A schema that grows under running programs: what an upgrade does before the new programs come, one by one.

use super::load::Load;
use super::{judge, world};
use millrace_tests::{TestApp, stack};
use std::time::Duration;

/// What later migrations may do while the programs of today run: columns, tables and indexes are added, engine
/// functions are replaced by others with the same face.
const EXPAND: [&str; 11] = [
    "ALTER TABLE task ADD COLUMN added_later text",
    "ALTER TABLE task ADD COLUMN counted_later int NOT NULL DEFAULT 0",
    "ALTER TABLE reservation ADD COLUMN added_later text",
    "ALTER TABLE app_status ADD COLUMN added_later text",
    "ALTER TABLE artifact ADD COLUMN added_later text",
    "ALTER TABLE content ADD COLUMN added_later text",
    "ALTER TABLE intent ADD COLUMN added_later text",
    "ALTER TABLE tombstone ADD COLUMN added_later text",
    "CREATE TABLE made_later (id int)",
    "CREATE INDEX CONCURRENTLY task_later ON task (added_later)",
    "DO $$ DECLARE f regprocedure; BEGIN
         FOR f IN SELECT p.oid FROM pg_proc p WHERE p.proname IN ('millrace_dispatch', 'millrace_claim', 'millrace_finish') LOOP
             EXECUTE pg_get_functiondef(f);
         END LOOP;
     END $$",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_grows_under_load_and_programs_are_replaced_one_by_one() {
    let mut app = TestApp::builder().plugin().workers(2).start().await;
    let (other, client) = app.another_api(&["serve"], &[]).await;
    let file = app.dir().join("history");
    let load = Load::begin(&[app.client(), client], &file, stack::seed());
    for statement in EXPAND {
        world::pause(0.3).await;
        app.sql.run(statement).await;
    }
    world::pause(1.0).await;
    // The new ones beside the old ones, then without them.
    for _ in 0..2 {
        app.spawn_worker(&[]);
        let mut old = app.workers.remove(0);
        old.signal("TERM");
        old.end(Duration::from_secs(60)).await;
    }
    let mut old = app.api.take().unwrap();
    old.signal("TERM");
    old.end(Duration::from_secs(60)).await;
    app.start_api().await;
    world::pause(1.0).await;
    let accepted = load.end().await;
    app.quiet(Duration::from_secs(60)).await;
    let verdict = judge::judge(&app, &accepted, &file).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
    drop(other);
    app.finish().await;
}
