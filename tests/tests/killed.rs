//! Long tasks whose workers are killed at random moments end in the state of one that nobody disturbed.
//!
//! `MILLRACE_TEST_SEEDS` says how many runs are disturbed (3), `MILLRACE_TEST_SEED` which is the first.

mod cases;

use cases::{Case, snapshot};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::time::{Duration, Instant};

/// So many runs more, where none was hit: one in many moments may miss.
const MORE: u64 = 5;

fn variable(name: &str) -> Option<u64> {
    millrace_tests::stack::setting(name).map(|text| text.parse().unwrap())
}

/// Runs the case to its end; `moments`: after how long each worker is killed. Gives the state in the end, how long
/// the task took, and how many runs it took.
async fn play(case: &Case, moments: &[Duration]) -> (Value, Duration, i64) {
    let mut app = TestApp::with_workers(1).await;
    let call = (case.prepare)(&app).await;
    let task = app.dispatch(&call).await;
    eventually(Duration::from_secs(30), async || {
        let state = app.row(millrace_tests::client::id_of(&task)).await.0;
        holds(state != "waiting", || state.clone())
    })
    .await;
    // Moments are within this time: of what came before, none would hit.
    let started = Instant::now();
    for moment in moments {
        tokio::time::sleep(*moment).await;
        let last = app.workers.len() - 1;
        app.workers[last].kill();
        app.spawn_worker(&[]);
    }
    let ended = app.finished_within(&task, Duration::from_secs(120)).await;
    let took = started.elapsed();
    assert_eq!(ended["state"], "completed", "{ended:#}");
    // Files whose writer died are given up once its sessions are surely gone.
    let shot = eventually(Duration::from_secs(60), async || {
        let left =
            "SELECT (SELECT count(*) FROM tombstone) + (SELECT count(*) FROM unit_tombstone)";
        let left = app.sql.number(left).await;
        holds(left == 0, || format!("{left} files are still buried"))?;
        Ok::<_, String>(snapshot(&app, &ended, case).await)
    })
    .await;
    let runs = app.row(millrace_tests::client::id_of(&task)).await.1;
    app.finish().await;
    (shot, took, runs)
}

async fn disturbed_runs_end_like_an_undisturbed_one(case: Case) {
    let (wanted, mut took, _) = play(&case, &[]).await;
    let mut hit = 0;
    let first = variable("MILLRACE_TEST_SEED").unwrap_or_else(rand::random);
    let seeds = variable("MILLRACE_TEST_SEEDS").unwrap_or(3);
    for n in 0..seeds + MORE {
        if n >= seeds && hit > 0 {
            break;
        }
        let seed = first.wrapping_add(n);
        let mut rng = StdRng::seed_from_u64(seed);
        // Twice at most: a third loss would fail the task.
        let kills = rng.random_range(1..=2);
        let moments: Vec<Duration> = (0..kills)
            .map(|_| took.mul_f64(rng.random::<f64>()))
            .collect();
        println!(
            "{}: MILLRACE_TEST_SEED={seed}, killed after {moments:?}",
            case.name
        );
        let (state, lasted, runs) = play(&case, &moments).await;
        assert_eq!(state, wanted, "{}: MILLRACE_TEST_SEED={seed}", case.name);
        if runs > 1 {
            hit += 1;
        } else {
            // It was over before: the machine is faster now than it was at first.
            took = took.min(lasted);
        }
    }
    println!("{}: {hit} runs were hit", case.name);
    assert!(hit > 0, "{}: no worker was killed in time", case.name);
}

#[tokio::test]
async fn orphan_clean_up() {
    disturbed_runs_end_like_an_undisturbed_one(cases::orphan_clean_up()).await;
}

#[tokio::test]
async fn orphan_removal() {
    disturbed_runs_end_like_an_undisturbed_one(cases::orphan_removal()).await;
}

#[tokio::test]
async fn reclaim() {
    disturbed_runs_end_like_an_undisturbed_one(cases::reclaim()).await;
}

#[tokio::test]
async fn add_and_remove() {
    disturbed_runs_end_like_an_undisturbed_one(cases::add_and_remove()).await;
}

#[tokio::test]
async fn upload_clean_up() {
    disturbed_runs_end_like_an_undisturbed_one(cases::upload_clean_up()).await;
}

#[tokio::test]
async fn purge() {
    disturbed_runs_end_like_an_undisturbed_one(cases::purge()).await;
}
