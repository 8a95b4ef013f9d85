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
    // Backwards: what the first has and the second lacks.
    let back = shop.exported("back", "write", &of(&first, &second)).await;
    assert_eq!(back, texts(&[("a", "one")]));
    let same = shop.exported("same", "write", &of(&second, &second)).await;
    assert_eq!(same, BTreeMap::new());
    assert!(shop.at("same").is_dir());

    let publication = shop.publish(&second).await;
    let body = json!({"publication": publication, "start_repository_version": first});
    let mut files = shop.exported("published", "write", &body).await;
    let manifest = String::from_utf8(files.remove("PULP_MANIFEST").unwrap()).unwrap();
    assert_eq!(manifest.lines().count(), 4, "{manifest}");
    assert_eq!(files, texts(&new));
    // Of a version that has all of them, only the metadata is left.
    let body = json!({"publication": publication, "start_repository_version": second});
    let files = shop.exported("metadata", "write", &body).await;
    assert_eq!(Vec::from_iter(files.keys()), ["PULP_MANIFEST"]);
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
