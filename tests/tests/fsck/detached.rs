//! An artifact whose file is broken is taken from the units that have it, whoever else is at it.

use millrace_common::db::Db;
use millrace_common::models::detached::detach;
use millrace_common::models::stored_file::{Kind, StoredFile};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::time::Duration;

/// An artifact that so many units have, and no remote.
async fn artifact_of(units: u32) -> (TestApp, StoredFile, Db) {
    let app = TestApp::start().await;
    app.upload(b"one".to_vec()).await;
    let planted = format!(
        "CREATE TABLE planted AS SELECT gen_random_uuid() AS unit, gen_random_uuid() AS link FROM generate_series(1, {units}); \
         INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields) \
         SELECT unit, d.pulp_id, 'file.file', sha256(unit::text::bytea), '{{}}' FROM planted, domain d; \
         INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path) \
         SELECT link, unit, a.pulp_id, 'a' FROM planted, artifact a"
    );
    app.sql.run(&planted).await;
    let remote = json!({"name": "r", "url": "https://upstream.example/PULP_MANIFEST"});
    app.post("remotes/file/file/", &remote).await.expect(201);
    let settings = millrace_tests::test_db::settings(&app.db.url());
    let db = Db::new(&settings.database, "test").unwrap();
    let mut conn = db.get().await.unwrap();
    let rows = StoredFile::page(&mut conn, Kind::Artifact, "", 10).await;
    let file = rows.unwrap().remove(0);
    drop(conn);
    (app, file, db)
}

/// From now on a remote has it for so many of them.
async fn have_a_remote(app: &TestApp, units: u32) {
    let sources = format!(
        "INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url) \
         SELECT gen_random_uuid(), link, r.pulp_id, 'https://upstream.example/a' FROM planted, remote r \
         ON CONFLICT DO NOTHING; DELETE FROM remote_artifact WHERE content_artifact_id IN \
         (SELECT link FROM planted ORDER BY link OFFSET {units})"
    );
    app.sql.run(&sources).await;
}

/// How many lost it, whether there are more, how many keep it, and what was buried.
type Step = (i64, bool, i64, usize);

/// Two of them lose it.
async fn step(db: &Db, file: &StoredFile) -> Step {
    detached(db, file, 2).await
}

async fn detached(db: &Db, file: &StoredFile, limit: i64) -> Step {
    let mut conn = db.get().await.unwrap();
    let step = detach(&mut conn, file, true, limit).await.unwrap();
    (step.units, step.more, step.left, step.buried.len())
}

#[tokio::test]
async fn an_artifact_of_many_units_is_taken_from_them_some_at_a_time() {
    let (app, file, db) = artifact_of(6).await;
    have_a_remote(&app, 5).await;
    assert_eq!(step(&db, &file).await, (2, true, 0, 0));
    assert_eq!(step(&db, &file).await, (2, true, 0, 0));
    // One has no other source: it keeps what it has, and so does the artifact.
    assert_eq!(step(&db, &file).await, (1, false, 1, 0));
    assert_eq!(step(&db, &file).await, (0, false, 1, 0));
    have_a_remote(&app, 6).await;
    assert_eq!(step(&db, &file).await, (1, false, 0, 1));
    assert_eq!(step(&db, &file).await, (0, false, 0, 0));
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
}

#[tokio::test]
async fn the_last_full_batch_buries_and_so_does_who_finds_that_nobody_has_it() {
    for units in [2, 4] {
        let (app, file, db) = artifact_of(units).await;
        have_a_remote(&app, units).await;
        for _ in 1..units / 2 {
            assert_eq!(step(&db, &file).await, (2, true, 0, 0));
        }
        assert_eq!(step(&db, &file).await, (2, false, 0, 1));
        assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
    }
    // Who took it from them died before it was buried.
    let (app, file, db) = artifact_of(2).await;
    app.sql
        .run("UPDATE content_artifact SET artifact_id = NULL")
        .await;
    assert_eq!(step(&db, &file).await, (0, false, 0, 1));
}

/// All of them lose it where they can, while somebody else's transaction does this, which is committed once it is waited for.
async fn beside(app: &TestApp, file: &StoredFile, db: &Db, statement: &str) -> Step {
    let other = app.db.sql().await;
    other.run(&format!("BEGIN; {statement}")).await;
    let (file, db) = (file.clone(), db.clone());
    let detaching = tokio::spawn(async move { detached(&db, &file, 100).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually(Duration::from_secs(20), async || {
        let waiting = app.sql.number(waiting).await;
        holds(waiting == 1, || format!("{waiting} wait"))
    })
    .await;
    other.run("COMMIT").await;
    detaching.await.unwrap()
}

const THAT_HAVE_IT: &str = "SELECT count(artifact_id) FROM content_artifact";

#[tokio::test]
async fn a_file_that_is_restored_meanwhile_is_taken_from_nobody() {
    let (app, file, db) = artifact_of(3).await;
    have_a_remote(&app, 3).await;
    let restore = "UPDATE artifact SET storage_key = 'artifact/aa/restored'";
    assert_eq!(beside(&app, &file, &db, restore).await, (0, false, 0, 0));
    assert_eq!(app.sql.number(THAT_HAVE_IT).await, 3);
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 1);
}

#[tokio::test]
async fn a_unit_that_gets_the_file_meanwhile_keeps_it_from_being_buried() {
    let (app, file, db) = artifact_of(3).await;
    have_a_remote(&app, 3).await;
    let link = "INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path) \
                SELECT gen_random_uuid(), unit, a.pulp_id, 'b' FROM (SELECT unit FROM planted LIMIT 1) one, artifact a";
    assert_eq!(beside(&app, &file, &db, link).await, (3, false, 1, 0));
    assert_eq!(app.sql.number(THAT_HAVE_IT).await, 1);
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 1);
}

#[tokio::test]
async fn a_unit_that_gets_another_file_meanwhile_keeps_that() {
    let (app, file, db) = artifact_of(3).await;
    have_a_remote(&app, 3).await;
    app.upload(b"another".to_vec()).await;
    let another = "UPDATE content_artifact SET artifact_id = (SELECT pulp_id FROM artifact WHERE size = 7) \
                   WHERE pulp_id = (SELECT link FROM planted LIMIT 1)";
    assert_eq!(beside(&app, &file, &db, another).await, (2, false, 0, 1));
    assert_eq!(app.sql.number(THAT_HAVE_IT).await, 1);
    assert_eq!(app.sql.text("SELECT size FROM artifact").await, "7");
}
