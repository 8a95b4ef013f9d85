//! A manifest of many lines.

use super::shop::{DIRECTORY, Shop, report};
use millrace_tests::memory::peak;
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(900);

fn manifest(lines: u32) -> String {
    let mut text = String::new();
    for i in 0..lines {
        writeln!(text, "dir{:03}/file-{i}.bin,{i:064x},{i}", i % 500).unwrap();
    }
    text
}

#[tokio::test]
async fn many_lines_are_taken_in_batches_and_stay_out_of_memory() {
    let lines = millrace_tests::stack::setting("MILLRACE_TEST_SYNC_LINES");
    let lines: u32 = lines.map_or(12_000, |lines| lines.parse().unwrap());
    let shop = Shop::open("on_demand").await;
    let path = format!("{DIRECTORY}/PULP_MANIFEST");
    let text = manifest(lines);
    shop.upstream.serve(&path, text.clone());
    let before = peak([shop.app.workers[0].id()]);
    let start = Instant::now();
    let task = shop.ask(&json!({"mirror": true})).await.task();
    let task = shop.app.finished_within(&task, LONG).await;
    let first = start.elapsed();
    let units = i64::from(lines);
    assert_eq!(report(&task, "associating.content").unwrap().2, units);
    let summary = &task["result"]["content_summary"];
    assert_eq!(summary["present"]["file.file"]["count"], units);
    // Most of it goes again.
    let rest: String = text
        .lines()
        .take(500)
        .map(|line| format!("{line}\n"))
        .collect();
    shop.upstream.serve(&path, rest);
    let start = Instant::now();
    let task = shop.ask(&json!({"mirror": true})).await.task();
    let task = shop.app.finished_within(&task, LONG).await;
    assert_eq!(
        report(&task, "unassociating.content").unwrap().2,
        units - 500
    );
    let after = peak([shop.app.workers[0].id()]);
    println!(
        "{lines} units: {first:?} in, {:?} out again, peak {after:.1} MiB, {before:.1} before",
        start.elapsed()
    );
    assert!(after < before + 60.0, "{after:.1} MiB, {before:.1} before");
    shop.app.finish().await;
}
