//! The engine: latency, throughput on many lanes and on one, a backlog; beside them what the same PostgreSQL
//! does with the same three transactions and nothing around them.

use crate::{LONG, SLOTS, WORKERS};
use anyhow::Context;
use millrace_common::ids::TaskId;
use millrace_common::tasking::{NewTask, Resources};
use millrace_tests::client::Client;
use millrace_tests::paper::Paper;
use millrace_tests::{Dispatcher, TestApp, stack};
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};

const DUMMY: &str = "pulpcore.app.tasks.test.dummy_task";

/// Tasks a second, beside what the bare database gives.
///
/// # Errors
/// pgbench that does not run.
pub async fn throughputs(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
) -> anyhow::Result<()> {
    paper.heading("Throughput, tasks a second from the first start to the last end");
    let many = throughput(app, dispatcher, 4000, |n| format!("lane-{n}")).await;
    paper.fact("many lanes", &format!("{many:>7.0}"));
    let one = throughput(app, dispatcher, 1000, |_| "lane".to_owned()).await;
    paper.fact("one lane", &format!("{one:>7.0}"));
    let bare = pgbench(app)?;
    paper.fact(
        "pgbench",
        &format!("{bare:>7.0}   insert, claim, finish on one table"),
    );
    paper.fact(
        "ratio",
        &format!("{:>7.2}   many lanes to pgbench", many / bare),
    );
    Ok(())
}

/// Another lane beside many tasks that wait behind one.
pub async fn backlog(app: &TestApp, dispatcher: &mut Dispatcher, paper: &Paper) {
    paper.heading("Beside 17,000 tasks that wait behind one lane");
    let holder = app.sleeper(3600.0, &["busy"]).await;
    app.in_state(&holder, "running").await;
    let start = Instant::now();
    dispatch(dispatcher, 17_000, |_| "busy".to_owned()).await;
    let rate = 17_000.0 / start.elapsed().as_secs_f64();
    paper.fact(
        "dispatched",
        &format!("{rate:>7.0} a second, 250 a transaction"),
    );
    let loaded = latencies(app, 300).await;
    report(paper, "another lane", &loaded);
    let _ = app.cancel(&holder).await;
    let drained = drain(app, Duration::from_secs(10)).await;
    paper.fact("the lane itself", &format!("{drained:>7.0} a second"));
}

/// Some tasks before anything is measured.
pub async fn warm_up(app: &TestApp) {
    for _ in 0..20 {
        let task = app
            .dispatch(&json!({"name": DUMMY, "exclusive_resources": ["warm"]}))
            .await;
        app.completed(&task).await;
    }
}

/// From the request to the start and to the end of a task on an idle system.
pub async fn latency(app: &TestApp, paper: &Paper) {
    paper.heading("Latency of a task that does nothing, through REST");
    report(paper, "idle", &latencies(app, 300).await);
}

/// For each task: from the request to the start of its body, and to its end, by the database's clock.
async fn latencies(app: &TestApp, count: usize) -> Vec<(Duration, Duration)> {
    let client: Client = app.client();
    let mut ids = Vec::new();
    for _ in 0..count {
        let task = client
            .dispatch(&json!({"name": DUMMY, "exclusive_resources": ["probe"]}))
            .await;
        client.completed(&task).await;
        ids.push(format!("'{}'", millrace_tests::client::id_of(&task)));
    }
    let spans = format!(
        "SELECT (extract(epoch FROM started_at - pulp_created) * 1000000)::bigint || ' ' ||
                (extract(epoch FROM finished_at - pulp_created) * 1000000)::bigint
           FROM task WHERE pulp_id IN ({})",
        ids.join(",")
    );
    let spans = app.sql.texts(&spans).await;
    spans
        .iter()
        .filter_map(|line| {
            let (started, finished) = line.split_once(' ')?;
            let span = |text: &str| text.parse().ok().map(Duration::from_micros);
            span(started).zip(span(finished))
        })
        .collect()
}

fn report(paper: &Paper, what: &str, figures: &[(Duration, Duration)]) {
    let at = |part: usize, of: fn(&(Duration, Duration)) -> Duration| {
        let mut sorted: Vec<_> = figures.iter().map(of).collect();
        sorted.sort();
        let place = (sorted.len() * part / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or_default()
    };
    for (kind, of) in [
        (
            "started",
            (|f| f.0) as fn(&(Duration, Duration)) -> Duration,
        ),
        ("finished", |f| f.1),
    ] {
        let figures: Vec<_> = [50, 95, 99]
            .map(|p| format!("p{p} {:.1} ms", at(p, of).as_secs_f64() * 1000.0))
            .to_vec();
        paper.fact(what, &format!("{kind:<9} {}", figures.join("   ")));
    }
}

async fn dispatch(
    dispatcher: &mut Dispatcher,
    count: usize,
    lane: impl Fn(usize) -> String,
) -> Vec<TaskId> {
    let tasks: Vec<NewTask> = (0..count)
        .map(|n| dispatcher.task(DUMMY, json!({}), Resources::exclusive(lane(n))))
        .collect();
    let mut ids = Vec::new();
    for part in tasks.chunks(250) {
        ids.extend(dispatcher.dispatch(part).await.into_iter().map(|d| d.id));
    }
    ids
}

async fn throughput(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    count: usize,
    lane: impl Fn(usize) -> String,
) -> f64 {
    let ids = dispatch(dispatcher, count, lane).await;
    app.quiet(LONG).await;
    let first = ids
        .iter()
        .min()
        .map(ToString::to_string)
        .unwrap_or_default();
    let micros = app
        .sql
        .number(&format!(
            "SELECT (extract(epoch FROM max(finished_at) - min(started_at)) * 1000000)::bigint FROM task
              WHERE name = '{DUMMY}' AND pulp_id >= '{first}'"
        ))
        .await;
    count as f64 * 1e6 / micros as f64
}

/// Tasks that a lane with a long queue ends in a second.
async fn drain(app: &TestApp, time: Duration) -> f64 {
    let done = "SELECT count(*) FROM task WHERE state = 'completed'";
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, start) = (app.sql.number(done).await, Instant::now());
    tokio::time::sleep(time).await;
    (app.sql.number(done).await - before) as f64 / start.elapsed().as_secs_f64()
}

/// The same three transactions, bare: one row inserted, claimed, finished.
fn pgbench(app: &TestApp) -> anyhow::Result<f64> {
    let script = app.dir().join("bare.sql");
    std::fs::write(
        &script,
        "\\set n random(1, 1000000000)
         INSERT INTO bare (id, at, state, lane, payload) VALUES (:client_id * 1000000000::bigint + :n, now(), 'waiting', 'x', repeat('x', 300)) ON CONFLICT DO NOTHING;
         UPDATE bare SET state = 'running' WHERE id = :client_id * 1000000000::bigint + :n AND state = 'waiting';
         UPDATE bare SET state = 'completed' WHERE id = :client_id * 1000000000::bigint + :n AND state = 'running';\n",
    )?;
    let psql = |statement: &str| {
        Command::new(stack::pg_bin().join("psql"))
            .args(["-q", "-d", &app.db.url(), "-c", statement])
            .status()
    };
    psql(
        "CREATE TABLE bare (id bigint PRIMARY KEY, at timestamptz, state text, lane text, payload text); CREATE INDEX ON bare (state, at)",
    )?;
    let clients = (WORKERS * SLOTS as usize).to_string();
    let output = Command::new(stack::pg_bin().join("pgbench"))
        .args([
            "-n", "-M", "prepared", "-T", "8", "-j", "2", "-c", &clients, "-f",
        ])
        .arg(&script)
        .arg(app.db.url())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("tps = "));
    let line =
        line.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let figure = line.split_whitespace().nth(2).context("no figure")?;
    psql("DROP TABLE bare")?;
    Ok(figure.parse()?)
}
