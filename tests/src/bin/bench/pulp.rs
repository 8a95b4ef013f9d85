//! pulpcore as a peer: its API, two workers and its content server, on a PostgreSQL of their own.
//!
//! Where the peers are installed `make bench` says; each ends with what started it.

use crate::figures::family;
use crate::side::Side;
use anyhow::{Context, ensure};
use base64::Engine;
use millrace_tests::app::free_port;
use millrace_tests::paper::{Paper, seconds};
use millrace_tests::stack::{self, Instance};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use url::Url;

const PASSWORD: &str = "bench-password";
/// Processes that run tasks, and that serve requests.
const WORKERS: usize = 2;

/// Where the peers are installed.
///
/// # Errors
/// They are not.
pub fn peers() -> anyhow::Result<PathBuf> {
    let place = stack::setting("MILLRACE_BENCH_PEERS");
    Ok(PathBuf::from(place.context(
        "MILLRACE_BENCH_PEERS is not set: run it by `make bench`",
    )?))
}

/// A peer's process; ended with it, after a moment to end by itself what it has begotten.
pub struct Peer(Child);

impl Peer {
    /// Starts a program whose output goes into a file.
    ///
    /// # Errors
    /// One that is not there.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = std::fs::File::create(log)?;
        let command = command.stdin(Stdio::null()).stdout(out.try_clone()?);
        let child = command.stderr(out).spawn();
        Ok(Self(child.with_context(|| format!("{command:?}"))?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let all: Vec<_> = family(&[self.id()]).iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg(self.id().to_string()).status();
        for _ in 0..200 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let _ = Command::new("kill").arg("-KILL").args(all).status();
        let _ = self.0.wait();
    }
}

/// All of it, while it runs.
pub struct Pulp {
    /// A session with it.
    pub side: Side,
    /// Where it may export to.
    pub exports: PathBuf,
    processes: Vec<Peer>,
    _dir: tempfile::TempDir,
    _server: Instance,
}

impl Pulp {
    /// Migrates and starts it, and waits until it answers.
    ///
    /// # Errors
    /// A peer that is not installed, or does not start.
    pub async fn start(paper: &Paper) -> anyhow::Result<Self> {
        let bin = peers()?.join("pulp/bin");
        // The stack configures every instance as ours is.
        let server = Instance::postgresql(&[]);
        let dir = tempfile::Builder::new()
            .prefix("millrace-peer-")
            .tempdir()?;
        let (api, content) = (free_port(), free_port());
        let environment = environment(dir.path(), &server.database_url(), content)?;
        let command = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(bin.join(program));
            command
                .args(arguments)
                .envs(environment.iter().map(|(k, v)| (k, v)));
            command
        };
        for arguments in [
            &["migrate", "--noinput"][..],
            &["reset-admin-password", "--password", PASSWORD],
        ] {
            let output = command("pulpcore-manager", arguments).output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.success(),
                "pulpcore-manager {arguments:?}: {error}"
            );
        }
        let start = Instant::now();
        let (bind, serve) = (format!("127.0.0.1:{api}"), format!("127.0.0.1:{content}"));
        let workers = WORKERS.to_string();
        let mut processes = Vec::new();
        let log = |name: &str| dir.path().join(format!("{name}.log"));
        let mut api = command("pulpcore-api", &["-b", &bind, "-w", &workers]);
        processes.push(Peer::start(&mut api, &log("api"))?);
        for n in 0..WORKERS {
            let mut worker = command("pulpcore-worker", &[]);
            processes.push(Peer::start(&mut worker, &log(&format!("worker-{n}")))?);
        }
        let mut content = command("pulpcore-content", &["-b", &serve, "-w", &workers]);
        processes.push(Peer::start(&mut content, &log("content"))?);
        let origin = format!("http://{bind}");
        online(&origin).await?;
        paper.fact(
            "pulpcore",
            &format!("API and workers ready after {}", seconds(start.elapsed())),
        );
        let side = Side::log_in("pulpcore", &origin, PASSWORD).await?;
        Ok(Self {
            side,
            exports: dir.path().join("exports"),
            processes,
            _dir: dir,
            _server: server,
        })
    }

    /// Ids of all its processes: what starts them and what they fork.
    pub fn processes(&self) -> Vec<u32> {
        family(&self.processes.iter().map(Peer::id).collect::<Vec<_>>())
    }
}

/// Waits until its API says that all workers are there.
async fn online(origin: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{origin}/pulp/api/v3/status/");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        if let Ok(answer) = http.get(&url).send().await {
            let text = answer.text().await?;
            let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let workers = status.get("online_workers").and_then(|all| all.as_array());
            if workers.is_some_and(|all| all.len() == WORKERS) {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("pulpcore does not answer")
}

fn environment(dir: &Path, database: &str, content: u16) -> anyhow::Result<Vec<(String, String)>> {
    for name in ["media", "work", "exports"] {
        std::fs::create_dir_all(dir.join(name))?;
    }
    let key = base64::engine::general_purpose::STANDARD.encode([7u8; 32]);
    std::fs::write(dir.join("key"), key)?;
    std::fs::write(dir.join("settings.py"), "")?;
    let url = Url::parse(database)?;
    let path = |name: &str| dir.join(name).display().to_string();
    let port = url.port().context("no port")?.to_string();
    let database = [
        ("ENGINE", "django.db.backends.postgresql"),
        ("HOST", url.host_str().unwrap_or_default()),
        ("PORT", &port),
        ("USER", url.username()),
        ("PASSWORD", url.password().unwrap_or_default()),
        ("NAME", "millrace"),
    ];
    let database = database
        .map(|(name, value)| (format!("PULP_DATABASES__default__{name}"), value.to_owned()));
    let others = [
        ("PULP_SETTINGS", path("settings.py")),
        ("DJANGO_SETTINGS_MODULE", "pulpcore.app.settings".to_owned()),
        ("PULP_SECRET_KEY", "bench".to_owned()),
        ("PULP_DB_ENCRYPTION_KEY", path("key")),
        ("PULP_DEPLOY_ROOT", dir.display().to_string()),
        ("PULP_MEDIA_ROOT", path("media")),
        ("PULP_WORKING_DIRECTORY", path("work")),
        ("PULP_FILE_UPLOAD_TEMP_DIR", path("work")),
        ("PULP_STATIC_ROOT", path("assets")),
        ("PULP_CONTENT_ORIGIN", format!("http://127.0.0.1:{content}")),
        (
            "PULP_ALLOWED_EXPORT_PATHS",
            format!("[\"{}\"]", path("exports")),
        ),
        ("PULP_ANALYTICS", "false".to_owned()),
    ];
    let others = others.map(|(name, value)| (name.to_owned(), value));
    Ok(database.into_iter().chain(others).collect())
}
