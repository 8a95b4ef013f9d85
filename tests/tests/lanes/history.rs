//! Many sessions dispatch, claim, finish and cancel at random; a checker reads what they did.

use millrace_tests::history::{Run, violations};
use millrace_tests::lanes::{self, DOMAIN, Wanted};
use millrace_tests::{Sql, TestDb, stack};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const SESSIONS: u64 = 10;
const TASKS: u32 = 600;

#[derive(Default)]
struct Record {
    tasks: Mutex<BTreeMap<Uuid, (i64, Wanted)>>,
    runs: Mutex<Vec<Run>>,
    dispatched: AtomicU32,
    deadlocks: AtomicU32,
    /// Runs that were settled with others.
    together: AtomicUsize,
    /// Dispatches of several that left one to be dispatched alone.
    left_out: AtomicUsize,
}

struct Verdict {
    left_behind: i64,
    violations: Vec<String>,
    deadlocks: u32,
    runs: usize,
    together: usize,
    left_out: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_history_of_many_sessions_keeps_order_and_leaves_nothing_behind() {
    let db = TestDb::create().await;
    let seed = stack::seed();
    let verdict = play(&db, seed).await;
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert_eq!(verdict.left_behind, 0);
    assert_eq!(
        verdict.deadlocks, 0,
        "the order of locks allows no deadlock"
    );
    assert!(verdict.runs > TASKS as usize / 2, "{} runs", verdict.runs);
    assert!(verdict.together > 0, "none was settled with another one");
    assert!(verdict.left_out > 0, "no dispatch met a locked lane");
    let sql = db.sql().await;
    assert_eq!(sql.number("SELECT count(*) FROM reservation").await, 0);
    assert_eq!(
        sql.number("SELECT count(*) FROM lane_continuation").await,
        0
    );
}

/// The same history with a promotion that does not lock its candidates: the checker must see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_history_without_the_lock_on_candidates_leaves_tasks_behind() {
    for seed in 0..20 {
        let db = TestDb::create().await;
        break_promotion(&db.sql().await).await;
        let verdict = play(&db, seed).await;
        if verdict.left_behind > 0 || !verdict.violations.is_empty() {
            println!("seed {seed}: {} left behind", verdict.left_behind);
            return;
        }
    }
    panic!("a broken promotion went unnoticed: the histories do not race enough");
}

/// Takes the row locks on candidates out of the functions, and leaves all else.
pub async fn break_promotion(sql: &Sql) {
    for (function, whole, broken) in [
        (
            "millrace_promote",
            "PERFORM FROM task WHERE task.pulp_id = ANY (candidates) ORDER BY task.pulp_id FOR UPDATE;",
            "",
        ),
        (
            "millrace_settle",
            "task.pulp_id = ANY (candidates || free) ORDER BY",
            "task.pulp_id = ANY (free) ORDER BY",
        ),
    ] {
        let source = sql
            .text(&format!("pg_get_functiondef('{function}'::regproc)"))
            .await;
        assert!(source.contains(whole), "{function} reads differently now");
        sql.run(&source.replace(whole, broken)).await;
    }
}

async fn play(db: &TestDb, seed: u64) -> Verdict {
    let record = Arc::new(Record::default());
    let clock = Instant::now();
    let mut sessions = tokio::task::JoinSet::new();
    for n in 0..SESSIONS {
        let (sql, record) = (db.sql().await, Arc::clone(&record));
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(n));
        sessions.spawn(async move { session(&sql, &record, rng, clock).await });
    }
    while let Some(ended) = sessions.join_next().await {
        ended.unwrap();
    }
    let sql = db.sql().await;
    let left_behind = lanes::incomplete(&sql).await.len() as i64;
    let runs = record.runs.lock().unwrap();
    Verdict {
        left_behind,
        violations: violations(&runs),
        deadlocks: record.deadlocks.load(Ordering::Relaxed),
        together: record.together.load(Ordering::Relaxed),
        left_out: record.left_out.load(Ordering::Relaxed),
        runs: runs.len(),
    }
}

/// Acts until all tasks are dispatched and nothing can be claimed any more.
async fn session(sql: &Sql, record: &Record, mut rng: StdRng, clock: Instant) {
    let mut idle_since = Instant::now();
    loop {
        let all = record.dispatched.load(Ordering::Relaxed) >= TASKS;
        if !all && rng.random_bool(0.45) {
            let tasks: Vec<_> = (0..rng.random_range(1..4))
                .map(|_| random_task(&mut rng))
                .collect();
            let count = u32::try_from(tasks.len()).unwrap();
            record.dispatched.fetch_add(count, Ordering::Relaxed);
            let tickets = if rng.random_bool(0.5) {
                lanes::dispatch(sql, &tasks).await.unwrap()
            } else {
                dispatch_as_requests(sql, record, &tasks).await
            };
            let mut known = record.tasks.lock().unwrap();
            known.extend(tickets.into_iter().zip(tasks).map(|(k, t)| (t.id, (k, t))));
            continue;
        }
        if rng.random_bool(0.05) {
            cancel_any(sql, record, &mut rng).await;
        }
        if run_some(sql, record, &mut rng, clock).await {
            idle_since = Instant::now();
        } else if all && lanes::incomplete(sql).await.is_empty() {
            return;
        } else if idle_since.elapsed() > Duration::from_secs(2) {
            // What still waits now has been left behind: nobody holds anything.
            return;
        } else {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Those that nobody is in the way of in one transaction, each other one alone; gives the tickets.
async fn dispatch_as_requests(sql: &Sql, record: &Record, tasks: &[Wanted]) -> Vec<i64> {
    let free = match lanes::dispatch_free(sql, tasks).await {
        Ok(free) => free,
        // Somebody has had something locked for longer than several wait for it.
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let mut free: BTreeMap<Uuid, i64> = free.into_iter().collect();
    if free.len() < tasks.len() {
        record.left_out.fetch_add(1, Ordering::Relaxed);
    }
    let mut tickets = Vec::new();
    for task in tasks {
        tickets.push(match free.remove(&task.id) {
            Some(ticket) => ticket,
            None => lanes::dispatch(sql, std::slice::from_ref(task))
                .await
                .unwrap()[0],
        });
    }
    tickets
}

fn random_task(rng: &mut StdRng) -> Wanted {
    if rng.random_bool(0.005) {
        return Wanted::new([DOMAIN], []);
    }
    let mut pick = |most| {
        let count = rng.random_range(0..=most);
        (0..count)
            .map(|_| format!("lane-{}", rng.random_range(0..8)))
            .collect::<Vec<_>>()
    };
    let (exclusive, shared) = (pick(2), pick(2));
    Wanted::new(exclusive, shared)
}

async fn cancel_any(sql: &Sql, record: &Record, rng: &mut StdRng) {
    let waiting =
        "SELECT pulp_id::text FROM task WHERE state = 'waiting' ORDER BY ticket DESC LIMIT 20";
    let waiting = sql.texts(waiting).await;
    if !waiting.is_empty() {
        let id = waiting[rng.random_range(0..waiting.len())].parse().unwrap();
        let (_, deadlocks) = lanes::cancel(sql, id, 500).await.unwrap();
        record.deadlocks.fetch_add(deadlocks, Ordering::Relaxed);
    }
}

/// Gives what was claimed, and when.
async fn claim_alone(sql: &Sql, ready: &[Uuid], clock: Instant) -> Vec<(Uuid, u64)> {
    let mut held = Vec::new();
    for id in ready {
        let outcome = lanes::claim(sql, *id, Uuid::new_v4()).await.unwrap();
        match outcome.as_str() {
            "claimed" => held.push((*id, u64::try_from(clock.elapsed().as_nanos()).unwrap())),
            // A refusal gives all locks of the session back.
            "refused" => break,
            _ => {}
        }
    }
    held
}

/// As [`claim_alone`], the locks of all first.
async fn claim_together(sql: &Sql, ready: &[Uuid], clock: Instant) -> Vec<(Uuid, u64)> {
    let mut locked = Vec::new();
    for id in ready {
        match lanes::lock(sql, *id).await.unwrap().as_str() {
            "locked" => locked.push((*id, Uuid::new_v4())),
            // A refusal gives all locks of the session back.
            "refused" => locked.clear(),
            _ => {}
        }
    }
    let claimed = lanes::claim_together(sql, &locked).await.unwrap();
    let now = u64::try_from(clock.elapsed().as_nanos()).unwrap();
    claimed.into_iter().map(|(id, _)| (id, now)).collect()
}

/// Claims, holds and finishes a task, or a few together; false when there was none.
async fn run_some(sql: &Sql, record: &Record, rng: &mut StdRng, clock: Instant) -> bool {
    let ready = format!(
        "SELECT pulp_id::text FROM task WHERE state = 'waiting' AND unblocked_at IS NOT NULL ORDER BY random() LIMIT {}",
        rng.random_range(1..4)
    );
    let ready = sql.texts(&ready).await;
    if ready.is_empty() {
        return false;
    }
    let ready: Vec<Uuid> = ready.iter().map(|id| id.parse().unwrap()).collect();
    let held = if rng.random_bool(0.5) {
        claim_alone(sql, &ready, clock).await
    } else {
        claim_together(sql, &ready, clock).await
    };
    tokio::time::sleep(Duration::from_micros(rng.random_range(0..3000))).await;
    let end = u64::try_from(clock.elapsed().as_nanos()).unwrap();
    match held.as_slice() {
        [] => sql.run("SELECT pg_advisory_unlock_all()").await,
        [(id, _)] => {
            let ended = match rng.random_bool(0.5) {
                true => lanes::finish_with_write(sql, *id).await,
                false => lanes::finish(sql, *id, 500).await,
            };
            let (state, deadlocks) = ended.unwrap();
            assert_eq!(state.as_deref(), Some("completed"), "nobody else ends it");
            record.deadlocks.fetch_add(deadlocks, Ordering::Relaxed);
        }
        some => {
            let ids: Vec<Uuid> = some.iter().map(|(id, _)| *id).collect();
            let alone = lanes::finish_together(sql, &ids).await.unwrap();
            record
                .together
                .fetch_add(ids.len() - alone, Ordering::Relaxed);
        }
    }
    for (id, start) in held {
        note(sql, record, id, start, end).await;
    }
    true
}

async fn note(sql: &Sql, record: &Record, id: Uuid, start: u64, end: u64) {
    // The dispatcher may not have noted its ticket yet: the row has it.
    let ticket = sql
        .number(&format!("SELECT ticket FROM task WHERE pulp_id = '{id}'"))
        .await;
    let known = record.tasks.lock().unwrap().get(&id).cloned();
    if let Some((noted, wanted)) = known {
        assert_eq!(noted, ticket, "tickets follow the order of one dispatch");
        record.runs.lock().unwrap().push(Run {
            task: id.to_string(),
            ticket,
            exclusive: wanted.exclusive,
            shared: wanted.shared,
            start,
            end,
        });
    }
}
