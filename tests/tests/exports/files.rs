//! Which files are exported, and as what.

use super::shop::{Shop, href, texts, tree};
use millrace_tests::client::id_of;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const FILES: [(&str, &str); 4] = [("a", "one"), ("b/c", "two"), ("b/d/e", "three"), ("f", "")];

/// Where the stored file of this text lies.
async fn stored(shop: &Shop, text: &str) -> std::path::PathBuf {
    let digest = millrace_tests::upstream::sha256(text.as_bytes());
    let key = format!("SELECT storage_key FROM artifact WHERE sha256 = '{digest}'");
    shop.app.media().join(shop.app.sql.text(&key).await)
}

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

#[tokio::test]
async fn a_version_is_written_linked_or_pointed_at() {
    let shop = Shop::open(1).await;
    let version = shop.add(&FILES).await;
    let body = json!({"repository_version": version});
    for method in ["write", "hardlink", "symlink"] {
        assert_eq!(shop.exported(method, method, &body).await, texts(&FILES));
        // Nothing of how it came about is left.
        let mut names: Vec<_> = std::fs::read_dir(shop.at(method)).unwrap().collect();
        names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
        assert_eq!(names.len(), 3, "{method}: {names:?}");
        for (path, text) in FILES {
            let (file, stored) = (shop.at(method).join(path), stored(&shop, text).await);
            // Whoever edits an exported file does not change what all repositories share.
            let mode = std::fs::metadata(&stored).unwrap().mode();
            assert_eq!(mode & 0o777, 0o444, "{}", stored.display());
            let is_link = std::fs::read_link(&file).ok();
            let expected = match method {
                "write" => (false, None),
                "hardlink" => (true, None),
                _ => (false, Some(stored.clone())),
            };
            assert_eq!(
                (inode(&file) == inode(&stored), is_link),
                expected,
                "{method}: {path}"
            );
        }
    }
    shop.app.finish().await;
}

#[tokio::test]
async fn an_incremental_export_has_the_artifacts_that_the_start_lacks() {
    let shop = Shop::open(1).await;
    let first = shop.add(&[("a", "one"), ("b", "two")]).await;
    let second = shop
        .add(&[("a", "other"), ("moved", "two"), ("c/d", "new")])
        .await;
    let of = |version: &str, start: &str| json!({"repository_version": version, "start_repository_version": start});
    let new = [("a", "other"), ("c/d", "new")];
    for method in ["write", "hardlink", "symlink"] {
        let files = shop.exported(method, method, &of(&second, &first)).await;
        assert_eq!(files, texts(&new));
    }
    let publication = shop.publish(&second).await;
    let body = json!({"publication": publication, "start_repository_version": first});
    let mut files = shop.exported("published", "write", &body).await;
    let manifest = String::from_utf8(files.remove("PULP_MANIFEST").unwrap()).unwrap();
    assert_eq!(manifest.lines().count(), 4, "{manifest}");
    assert_eq!(files, texts(&new));
    // Of a version that has all of them, only the metadata is left. It may be of another repository.
    let other = shop.app.repository("other").await;
    let units = format!("content/file/files/?repository_version={second}");
    let units = shop.app.hrefs(&units).await;
    let task = shop.app.modify(&other, &units, &[]).await;
    let all = task["created_resources"][0].as_str().unwrap();
    let body = json!({"publication": publication, "start_repository_version": all});
    let files = shop.exported("metadata", "write", &body).await;
    assert_eq!(Vec::from_iter(files.keys()), ["PULP_MANIFEST"]);
    let same = shop.exported("same", "write", &of(&second, all)).await;
    assert_eq!(same, BTreeMap::new());
    assert!(shop.at("same").is_dir());
    shop.app.finish().await;
}

#[tokio::test]
async fn an_incremental_export_that_goes_backwards_is_refused() {
    let shop = Shop::open(1).await;
    let first = shop.add(&[("a", "one")]).await;
    let second = shop.add(&[("b", "two")]).await;
    let publication = shop.publish(&first).await;
    let exporter = shop.exporter("back", "write").await;
    let exports = format!("{exporter}exports/");
    let text = "Must be older than what is exported, or of another repository.";
    let asked = "SELECT count(*) FROM task WHERE name LIKE '%export%'";
    for (what, of) in [
        ("repository_version", &first),
        ("publication", &publication),
    ] {
        for start in [&first, &second] {
            let body = json!({what: of, "start_repository_version": start});
            let refused = shop.app.post(&exports, &body).await.expect(400);
            assert_eq!(refused, json!({"start_repository_version": [text]}));
        }
    }
    assert_eq!(shop.app.sql.number(asked).await, 0);
    // So is one that is dispatched by its name.
    let version = shop.app.get(&first).await.expect(200);
    let prn = version["prn"].as_str().unwrap();
    let id = prn.rsplit(':').next().unwrap();
    let body = json!({"name": "pulpcore.app.tasks.export.fs_repo_version_export",
                      "args": [id_of(&exporter), id, id],
                      "exclusive_resources": [format!("prn:core.filesystemexporter:{}", id_of(&exporter))]});
    let answer = shop.app.post("tasks/", &body).await;
    let error = shop.failed(&answer.task()).await;
    assert_eq!(error, format!("start_repository_version: {text}"));
    shop.app.finish().await;
}

#[tokio::test]
async fn what_a_publication_says_of_a_path_wins() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one"), ("b", "two")]).await;
    let publication = shop.publish(&version).await;
    let id = id_of(&publication);
    // Published: `b` with the bytes of `a`.
    shop.app
        .sql
        .run(&format!(
            "INSERT INTO published_artifact SELECT '{id}', 'b', pulp_id FROM content_artifact WHERE relative_path = 'a'"
        ))
        .await;
    let body = json!({"publication": publication});
    let exporter = shop.exporter("through", "write").await;
    let task = shop.export(&exporter, &body).await;
    let report = &task["progress_reports"][0];
    assert_eq!(json!([report["total"], report["done"]]), json!([3, 3]));
    let mut files = tree(&shop.at("through"));
    files.remove("PULP_MANIFEST").unwrap();
    assert_eq!(files, texts(&[("a", "one"), ("b", "one")]));
    shop.app
        .sql
        .run("UPDATE publication SET pass_through = false")
        .await;
    let files = shop.exported("own", "hardlink", &body).await;
    assert_eq!(Vec::from_iter(files.keys()), ["PULP_MANIFEST", "b"]);
    shop.app.finish().await;
}

#[tokio::test]
async fn odd_names_are_written_as_they_are() {
    let shop = Shop::open(1).await;
    let long = "n".repeat(255);
    let deep = ["d"; 120].join("/");
    let files = [
        ("ü/ß", "1"),
        ("-rf", "2"),
        ("\"quoted\"'", "3"),
        ("back\\slash", "4"),
        (".millrace-export", "5"),
        ("..a/...", "6"),
        ("%2e%2e/$HOME/*", "7"),
        (long.as_str(), "8"),
        (deep.as_str(), "9"),
    ];
    let version = shop.add(&files).await;
    for method in ["write", "hardlink", "symlink"] {
        let body = json!({"repository_version": version});
        assert_eq!(shop.exported(method, method, &body).await, texts(&files));
    }
    shop.app.finish().await;
}

/// Units of one file each, and one of many, made without asking the API.
#[tokio::test]
async fn a_version_of_more_than_a_page_is_exported_whole() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("first", "text")]).await;
    let (repository, size) = (id_of(href(&shop.repository)), 4500);
    shop.app
        .sql
        .run(&format!(
            "WITH one AS (SELECT pulp_id FROM artifact LIMIT 1), made AS (
               INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields)
               SELECT gen_random_uuid(), pulp_domain, 'file.file', sha256(n::text::bytea), jsonb_build_object('n', n)
                 FROM content, generate_series(1, {size}) n WHERE fields ->> 'relative_path' = 'first' RETURNING pulp_id, fields
             ), members AS (
               INSERT INTO repository_content (repository_id, content_id, version_added)
               SELECT '{repository}', pulp_id, 1 FROM made)
             INSERT INTO content_artifact
             SELECT gen_random_uuid(), made.pulp_id, one.pulp_id, 'u' || (fields ->> 'n') || '/' || f
               FROM made, one, generate_series(1, CASE (fields ->> 'n')::int WHEN 1 THEN 4500 WHEN 2 THEN 0 ELSE 1 END) f"
        ))
        .await;
    let exporter = shop.exporter("out", "hardlink").await;
    let task = shop
        .export(&exporter, &json!({"repository_version": version}))
        .await;
    assert_eq!(task["progress_reports"][0]["total"], 8999);
    assert_eq!(task["progress_reports"][0]["done"], 8999);
    let files = tree(&shop.at("out"));
    assert_eq!(files.len(), 8999);
    assert!(files.contains_key("u1/4500") && files.contains_key("u4500/1"));
    shop.app.finish().await;
}
