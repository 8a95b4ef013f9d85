//! Plain task queues that a user might pick instead, running tasks with nothing to do: they know no reservations, so
//! none of their tasks ever waits for another.

use crate::figures::{Spread, against};
use crate::pulp::{Peer, peers};
use crate::{LONG, SLOTS, WORKERS, compare, lanes, storm};
use anyhow::{Context, ensure};
use millrace_tests::paper::Paper;
use millrace_tests::{Dispatcher, TestApp, TestDb, Vhost, stack};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Tasks of each run; a multiple of 250 and of 16.
const TASKS: usize = 8000;

struct Figures {
    latency: Spread,
    dispatched: f64,
    ended: f64,
    bulk: Option<f64>,
}

impl Figures {
    fn of(output: &Output) -> anyhow::Result<Self> {
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{error}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| found.get(name).and_then(serde_json::Value::as_f64);
        let spans = found.get("spans").and_then(|spans| spans.as_array());
        let spans = spans.context("no spans")?.iter();
        Ok(Self {
            latency: Spread::of(spans.filter_map(serde_json::Value::as_f64).collect()),
            dispatched: number("dispatched").context("no rate")?,
            ended: number("ended").context("no rate")?,
            bulk: number("bulk"),
        })
    }
}

/// Ours by REST, then each of the queues.
///
/// # Errors
/// A queue that is not installed, or does not run.
pub async fn queues(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
) -> anyhow::Result<()> {
    paper.heading("Tasks that do nothing, beside queues that know no reservations");
    let side = compare::own(app).await?;
    let ours = storm::storm(&side, TASKS / 2, LONG, storm::nothing(200)).await?;
    let idle = lanes::probe(app).await;
    let tasks = lanes::free(dispatcher, TASKS);
    let (bulk, _) = lanes::through(app, dispatcher, &tasks, lanes::MANY).await;
    paper.fact(
        "Millrace, idle",
        &format!("{idle}   by REST, from the row to the end"),
    );
    paper.fact(
        "",
        &format!("{bulk:>8.1} /s where 250 are dispatched at once, each on a lane"),
    );
    paper.fact("by REST", &ours.to_string());
    for (name, figures) in [
        ("Celery, RabbitMQ", celery(&app.dir().join("celery")).await?),
        (
            "graphile-worker",
            graphile(&app.dir().join("graphile")).await?,
        ),
    ] {
        paper.fact(
            name,
            &format!("{}   idle, from the call to the end", figures.latency),
        );
        let dispatched = figures.dispatched;
        let text = against(ours.ended, name, figures.ended);
        paper.fact("", &format!("{text}   ({dispatched:.1} /s dispatched)"));
        if let Some(bulk) = figures.bulk {
            paper.fact(
                "",
                &format!("{bulk:>8.1} /s where 250 are dispatched at once"),
            );
        }
    }
    Ok(())
}

async fn drive(mut command: Command) -> anyhow::Result<Figures> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Figures::of(&output)
}

/// Celery with the broker of the run, on a virtual host of its own: messages confirmed, acknowledged once the task is done.
async fn celery(dir: &Path) -> anyhow::Result<Figures> {
    let bin = peers()?.join("celery/bin");
    let vhost = Vhost::create().await;
    let done = prepare(dir)?;
    std::fs::write(
        dir.join("celery_tasks.py"),
        include_str!("peers/celery_tasks.py"),
    )?;
    std::fs::write(
        dir.join("celery_drive.py"),
        include_str!("peers/celery_drive.py"),
    )?;
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(bin.join(program));
        command.args(arguments).current_dir(dir);
        command
            .env("BENCH_BROKER", vhost.url())
            .env("BENCH_DONE", &done);
        command
    };
    let slots = SLOTS.to_string();
    let mut workers = Vec::new();
    for n in 0..WORKERS {
        let (name, log) = (format!("worker-{n}"), dir.join(format!("worker-{n}.log")));
        let arguments = [
            "-A",
            "celery_tasks",
            "worker",
            "-c",
            &slots,
            "-n",
            &name,
            "-l",
            "WARNING",
        ];
        workers.push(Peer::start(&mut command("celery", &arguments), &log)?);
    }
    drive(command("python", &["celery_drive.py", &TASKS.to_string()])).await
}

/// graphile-worker with the database server of the run, in a database of its own.
async fn graphile(dir: &Path) -> anyhow::Result<Figures> {
    let modules = peers()?.join("graphile/node_modules");
    let db = TestDb::create_on(stack::database_url()).await;
    let done = prepare(dir)?;
    std::fs::write(
        dir.join("work.cjs"),
        include_str!("peers/graphile_work.cjs"),
    )?;
    std::fs::write(
        dir.join("drive.cjs"),
        include_str!("peers/graphile_drive.cjs"),
    )?;
    let total = TASKS.to_string();
    let command = |arguments: &[&str]| {
        let mut command = Command::new("node");
        command
            .args(arguments)
            .current_dir(dir)
            .env("NODE_PATH", &modules);
        command
            .env("BENCH_DATABASE", db.url())
            .env("BENCH_DONE", &done);
        command
    };
    let output = command(&["drive.cjs", &total, "migrate"]).output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut workers = Vec::new();
    for n in 0..WORKERS {
        let log = dir.join(format!("worker-{n}.log"));
        workers.push(Peer::start(&mut command(&["work.cjs"]), &log)?);
    }
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let (sql, start) = (db.sql().await, Instant::now());
    while sql.number(listening).await < i64::try_from(WORKERS)? {
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "graphile-worker does not listen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drive(command(&["drive.cjs", &total])).await
}

/// An empty directory, and in it the file in which runs are counted.
fn prepare(dir: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir_all(dir)?;
    let done = dir.join("done");
    std::fs::write(&done, "")?;
    Ok(done)
}
