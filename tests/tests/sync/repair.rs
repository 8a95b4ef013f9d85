//! Files of a version that are missing or broken are fetched anew.

use super::shop::{DIRECTORY, Shop, report};
use crate::s3::S3;
use millrace_tests::client::id_of;
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use millrace_tests::proxy::{Line, Proxy};
use millrace_tests::upstream::sha256;
use serde_json::json;
use std::time::Duration;

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

#[tokio::test]
async fn a_store_that_does_not_answer_makes_no_file_a_broken_one() {
    let s3 = S3::start().await;
    let address = s3.endpoint.trim_start_matches("http://");
    let line = Proxy::to(address.parse().unwrap()).await;
    let builder = s3
        .app()
        .set("storage.endpoint", format!("http://{}", line.address()));
    let shop = Shop::of(builder.workers(1).start().await, "immediate").await;
    shop.upstream.publish(DIRECTORY, &FILES);
    shop.sync(&json!({})).await;
    let keys = "SELECT string_agg(storage_key, ' ' ORDER BY storage_key) FROM artifact";
    let before = shop.app.sql.text(keys).await;
    let counts = async |code: &str| {
        let count = "SELECT coalesce(sum(done), 0)::bigint FROM progress_report WHERE code = ";
        shop.app.sql.number(&format!("{count}'{code}'")).await
    };

    line.set(Line::Cut);
    let path = format!("{}versions/1/repair/", shop.repository);
    let task = shop.app.post(&path, &json!({})).await.task();
    // It gives the store some time, and is then handed back.
    eventually(Duration::from_secs(150), async || {
        let log = shop.app.workers[0].log();
        let handed_back = log.lines().filter(|line| line.contains("was handed back"));
        let of_task = handed_back
            .filter(|line| line.contains(id_of(&task)))
            .count();
        holds(of_task > 0, || "it is not handed back".to_owned())
    })
    .await;
    assert_eq!(
        (
            counts("repair.missing").await,
            counts("repair.corrupted").await
        ),
        (0, 0)
    );
    line.set(Line::Open);
    let limit = Duration::from_secs(150);
    let task = shop.app.finished_within(&task, limit).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    assert_eq!(
        (
            counts("repair.missing").await,
            counts("repair.corrupted").await
        ),
        (0, 0)
    );
    assert_eq!(shop.app.sql.text(keys).await, before);
    shop.app.finish().await;
}
