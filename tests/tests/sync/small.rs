//! Small files come to the store together, with downloads going on meanwhile.

use super::shop::{DIRECTORY, Shop, report};
use millrace_common::crash::Point;
use millrace_tests::app::files_below;
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::sql::Sql;
use millrace_tests::upstream::{Reply, manifest_line, sha256};
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const FILES: [(&str, &str); 3] = [("a", "one"), ("b", "two"), ("c", "three")];

/// A server whose last file is slow to come: the others wait in memory for it.
async fn shop_that_waits_for_the_last() -> Shop {
    let shop = Shop::open("immediate").await;
    shop.upstream.publish(DIRECTORY, &FILES);
    let slow = Reply::Slow(b"three".to_vec(), Duration::from_secs(2));
    let path = format!("{DIRECTORY}/c");
    shop.upstream
        .script(&path, [slow, Reply::Bytes(b"three".to_vec())]);
    shop
}

/// Asks for a synchronisation; gives the task once all files are asked for and one has not come.
async fn begin(shop: &Shop) -> String {
    let task = shop.ask(&json!({})).await.task();
    eventually(SOON, async || {
        let asked = |(name, _): &(&str, &str)| shop.upstream.count(&format!("{DIRECTORY}/{name}"));
        let asked = FILES.iter().map(asked).sum::<usize>();
        holds(asked == FILES.len(), || format!("{asked} asked for"))
    })
    .await;
    task
}

/// Each row has its file with these bytes, each file its row, and nothing is begun or buried.
async fn nothing_is_left(app: &TestApp) {
    eventually(SOON, async || {
        let left = "SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)";
        let left = app.sql.number(left).await;
        let keys = app.sql.texts("SELECT storage_key FROM artifact").await;
        let files = files_below(&app.media().join("artifact")).len();
        holds(left == 0 && files == keys.len(), || {
            format!("{left} begun or buried, {files} files, {} rows", keys.len())
        })
    })
    .await;
    let rows = "SELECT storage_key || ' ' || sha256 FROM artifact";
    for row in app.sql.texts(rows).await {
        let (key, digest) = row.split_once(' ').unwrap();
        let bytes = std::fs::read(app.media().join(key)).unwrap();
        assert_eq!(sha256(&bytes), digest, "{key}");
    }
}

#[tokio::test]
async fn bytes_that_somebody_else_saves_meanwhile_stay_his_and_the_copy_goes() {
    let shop = shop_that_waits_for_the_last().await;
    let task = begin(&shop).await;
    let his = shop.app.upload(b"two".to_vec()).await;
    let task = shop.app.completed(&task).await;
    // It was fetched, too.
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 3);
    nothing_is_left(&shop.app).await;
    let artifact = "SELECT a.pulp_id FROM artifact a JOIN content_artifact c ON c.artifact_id = a.pulp_id \
                     WHERE c.relative_path = 'b'";
    let artifact = shop.app.sql.text(artifact).await;
    assert!(his["pulp_href"].as_str().unwrap().contains(&artifact));
    assert_eq!(
        shop.app.sql.number("SELECT count(*) FROM artifact").await,
        3
    );
    shop.app.finish().await;
}

#[tokio::test]
async fn a_file_that_was_given_up_meanwhile_is_fetched_again_and_the_others_are_saved() {
    let shop = shop_that_waits_for_the_last().await;
    let task = begin(&shop).await;
    // The run is held between the files and their rows.
    let other = Sql::connect(&shop.app.db.url()).await;
    other
        .run("BEGIN; LOCK TABLE artifact IN ACCESS EXCLUSIVE MODE")
        .await;
    eventually(SOON, async || {
        let intents = other.number("SELECT count(*) FROM intent").await;
        let files = files_below(&shop.app.media().join("artifact")).len();
        holds((intents, files) == (3, 3), || {
            format!("{intents} intents, {files} files")
        })
    })
    .await;
    // As the janitor does whose look found the process gone.
    let janitor = Sql::connect(&shop.app.db.url()).await;
    janitor
        .run(
            "WITH given_up AS (DELETE FROM intent WHERE storage_key IN (SELECT min(storage_key) FROM intent) \
                               RETURNING storage_key) \
             INSERT INTO tombstone (storage_key) SELECT storage_key FROM given_up",
        )
        .await;
    other.run("COMMIT").await;
    let task = shop.app.completed(&task).await;
    // What was not saved is not counted.
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 3);
    let asked = FILES.map(|(name, _)| shop.upstream.count(&format!("{DIRECTORY}/{name}")));
    assert_eq!(asked.iter().sum::<usize>(), 4, "{asked:?}");
    assert_eq!(shop.paths().await, ["a", "b", "c"]);
    nothing_is_left(&shop.app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn a_worker_that_dies_between_two_steps_leaves_nothing_but_a_second_run() {
    for point in [
        Point::UploadIntended,
        Point::UploadWritten,
        Point::UploadRecorded,
    ] {
        let mut app = TestApp::builder().plugin().start().await;
        app.spawn_worker(&[("diagnostics.crash_at", point.name())]);
        app.workers_online(1).await;
        let mut shop = Shop::of(app, "immediate").await;
        shop.upstream.publish(DIRECTORY, &FILES);
        let task = shop.ask(&json!({})).await.task();
        eventually(SOON, async || {
            let ended = shop.app.workers[0].ended();
            holds(ended.is_some(), || format!("it lives on at {point:?}"))
        })
        .await;
        let rows = shop.app.sql.number("SELECT count(*) FROM artifact").await;
        let intents = shop.app.sql.number("SELECT count(*) FROM intent").await;
        let files = files_below(&shop.app.media().join("artifact")).len();
        let expected = match point {
            Point::UploadIntended => (0, 3, 0),
            Point::UploadWritten => (0, 3, 3),
            _ => (3, 0, 3),
        };
        assert_eq!((rows, intents, files), expected, "{point:?}");
        shop.app.workers.remove(0);
        shop.app.spawn_worker(&[]);
        shop.app.finished_within(&task, SOON).await;
        assert_eq!(shop.app.row(id_of(&task)).await.0, "completed", "{point:?}");
        assert_eq!(shop.paths().await, ["a", "b", "c"]);
        nothing_is_left(&shop.app).await;
        shop.app.finish().await;
    }
}

#[tokio::test]
async fn a_cancel_in_the_middle_keeps_what_was_saved_and_gives_up_the_rest() {
    const COUNT: usize = 700;
    let shop = Shop::open("immediate").await;
    let mut manifest = String::new();
    for n in 0..COUNT {
        let (name, text) = (format!("file-{n}"), format!("bytes {n}"));
        manifest += &manifest_line(&name, text.as_bytes());
        let path = format!("{DIRECTORY}/{name}");
        // One of each hundred never comes: those that do are saved all the same, until all downloads wait.
        if n % 100 == 50 {
            shop.upstream.script(&path, [Reply::Hang]);
        } else {
            shop.upstream.serve(&path, text);
        }
    }
    shop.upstream
        .serve(&format!("{DIRECTORY}/PULP_MANIFEST"), manifest);
    let task = shop.ask(&json!({})).await.task();
    let saved = "SELECT count(*) FROM artifact";
    eventually(SOON, async || {
        let saved = shop.app.sql.number(saved).await;
        holds(saved >= 200, || format!("{saved} saved"))
    })
    .await;
    shop.app.cancel(&task).await;
    let ended = shop.app.finished(&task).await;
    assert_eq!(ended["state"], "canceled");
    nothing_is_left(&shop.app).await;
    assert_eq!(shop.newest().await, 0);
    let kept = shop.app.sql.number(saved).await;
    assert!((200..700).contains(&kept), "{kept}");
    for n in (50..COUNT).step_by(100) {
        let path = format!("{DIRECTORY}/file-{n}");
        shop.upstream.serve(&path, format!("bytes {n}"));
    }
    let before = shop.upstream.seen().len();
    shop.sync(&json!({})).await;
    let asked = shop.upstream.seen().len() - before;
    // And the manifest.
    assert_eq!(i64::try_from(asked).unwrap(), 700 - kept + 1);
    nothing_is_left(&shop.app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn small_and_large_files_come_side_by_side() {
    let shop = Shop::open("immediate").await;
    let mut manifest = String::new();
    // Empty, held in memory by its last byte, written by itself, in parts.
    for size in [0, 1, 8 << 10, 64 << 10, (64 << 10) + 1, (3 << 20) + 1] {
        let (name, bytes) = (size.to_string(), vec![7; size]);
        manifest += &manifest_line(&name, &bytes);
        shop.upstream.serve(&format!("{DIRECTORY}/{name}"), bytes);
    }
    // The same bytes under another name are one file.
    manifest += &manifest_line("again", &[7]);
    shop.upstream.serve(&format!("{DIRECTORY}/again"), [7]);
    shop.upstream
        .serve(&format!("{DIRECTORY}/PULP_MANIFEST"), manifest);
    let task = shop.sync(&json!({})).await;
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 6);
    assert_eq!(report(&task, "associating.content").unwrap().2, 7);
    nothing_is_left(&shop.app).await;
    shop.app.finish().await;
}
