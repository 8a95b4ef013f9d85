//! The figures of Millrace, each beside something run on the same machine at the same time where there is
//! something to compare with.
//!
//! `make bench` starts the servers and runs this.
#![expect(clippy::print_stdout, reason = "this is the command line")]

mod compare;
mod content;
mod cost;
mod engine;
mod export;
mod figures;
mod growth;
mod lanes;
mod limits;
mod pulp;
mod purge;
mod queues;
mod raw;
mod room;
mod scale;
mod serve;
mod side;
mod start;
mod storm;
mod svg;
mod sync;
mod units;
mod v2;

use clap::{Parser, ValueEnum};
use millrace_tests::paper::Paper;
use millrace_tests::{Dispatcher, TestApp};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORKERS: usize = 2;
const SLOTS: u32 = 8;
/// Tasks that wait behind one lane.
const BACKLOG: usize = 17_000;
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
    /// Files of our side beside pulpcore.
    #[arg(long, default_value_t = 10_000)]
    files: usize,
    /// Files of pulpcore's side.
    #[arg(long, default_value_t = 2_000)]
    peer_files: usize,
    /// Without pulpcore.
    #[arg(long)]
    alone: bool,
    /// Most rows of the growth.
    #[arg(long, default_value_t = 1_000_000)]
    most: i64,
    /// Where the growth is drawn.
    #[arg(long, default_value = "docs/growth.svg")]
    drawing: PathBuf,
}

impl Cli {
    fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Of a task that does nothing, on an idle system.
    Latency,
    /// On many lanes and on one, beside what the bare database gives.
    Throughput,
    /// Beside many tasks that wait behind one lane.
    Backlog,
    /// In bulk through the library, beside pgbench one by one.
    Noops,
    /// On resources drawn by Zipf, beside none.
    Contention,
    /// Tasks that do nothing by REST, on many resources and on one, beside pgbench.
    Rest,
    /// `modify` by REST: latency, many repositories, one; beside pulpcore and pgbench.
    Modify,
    /// Uploads, beside pulpcore, the disk, and hashing.
    Uploads,
    /// Small files: sync, export, reclaim, clean-up, beside pulpcore.
    Files,
    /// Tasks that do nothing, beside Celery and graphile-worker.
    Queues,
    /// WAL, commits and statements a task.
    Cost,
    /// One to eight worker processes.
    Scale,
    /// Engine and content with ten and a hundred times the rows, as a drawing.
    Growth,
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
    /// Starting the programs.
    Start,
    /// What API and workers hold in memory after all that was named before.
    Memory,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
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
    engine_scenarios(&cli, &app, &mut dispatcher, &paper).await?;
    peer_scenarios(&cli, &app, &mut dispatcher, &paper, target.path()).await?;
    content_scenarios(&cli, &app, &paper, target.path()).await?;
    if cli.wants(Scenario::Purge) {
        purge::purge(&app, &paper, cli.tasks).await;
    }
    if cli.wants(Scenario::Start) {
        start::cold(&app, &paper).await?;
    }
    if cli.wants(Scenario::Memory) {
        start::memory(&app, &paper);
    }
    // It empties tables, and leaves a long history.
    if cli.wants(Scenario::Growth) {
        growth::growth(
            &app,
            &mut dispatcher,
            &paper,
            (&cli.drawing, target.path()),
            cli.most,
        )
        .await?;
    }
    // On servers and with programs of their own.
    drop(app);
    if cli.wants(Scenario::Cost) {
        cost::cost(&paper).await?;
    }
    if cli.wants(Scenario::Scale) {
        scale::scale(&paper).await;
    }
    println!();
    Ok(())
}

async fn engine_scenarios(
    cli: &Cli,
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
) -> anyhow::Result<()> {
    if cli.wants(Scenario::Latency) {
        engine::latency(app, paper).await;
    }
    if cli.wants(Scenario::Throughput) {
        engine::throughputs(app, dispatcher, paper).await?;
    }
    if cli.wants(Scenario::Noops) {
        lanes::bulk(app, dispatcher, paper).await?;
    }
    if cli.wants(Scenario::Contention) {
        lanes::contention(app, dispatcher, paper).await;
    }
    if cli.wants(Scenario::Backlog) {
        lanes::backlog(app, dispatcher, paper, BACKLOG).await;
    }
    if cli.wants(Scenario::Rest) {
        compare::dummies(app, paper).await?;
    }
    Ok(())
}

async fn peer_scenarios(
    cli: &Cli,
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
    target: &Path,
) -> anyhow::Result<()> {
    let peer = !cli.alone;
    if cli.wants(Scenario::Modify) {
        compare::modify(app, paper, peer).await?;
    }
    if cli.wants(Scenario::Uploads) {
        compare::uploads(app, paper, peer).await?;
    }
    if cli.wants(Scenario::Files) {
        let share = compare::Share {
            ours: cli.files,
            peer: cli.peer_files,
        };
        compare::small_files(app, paper, share, target, peer).await?;
    }
    if cli.wants(Scenario::Queues) {
        queues::queues(app, dispatcher, paper).await?;
    }
    Ok(())
}

async fn content_scenarios(
    cli: &Cli,
    app: &TestApp,
    paper: &Paper,
    target: &Path,
) -> anyhow::Result<()> {
    // First of those that fill tables: it counts what it finds in them.
    if cli.wants(Scenario::Sync) {
        sync::sync(app, paper).await?;
    }
    if cli.wants(Scenario::Orphans) {
        room::orphans(app, paper).await?;
    }
    if cli.wants(Scenario::V2) {
        v2::v2(app, paper).await?;
    }
    if cli.wants(Scenario::Units) {
        units::units(app, paper).await?;
    }
    if cli.wants(Scenario::Reclaim) {
        room::reclaim(app, paper).await?;
    }
    if cli.wants(Scenario::Export) {
        export::export(app, paper, target).await?;
    }
    if cli.wants(Scenario::Serve) {
        serve::serve(app, paper).await?;
    }
    if cli.wants(Scenario::Bulk) {
        content::bulk(app, paper).await?;
    }
    if cli.wants(Scenario::Big) {
        content::big(app, paper, cli.units).await?;
    }
    Ok(())
}
