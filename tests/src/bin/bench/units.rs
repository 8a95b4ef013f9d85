//! Units of a Pulp 2: bringing them in, and removing them with what they store.

use crate::content::run_time;
use crate::room::{memory, peak};
use anyhow::Context;
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Units whose files are not there.
const BARE: u64 = 1_000_000;
/// Units with a file each.
const FILES: u64 = 100_000;

/// Import and removal.
///
/// # Errors
/// A database that does not answer, a disk that is full.
pub async fn units(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    for (count, name, files) in [(BARE, "lazy", false), (FILES, "full", true)] {
        let what = if files {
            "with a file"
        } else {
            "whose files are missing"
        };
        paper.heading(&format!("{count} units of a Pulp 2 {what}"));
        let lines = write(app, name, count, files)?;
        let (time, peak) = import(app, &lines).await?;
        let rate = count as f64 / time.as_secs_f64();
        let figure = format!(
            "{:.1} s, {rate:.0} units/s, VmHWM {peak}",
            time.as_secs_f64()
        );
        paper.fact("import", &figure);
        let name = "pulp.server.managers.content.orphan.delete_all_orphans";
        let task = app.dispatch(&json!({ "name": name })).await;
        let time = run_time(app, &task).await / 1000.0;
        let rate = count as f64 / time;
        paper.fact("removal", &format!("{time:.1} s, {rate:.0} units/s"));
        memory(app, paper);
    }
    Ok(())
}

fn write(app: &TestApp, name: &str, count: u64, files: bool) -> anyhow::Result<PathBuf> {
    let root = app.pulp_storage().join("content/rpm");
    std::fs::create_dir_all(&root)?;
    let path = app.dir().join(format!("{name}.jsonl"));
    let mut lines = BufWriter::new(std::fs::File::create(&path)?);
    for n in 0..count {
        let directory = root.join(format!("{name}/{}", n / 100));
        let file = directory.join(n.to_string());
        if files {
            std::fs::create_dir_all(&directory)?;
            std::fs::write(&file, "bytes")?;
        }
        let text = file.to_str().context("a path that is no text")?;
        writeln!(
            lines,
            r#"{{"_storage_path":"{text}","name":"{name}-{n}","epoch":"0","version":"1","release":"1","arch":"noarch","checksumtype":"sha256","checksum":"{n}","filename":"{n}.rpm","relativepath":"{n}.rpm","license":"MIT","vendor":"","buildhost":"localhost","description":"A package of a few words"}}"#
        )?;
    }
    lines.flush()?;
    Ok(path)
}

/// How long it takes, and the memory that it has at most.
async fn import(app: &TestApp, lines: &Path) -> anyhow::Result<(Duration, String)> {
    let lines = lines.to_str().context("a path that is no text")?;
    let start = Instant::now();
    let mut process = app.start_command("import", &["import-units", "--type", "rpm", lines]);
    let mut most = String::new();
    loop {
        if let Some(status) = process.ended() {
            anyhow::ensure!(status.success(), "{}", process.log());
            return Ok((start.elapsed(), most));
        }
        most = peak(process.id());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
