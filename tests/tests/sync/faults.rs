//! What goes wrong leaves the newest version as it was.

use super::shop::{DIRECTORY, Shop, report};
use millrace_tests::upstream::{Reply, manifest_line};
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_file_that_cannot_be_had_fails_the_task_by_its_address_and_keeps_what_came() {
    let shop = Shop::open("immediate").await;
    shop.upstream
        .publish(DIRECTORY, &[("a", "1"), ("b", "2"), ("c", "3")]);
    shop.change_remote(&json!({"download_concurrency": 1}))
        .await;
    let path = format!("{DIRECTORY}/b");
    for (reply, part) in [
        (Reply::Status(404, vec![]), "404 Not Found"),
        (Reply::Bytes(b"9".to_vec()), "sha256 is "),
        (
            Reply::Bytes(b"22".to_vec()),
            "2 bytes instead of the expected 1",
        ),
        (Reply::Nothing, "error sending request"),
    ] {
        shop.upstream.script(&path, [reply]);
        let error = shop.fails(&json!({})).await;
        let url = format!("url='{}'", shop.upstream.url(&path));
        assert!(error.contains(part) && error.contains(&url), "{error}");
        assert_eq!(shop.newest().await, 0);
    }
    shop.upstream.serve(&path, "2");
    let task = shop.sync(&json!({})).await;
    // The others came in an earlier run, as far as it got.
    assert!(report(&task, "sync.downloading.artifacts").unwrap().2 < 3);
    assert_eq!(shop.paths().await, ["a", "b", "c"]);
    shop.app.finish().await;
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_fails_the_task_by_its_line() {
    let shop = Shop::open("on_demand").await;
    let manifest = format!("{DIRECTORY}/PULP_MANIFEST");
    let error = shop.fails(&json!({})).await;
    assert!(error.starts_with("404 Not Found, url="), "{error}");
    let good = manifest_line("a", b"1");
    for (bad, part) in [
        ("nothing\n".to_owned(), "line:2."),
        (manifest_line("../etc/passwd", b"1"), "line:2."),
        (manifest_line("/etc/passwd", b"1"), "line:2."),
        (
            manifest_line("a", b"2"),
            "[PLP0022] Found 1 duplicate contents in repository version",
        ),
        (
            manifest_line("a/b", b"2"),
            "Repository version errors : Path errors found.",
        ),
    ] {
        shop.upstream.serve(&manifest, format!("{good}{bad}"));
        let error = shop.fails(&json!({})).await;
        assert!(error.contains(part), "{error}");
        assert_eq!(shop.newest().await, 0);
    }
    let left = "SELECT count(*) FROM repository_content";
    assert_eq!(shop.app.sql.number(left).await, 0);
    shop.upstream.serve(&manifest, "# nothing\n\n");
    assert_eq!(shop.sync(&json!({})).await["result"], json!(null));
    shop.app.finish().await;
}

#[tokio::test]
async fn a_canceled_sync_stops_waiting_and_the_next_one_completes() {
    let shop = Shop::open("immediate").await;
    shop.upstream.publish(DIRECTORY, &[("a", "1"), ("b", "2")]);
    let path = format!("{DIRECTORY}/b");
    shop.upstream.script(&path, [Reply::Hang]);
    let task = shop.ask(&json!({})).await.task();
    asked_for(&shop, &path).await;
    shop.app.cancel(&task).await;
    let ended = shop.app.finished(&task).await;
    assert_eq!(ended["state"], "canceled");
    assert_eq!(shop.newest().await, 0);
    shop.upstream.serve(&path, "2");
    shop.sync(&json!({})).await;
    assert_eq!(shop.paths().await, ["a", "b"]);
    shop.app.finish().await;
}

async fn asked_for(shop: &Shop, path: &str) {
    eventually(Duration::from_secs(30), async || {
        (shop.upstream.count(path) > 0)
            .then_some(())
            .ok_or(format!("nobody asked for {path}"))
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_killed_in_the_middle_costs_nothing_but_a_second_run() {
    let mut shop = Shop::of(TestApp::with_workers(2).await, "immediate").await;
    shop.upstream.publish(DIRECTORY, &[("a", "1"), ("b", "2")]);
    shop.sync(&json!({})).await;
    shop.upstream
        .publish(DIRECTORY, &[("b", "2"), ("c", "3"), ("d", "4")]);
    let path = format!("{DIRECTORY}/d");
    shop.upstream
        .script(&path, [Reply::Hang, Reply::Bytes(b"4".to_vec())]);
    let task = shop.ask(&json!({"mirror": true})).await.task();
    asked_for(&shop, &path).await;
    assert_eq!(shop.paths().await, ["a", "b"]);
    let worker = shop
        .app
        .worker_of(millrace_tests::client::id_of(&task))
        .await;
    shop.app.workers[worker].kill();
    shop.app.completed(&task).await;
    assert_eq!(shop.paths().await, ["b", "c", "d"]);
    assert_eq!(shop.newest().await, 2);
    let row = shop.app.row(millrace_tests::client::id_of(&task)).await;
    assert_eq!(row.1, 2, "runs");
    assert_eq!(
        shop.app
            .sql
            .number("SELECT count(*) FROM version_kept")
            .await,
        0
    );
    shop.app.finish().await;
}
