//! The engine: latency, throughput on many lanes and on one; beside them what the same servers do with the same
//! three transactions, and with as many messages, and nothing around them.

use crate::LONG;
use crate::figures::{Spread, against};
use crate::raw::{self, Script, pgbench};
use millrace_common::ids::TaskId;
use millrace_common::tasking::{NewTask, Resources};
use millrace_tests::client::Client;
use millrace_tests::paper::Paper;
use millrace_tests::{Dispatcher, TestApp};
use serde_json::json;
use std::time::Duration;

/// The task that does nothing.
pub const DUMMY: &str = "pulpcore.app.tasks.test.dummy_task";

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
    for (what, script) in [
        ("pgbench, a bare row", Script::Bare),
        ("pgbench, the rows of a task", Script::Task),
        ("pgbench, the rows of a `modify`", Script::Modify),
    ] {
        let limit = pgbench(app, script).await?;
        paper.fact("", &against(many, what, limit));
    }
    let limit = raw::messages().await?;
    paper.fact("", &against(many, "messages through a quorum queue", limit));
    Ok(())
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
pub async fn latencies(app: &TestApp, count: usize) -> Vec<(Duration, Duration)> {
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
    let (started, finished): (Vec<_>, Vec<_>) = figures.iter().copied().unzip();
    for (kind, spans) in [("started", started), ("finished", finished)] {
        paper.fact(what, &format!("{kind:<9} {}", Spread::of_spans(&spans)));
    }
}

/// Dispatches tasks that do nothing, 250 a transaction.
pub async fn dispatch(
    dispatcher: &mut Dispatcher,
    count: usize,
    lane: impl Fn(usize) -> String,
) -> Vec<TaskId> {
    let tasks: Vec<NewTask> = (0..count)
        .map(|n| dispatcher.task(DUMMY, json!({}), Resources::exclusive(lane(n))))
        .collect();
    let dispatched = dispatcher.dispatch_all(&tasks).await;
    dispatched.into_iter().map(|task| task.id).collect()
}

/// Tasks a second from the first start to the last end.
pub async fn throughput(
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
    ended(
        app,
        count,
        &format!("name = '{DUMMY}' AND pulp_id >= '{first}'"),
    )
    .await
}

/// Of so many tasks, which are these: so many a second from the first start to the last end.
pub async fn ended(app: &TestApp, count: usize, which: &str) -> f64 {
    let micros = format!(
        "SELECT (extract(epoch FROM max(finished_at) - min(started_at)) * 1000000)::bigint FROM task WHERE {which}"
    );
    count as f64 * 1e6 / app.sql.number(&micros).await as f64
}
