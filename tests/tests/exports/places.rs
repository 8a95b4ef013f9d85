//! What lies in the directory already, and what happens to an export meanwhile.

use super::paths::{hold, until_held};
use super::shop::{Shop, texts, tree};
use millrace_tests::client::id_of;
use serde_json::json;

const NOT_EMPTY: &str = "Cannot export to directories that contain existing data.";

#[tokio::test]
async fn an_empty_directory_is_taken_and_one_that_holds_anything_is_not() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one")]).await;
    let publication = shop.publish(&version).await;
    std::fs::create_dir_all(shop.at("empty")).unwrap();
    let body = json!({"repository_version": version});
    let files = shop.exported("empty", "write", &body).await;
    assert_eq!(files, texts(&[("a", "one")]));
    std::fs::create_dir_all(shop.at("full/.hidden")).unwrap();
    let full = shop.exporter("full", "write").await;
    for body in [body, json!({"publication": publication})] {
        assert_eq!(shop.fails(&full, &body).await, NOT_EMPTY);
    }
    assert_eq!(std::fs::read_dir(shop.at("full")).unwrap().count(), 1);
    let recorded = shop.app.hrefs(&format!("{full}exports/")).await;
    assert_eq!(recorded.len(), 2);
    shop.app.finish().await;
}

#[tokio::test]
async fn an_export_that_is_canceled_leaves_no_staging_directory() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "one")]).await;
    let holder = hold(&shop).await;
    let exporter = shop.exporter("e", "write").await;
    let body = json!({"repository_version": version});
    let task = shop.ask(&exporter, &body).await.task();
    until_held(&shop).await;
    assert_eq!(std::fs::read_dir(shop.at("e")).unwrap().count(), 1);
    shop.app.cancel(&task).await;
    holder.run("ROLLBACK").await;
    let ended = shop.app.finished(&task).await;
    assert_eq!(ended["state"], "canceled");
    assert_eq!(std::fs::read_dir(shop.at("e")).unwrap().count(), 0);
    shop.export(&exporter, &body).await;
    assert_eq!(tree(&shop.at("e")), texts(&[("a", "one")]));
    shop.app.finish().await;
}

#[tokio::test]
async fn an_export_whose_version_goes_meanwhile_fails() {
    let shop = Shop::open(1).await;
    shop.add(&[("a", "one")]).await;
    shop.add(&[("b", "two")]).await;
    let exporter = shop.exporter("e", "write").await;
    let id = "SELECT pulp_id::text FROM repository_version WHERE number = 1";
    let id = shop.app.sql.text(id).await;
    let holder = hold(&shop).await;
    // Dispatched by name, and so without a reservation of the repository.
    let body = json!({"name": "pulpcore.app.tasks.export.fs_repo_version_export",
                      "args": [id_of(&exporter), id]});
    let task = shop.app.dispatch(&body).await;
    until_held(&shop).await;
    let gone = format!("DELETE FROM repository_version WHERE pulp_id = '{id}'");
    shop.app.sql.run(&gone).await;
    holder.run("ROLLBACK").await;
    assert_eq!(
        shop.failed(&task).await,
        "the repository version was deleted"
    );
    let without = json!({"name": "pulpcore.app.tasks.export.fs_repo_version_export",
                         "args": [id_of(&exporter), id], "exclusive_resources": []});
    let error = shop.failed(&shop.app.dispatch(&without).await).await;
    assert!(!error.is_empty(), "{error}");
    shop.app.finish().await;
}
