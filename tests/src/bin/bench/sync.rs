//! Synchronising: a manifest whose files stay where they are, and small files that are fetched.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::content::{beside, run_time};
use anyhow::Context;
use millrace_tests::TestApp;
use millrace_tests::paper::Paper;
use millrace_tests::upstream::Upstream;
use serde_json::json;

/// Lines of the manifest whose files are not fetched.
const LINES: usize = 100_000;
/// Files that are fetched, and the bytes of each.
const FILES: usize = 10_000;
const BYTES: usize = 1024;

/// Units that a synchronisation takes in a second.
///
/// # Errors
/// A database that does not answer.
pub async fn sync(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!("A manifest of {LINES} lines, on demand"));
    let upstream = Upstream::start().await;
    let manifest = lines(LINES);
    upstream.serve("/many/PULP_MANIFEST", manifest.clone());
    let repository = furnish(app, &upstream, "many", "on_demand").await?;
    let rate = |time: f64| LINES as f64 * 1000.0 / time;
    let first = run(app, &repository).await;
    let rows = [
        "content",
        "content_artifact",
        "remote_artifact",
        "repository_content",
    ]
    .map(|table| (table, "true"));
    let limit = beside(app, &rows).await?;
    paper.fact(
        "all new",
        &format!(
            "{:>7.0} units a second   the same rows by plain INSERTs {:.0}   ratio {:.2}",
            rate(first),
            rate(limit),
            limit / first
        ),
    );
    upstream.serve("/many/PULP_MANIFEST", manifest + &line(LINES));
    let again = run(app, &repository).await;
    paper.fact(
        "one more line",
        &format!("{:>7.0} units a second", rate(again)),
    );

    paper.heading(&format!("{FILES} files of {BYTES} bytes, fetched at once"));
    let mut manifest = String::new();
    for n in 0..FILES {
        let bytes = format!("{n:0>BYTES$}");
        let name = format!("file-{n}");
        manifest += &millrace_tests::upstream::manifest_line(&name, bytes.as_bytes());
        upstream.serve(&format!("/few/{name}"), bytes);
    }
    upstream.serve("/few/PULP_MANIFEST", manifest);
    let repository = furnish(app, &upstream, "few", "immediate").await?;
    let time = run(app, &repository).await;
    paper.fact(
        "all new",
        &format!("{:>7.0} files a second", FILES as f64 * 1000.0 / time),
    );
    Ok(())
}

fn line(n: usize) -> String {
    format!("dir{:03}/file-{n}.bin,{n:064x},{n}\n", n % 500)
}

/// A manifest of so many lines.
pub fn lines(count: usize) -> String {
    (0..count).map(line).collect()
}

/// A repository with a remote below this directory of the server.
pub async fn furnish(
    app: &TestApp,
    upstream: &Upstream,
    name: &str,
    policy: &str,
) -> anyhow::Result<String> {
    let url = upstream.url(&format!("/{name}/PULP_MANIFEST"));
    let body = json!({"name": name, "url": url, "policy": policy});
    let remote = app.post("remotes/file/file/", &body).await.expect(201);
    let body = json!({"name": name, "remote": remote["pulp_href"]});
    let repository = app.post("repositories/file/file/", &body).await.expect(201);
    let href = repository["pulp_href"].as_str();
    Ok(href.context("a repository without an address")?.to_owned())
}

/// Milliseconds that a synchronisation takes.
pub async fn run(app: &TestApp, repository: &str) -> f64 {
    let task = app.post(&format!("{repository}sync/"), &json!({})).await;
    run_time(app, &task.task()).await
}
