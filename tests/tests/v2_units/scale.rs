//! As many units as the disabled test of Pulp 2 has. The benchmark `units` goes on to a million.

use super::Pulp;
use millrace_tests::memory::peak;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BUDGET: Duration = Duration::from_secs(120);

/// MiB that the worker has had at most.
fn memory(pulp: &Pulp) -> f64 {
    peak([pulp.workers[0].id()])
}

fn units(pulp: &Pulp, type_id: &str, count: usize) {
    let unit = |n: usize| {
        let path = pulp.write(&format!("content/{type_id}/{}/{n}", n / 100));
        match type_id {
            "rpm" => super::rpm(&n.to_string(), Some(&path)),
            _ => json!({"errata_id": n.to_string(), "_storage_path": path}),
        }
    };
    let units: Vec<Value> = (0..count).map(unit).collect();
    pulp.import(type_id, &units);
}

#[tokio::test]
async fn thirty_thousand_units_of_one_type() {
    let pulp = Pulp::start().await;
    units(&pulp, "rpm", 30_000);
    assert_eq!(pulp.units().await, 30_000);
    let (started, before) = (Instant::now(), memory(&pulp));
    let task = pulp.begin("delete_all_orphans", json!({})).await;
    let ended = pulp.finished_within(&task, BUDGET).await;
    assert_eq!(ended["result"], json!({"rpm": 30_000}));
    println!(
        "30,000 units: {:?}, {before:.1} then {:.1} MiB",
        started.elapsed(),
        memory(&pulp)
    );
    assert!(memory(&pulp) < before + 64.0);
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}

#[tokio::test]
async fn fifteen_thousand_units_of_each_of_two_types() {
    let pulp = Pulp::start().await;
    units(&pulp, "rpm", 15_000);
    units(&pulp, "erratum", 15_000);
    let by_type = json!({"content_type_id": "rpm"});
    let task = pulp.begin("delete_orphans_by_type", by_type).await;
    let ended = pulp.finished_within(&task, BUDGET).await;
    assert_eq!(ended["result"], json!({"rpm": 15_000}));
    assert_eq!(pulp.files(), 15_000);
    let task = pulp.begin("delete_all_orphans", json!({})).await;
    let ended = pulp.finished_within(&task, BUDGET).await;
    assert_eq!(ended["result"], json!({"erratum": 15_000}));
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}
