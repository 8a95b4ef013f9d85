//! Pieces that meet each other, and commits whose worker dies between two steps.

use super::units::create;
use super::{artifact_of, begin, bytes, commit, files_are, href, nothing_of_uploads, put, spans};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{Sql, TestApp, eventually};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn pieces_for_one_place_that_come_at_once_leave_one_of_them() {
    let app = TestApp::with_workers(1).await;
    let file = bytes(200_000);
    let upload = begin(&app, file.len()).await;
    let halves = (0..12).map(|n| {
        let (app, upload, file) = (&app, &upload, &file);
        async move {
            let (from, to) = if n % 2 == 0 {
                (0, 100_000)
            } else {
                (100_000, 200_000)
            };
            put(app, upload, file, from, to).await.expect(200);
        }
    });
    futures_util::future::join_all(halves).await;
    files_are(&app, 2).await;
    // Of overlapping ones the first stays, whichever it is.
    let other = begin(&app, file.len()).await;
    let racing = (0..10_usize).map(|n| put(&app, &other, &file, n, 150_000 + n));
    let taken = futures_util::future::join_all(racing).await;
    let taken = taken.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(
        (taken, spans(&app, &other).await.as_array().unwrap().len()),
        (1, 1)
    );
    files_are(&app, 3).await;
    let task = app.completed(&commit(&app, &upload, &file).await).await;
    artifact_of(&app, &task, &file).await;
    app.finish().await;
}

#[tokio::test]
async fn pieces_that_meet_a_deletion_leave_nothing() {
    let app = TestApp::start().await;
    let file = bytes(100_000);
    let upload = begin(&app, file.len()).await;
    let puts = (0..10).map(|n| put(&app, &upload, &file, n * 10_000, (n + 1) * 10_000));
    let (answers, deleted) =
        futures_util::future::join(futures_util::future::join_all(puts), app.delete(&upload)).await;
    assert_eq!(deleted.status, 204);
    for answer in answers {
        assert!(
            [200, 404].contains(&answer.status.as_u16()),
            "{}",
            answer.text
        );
    }
    files_are(&app, 0).await;
    nothing_of_uploads(&app).await;
    app.finish().await;
}

/// Waits until a session waits for a lock that another one holds.
async fn until_something_waits(sql: &Sql) {
    eventually(Duration::from_secs(30), async || {
        let waiting = sql
            .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await;
        holds(waiting > 0, || "nobody waits".to_owned())
    })
    .await;
}

/// An upload of so many pieces of ten bytes, put there without asking the API.
async fn many_pieces(app: &TestApp, file: &[u8]) -> String {
    let upload = begin(app, file.len()).await;
    let id = id_of(&upload).to_owned();
    std::fs::create_dir_all(app.media().join("artifact/te")).unwrap();
    for (n, piece) in file.chunks(10).enumerate() {
        std::fs::write(app.media().join(format!("artifact/te/{n}")), piece).unwrap();
    }
    app.sql
        .run(&format!(
            "INSERT INTO upload_chunk SELECT '{id}', n * 10, 10, 'artifact/te/' || n FROM generate_series(0, {}) n",
            file.len() / 10 - 1
        ))
        .await;
    upload
}

#[tokio::test]
async fn a_commit_whose_worker_dies_among_the_leftovers_loses_no_byte() {
    let mut app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    let file = bytes(24_000);
    let upload = many_pieces(&app, &file).await;
    let holder = app.db.sql().await;
    holder
        .run("BEGIN; SELECT FROM upload_chunk WHERE \"offset\" = 15000 FOR UPDATE")
        .await;
    let task = commit(&app, &upload, &file).await;
    app.spawn_worker(&[]);
    until_something_waits(&app.sql).await;
    // The whole file is there, and the first thousand of the others are gone.
    let left = spans(&app, &upload).await;
    assert_eq!(left[0], json!({"offset": 0, "size": 24_000}));
    assert_eq!(left.as_array().unwrap().len(), 1400);
    app.workers[0].kill();
    holder.run("ROLLBACK").await;
    app.spawn_worker(&[]);
    let done = app.completed(&task).await;
    artifact_of(&app, &done, &file).await;
    assert!(app.row(id_of(&task)).await.1 > 1, "it ran once only");
    nothing_of_uploads(&app).await;
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_commit_whose_worker_dies_at_any_moment_is_finished_by_another() {
    let mut app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    for round in 0..3_u64 {
        let mut file = bytes(24_000);
        file[0] = u8::try_from(round).unwrap();
        let upload = many_pieces(&app, &file).await;
        let place = app.spawn_worker(&[]);
        let task = commit(&app, &upload, &file).await;
        eventually(Duration::from_secs(30), async || {
            let state = app.task(&task).await["state"].clone();
            holds(state != "waiting", || "it waits".to_owned())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(40 + 130 * round)).await;
        app.workers[place].kill();
        let place = app.spawn_worker(&[]);
        let done = app.completed(&task).await;
        artifact_of(&app, &done, &file).await;
        app.workers[place].kill();
    }
    app.spawn_worker(&[]);
    nothing_of_uploads(&app).await;
    app.sql
        .run("UPDATE app_status SET last_heartbeat = now() - interval '1 h' WHERE app_type = 'worker' AND name <> 'worker-7'")
        .await;
    files_are_within_a_minute(&app, 3).await;
    app.finish().await;
}

/// What a killed worker was writing is given up once its sessions are surely gone.
async fn files_are_within_a_minute(app: &TestApp, count: usize) {
    eventually(Duration::from_secs(90), async || {
        let files = millrace_tests::app::files_below(&app.media());
        holds(files.len() == count, || format!("{files:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_unit_whose_worker_dies_is_made_by_another() {
    let mut app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    let zoo = href(&app.repository("zoo").await);
    let file = bytes(30);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 0, 10).await.expect(200);
    put(&app, &upload, &file, 10, 30).await.expect(200);
    let fields = [
        ("relative_path", "f"),
        ("upload", upload.as_str()),
        ("repository", zoo.as_str()),
    ];
    let task = create(&app, "content/file/files/", &fields).await.task();
    // The run waits for the repository; the upload stays until the unit is made.
    let holder = app.db.sql().await;
    holder.run("BEGIN; SELECT FROM repository FOR UPDATE").await;
    app.spawn_worker(&[]);
    until_something_waits(&app.sql).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
    assert_eq!(app.get(&upload).await.status, 200);
    app.workers[0].kill();
    holder.run("ROLLBACK").await;
    app.spawn_worker(&[]);
    let done = app.completed(&task).await;
    assert_eq!(done["created_resources"].as_array().unwrap().len(), 2);
    let version = app.get(&format!("{zoo}versions/1/")).await.expect(200);
    assert_eq!(
        version["content_summary"]["present"]["file.file"]["count"],
        1
    );
    files_are(&app, 1).await;
    nothing_of_uploads(&app).await;
    app.finish().await;
}
