//! A random history of the real thing: many dispatchers, several worker processes, random resources
//! and cancels, workers killed at random moments. What the tasks wrote down is checked afterwards.

use millrace_common::ids::TaskId;
use millrace_common::tasking::Resources;
use millrace_tests::app::ledger;
use millrace_tests::history::{read, rows, violations};
use millrace_tests::{Dispatcher, TestApp, stack};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DISPATCHERS: u64 = 4;
const TASKS: u32 = 100;
const WORKERS: usize = 3;
const KILLS: u32 = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_history_with_killed_workers_keeps_every_promise() {
    let seed = stack::seed();
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .workers(WORKERS)
        .start()
        .await;
    let file = app.dir().join("history");
    let first = app.dispatcher().await;

    let mut dispatching = tokio::task::JoinSet::new();
    for n in 0..DISPATCHERS {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(100).wrapping_add(n));
        dispatching.spawn(dispatch_at_random(first.another().await, rng, file.clone()));
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(400..1600))).await;
        let victim = rng.random_range(0..app.workers.len());
        app.workers.remove(victim).kill();
        app.spawn_worker(&[]);
    }
    let mut accepted = BTreeMap::new();
    while let Some(tasks) = dispatching.join_next().await {
        accepted.extend(tasks.unwrap());
    }
    let dispatched = std::time::Instant::now();
    app.quiet(Duration::from_secs(90)).await;
    println!("quiet {:?} after the last dispatch", dispatched.elapsed());

    check(&app, &accepted, &file).await;
    app.finish().await;
}

/// Dispatches, now and then several at once, and cancels some. Gives what was accepted: the tickets.
async fn dispatch_at_random(
    mut dispatcher: Dispatcher,
    mut rng: StdRng,
    file: PathBuf,
) -> BTreeMap<TaskId, i64> {
    let mut accepted = BTreeMap::new();
    while accepted.len() < TASKS as usize {
        let tasks: Vec<_> = (0..rng.random_range(1..4))
            .map(|_| {
                let name = if rng.random_bool(0.8) { "plugin.tasks.ledger" } else { "plugin.tasks.ledger_once" };
                let arguments = json!({"steps": rng.random_range(1..7), "pause_ms": rng.random_range(1..60), "file": file});
                dispatcher.task(name, arguments, resources(&mut rng))
            })
            .collect();
        let dispatched = dispatcher.dispatch(&tasks).await;
        accepted.extend(dispatched.into_iter().map(|d| (d.id, d.ticket)));
        // Any of them: some wait, some run, some have ended.
        if rng.random_bool(0.12) {
            let place = rng.random_range(0..accepted.len());
            if let Some(id) = accepted.keys().nth(place) {
                dispatcher.cancel(*id).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..120))).await;
    }
    accepted
}

fn resources(rng: &mut StdRng) -> Resources {
    (0..rng.random_range(1..=4)).fold(Resources::default(), |all, _| {
        let name = format!("lane-{}", rng.random_range(0..14));
        if rng.random_bool(0.5) {
            all.and_exclusive(name)
        } else {
            all.and_shared(name)
        }
    })
}

async fn check(app: &TestApp, accepted: &BTreeMap<TaskId, i64>, file: &Path) {
    let rows = rows(&app.sql).await;
    let known: BTreeSet<TaskId> = rows
        .iter()
        .map(|r| r["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(
        known,
        accepted.keys().copied().collect(),
        "none lost, none from nowhere"
    );

    let runs = read(file, &rows);
    assert_eq!(violations(&runs), Vec::<String>::new());
    for row in &rows {
        let (id, name) = (row["id"].as_str().unwrap(), row["name"].as_str().unwrap());
        let flips = ledger::count(&app.sql, id, "flip").await;
        match row["state"].as_str().unwrap() {
            "completed" => assert_eq!(flips, 1, "the effect and its record are one: {row}"),
            "canceled" => assert_eq!(flips, 0, "{row}"),
            "failed" => {
                assert_eq!(flips, 0, "{row}");
                assert_eq!(row["reason"], "Worker has gone missing.", "{row}");
                assert!(
                    name == "plugin.tasks.ledger_once" || row["attempts"].as_i64() >= Some(3),
                    "{row}"
                );
            }
            other => panic!("{id} ended as {other}"),
        }
    }
    assert_eq!(
        ledger::forbidden_moves(&app.sql).await,
        Vec::<String>::new(),
        "a final state was left"
    );
    assert_eq!(
        ledger::overlapping_claims(&app.sql).await,
        0,
        "a claim wrote after its successor"
    );
    let killed = app
        .sql
        .number(
            "SELECT count(*) FROM task t WHERE attempts > 1 OR error ->> 'reason' LIKE 'Worker%'",
        )
        .await;
    let count = |state: &str| rows.iter().filter(|r| r["state"] == state).count();
    println!(
        "{} runs of {} tasks, {killed} killed: {} completed, {} failed, {} canceled",
        runs.len(),
        rows.len(),
        count("completed"),
        count("failed"),
        count("canceled")
    );
    assert!(count("completed") > rows.len() / 2);
}
