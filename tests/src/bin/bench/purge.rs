//! Forgetting very many tasks.

use crate::content::run_time;
use millrace_tests::TestApp;
use millrace_tests::memory::peak_of_workers;
use millrace_tests::paper::Paper;
use serde_json::json;
use std::time::Instant;

/// Finished tasks, each with a report and a created resource, a fourth of them with a parent; `$tasks` stands for
/// their number.
const FILL: &str = include_str!("sql/old_tasks.sql");

/// So many finished tasks of long ago.
pub async fn fill(app: &TestApp, tasks: i64) {
    // A table that is looked at while one transaction fills it seems empty, and each check of a foreign key on it then
    // reads all of it.
    let looks = "ALTER TABLE task SET (autovacuum_enabled = false)";
    app.sql.run(looks).await;
    // VACUUM runs in no transaction: one statement at a time.
    for statement in FILL.replace("$tasks", &tasks.to_string()).split(';') {
        app.sql.run(statement).await;
    }
    app.sql
        .run("ALTER TABLE task RESET (autovacuum_enabled)")
        .await;
}

/// `tasks/purge/` of so many tasks, beside one DELETE of the same rows.
pub async fn purge(app: &TestApp, paper: &Paper, tasks: i64) {
    paper.heading(&format!(
        "A purge of {tasks} tasks, with a report and a created resource each"
    ));
    fill(app, tasks).await;
    let before = peak_of_workers(app);
    let body = json!({"finished_before": "2021-01-01"});
    let task = app.post("tasks/purge/", &body).await.task();
    let time = run_time(app, &task).await;
    let rate = |millis: f64| tasks as f64 * 1000.0 / millis;
    paper.fact("purge", &format!("{:>7.0} tasks a second", rate(time)));
    paper.fact(
        "memory",
        &format!(
            "{:.1} MB at most in a worker, {before:.1} MB before it",
            peak_of_workers(app)
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
