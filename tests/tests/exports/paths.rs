//! Nothing is written outside of the directory, whatever paths and links say.

use super::shop::{Shop, href, texts, tree};
use millrace_tests::eventually::holds;
use millrace_tests::{Sql, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Holds back every progress report, so that an export stops between the look at its directory and the
/// first file.
pub async fn hold(shop: &Shop) -> Sql {
    let holder = shop.app.db.sql().await;
    holder
        .run("BEGIN; LOCK progress_report IN EXCLUSIVE MODE")
        .await;
    holder
}

/// Waits until a session waits for that.
pub async fn until_held(shop: &Shop) {
    eventually(Duration::from_secs(30), async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        holds(shop.app.sql.number(waiting).await > 0, || "nobody waits".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_path_that_is_not_canonical_is_refused_and_nothing_lies_outside() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "evil")]).await;
    let outside = tree(shop.dir.path());
    let absolute = shop.dir.path().join("abs").to_str().unwrap().to_owned();
    let evil = [
        "../x1",
        "d/../../x1",
        &absolute,
        "..",
        "d//x",
        "./x",
        "d/",
        "a b",
        "a\nb",
    ];
    for (n, path) in evil.iter().enumerate() {
        let quoted = path.replace('\'', "''");
        shop.app
            .sql
            .run(&format!(
                "UPDATE content_artifact SET relative_path = '{quoted}'"
            ))
            .await;
        for method in ["write", "hardlink", "symlink"] {
            let exporter = shop.exporter(&format!("{method}{n}"), method).await;
            let error = shop
                .fails(&exporter, &json!({"repository_version": version}))
                .await;
            assert_eq!(
                error,
                format!("Relative path is not in canonical form. {path}")
            );
        }
    }
    assert_eq!(tree(shop.dir.path()), outside);
    shop.app.finish().await;
}

#[tokio::test]
async fn paths_of_which_one_is_a_directory_of_the_other_fail_by_name() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one"), ("b", "two")]).await;
    shop.app
        .sql
        .run("UPDATE content_artifact SET relative_path = 'a/b/c' WHERE relative_path = 'b'")
        .await;
    for method in ["write", "hardlink", "symlink"] {
        let exporter = shop.exporter(method, method).await;
        let error = shop
            .fails(&exporter, &json!({"repository_version": version}))
            .await;
        let path = shop.at(method).join("a");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.ends_with("is in its way."), "{error}");
    }
    shop.app.finish().await;
}

#[tokio::test]
async fn files_that_share_a_path_fail_by_name_before_the_first_is_written() {
    let shop = Shop::open(1).await;
    let first = shop.add(&[("a", "one")]).await;
    let version = shop.add(&[("b", "two"), ("c", "three")]).await;
    shop.app
        .sql
        .run("UPDATE content_artifact SET relative_path = 'a' WHERE relative_path = 'b'")
        .await;
    for method in ["write", "hardlink", "symlink"] {
        let exporter = shop.exporter(method, method).await;
        let error = shop
            .fails(&exporter, &json!({"repository_version": version}))
            .await;
        let text = "'a' cannot be written: several files have this path.";
        assert_eq!(error, text);
        assert!(!shop.at(method).exists(), "{method}");
    }
    // Of those that share it, one only is to be written.
    let body = json!({"repository_version": version, "start_repository_version": first});
    let files = shop.exported("rest", "write", &body).await;
    assert_eq!(files, texts(&[("a", "two"), ("c", "three")]));
    shop.app.finish().await;
}

#[tokio::test]
async fn a_link_that_is_put_into_the_directory_meanwhile_is_not_followed() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("d/a", "one"), ("e", "two")]).await;
    let outside = shop.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("e"), "kept").unwrap();
    for method in ["write", "hardlink", "symlink"] {
        let holder = hold(&shop).await;
        let exporter = shop.exporter(method, method).await;
        let body = json!({"repository_version": version});
        let task = shop.ask(&exporter, &body).await.task();
        until_held(&shop).await;
        symlink(&outside, shop.at(method).join("d")).unwrap();
        symlink(outside.join("e"), shop.at(method).join("e")).unwrap();
        holder.run("ROLLBACK").await;
        let error = shop.failed(&task).await;
        assert!(
            error.ends_with("something else than a directory is in its way."),
            "{error}"
        );
        assert_eq!(tree(&outside), texts(&[("e", "kept")]), "{method}");
    }
    shop.app.finish().await;
}

#[tokio::test]
async fn only_allowed_directories_are_exported_to() {
    let shop = Shop::open(0).await;
    let base = shop.dir.path().to_owned();
    std::fs::create_dir(base.join("xfoo")).unwrap();
    symlink(base.join("xfoo"), base.join("x/out")).unwrap();
    std::fs::write(base.join("x/file"), "").unwrap();
    let refused = |name: &str| {
        let path = base.join(name).to_str().unwrap().to_owned();
        (
            path.clone(),
            format!("Path '{path}' is not an allowed export path"),
        )
    };
    for (path, text) in [
        refused("xfoo/a"),
        refused("x/out/a"),
        refused("x/../xfoo"),
        refused(""),
    ] {
        let body = json!({"name": "e", "path": path});
        let refusal = shop.app.post(super::shop::LIST, &body).await.expect(400);
        assert_eq!(refusal, json!({"path": [text]}));
    }
    let file = base.join("x/file");
    let body = json!({"name": "e", "path": file});
    let refusal = shop.app.post(super::shop::LIST, &body).await.expect(400);
    let text = format!("Path '{}' must be a directory path", file.display());
    assert_eq!(refusal, json!({"path": [text]}));
    // An exporter that was good once is looked at again with each export.
    let exporter = shop.exporter("e", "write").await;
    std::fs::write(shop.at("e"), "").unwrap();
    let version = format!("{}versions/0/", href(&shop.repository));
    let refusal = shop
        .ask(&exporter, &json!({"repository_version": version}))
        .await
        .expect(400);
    let text = format!("Path '{}' must be a directory path", shop.at("e").display());
    assert_eq!(refusal, json!([text]));
    shop.app.finish().await;
}

#[tokio::test]
async fn a_directory_that_becomes_a_link_before_the_task_runs_is_refused() {
    let mut shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one")]).await;
    shop.app.workers[0].kill();
    let outside = shop.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let exporter = shop.exporter("e", "write").await;
    std::fs::create_dir(shop.at("e")).unwrap();
    let task = shop
        .ask(&exporter, &json!({"repository_version": version}))
        .await
        .task();
    std::fs::remove_dir(shop.at("e")).unwrap();
    symlink(&outside, shop.at("e")).unwrap();
    shop.app.spawn_worker(&[]);
    let error = shop.failed(&task).await;
    let path = shop.at("e");
    assert_eq!(
        error,
        format!("Path '{}' is not an allowed export path", path.display())
    );
    assert_eq!(tree(&outside), BTreeMap::new());
    shop.app.finish().await;
}
