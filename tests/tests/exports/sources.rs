//! Files that the store does not have.

use super::shop::{Shop, href, texts, tree};
use millrace_tests::TestApp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const NOT_HERE: &str = "Cannot export artifacts that haven't been downloaded.";
const FILES: [(&str, &str); 3] = [("a", "one"), ("b", "two"), ("d/c", "three")];

/// A shop whose repository has units on demand from a directory of this machine; gives the directory and
/// the version.
async fn on_demand() -> (Shop, PathBuf, Value) {
    let pool = tempfile::tempdir().unwrap().keep();
    for (path, text) in FILES {
        std::fs::create_dir_all(pool.join(path).parent().unwrap()).unwrap();
        std::fs::write(pool.join(path), text).unwrap();
    }
    let line = |(path, text): &(&str, &str)| {
        millrace_tests::upstream::manifest_line(path, text.as_bytes())
    };
    let manifest: String = FILES.iter().map(line).collect();
    std::fs::write(pool.join("PULP_MANIFEST"), manifest).unwrap();
    let builder = TestApp::builder().workers(1);
    let shop = Shop::with(builder.set("remotes.allowed_import_paths", pool.display())).await;
    let url = format!("file://{}/PULP_MANIFEST", pool.display());
    let body = json!({"name": "r", "url": url, "policy": "on_demand"});
    let remote = shop.app.post("remotes/file/file/", &body).await.expect(201);
    let sync = format!("{}sync/", super::shop::href(&shop.repository));
    let task = shop
        .app
        .post(&sync, &json!({"remote": remote["pulp_href"]}))
        .await
        .task();
    let task = shop.app.completed(&task).await;
    let version = task["created_resources"][0].clone();
    (shop, pool, version)
}

#[tokio::test]
async fn what_has_not_been_downloaded_is_refused_also_where_it_would_be_left_out() {
    let shop = Shop::open(1).await;
    let first = shop.add(&[("a", "one")]).await;
    let second = shop.add(&[("b", "two")]).await;
    shop.app
        .sql
        .run("UPDATE content_artifact SET artifact_id = NULL WHERE relative_path = 'a'")
        .await;
    let exporter = shop.exporter("e", "write").await;
    for body in [
        json!({"repository_version": second}),
        json!({"repository_version": second, "start_repository_version": first}),
    ] {
        assert_eq!(shop.fails(&exporter, &body).await, NOT_HERE);
    }
    let body = json!({"name": "r", "url": "http://h/", "policy": "on_demand"});
    shop.app.post("remotes/file/file/", &body).await.expect(201);
    shop.app
        .sql
        .run("INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url) \
              SELECT gen_random_uuid(), f.pulp_id, r.pulp_id, 'http://h/a' FROM content_artifact f, remote r \
               WHERE f.relative_path = 'a'")
        .await;
    let body = json!({"repository_version": second});
    assert_eq!(shop.fails(&exporter, &body).await, NOT_HERE);
    assert!(!shop.at("e").exists());
    shop.app.finish().await;
}

fn seconds(path: &Path) -> u64 {
    let about = std::fs::metadata(path).unwrap().modified().unwrap();
    about
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn files_of_this_machine_are_exported_without_being_downloaded() {
    let (shop, pool, version) = on_demand().await;
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::open(pool.join("a"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let empty = format!("{}versions/0/", href(&shop.repository));
    let body = json!({"repository_version": version, "start_repository_version": empty});
    for method in ["write", "hardlink", "symlink"] {
        assert_eq!(shop.exported(method, method, &body).await, texts(&FILES));
        assert_eq!(seconds(&shop.at(method).join("a")), 1_000_000, "{method}");
    }
    let target = std::fs::read_link(shop.at("symlink/a")).unwrap();
    assert_eq!(target, pool.join("a").canonicalize().unwrap());
    assert_eq!(
        shop.app.sql.number("SELECT count(*) FROM artifact").await,
        0
    );
    shop.app.finish().await;
}

#[tokio::test]
async fn a_file_of_this_machine_that_is_another_one_by_now_is_refused() {
    let (shop, pool, version) = on_demand().await;
    let body = json!({"repository_version": version});
    std::fs::write(pool.join("b"), "TWO").unwrap();
    let exporter = shop.exporter("digest", "write").await;
    let error = shop.fails(&exporter, &body).await;
    assert!(error.contains("its sha256 is another one"), "{error}");
    assert!(!shop.at("digest/b").exists());
    std::fs::write(pool.join("b"), "longer").unwrap();
    for method in ["write", "hardlink", "symlink"] {
        let exporter = shop.exporter(method, method).await;
        let error = shop.fails(&exporter, &body).await;
        assert!(
            error.starts_with("6 bytes instead of the expected 3, url='file://"),
            "{error}"
        );
    }
    // A link leads out of what may be imported.
    std::fs::remove_file(pool.join("b")).unwrap();
    let secret = shop.dir.path().join("secret");
    std::fs::write(&secret, "two").unwrap();
    std::os::unix::fs::symlink(&secret, pool.join("b")).unwrap();
    let exporter = shop.exporter("out", "write").await;
    let error = shop.fails(&exporter, &body).await;
    assert!(error.contains("remotes.allowed_import_paths"), "{error}");
    shop.app.finish().await;
}

#[tokio::test]
async fn a_stored_file_that_is_missing_or_cut_off_fails_by_name() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one"), ("b", "two")]).await;
    let key = "SELECT a.storage_key FROM artifact a JOIN content_artifact f ON f.artifact_id = a.pulp_id \
                WHERE f.relative_path = 'a'";
    let file = shop.app.media().join(shop.app.sql.text(key).await);
    let body = json!({"repository_version": version});
    std::fs::write(&file, "on").unwrap();
    let exporter = shop.exporter("short", "write").await;
    let error = shop.fails(&exporter, &body).await;
    let path = shop.at("short").join("a");
    let text = format!(
        "The stored file of '{}' has 2 bytes instead of 3.",
        path.display()
    );
    assert_eq!(error, text);
    assert!(!tree(&shop.at("short")).contains_key("a"));
    std::fs::remove_file(&file).unwrap();
    for method in ["write", "hardlink", "symlink"] {
        let exporter = shop.exporter(method, method).await;
        let error = shop.fails(&exporter, &body).await;
        assert_eq!(error, "The stored file of 'a' is missing.", "{method}");
    }
    shop.app.finish().await;
}
