//! The main job, once through, on real files: upload, make units, put them into a repository, take
//! them out, delete the repository, clean up the orphans, and see the files leave the disk.
//!
//! `make demo` starts the system and runs this.
#![expect(clippy::print_stdout, reason = "this is the command line")]
#![expect(
    clippy::indexing_slicing,
    reason = "JSON answers null for what is not there"
)]

use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use millrace_tests::app::files_below;
use millrace_tests::client::Client;
use millrace_tests::paper::{Paper, bytes, seconds};
use millrace_tests::{eventually, stack};
use rand::RngExt;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FILES: usize = 300;
const AT_ONCE: usize = 8;
const LONG: Duration = Duration::from_secs(300);

/// Runs the main job once through on a Millrace that serves: `make demo` starts one and calls this.
#[derive(Parser)]
#[command(name = "demo", version)]
struct Cli;

struct Demo {
    paper: Paper,
    client: Client,
    storage: PathBuf,
    began: Instant,
    tasks: Vec<Value>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli = Cli::parse();
    let setting =
        |name: &str, default: &str| stack::setting(name).unwrap_or_else(|| default.to_owned());
    let origin = setting("MILLRACE_DEMO_API_URL", "http://127.0.0.1:24817");
    let password = setting("MILLRACE_DEMO_PASSWORD", "password");
    let mut demo = Demo {
        paper: Paper::new(),
        client: Client::new(&origin, &password),
        storage: setting("MILLRACE_DEMO_STORAGE_ROOT", ".local/storage").into(),
        began: Instant::now(),
        tasks: Vec::new(),
    };
    if stack::setting("MILLRACE_DEMO_SPARES_FILES").is_some() {
        demo.spare_files().await?;
    }
    demo.title();
    let before = demo.disk();
    demo.show_disk("at the start", before);

    let artifacts = demo.upload().await?;
    let full = demo.disk();
    demo.show_disk("after the upload", full);
    let units = demo.make_units(&artifacts).await?;
    let repository = demo.fill_repository(&units).await;
    demo.empty_repository(&repository).await;
    demo.clean_up(&units).await;

    let after = demo.files_are_gone(before.0).await;
    demo.show_disk("at the end", after);
    let freed = full.1.saturating_sub(after.1);
    demo.paper.fact(
        "freed",
        &format!("{} files, {}", full.0.saturating_sub(after.0), bytes(freed)),
    );
    demo.table();
    demo.where_to_look(
        &origin,
        &password,
        stack::setting("MILLRACE_DEMO_MANAGEMENT_URL"),
    );
    Ok(())
}

impl Demo {
    /// The clean-up at the end takes all artifacts that nothing uses: somebody's own must not be there.
    async fn spare_files(&self) -> anyhow::Result<()> {
        let answer = self.client.get("artifacts/?orphaned_for=0&limit=1").await;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
        let unused = answer.json()["count"].as_u64().unwrap_or_default();
        anyhow::ensure!(
            unused == 0,
            "{unused} artifacts are used by nothing, and the clean-up at the end of the demonstration \
             would delete them: make units of them, or delete them with `pulp orphan cleanup \
             --protection-time 0`"
        );
        Ok(())
    }

    fn title(&self) {
        self.paper.title(
            "Millrace",
            "a task queue that keeps order, and the files it looks after",
        );
    }

    /// Files and bytes in the store.
    fn disk(&self) -> (usize, u64) {
        let files = files_below(&self.storage.join("artifact"));
        let sizes = files.iter().filter_map(|file| std::fs::metadata(file).ok());
        (files.len(), sizes.map(|meta| meta.len()).sum())
    }

    fn show_disk(&self, when: &str, (files, size): (usize, u64)) {
        self.paper
            .fact("on disk", &format!("{files} files, {} {when}", bytes(size)));
    }

    async fn upload(&self) -> anyhow::Result<Vec<Value>> {
        self.paper
            .step(1, &format!("Upload {FILES} generated files"));
        let start = Instant::now();
        let artifacts: Vec<Value> = stream::iter(0..FILES)
            .map(|_| async {
                let text: Vec<u8> = {
                    let mut rng = rand::rng();
                    let size = rng.random_range(4_000..64_000);
                    (0..size).map(|_| rng.random()).collect()
                };
                let answer = self.client.try_upload(text).await;
                anyhow::ensure!(
                    answer.status == 201,
                    "upload: {} {}",
                    answer.status,
                    answer.text
                );
                Ok(answer.json())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let size = artifacts
            .iter()
            .map(|a| a["size"].as_u64().unwrap_or_default())
            .sum();
        self.paper.fact(
            "uploaded",
            &format!(
                "{} in {}, each with its digests",
                bytes(size),
                seconds(start.elapsed())
            ),
        );
        Ok(artifacts)
    }

    async fn make_units(&mut self, artifacts: &[Value]) -> anyhow::Result<Vec<String>> {
        self.paper
            .step(2, "Make a file unit of each: one task a unit, side by side");
        let start = Instant::now();
        let run = format!("demo-{}", chrono::Utc::now().timestamp());
        let client = &self.client;
        let tasks: Vec<String> = stream::iter(artifacts.iter().enumerate())
            .map(|(n, artifact)| {
                let path = format!("{run}/file-{n:03}.bin");
                async move {
                    let href = artifact["pulp_href"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    let form = reqwest::multipart::Form::new()
                        .text("artifact", href)
                        .text("relative_path", path);
                    let request = client.request(reqwest::Method::POST, "content/file/files/");
                    let answer = client.send(request.multipart(form)).await;
                    anyhow::ensure!(
                        answer.status == 202,
                        "unit: {} {}",
                        answer.status,
                        answer.text
                    );
                    Ok(answer.task())
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let dispatched = start.elapsed();
        let mut units = Vec::new();
        for task in &tasks {
            let task = self.client.finished_within(task, LONG).await;
            anyhow::ensure!(task["state"] == "completed", "{task:#}");
            units.push(
                task["created_resources"][0]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
            self.tasks.push(task);
        }
        self.paper.fact(
            "made",
            &format!(
                "{} units in {} (the last was dispatched after {})",
                units.len(),
                seconds(start.elapsed()),
                seconds(dispatched)
            ),
        );
        Ok(units)
    }

    async fn fill_repository(&mut self, units: &[String]) -> Value {
        self.paper
            .step(3, "Put them into a repository: its first version");
        let name = format!("demo-{}", chrono::Utc::now().timestamp_millis());
        let repository = self.client.repository(&name).await;
        let task = self.client.modify(&repository, units, &[]).await;
        let version = task["created_resources"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.tasks.push(task);
        let version = self.client.get(&version).await.json();
        let present = &version["content_summary"]["present"]["file.file"]["count"];
        self.paper.fact(
            "version",
            &format!(
                "{name} has version {} with {present} units",
                version["number"]
            ),
        );
        repository
    }

    async fn empty_repository(&mut self, repository: &Value) {
        self.paper.step(
            4,
            "Take all of them out again, and delete the repository: one behind the other",
        );
        let href = repository["pulp_href"].as_str().unwrap_or_default();
        let body = json!({"remove_content_units": ["*"]});
        let empty = self
            .client
            .post(&format!("{href}modify/"), &body)
            .await
            .task();
        let delete = self.client.delete(href).await.task();
        for task in [empty, delete] {
            let task = self.client.completed(&task).await;
            self.tasks.push(task);
        }
        self.paper.fact(
            "gone",
            "both tasks named the repository, so the second waited for the first",
        );
    }

    async fn clean_up(&mut self, units: &[String]) {
        self.paper.step(
            5,
            "Clean up the orphans: units in no version with their files, then files of no unit",
        );
        let body = json!({"orphan_protection_time": 0, "content_hrefs": units});
        let task = self.client.post("orphans/cleanup/", &body).await.task();
        let task = self.client.finished_within(&task, LONG).await;
        for report in task["progress_reports"].as_array().into_iter().flatten() {
            let message = report["message"].as_str().unwrap_or_default();
            self.paper.fact(
                "removed",
                &format!("{message}: {} of {}", report["done"], report["total"]),
            );
        }
        self.tasks.push(task);
    }

    /// Files go after the commit that buried them.
    async fn files_are_gone(&self, before: usize) -> (usize, u64) {
        eventually(Duration::from_secs(30), async || {
            let disk = self.disk();
            if disk.0 <= before {
                Ok(disk)
            } else {
                Err(format!("{} files are left", disk.0))
            }
        })
        .await
    }

    fn table(&self) {
        self.paper.heading("Tasks");
        self.paper.row("name", "state", "waited", "ran");
        let (units, others): (Vec<&Value>, Vec<&Value>) = self.tasks.iter().partition(|t| {
            t["name"]
                .as_str()
                .is_some_and(|n| n.contains("general_create"))
        });
        let span = |task: &Value, from: &str, to: &str| {
            let at = |field: &str| {
                task[field]
                    .as_str()
                    .and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok())
            };
            at(from)
                .zip(at(to))
                .and_then(|(from, to)| (to - from).to_std().ok())
                .unwrap_or_default()
        };
        let mut waits: Vec<_> = units
            .iter()
            .map(|t| span(t, "pulp_created", "started_at"))
            .collect();
        let mut runs: Vec<_> = units
            .iter()
            .map(|t| span(t, "started_at", "finished_at"))
            .collect();
        waits.sort();
        runs.sort();
        if let (Some(wait), Some(run)) = (waits.get(waits.len() / 2), runs.get(runs.len() / 2)) {
            let name = format!("general_create, {} times (medians)", units.len());
            self.paper
                .row(&name, "completed", &seconds(*wait), &seconds(*run));
        }
        for task in others {
            let name = task["name"]
                .as_str()
                .unwrap_or_default()
                .rsplit('.')
                .next()
                .unwrap_or_default();
            let (wait, run) = (
                span(task, "pulp_created", "started_at"),
                span(task, "started_at", "finished_at"),
            );
            self.paper.row(
                name,
                task["state"].as_str().unwrap_or_default(),
                &seconds(wait),
                &seconds(run),
            );
        }
        println!();
        self.paper.fact(
            "all of it",
            &format!(
                "{} tasks in {}",
                self.tasks.len(),
                seconds(self.began.elapsed())
            ),
        );
    }

    fn where_to_look(&self, origin: &str, password: &str, management: Option<String>) {
        self.paper
            .heading("Where to look (while it runs: `make up`)");
        self.paper.fact(
            "API",
            &format!("{origin}/pulp/api/v3/   admin / {password}"),
        );
        self.paper
            .fact("documentation", &format!("{origin}/pulp/api/v3/docs/"));
        if let Some(mut url) = management.and_then(|url| url::Url::parse(&url).ok()) {
            let (user, secret) = (
                url.username().to_owned(),
                url.password().unwrap_or_default().to_owned(),
            );
            let _ = (url.set_username(""), url.set_password(None));
            self.paper
                .fact("RabbitMQ", &format!("{url}   {user} / {secret}"));
        }
        println!();
    }
}
