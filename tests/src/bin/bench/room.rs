//! Making room: orphans, and files that can be fetched again.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::content::run_time;
use anyhow::Context;
use millrace_tests::TestApp;
use millrace_tests::memory;
use millrace_tests::paper::Paper;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Orphan units that have no file.
const BARE: u64 = 1_000_000;
/// Units with a file each.
const FILES: u64 = 100_000;
const TEXT: [u8; 64] = [b'x'; 64];

/// Clean-up of units without files, and of units with one each.
///
/// # Errors
/// A database that does not answer, a disk that is full.
pub async fn orphans(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!("{BARE} orphan units without a file"));
    fill(app, "bare", BARE, false).await?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        app.get("orphans/").await.expect(200);
        best = best.min(start.elapsed());
    }
    paper.fact("summary", &format!("{:.2} s", best.as_secs_f64()));
    let limit = deletes(app, &["content_artifact", "content"]).await?;
    let time = clean(app).await;
    paper.fact("clean-up", &beside(BARE, time, limit, "plain DELETEs"));
    memory(app, paper);

    paper.heading(&format!(
        "{FILES} orphan units with a file of 64 bytes each"
    ));
    fill(app, "full", FILES, true).await?;
    let limit =
        deletes(app, &["content_artifact", "content", "artifact"]).await? + removal(app, "full")?;
    let time = clean(app).await;
    let peer = "plain DELETEs and `rm -r`";
    paper.fact("clean-up", &beside(FILES, time, limit, peer));
    memory(app, paper);
    Ok(())
}

/// Reclaim of files that a remote has.
///
/// # Errors
/// As [`orphans`].
pub async fn reclaim(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!("{FILES} files of 64 bytes of one repository"));
    let repository = reclaimable(app, "reclaim", FILES).await?;
    let limit = deletes(app, &["artifact"]).await? + removal(app, "reclaim")?;
    let time = give_up(app, &repository).await;
    let peer = "DELETE of the artifacts and `rm -r`";
    paper.fact("reclaim", &beside(FILES, time, limit, peer));
    memory(app, paper);
    Ok(())
}

/// A repository of so many files that a remote has; gives its address.
///
/// # Errors
/// As [`orphans`].
pub async fn reclaimable(app: &TestApp, name: &str, files: u64) -> anyhow::Result<String> {
    fill(app, name, files, true).await?;
    let repository = app.repository(name).await;
    let href = repository["pulp_href"].as_str();
    let href = href.context("a repository without an address")?;
    let rows = include_str!("sql/reclaim.sql").replace("$name", name);
    app.sql.batch_execute(&rows).await?;
    Ok(href.to_owned())
}

/// Milliseconds that the reclaim of a repository takes.
pub async fn give_up(app: &TestApp, repository: &str) -> f64 {
    let body = json!({"repo_hrefs": [repository]});
    let task = app.post("repositories/reclaim_space/", &body).await.task();
    run_time(app, &task).await
}

fn beside(count: u64, time: f64, limit: f64, peer: &str) -> String {
    format!(
        "{:>7.0} units a second ({:.1} s)   {peer} {:.0}   ratio {:.2}",
        count as f64 * 1000.0 / time,
        time / 1000.0,
        count as f64 * 1000.0 / limit,
        limit / time
    )
}

/// MiB that a process had at most, for people.
pub fn peak(id: u32) -> String {
    format!("{:.1} MiB", memory::peak([id]))
}

/// Most memory that a worker ever had.
pub fn memory(app: &TestApp, paper: &Paper) {
    let most = memory::peak_of_workers(app);
    paper.fact("VmHWM", &format!("{most:.1} MiB"));
}

/// Milliseconds that the clean-up of everything takes.
pub async fn clean(app: &TestApp) -> f64 {
    let body = json!({"orphan_protection_time": 0});
    let task = app.post("orphans/cleanup/", &body).await.task();
    run_time(app, &task).await
}

/// Inserts units of this name that no version holds.
///
/// # Errors
/// As [`orphans`].
pub async fn fill(app: &TestApp, name: &str, units: u64, files: bool) -> anyhow::Result<()> {
    let rows = include_str!("sql/orphans.sql")
        .replace("$name", name)
        .replace("$units", &units.to_string())
        .replace("$files", &files.to_string());
    app.sql.batch_execute(&rows).await?;
    if files {
        write(&app.media().join("artifact"), name, units)?;
    }
    Ok(())
}

fn write(root: &Path, name: &str, count: u64) -> std::io::Result<()> {
    for n in 0..256 {
        std::fs::create_dir_all(root.join(format!("{n:02x}")))?;
    }
    for n in 1..=count {
        std::fs::write(root.join(format!("{:02x}/{name}-{n}", n % 256)), TEXT)?;
    }
    Ok(())
}

/// Milliseconds that `rm -r` of as many files in as many directories takes.
fn removal(app: &TestApp, name: &str) -> anyhow::Result<f64> {
    let copy = app.media().join("beside");
    write(&copy, name, FILES)?;
    let start = Instant::now();
    let status = Command::new("rm").arg("-r").arg(&copy).status()?;
    anyhow::ensure!(status.success(), "rm failed");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// Milliseconds that plain DELETEs of copies of all rows of these tables take, in one transaction. The copies have the same
/// indexes, and neither foreign keys nor triggers.
async fn deletes(app: &TestApp, tables: &[&str]) -> anyhow::Result<f64> {
    for table in tables {
        let copy = format!(
            "CREATE TABLE beside_{table} (LIKE {table} INCLUDING ALL); INSERT INTO beside_{table} SELECT * FROM {table}"
        );
        app.sql.batch_execute(&copy).await?;
    }
    let all = tables.iter().fold(String::new(), |text, table| {
        text + &format!("DELETE FROM beside_{table};")
    });
    let start = Instant::now();
    app.sql.batch_execute(&format!("BEGIN;{all}COMMIT")).await?;
    let time = start.elapsed().as_secs_f64() * 1000.0;
    for table in tables {
        let drop = format!("DROP TABLE beside_{table}");
        app.sql.batch_execute(&drop).await?;
    }
    Ok(time)
}
