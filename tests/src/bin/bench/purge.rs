//! Forgetting very many tasks.

use crate::content::run_time;
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use serde_json::json;
use std::time::Instant;

/// Finished tasks, each with a report and a created resource, a fourth of them with a parent; `$tasks` stands for
/// their number.
const FILL: &str = include_str!("sql/old_tasks.sql");

async fn fill(app: &TestApp, tasks: i64) {
    // VACUUM runs in no transaction: one statement at a time.
    for statement in FILL.replace("$tasks", &tasks.to_string()).split(';') {
        app.sql.run(statement).await;
    }
}

/// The most memory that a worker has had so far, in MB.
fn peak(app: &TestApp) -> f64 {
    let kilobytes = app.workers.iter().filter_map(|worker| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    kilobytes.fold(0.0, f64::max) / 1024.0
}

/// `tasks/purge/` of so many tasks, beside one DELETE of the same rows.
pub async fn purge(app: &TestApp, paper: &Paper, tasks: i64) {
    paper.heading(&format!(
        "A purge of {tasks} tasks, with a report and a created resource each"
    ));
    fill(app, tasks).await;
    let before = peak(app);
    let body = json!({"finished_before": "2021-01-01"});
    let task = app.post("tasks/purge/", &body).await.task();
    let time = run_time(app, &task).await;
    let rate = |millis: f64| tasks as f64 * 1000.0 / millis;
    paper.fact("purge", &format!("{:>7.0} tasks a second", rate(time)));
    paper.fact(
        "memory",
        &format!(
            "{:.1} MB at most in a worker, {before:.1} MB before it",
            peak(app)
        ),
    );
    fill(app, tasks).await;
    let start = Instant::now();
    app.sql.run("DELETE FROM task WHERE name = 'old'").await;
    let plain = start.elapsed().as_secs_f64() * 1000.0;
    paper.fact(
        "plain DELETE",
        &format!(
            "{:>7.0} tasks a second, in one statement   ratio {:.2}",
            rate(plain),
            plain / time
        ),
    );
}
