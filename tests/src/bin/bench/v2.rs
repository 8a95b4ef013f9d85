//! The dialect of version 2: looking at a million orphans.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::room::fill;
use anyhow::Context;
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use reqwest::Method;
use std::time::{Duration, Instant};

const UNITS: u64 = 1_000_000;

/// The summary, and the list of all, with the memory of the API.
///
/// # Errors
/// A database that does not answer, a list that is cut off.
pub async fn v2(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!("version 2: {UNITS} orphan units"));
    fill(app, "listed", UNITS, false).await?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let summary = app.get("/pulp/api/v2/content/orphans/").await.expect(200);
        best = best.min(start.elapsed());
        anyhow::ensure!(
            summary["file"]["count"].as_u64() >= Some(UNITS),
            "{summary}"
        );
    }
    paper.fact("summary", &format!("{:.2} s", best.as_secs_f64()));
    let start = Instant::now();
    let request = app.request(Method::GET, "/pulp/api/v2/content/orphans/file/");
    let mut answer = request.timeout(crate::LONG).send().await?;
    let (mut bytes, mut units) = (0, 0);
    // A unit has no other such name in it; one that two pieces share is missed.
    while let Some(piece) = answer.chunk().await? {
        bytes += piece.len();
        units += piece.windows(5).filter(|word| word == b"\"_id\"").count();
    }
    let time = start.elapsed().as_secs_f64();
    paper.fact(
        "list",
        &format!(
            "{:>7.0} units a second ({time:.1} s, {:.0} MB)",
            UNITS as f64 / time,
            bytes as f64 / 1e6
        ),
    );
    anyhow::ensure!(units as f64 > UNITS as f64 * 0.99, "{units} units");
    let api = app.api.as_ref().context("the API does not run")?;
    paper.fact("VmHWM of the API", &crate::room::peak(api.id()));
    app.sql.batch_execute("TRUNCATE content CASCADE").await?;
    Ok(())
}
