//! The engine where tasks meet on lanes, and where they come in bulk: dispatched through the library.

use crate::engine::{DUMMY, dispatch};
use crate::figures::{Spread, against, rate};
use crate::raw::{Script, pgbench};
use crate::{LONG, SLOTS, WORKERS};
use millrace_common::ids::TaskId;
use millrace_common::tasking::{NewTask, Resources};
use millrace_tests::paper::Paper;
use millrace_tests::{Dispatcher, TestApp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::time::{Duration, Instant};

const BULK: usize = 20_000;
/// Tasks of one transaction.
pub const MANY: usize = 250;
/// The same where they share lanes with tasks that run: those are locked until it commits, and no run on them can be settled.
const FEW: usize = 25;
const CONTENDING: usize = 6000;
const RESOURCES: usize = 1000;
const EXPONENT: f64 = 0.8;

/// Milliseconds between the end of each of these tasks and the start of the one behind it, in the order of tickets.
pub async fn hand_over(app: &TestApp, which: &str) -> Spread {
    let statement = format!(
        "SELECT (extract(epoch FROM started_at - before) * 1000000)::bigint::text FROM (
            SELECT started_at, lag(finished_at) OVER (ORDER BY ticket) AS before FROM task WHERE {which}) t
          WHERE before IS NOT NULL"
    );
    Spread::of(numbers(app, &statement).await)
}

async fn numbers(app: &TestApp, statement: &str) -> Vec<f64> {
    let texts = app.sql.texts(statement).await;
    let micros = texts.iter().filter_map(|text| text.parse::<f64>().ok());
    micros.map(|micros| micros / 1000.0).collect()
}

/// Tasks a second from the first dispatch to the last end.
pub async fn through(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    tasks: &[NewTask],
    at_once: usize,
) -> (f64, Option<TaskId>) {
    let (start, mut first) = (Instant::now(), None);
    for part in tasks.chunks(at_once) {
        let dispatched = dispatcher.dispatch(part).await;
        first = first.or(dispatched.first().map(|task| task.id));
    }
    app.quiet(LONG).await;
    (rate(tasks.len(), start.elapsed()), first)
}

/// So many tasks that do nothing, each on a lane of its own.
pub fn free(dispatcher: &Dispatcher, count: usize) -> Vec<NewTask> {
    let lane = |n| Resources::exclusive(format!("bulk-{n}"));
    let tasks = (0..count).map(|n| dispatcher.task(DUMMY, json!({}), lane(n)));
    tasks.collect()
}

/// Tasks that do nothing, dispatched in bulk and drained, beside tasks one by one in the bare database.
///
/// # Errors
/// pgbench that does not run.
pub async fn bulk(app: &TestApp, dispatcher: &mut Dispatcher, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!(
        "{BULK} tasks that do nothing, dispatched in bulk and drained"
    ));
    let tasks = free(dispatcher, BULK);
    let (ours, _) = through(app, dispatcher, &tasks, MANY).await;
    for (what, peer, script) in [
        ("each a lane", "the same SQL", Script::EngineTask),
        ("", "the rows of a task", Script::Task),
        ("", "a bare row", Script::Bare),
    ] {
        let limit = pgbench(app, script).await?;
        let beside = against(ours, &format!("pgbench one by one, {peer}"), limit);
        paper.fact(what, &beside);
    }
    Ok(())
}

/// One lane with few and with many tasks behind it: how fast it drains, and what a task elsewhere takes.
pub async fn backlog(app: &TestApp, dispatcher: &mut Dispatcher, paper: &Paper, many: usize) {
    paper.heading(&format!("{many} tasks behind one lane"));
    let idle = probe(app).await;
    paper.fact("elsewhere, idle", &idle.to_string());
    let few = drained(app, dispatcher, 500, Duration::from_secs(4)).await;
    paper.fact("500 behind it", &format!("drains {:.1} /s", few.0));
    let (rate, beside) = drained(app, dispatcher, many, Duration::from_secs(10)).await;
    paper.fact(
        "elsewhere, beside",
        &format!("{beside}   {:.2} of idle at p50", beside.p50 / idle.p50),
    );
    paper.fact(
        "many behind it",
        &format!("drains {rate:.1} /s   {:.2} of the short one", rate / few.0),
    );
}

/// What a lane with so many behind it ends in a second while it has some, and meanwhile before that what a task elsewhere takes.
pub async fn drained(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    count: usize,
    most: Duration,
) -> (f64, Spread) {
    let lane = format!("busy-{count}");
    let holder = app.sleeper(3600.0, &[&lane]).await;
    app.in_state(&holder, "running").await;
    dispatch(dispatcher, count, |_| lane.clone()).await;
    let beside = probe(app).await;
    let _ = app.cancel(&holder).await;
    let waiting =
        format!("SELECT count(*) FROM reservation WHERE resource = '{lane}' AND NOT granted");
    while app.sql.number(&waiting).await == i64::try_from(count).unwrap_or_default() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (first, start) = (app.sql.number(&waiting).await, Instant::now());
    let mut rate = 0.0;
    while start.elapsed() < most {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let left = app.sql.number(&waiting).await;
        if left == 0 {
            break;
        }
        rate = (first - left) as f64 / start.elapsed().as_secs_f64();
    }
    // What is left is forgotten, as its draining takes minutes.
    let end = format!(
        "DELETE FROM task WHERE state = 'waiting' AND '{lane}' = ANY (reserved_resources_record)"
    );
    app.sql.run(&end).await;
    app.quiet(LONG).await;
    app.sql.run("VACUUM ANALYZE task").await;
    app.sql.run("VACUUM ANALYZE reservation").await;
    (rate, beside)
}

/// Milliseconds from the request to the end of a task on a lane of its own, by the database's clock.
pub async fn probe(app: &TestApp) -> Spread {
    let spans = crate::engine::latencies(app, 200).await;
    Spread::of_spans(&spans.iter().map(|span| span.1).collect::<Vec<_>>())
}

/// Resources drawn by Zipf: the n-th comes with a weight of one by n to the exponent.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=RESOURCES).map(|n| {
            sum += (n as f64).powf(-EXPONENT);
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, random: &mut StdRng) -> usize {
        let all = self.0.last().copied().unwrap_or(1.0);
        let point = random.random_range(0.0..all);
        self.0.partition_point(|sum| *sum < point)
    }
}

fn contending(random: &mut StdRng, zipf: &Zipf) -> Resources {
    let count = random.random_range(1..=3);
    (0..count).fold(Resources::default(), |resources, _| {
        let name = format!("zipf-{}", zipf.draw(random));
        if random.random_bool(0.3) {
            resources.and_exclusive(name)
        } else {
            resources.and_shared(name)
        }
    })
}

/// Tasks that meet on resources, beside as many without any.
pub async fn contention(app: &TestApp, dispatcher: &mut Dispatcher, paper: &Paper) {
    paper.heading(&format!(
        "{CONTENDING} tasks that do nothing, {FEW} dispatched at once, 1 to 3 of {RESOURCES} resources each by Zipf ({EXPONENT}), 30 % exclusive, {WORKERS} x {SLOTS} slots"
    ));
    let mut random = StdRng::seed_from_u64(7);
    let zipf = Zipf::new();
    let free: Vec<_> = (0..CONTENDING)
        .map(|_| dispatcher.task(DUMMY, json!({}), Resources::default()))
        .collect();
    let (without, _) = through(app, dispatcher, &free, FEW).await;
    let tasks: Vec<_> = (0..CONTENDING)
        .map(|_| dispatcher.task(DUMMY, json!({}), contending(&mut random, &zipf)))
        .collect();
    let (ours, first) = through(app, dispatcher, &tasks, FEW).await;
    paper.fact(
        "dispatched, drained",
        &against(ours, "without resources", without),
    );
    let Some(first) = first else { return };
    let which = format!("pulp_id >= '{first}' AND name = '{DUMMY}'");
    for (what, since) in [
        ("unblocked to start", "unblocked_at"),
        ("dispatched to start", "pulp_created"),
    ] {
        let waits = format!(
            "SELECT (extract(epoch FROM started_at - {since}) * 1000000)::bigint::text FROM task WHERE {which}"
        );
        let waits = numbers(app, &waits).await;
        let most = waits.iter().copied().fold(0.0, f64::max);
        let spread = Spread::of(waits);
        paper.fact(what, &format!("{spread}   most {most:.1} ms"));
    }
}
