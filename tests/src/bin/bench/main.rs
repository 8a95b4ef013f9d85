//! The figures of Millrace, each beside something run on the same machine at the same time where there is
//! something to compare with.
//!
//! `make bench` starts the servers and runs this.
#![expect(clippy::print_stdout, reason = "this is the command line")]

mod content;
mod engine;
mod export;
mod purge;
mod room;
mod serve;
mod sync;
mod units;
mod v2;

use clap::{Parser, ValueEnum};
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use std::time::Duration;

const WORKERS: usize = 2;
const SLOTS: u32 = 8;
const LONG: Duration = Duration::from_secs(600);

/// Takes the figures of Millrace on the servers that `make bench` starts.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// Only these; all when none is named.
    scenarios: Vec<Scenario>,
    /// Units of the big repository.
    #[arg(long, default_value_t = 1_000_000)]
    units: i64,
    /// Tasks that are purged.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Of a task that does nothing, on an idle system.
    Latency,
    /// On many lanes and on one, beside what the bare database gives.
    Throughput,
    /// Beside many tasks that wait behind one lane.
    Backlog,
    /// A repository of a million units: changing, listing, deleting versions.
    Big,
    /// Many memberships written by one task.
    Bulk,
    /// Files of the content server, beside nginx.
    Serve,
    /// A manifest of many lines, and many small files.
    Sync,
    /// Cleaning up a million orphans, and many with a file each.
    Orphans,
    /// Looking at a million orphans by version 2 of the API.
    V2,
    /// Importing a million units of a Pulp 2, and removing them with what they store.
    Units,
    /// Giving up many files that can be fetched again.
    Reclaim,
    /// Files linked and copied into a directory, beside `cp`.
    Export,
    /// Forgetting a million tasks, beside a plain DELETE.
    Purge,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let wants = |scenario| cli.scenarios.is_empty() || cli.scenarios.contains(&scenario);
    let target = tempfile::tempdir()?;
    let app = TestApp::builder()
        .workers(WORKERS)
        .set("worker.slots.default", SLOTS)
        .set("database.pool_size", 10)
        .set("api.body_limit", 64 << 20)
        .set("log.filter", "warn")
        .set("exports.allowed_paths", target.path().display())
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let paper = Paper::new();
    paper.title(
        "Millrace",
        &format!("figures: {WORKERS} workers with {SLOTS} slots each"),
    );
    engine::warm_up(&app).await;
    if wants(Scenario::Latency) {
        engine::latency(&app, &paper).await;
    }
    if wants(Scenario::Throughput) {
        engine::throughputs(&app, &mut dispatcher, &paper).await?;
    }
    if wants(Scenario::Backlog) {
        engine::backlog(&app, &mut dispatcher, &paper).await;
    }
    // First of those that fill tables: it counts what it finds in them.
    if wants(Scenario::Sync) {
        sync::sync(&app, &paper).await?;
    }
    if wants(Scenario::Orphans) {
        room::orphans(&app, &paper).await?;
    }
    if wants(Scenario::V2) {
        v2::v2(&app, &paper).await?;
    }
    if wants(Scenario::Units) {
        units::units(&app, &paper).await?;
    }
    if wants(Scenario::Reclaim) {
        room::reclaim(&app, &paper).await?;
    }
    if wants(Scenario::Export) {
        export::export(&app, &paper, target.path()).await?;
    }
    if wants(Scenario::Serve) {
        serve::serve(&app, &paper).await?;
    }
    if wants(Scenario::Bulk) {
        content::bulk(&app, &paper).await?;
    }
    if wants(Scenario::Big) {
        content::big(&app, &paper, cli.units).await?;
    }
    if wants(Scenario::Purge) {
        purge::purge(&app, &paper, cli.tasks).await;
    }
    println!();
    Ok(())
}
