//! When there is nothing to do.

use super::shop::{DIRECTORY, Shop, report};
use serde_json::{Value, json};

fn was_skipped(task: &Value) -> bool {
    let report = report(task, "sync.was_skipped");
    if let Some(report) = &report {
        let message = "Skipping Sync (no change from previous sync)".to_owned();
        assert_eq!(*report, (message, json!(1), 1));
        assert_eq!(task["result"], Value::Null);
    }
    report.is_some()
}

#[tokio::test]
async fn a_sync_is_skipped_only_where_nothing_has_changed() {
    let shop = Shop::open("on_demand").await;
    shop.upstream.publish(DIRECTORY, &[("a", "1")]);
    assert!(!was_skipped(&shop.sync(&json!({})).await));
    assert!(was_skipped(&shop.sync(&json!({})).await));
    assert!(!was_skipped(&shop.sync(&json!({"optimize": false})).await));
    assert!(
        !was_skipped(&shop.sync(&json!({"mirror": true})).await),
        "a mirror now"
    );
    assert!(was_skipped(&shop.sync(&json!({"mirror": true})).await));
    shop.change_remote(&json!({"policy": "immediate"})).await;
    assert!(
        !was_skipped(&shop.sync(&json!({})).await),
        "files are wanted now"
    );
    assert!(was_skipped(&shop.sync(&json!({})).await));
    shop.app
        .sql
        .run("UPDATE content_artifact SET artifact_id = NULL")
        .await;
    assert!(
        !was_skipped(&shop.sync(&json!({})).await),
        "a file was given up"
    );
    let unit = shop.app.unit("b", "2").await;
    let repository = shop.app.get(&shop.repository).await.expect(200);
    shop.app.modify(&repository, &[unit], &[]).await;
    assert!(
        !was_skipped(&shop.sync(&json!({})).await),
        "the newest version is another"
    );
    shop.upstream.publish(DIRECTORY, &[("a", "2")]);
    assert!(
        !was_skipped(&shop.sync(&json!({})).await),
        "the manifest is another"
    );
    let body =
        json!({"name": "s", "url": shop.upstream.url(&format!("{DIRECTORY}/PULP_MANIFEST"))});
    let other = shop.app.post("remotes/file/file/", &body).await.expect(201);
    let other = json!({"remote": other["prn"]});
    assert!(
        !was_skipped(&shop.sync(&other).await),
        "the remote is another"
    );
    assert!(was_skipped(&shop.sync(&other).await));
    shop.app.finish().await;
}
