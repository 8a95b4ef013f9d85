//! More worker processes: tasks that sleep, so that slots are what they wait for.

use crate::engine::ended;
use crate::{LONG, SLOTS};
use millrace_common::tasking::Resources;
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use serde_json::json;

/// The task that sleeps.
const TASK: &str = "pulpcore.app.tasks.test.sleep";
/// Seconds that each task sleeps.
const SLEEP: f64 = 0.5;
/// Tasks of each slot.
const ROUNDS: usize = 12;

/// Tasks a second of 1 to 8 processes, and the sessions that they have.
pub async fn scale(paper: &Paper) {
    paper.heading(&format!(
        "Processes with {SLOTS} slots each, on tasks that sleep {SLEEP} s"
    ));
    for workers in [1, 2, 4, 8] {
        let app = TestApp::builder()
            .workers(workers)
            .set("worker.slots.default", SLOTS)
            .set("log.filter", "warn")
            .start()
            .await;
        let mut dispatcher = app.dispatcher().await;
        let slots = workers * SLOTS as usize;
        let count = slots * ROUNDS;
        let tasks: Vec<_> = (0..count)
            .map(|n| {
                let arguments = json!({"interval": SLEEP});
                let lane = Resources::exclusive(format!("sleeps-{n}"));
                dispatcher.task(TASK, arguments, lane)
            })
            .collect();
        dispatcher.dispatch_all(&tasks).await;
        app.quiet(LONG).await;
        let sessions = app
            .sql
            .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            .await;
        let rate = ended(&app, count, &format!("name = '{TASK}'")).await;
        let linear = slots as f64 / SLEEP;
        let text = format!(
            "{rate:>8.1} /s of {linear:.0}   {:.2} of linear   {sessions} sessions in all",
            rate / linear
        );
        paper.fact(&format!("{workers} processes"), &text);
    }
}
