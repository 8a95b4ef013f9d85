//! What others hold at that moment, or need.

use super::{assert_bytes, here, href, reclaim};
use crate::sync::shop::{DIRECTORY, Shop};
use millrace_tests::Sql;
use millrace_tests::client::id_of;
use serde_json::{Value, json};

/// A shop with these files, another repository, and the units in the order of their paths.
async fn furnish(files: &[(&str, &str)]) -> (Shop, Value, Vec<String>) {
    let shop = Shop::open("immediate").await;
    shop.upstream.publish(DIRECTORY, files);
    shop.sync(&json!({})).await;
    let other = shop.app.repository("other").await;
    let units = shop.app.hrefs("content/file/files/?ordering=relative_path");
    let units = units.await;
    (shop, other, units)
}

/// A session that holds this unit until it rolls back.
async fn holder(shop: &Shop, unit: &str) -> Sql {
    let held = shop.app.db.sql().await;
    let id = id_of(unit);
    let hold = format!("BEGIN; SELECT FROM content WHERE pulp_id = '{id}' FOR KEY SHARE");
    held.run(&hold).await;
    held
}

/// What the report of a task says: artifacts that went, and all that were to go.
fn report(task: &Value) -> (&Value, &Value) {
    let report = &task["progress_reports"][0];
    assert_eq!(report["code"], "reclaim-space.artifact");
    (&report["done"], &report["total"])
}

#[tokio::test]
async fn what_others_hold_at_that_moment_is_counted_once_and_reported() {
    let (shop, other, units) = furnish(&[("a", "one"), ("b", "two"), ("c", "three")]).await;
    let app = &shop.app;
    app.modify(&other, &units[..2], &[]).await;
    // A unit that both repositories have, and an artifact alone.
    let held = holder(&shop, &units[0]).await;
    held.run("SELECT FROM artifact WHERE size = 5 FOR KEY SHARE")
        .await;
    let both = json!({"repo_hrefs": [shop.repository, href(&other)]});
    let task = reclaim(app, &both).await;
    let result = &task["result"];
    assert_eq!(
        (&result["units"], &result["artifacts"], &result["skipped"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(report(&task), (&json!(1), &json!(3)));
    assert_eq!(here(app).await, ["a"]);
    held.run("ROLLBACK").await;
    let task = reclaim(app, &both).await;
    assert_eq!(report(&task), (&json!(1), &json!(1)));
    assert_eq!(task["result"]["skipped"], 0);
    assert_eq!(here(app).await, Vec::<String>::new());
    let all = json!({"orphan_protection_time": 0});
    let task = app.post("orphans/cleanup/", &all).await.task();
    app.completed(&task).await;
    assert_bytes(app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn what_other_repositories_have_is_no_part_of_the_total_in_the_end() {
    let (shop, other, units) = furnish(&[("a", "one"), ("b", "two")]).await;
    let app = &shop.app;
    app.modify(&other, &units[..1], &[]).await;
    let task = reclaim(app, &json!({"repo_hrefs": [shop.repository]})).await;
    assert_eq!(report(&task), (&json!(1), &json!(1)));
    assert_eq!(here(app).await, ["a"]);
    shop.app.finish().await;
}

#[tokio::test]
async fn an_artifact_of_two_units_counts_where_one_of_them_is_held() {
    let (shop, other, units) = furnish(&[("a", "same"), ("z", "same"), ("b", "else")]).await;
    let app = &shop.app;
    // Two repositories: the one that is held and the other one are met in different transactions.
    app.modify(&other, &units[2..], &[]).await;
    let shops = app.get(&shop.repository).await.expect(200);
    app.modify(&shops, &[], &units[2..]).await;
    let held = holder(&shop, &units[0]).await;
    let both = json!({"repo_hrefs": [shop.repository, href(&other)]});
    let task = reclaim(app, &both).await;
    assert_eq!(task["result"]["skipped"], 1);
    assert_eq!(report(&task), (&json!(1), &json!(2)));
    held.run("ROLLBACK").await;
    let task = reclaim(app, &both).await;
    assert_eq!(report(&task), (&json!(1), &json!(1)));
    assert_bytes(app).await;
    shop.app.finish().await;
}
