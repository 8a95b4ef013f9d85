//! Files of a version that are missing or broken are fetched anew.

use super::shop::{DIRECTORY, Shop, report};
use millrace_tests::upstream::sha256;
use serde_json::json;

const FILES: [(&str, &str); 4] = [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")];

/// Where the file with this text lies.
async fn place(shop: &Shop, text: &str) -> std::path::PathBuf {
    let key = format!(
        "SELECT storage_key FROM artifact WHERE sha256 = '{}'",
        sha256(text.as_bytes())
    );
    shop.app.media().join(shop.app.sql.text(&key).await)
}

async fn repair(shop: &Shop, body: &serde_json::Value) -> (i64, i64, i64) {
    let path = format!("{}versions/1/repair/", shop.repository);
    let task = shop.app.post(&path, body).await.task();
    let task = shop.app.completed(&task).await;
    assert_eq!(task["name"], "pulpcore.app.tasks.repository.repair_version");
    let counted = |code: &str| {
        let (_, total, done) = report(&task, code).unwrap();
        assert_eq!(total, json!(done), "{code}");
        done
    };
    (
        counted("repair.missing"),
        counted("repair.corrupted"),
        counted("repair.repaired"),
    )
}

#[tokio::test]
async fn what_cannot_be_read_is_replaced_and_the_old_file_is_gone() {
    let shop = Shop::open("immediate").await;
    shop.upstream.publish(DIRECTORY, &FILES);
    shop.sync(&json!({})).await;
    let (looped, wrong) = (place(&shop, "one").await, place(&shop, "two").await);
    std::fs::remove_file(&looped).unwrap();
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    std::fs::write(&wrong, "TWO").unwrap();
    assert_eq!(repair(&shop, &json!({})).await, (0, 2, 2));
    for (old, text) in [(looped, "one"), (wrong, "two")] {
        assert!(std::fs::symlink_metadata(&old).is_err(), "{text}");
        let new = std::fs::read(place(&shop, text).await).unwrap();
        assert_eq!(new, text.as_bytes());
    }
    shop.app.finish().await;
}

#[tokio::test]
async fn what_is_missing_or_broken_is_fetched_anew_and_what_no_remote_has_is_counted() {
    let shop = Shop::open("immediate").await;
    shop.upstream.publish(DIRECTORY, &FILES);
    shop.sync(&json!({})).await;
    assert_eq!(repair(&shop, &json!({})).await, (0, 0, 0));
    std::fs::remove_file(place(&shop, "one").await).unwrap();
    // As long as before, so that only its digest tells.
    std::fs::write(place(&shop, "two").await, "TWO").unwrap();
    std::fs::write(place(&shop, "three").await, "th").unwrap();
    std::fs::remove_file(place(&shop, "four").await).unwrap();
    shop.upstream.serve(&format!("{DIRECTORY}/d"), "another");
    assert_eq!(
        repair(&shop, &json!({"verify_checksums": false})).await,
        (2, 1, 2)
    );
    assert_eq!(std::fs::read(place(&shop, "one").await).unwrap(), b"one");
    assert_eq!(std::fs::read(place(&shop, "two").await).unwrap(), b"TWO");
    assert_eq!(
        repair(&shop, &json!({"verify_checksums": true})).await,
        (1, 1, 1)
    );
    for (_, text) in &FILES[..3] {
        assert_eq!(
            std::fs::read(place(&shop, text).await).unwrap(),
            text.as_bytes()
        );
    }
    shop.upstream.serve(&format!("{DIRECTORY}/d"), "four");
    assert_eq!(repair(&shop, &json!({})).await, (1, 0, 1));
    assert_eq!(repair(&shop, &json!({})).await, (0, 0, 0));
    let answer = shop
        .app
        .post(
            &format!("{}versions/1/repair/", shop.repository),
            &json!({"verify_checksums": 7}),
        )
        .await;
    assert_eq!(
        answer.expect(400),
        json!({"verify_checksums": ["Must be a valid boolean."]})
    );
    let answer = shop
        .app
        .post(
            &format!("{}versions/9/repair/", shop.repository),
            &json!({}),
        )
        .await;
    assert_eq!(answer.status, 404);
    shop.app.finish().await;
}
