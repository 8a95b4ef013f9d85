//! What a synchronisation brings.

use super::shop::{DIRECTORY, Shop, report};
use millrace_tests::upstream::{Upstream, manifest_line, sha256};
use serde_json::{Value, json};

const FILES: [(&str, &str); 3] = [("1.iso", "one"), ("2.iso", "two"), ("sub/3+.iso", "three")];

/// Serves the files, the one with a sign under its quoted name too.
fn publish(upstream: &Upstream, files: &[(&str, &str)]) {
    upstream.publish(DIRECTORY, files);
    upstream.serve(&format!("{DIRECTORY}/sub/3%2B.iso"), "three");
}

#[tokio::test]
async fn an_immediate_sync_brings_units_with_their_files_and_says_what_it_did() {
    let shop = Shop::open("immediate").await;
    publish(&shop.upstream, &FILES);
    let task = shop.sync(&json!({})).await;
    assert_eq!(
        task["name"],
        "pulp_file.app.tasks.synchronizing.synchronize"
    );
    let version = format!("{}versions/1/", shop.repository);
    assert_eq!(task["created_resources"], json!([version]));
    assert_eq!(task["result"]["pulp_href"], version);
    assert_eq!(task["result"], shop.app.get(&version).await.expect(200));
    assert_eq!(
        task["result"]["content_summary"]["added"]["file.file"]["count"],
        3
    );
    for (code, message, total, done) in [
        (
            "sync.downloading.metadata",
            "Downloading Metadata",
            Value::Null,
            1,
        ),
        (
            "sync.parsing.metadata",
            "Parsing Metadata Lines",
            json!(3),
            3,
        ),
        (
            "sync.downloading.artifacts",
            "Downloading Artifacts",
            Value::Null,
            3,
        ),
        ("associating.content", "Associating Content", Value::Null, 3),
    ] {
        assert_eq!(report(&task, code), Some((message.to_owned(), total, done)));
    }
    assert_eq!(report(&task, "unassociating.content"), None);
    assert_eq!(shop.paths().await, ["1.iso", "2.iso", "sub/3+.iso"]);
    let units = shop
        .app
        .get("content/file/files/?relative_path=1.iso")
        .await
        .expect(200);
    assert_eq!(units["results"][0]["sha256"], sha256(b"one"));
    let repository = shop.app.get(&shop.repository).await.expect(200);
    assert_eq!(repository["last_sync_details"]["most_recent_version"], 1);
    // The same again, without the short way: nothing is fetched and nothing made.
    shop.upstream.forget();
    let task = shop.sync(&json!({"optimize": false})).await;
    assert_eq!(
        (&task["result"], &task["created_resources"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(shop.upstream.seen().len(), 1);
    assert_eq!(shop.newest().await, 1);
    shop.app.finish().await;
}

#[tokio::test]
async fn on_demand_fetches_nothing_but_links_what_is_there_and_immediate_completes_it() {
    let shop = Shop::open("on_demand").await;
    publish(&shop.upstream, &FILES);
    shop.app.upload(b"two".to_vec()).await;
    let task = shop.sync(&json!({})).await;
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 0);
    assert_eq!(shop.upstream.seen().len(), 1);
    let units = shop
        .app
        .get("content/file/files/?ordering=relative_path")
        .await
        .expect(200);
    assert_eq!(units["results"][0]["artifact"], Value::Null);
    assert_eq!(units["results"][0]["sha256"], Value::Null);
    assert_ne!(units["results"][1]["artifact"], Value::Null);
    let known = shop
        .app
        .sql
        .texts("SELECT url || ' ' || size || ' ' || sha256 FROM remote_artifact ORDER BY url")
        .await;
    let expected = [
        ("1.iso", "one"),
        ("2.iso", "two"),
        ("sub/3%2B.iso", "three"),
    ]
    .map(|(path, text)| {
        let url = shop.upstream.url(&format!("{DIRECTORY}/{path}"));
        format!("{url} {} {}", text.len(), sha256(text.as_bytes()))
    });
    assert_eq!(known, expected);
    // From now on files are wanted: the units of the same version get them, without a new version.
    shop.change_remote(&json!({"policy": "immediate"})).await;
    let task = shop.sync(&json!({})).await;
    assert_eq!(task["result"], Value::Null);
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 2);
    let lacking = "SELECT count(*) FROM content_artifact WHERE artifact_id IS NULL";
    assert_eq!(shop.app.sql.number(lacking).await, 0);
    shop.app.finish().await;
}

#[tokio::test]
async fn a_moved_remote_moves_where_files_are_fetched_and_a_new_file_replaces_the_old() {
    let shop = Shop::open("on_demand").await;
    shop.upstream.publish(DIRECTORY, &[("a", "1"), ("b", "2")]);
    shop.sync(&json!({})).await;
    shop.upstream.publish("/other", &[("a", "new"), ("c", "3")]);
    let url = shop.upstream.url("/other/PULP_MANIFEST");
    shop.change_remote(&json!({"url": url})).await;
    let task = shop.sync(&json!({})).await;
    let summary = &task["result"]["content_summary"];
    assert_eq!(summary["added"]["file.file"]["count"], 2);
    assert_eq!(summary["removed"]["file.file"]["count"], 1);
    assert_eq!(shop.paths().await, ["a", "b", "c"]);
    shop.upstream.publish("/third", &[("a", "new")]);
    shop.change_remote(&json!({"url": shop.upstream.url("/third/PULP_MANIFEST")}))
        .await;
    assert_eq!(shop.sync(&json!({})).await["result"], Value::Null);
    let moved = "SELECT count(*) FROM remote_artifact WHERE url LIKE '%/third/a'";
    assert_eq!(shop.app.sql.number(moved).await, 1);
    shop.app.finish().await;
}

#[tokio::test]
async fn files_are_fetched_side_by_side_and_each_once() {
    let shop = Shop::open("immediate").await;
    let files: Vec<(String, String)> = (0..150)
        .map(|i| (format!("f{i}"), format!("text {}", i / 2)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    shop.upstream.publish(DIRECTORY, &files);
    let task = shop.sync(&json!({})).await;
    assert_eq!(report(&task, "sync.downloading.artifacts").unwrap().2, 75);
    assert_eq!(shop.upstream.seen().len(), 76);
    assert_eq!(shop.paths().await.len(), 100);
    assert_eq!(
        shop.app.sql.number("SELECT count(*) FROM artifact").await,
        75
    );
    shop.app.finish().await;
}

#[tokio::test]
async fn a_directory_of_this_machine_is_a_source_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("in");
    std::fs::create_dir_all(inside.join("sub")).unwrap();
    std::fs::write(inside.join("sub/a%20b"), "text").unwrap();
    std::fs::write(inside.join("M"), manifest_line("sub/a%20b", b"text")).unwrap();
    let app = millrace_tests::TestApp::builder()
        .set("remotes.allowed_import_paths", inside.display())
        .workers(1)
        .start()
        .await;
    let shop = Shop::of(app, "immediate").await;
    shop.change_remote(&json!({"url": format!("file://{}/M", inside.display())}))
        .await;
    shop.sync(&json!({})).await;
    assert_eq!(shop.paths().await, ["sub/a%20b"]);
    shop.app.finish().await;
}
