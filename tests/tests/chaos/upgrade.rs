//! A rolling upgrade under load: the schema grows, programs are replaced one by one, then what only the old ones
//! needed goes.
//!
//! There are no programs of an older release to run: the ones that are replaced are those of today, and what they are
//! said to need is made by the test. So it shows what such changes of the schema do to programs at work, with
//! statements that they have prepared, and not that the programs of two releases agree.

use super::judge;
use super::load::Load;
use millrace_tests::process::Process;
use millrace_tests::{TestApp, stack};
use std::time::Duration;

/// What is there before, and goes in the end.
const OLD: &str = "
    ALTER TABLE task ADD COLUMN gone_later int NOT NULL DEFAULT 0;
    ALTER TABLE reservation ADD COLUMN gone_later text;
    ALTER TABLE artifact ADD COLUMN gone_later text;
    CREATE INDEX task_gone_later ON task (gone_later);
    CREATE TABLE gone_later (task uuid)";

/// What later migrations may do while old programs run: columns, tables, indexes and triggers are added, engine
/// functions are replaced by others with the same face.
const EXPAND: [&str; 12] = [
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
    // Old programs and new ones see the same in two places.
    "CREATE FUNCTION gone_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         NEW.counted_later := NEW.gone_later + 1;
         INSERT INTO gone_later VALUES (NEW.pulp_id);
         RETURN NEW;
     END $$;
     CREATE TRIGGER gone_later BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION gone_later()",
    "DO $$ DECLARE f regprocedure; BEGIN
         FOR f IN SELECT p.oid FROM pg_proc p WHERE p.proname IN ('millrace_dispatch', 'millrace_claim', 'millrace_settle') LOOP
             EXECUTE pg_get_functiondef(f);
         END LOOP;
     END $$",
];

/// What a migration may do once all programs are new.
const CONTRACT: [&str; 7] = [
    "DROP TRIGGER gone_later ON task",
    "DROP FUNCTION gone_later()",
    "DROP TABLE gone_later",
    "DROP INDEX CONCURRENTLY task_gone_later",
    "ALTER TABLE task DROP COLUMN gone_later",
    "ALTER TABLE reservation DROP COLUMN gone_later",
    "ALTER TABLE artifact DROP COLUMN gone_later",
];

async fn end(mut old: Process) {
    old.signal("TERM");
    old.end(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_grows_and_shrinks_under_load_and_programs_are_replaced_one_by_one() {
    let mut app = TestApp::builder().plugin().without_api().start().await;
    app.sql.run(OLD).await;
    for _ in 0..2 {
        app.spawn_worker(&[]);
    }
    app.start_api().await;
    let (other, client) = app.another_api(&["serve"], &[]).await;
    let file = app.dir().join("history");
    let load = Load::begin(&[app.client(), client], &file, stack::seed());
    for statement in EXPAND {
        load.more(5).await;
        app.sql.run(statement).await;
    }
    load.more(20).await;
    // The new ones beside the old ones, then without them.
    for _ in 0..2 {
        app.spawn_worker(&[]);
        end(app.workers.remove(0)).await;
    }
    end(app.api.take().unwrap()).await;
    app.start_api().await;
    end(other).await;
    load.more(20).await;
    for statement in CONTRACT {
        load.more(5).await;
        app.sql.run(statement).await;
    }
    load.more(20).await;
    let accepted = load.end().await;
    app.quiet(Duration::from_secs(60)).await;
    let verdict = judge::judge(&app, &accepted, &file).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
    let filled = "SELECT count(*) FROM task WHERE counted_later = 1";
    assert!(app.sql.number(filled).await > 0, "both were there at once");
    app.finish().await;
}
