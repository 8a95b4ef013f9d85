//! A change that is committed is seen by the next request, on every process.

use super::shop::Shop;
use millrace_tests::client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

async fn read(client: &Client, path: &str) -> (u16, String) {
    let answer = client.get(&format!("/pulp/content/{path}")).await;
    (answer.status.as_u16(), answer.text)
}

#[tokio::test]
async fn a_change_is_seen_at_once_by_every_process_under_load() {
    let shop = Shop::open().await;
    let (_other, other) = shop.another_api(&["serve", "--only", "content"], &[]).await;
    let clients = [shop.client(), other];
    let repository = shop.repository("r").await;
    shop.publish(&repository, &[("file", "0"), ("same", "s")])
        .await;
    shop.distribute("p", "repository_id", &repository).await;
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let client = clients[n % 2].clone();
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // Never away, whatever else changes.
                    assert_eq!(read(&client, "p/same").await, (200, "s".to_owned()));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let same = shop.unit("same", "s").await;
    for round in 1..12 {
        let text = round.to_string();
        let units = [shop.unit("file", &text).await, same.clone()];
        let version = shop.version_of(&repository, &units).await;
        shop.publication(&version).await;
        // The one before goes at once, as retention has it.
        shop.sql
            .run("DELETE FROM publication WHERE version_number < (SELECT max(version_number) FROM publication)")
            .await;
        for client in &clients {
            assert_eq!(read(client, "p/file").await, (200, text.clone()));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(served.load(Ordering::Relaxed) > 20, "{served:?}");
}

#[tokio::test]
async fn a_distribution_may_change_in_every_way() {
    let shop = Shop::open().await;
    let (one, two) = (shop.repository("one").await, shop.repository("two").await);
    let first = shop.publish(&one, &[("file", "first")]).await;
    let version = shop.version(&one, &[("file", "second")]).await;
    let second = shop.publication(&version).await;
    shop.publish(&two, &[("file", "two")]).await;
    shop.distribute("p", "repository_id", &one).await;
    let steps = [
        ("SELECT".to_owned(), "second"),
        // The newest version counts, not the newest publication.
        (
            format!(
                "UPDATE publication SET pulp_created = '2001-01-01' WHERE pulp_id = '{second}'"
            ),
            "second",
        ),
        (
            format!("UPDATE distribution SET repository_id = NULL, publication_id = '{first}'"),
            "first",
        ),
        (
            format!(
                "UPDATE distribution SET publication_id = NULL, repository_version_id = '{version}'"
            ),
            "second",
        ),
        (
            format!(
                "UPDATE distribution SET repository_version_id = NULL, repository_id = '{two}'"
            ),
            "two",
        ),
        ("UPDATE distribution SET base_path = 'p/q'".to_owned(), ""),
        ("UPDATE distribution SET base_path = 'p'".to_owned(), "two"),
        ("DELETE FROM publication".to_owned(), ""),
        ("DELETE FROM distribution".to_owned(), ""),
    ];
    for (step, text) in steps {
        shop.sql.run(&step).await;
        let expected = if text.is_empty() { 404 } else { 200 };
        let answer = shop.content("p/file").await;
        assert_eq!(answer.status, expected, "{step}");
        if expected == 200 {
            assert_eq!(answer.text, text, "{step}");
        }
        if step.contains("p/q") {
            assert_eq!(shop.content("p/q/file").await.text, "two");
        }
    }
}

#[tokio::test]
async fn a_process_that_hangs_holds_up_nobody() {
    let shop = Shop::with("p", &[("file", "before")]).await;
    let (process, client) = shop.another_api(&["serve", "--only", "content"], &[]).await;
    assert_eq!(read(&client, "p/file").await.1, "before");
    process.signal("STOP");
    let repository = shop.sql.text("SELECT pulp_id FROM repository").await;
    let began = Instant::now();
    shop.publish(&repository, &[("file", "after")]).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(shop.content("p/file").await.text, "after");
    process.signal("CONT");
    assert_eq!(read(&client, "p/file").await.1, "after");
}
