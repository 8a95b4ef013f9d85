//! The whole system under load while things break, judged afterwards by what the tasks wrote down themselves.
//!
//! `MILLRACE_TEST_SEED` says which run, `MILLRACE_TEST_FAULTS` how many faults befall it (3; `all`: each in turn;
//! parts of their names with commas: those).
//! `make chaos` runs all of it at length and prints the figures of docs/RELIABILITY.md.

mod crash_points;
mod crash_storage;
mod fault;
mod figures;
mod hits;
mod hosts;
mod judge;
mod load;
mod messages;
mod upgrade;
pub mod world;

use fault::Fault;
use load::{Load, probe};
use millrace_tests::eventually::holds;
use millrace_tests::{eventually, stack};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};
use world::World;

/// Longest time until all is as fast as before, counted from the end of a fault.
const RECOVERY: Duration = Duration::from_secs(30);
/// Longest time for one thing that a run does: what hangs is named, and the run ends before somebody ends it.
const LONGEST: Duration = Duration::from_secs(150);

/// Which faults, in which order.
fn faults(rng: &mut StdRng) -> Vec<Fault> {
    match stack::setting("MILLRACE_TEST_FAULTS").as_deref() {
        Some("all") => {
            let mut all = Fault::ALL.to_vec();
            all.shuffle(rng);
            all
        }
        Some(some) if some.parse::<usize>().is_err() => {
            let named = |fault: &Fault| some.split(',').any(|part| fault.name().contains(part));
            Fault::ALL.iter().copied().filter(named).collect()
        }
        count => {
            let count = count.map_or(3, |count| count.parse().unwrap());
            let any = |_| *Fault::ALL.choose(rng).unwrap();
            (0..count).map(any).collect()
        }
    }
}

/// What this gives, within [`LONGEST`].
async fn bounded<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LONGEST, doing).await;
    done.unwrap_or_else(|_| panic!("{what}: not over after {LONGEST:?}"))
}

/// Waits until tasks through both APIs take no longer than before; how long after `healed` that was.
async fn recovered(world: &World, before: Duration, healed: Instant) -> Duration {
    eventually(RECOVERY, async || {
        for client in world.clients() {
            let took = probe(&client, 10).await?;
            holds(took < before * 2 + Duration::from_millis(200), || {
                format!("10 tasks take {took:?}, {before:?} before")
            })?;
        }
        Ok(healed.elapsed())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_that_breaks_again_and_again_keeps_every_promise() {
    let seed = stack::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = faults(&mut rng);
    let mut world = World::build().await;
    let file = world.app.dir().join("history");
    let load = Load::begin(&world.clients(), &file, seed);
    let mut before = Duration::ZERO;
    for client in world.clients() {
        for _ in 0..3 {
            before = before.max(probe(&client, 10).await.unwrap());
        }
    }
    println!("10 tasks through one API before the first fault: {before:?}");
    for fault in &faults {
        world::pause(rng.random_range(0.2..1.5)).await;
        let accepted = load.accepted();
        let name = fault.name();
        let hit = bounded(name, fault.happen(&mut world, &mut rng)).await;
        let healed = Instant::now();
        let took = bounded(name, recovered(&world, before, healed)).await;
        let accepted = load.accepted() - accepted;
        println!(
            "{name}: hit {hit}; full speed {:.1} s after its end, {accepted} tasks accepted",
            took.as_secs_f64()
        );
        assert_eq!(world.ended(), Vec::<String>::new());
    }
    let accepted = bounded("the last requests", load.end()).await;
    world.app.sql = world.sql().await;
    world.app.quiet(Duration::from_secs(120)).await;
    let verdict = judge::judge(&world.app, &accepted, &file).await;
    println!(
        "{} faults, {} tasks, {} runs of ledgers, {} violations",
        faults.len(),
        verdict.tasks,
        verdict.runs,
        verdict.violations.len()
    );
    assert_eq!(verdict.violations, Vec::<String>::new());
    world.app.finish().await;
}
