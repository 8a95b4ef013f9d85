//! Exporting to a file system, beside `cp`.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::content::run_time;
use anyhow::{Context, ensure};
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::memory::peak_of_workers;
use millrace_tests::paper::{Paper, bytes};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Small files of the two repositories.
const FEW: usize = 10_000;
const MANY: usize = 100_000;
const SMALL: usize = 1 << 10;
/// The large file.
const LARGE: usize = 2 << 30;
/// Each figure is the best of so many.
const ROUNDS: usize = 3;

/// Times of exports into this directory, which the settings allow, and what they take of memory.
///
/// # Errors
/// A database or a file system that does not do as it is told.
pub async fn export(app: &TestApp, paper: &Paper, target: &Path) -> anyhow::Result<()> {
    for files in [FEW, MANY] {
        paper.heading(&format!(
            "An export of {files} files of {SMALL} bytes by hardlink"
        ));
        let version = fill(app, &format!("small-{files}"), files, SMALL).await?;
        let copy = target.join("copy");
        let run = async |round| {
            let name = format!("links-{files}-{round}");
            let time = exported(app, target, &name, "hardlink", &version).await?;
            let source = target.join(&name);
            let beside = timed(Command::new("cp").arg("-al").arg(&source).arg(&copy))?;
            std::fs::remove_dir_all(&copy)?;
            std::fs::remove_dir_all(source)?;
            anyhow::Ok((time, beside))
        };
        compare(paper, "cp -al", run).await?;
        paper.fact(
            "peak of the workers",
            &format!("{:.1} MiB", peak_of_workers(app)),
        );
    }
    paper.heading(&format!(
        "An export of one file of {}, by write",
        bytes(LARGE as u64)
    ));
    let version = fill(app, "large", 1, LARGE).await?;
    let stored = app.media().join("artifact/large/0");
    let run = async |round| {
        let name = format!("large-{round}");
        let time = exported(app, target, &name, "write", &version).await?;
        std::fs::remove_dir_all(target.join(&name))?;
        let copy = target.join("copy");
        let shell = format!(
            "cp '{}' '{}' && sync -f '{}'",
            stored.display(),
            copy.display(),
            copy.display()
        );
        let beside = timed(Command::new("sh").args(["-c", &shell]))?;
        std::fs::remove_file(copy)?;
        anyhow::Ok((time, beside))
    };
    compare(paper, "cp && sync", run).await?;
    paper.fact(
        "peak of the workers",
        &format!("{:.1} MiB", peak_of_workers(app)),
    );
    Ok(())
}

async fn compare(
    paper: &Paper,
    beside: &str,
    run: impl AsyncFn(usize) -> anyhow::Result<(f64, f64)>,
) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for round in 0..ROUNDS {
        let (own, other) = run(round).await?;
        (ours, theirs) = (ours.min(own), theirs.min(other));
    }
    let ratio = theirs / ours;
    let text = format!("{ours:>7.0} ms   {beside} {theirs:.0} ms   ratio {ratio:.2}");
    paper.fact("best of three", &text);
    Ok(())
}

/// Stores so many files of a size, and a version with them, without asking the API; gives its address.
pub async fn fill(app: &TestApp, name: &str, files: usize, size: usize) -> anyhow::Result<String> {
    let place = app.media().join("artifact").join(name);
    std::fs::create_dir_all(&place)?;
    for n in 0..files {
        let mut file = std::fs::File::create(place.join(n.to_string()))?;
        let piece = format!("{n:0>1024}").repeat(size.min(1 << 20) / 1024);
        for _ in 0..size.div_ceil(1 << 20) {
            file.write_all(piece.as_bytes())?;
        }
    }
    let repository = app.repository(name).await;
    let href = repository["pulp_href"].as_str().context("no address")?;
    let id = id_of(href);
    app.sql
        .batch_execute(&format!(
            "CREATE TABLE \"{name}\" AS SELECT n, gen_random_uuid() AS artifact, gen_random_uuid() AS unit
               FROM generate_series(0, {files} - 1) n;
             INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
               SELECT artifact, d.pulp_id, 'artifact/{name}/' || n, {size}, encode(sha256(('{name}' || n)::bytea), 'hex')
                 FROM \"{name}\", domain d;
             INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields)
               SELECT unit, d.pulp_id, 'file.file', sha256(('{name}' || n)::bytea), '{{}}' FROM \"{name}\", domain d;
             INSERT INTO content_artifact
               SELECT gen_random_uuid(), unit, artifact, 'd' || n % 500 || '/f' || n FROM \"{name}\";
             INSERT INTO repository_version (pulp_id, repository_id, number, complete)
               VALUES (gen_random_uuid(), '{id}', 1, true);
             INSERT INTO repository_content (repository_id, content_id, version_added)
               SELECT '{id}', unit, 1 FROM \"{name}\""
        ))
        .await?;
    app.sql.batch_execute("VACUUM ANALYZE").await?;
    Ok(format!("{href}versions/1/"))
}

/// Milliseconds that the task of an export takes.
pub async fn exported(
    app: &TestApp,
    target: &Path,
    name: &str,
    method: &str,
    version: &str,
) -> anyhow::Result<f64> {
    let body = json!({"name": name, "path": target.join(name), "method": method});
    let exporter = app
        .post("exporters/core/filesystem/", &body)
        .await
        .expect(201);
    let exporter = exporter["pulp_href"]
        .as_str()
        .context("no address")?
        .to_owned();
    let body = json!({"repository_version": version});
    let task = app.post(&format!("{exporter}exports/"), &body).await.task();
    Ok(run_time(app, &task).await)
}

fn timed(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    ensure!(command.status()?.success(), "{command:?}");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}
