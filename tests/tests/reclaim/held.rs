//! What others hold at that moment, or need.

use super::{assert_bytes, here, href, reclaim};
use crate::sync::shop::{DIRECTORY, Shop};
use serde_json::{Value, json};

/// What the report of a task says: artifacts that went, and all that were to go.
fn report(task: &Value) -> (&Value, &Value) {
    let report = &task["progress_reports"][0];
    assert_eq!(report["code"], "reclaim-space.artifact");
    (&report["done"], &report["total"])
}

#[tokio::test]
async fn what_others_hold_at_that_moment_is_counted_once_and_reported() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    let files = [("a", "one"), ("b", "two"), ("c", "three")];
    shop.upstream.publish(DIRECTORY, &files);
    shop.sync(&json!({})).await;
    let other = app.repository("other").await;
    let units = app
        .hrefs("content/file/files/?ordering=relative_path")
        .await;
    let body = json!({"add_content_units": units[..2]});
    let adding = app.post(&format!("{}modify/", href(&other)), &body).await;
    app.completed(&adding.task()).await;
    // Of a unit that both repositories have, and of an artifact alone.
    let held = app.db.sql().await;
    let id = millrace_tests::client::id_of(&units[0]);
    held.run(&format!(
        "BEGIN; SELECT FROM content WHERE pulp_id = '{id}' FOR KEY SHARE;
         SELECT FROM artifact WHERE size = 5 FOR KEY SHARE"
    ))
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
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    shop.upstream
        .publish(DIRECTORY, &[("a", "one"), ("b", "two")]);
    shop.sync(&json!({})).await;
    let other = app.repository("other").await;
    let units = app
        .hrefs("content/file/files/?ordering=relative_path")
        .await;
    let body = json!({"add_content_units": [units[0]]});
    let adding = app.post(&format!("{}modify/", href(&other)), &body).await;
    app.completed(&adding.task()).await;
    let task = reclaim(app, &json!({"repo_hrefs": [shop.repository]})).await;
    assert_eq!(report(&task), (&json!(1), &json!(1)));
    assert_eq!(here(app).await, ["a"]);
    shop.app.finish().await;
}

#[tokio::test]
async fn an_artifact_of_two_units_counts_where_one_of_them_is_held() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    shop.upstream
        .publish(DIRECTORY, &[("a", "same"), ("z", "same"), ("b", "else")]);
    shop.sync(&json!({})).await;
    let other = app.repository("other").await;
    let units = app
        .hrefs("content/file/files/?ordering=relative_path")
        .await;
    // Two repositories: the one that is held and the other one are met in different transactions.
    let body = json!({"add_content_units": [units[2]]});
    let adding = app.post(&format!("{}modify/", href(&other)), &body).await;
    app.completed(&adding.task()).await;
    let body = json!({"remove_content_units": [units[2]]});
    let path = format!("{}modify/", shop.repository);
    let removing = app.post(&path, &body).await.task();
    app.completed(&removing).await;
    let held = app.db.sql().await;
    let id = millrace_tests::client::id_of(&units[0]);
    held.run(&format!(
        "BEGIN; SELECT FROM content WHERE pulp_id = '{id}' FOR KEY SHARE"
    ))
    .await;
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
