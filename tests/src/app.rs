//! The whole system for one test: the real programs on a database and a virtual host of its own.

mod builder;
mod commands;
pub mod ledger;
mod people;
mod port;

pub use builder::Builder;
use builder::variable;
pub use port::free_port;

use crate::client::Client;
use crate::eventually::holds;
use crate::process::Process;
use crate::{Sql, TestDb, Vhost, eventually, lanes, stack};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All files below a directory.
#[must_use]
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The system of one test; calls of its API go through it as through a [`Client`].
pub struct TestApp {
    client: Client,
    /// A session with its database.
    pub sql: Sql,
    /// The API, while it runs.
    pub api: Option<Process>,
    /// The workers that were started.
    pub workers: Vec<Process>,
    /// Its virtual host.
    pub vhost: Vhost,
    /// Its database.
    pub db: TestDb,
    settings: Vec<(String, String)>,
    plugin: bool,
    started: usize,
    dir: tempfile::TempDir,
}

impl Deref for TestApp {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestApp {
    /// The API and no worker.
    pub async fn start() -> Self {
        Builder::default().start().await
    }

    /// The API and so many workers.
    pub async fn with_workers(count: usize) -> Self {
        Builder::default().workers(count).start().await
    }

    /// So many workers that know the example plug-in, and no API: the test dispatches by itself.
    pub async fn engine(workers: usize) -> Self {
        let builder = Self::builder().plugin().without_api();
        builder.workers(workers).start().await
    }

    /// See [`Builder`].
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where artifacts are stored.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    /// The storage of a Pulp 2, if the test makes one.
    #[must_use]
    pub fn pulp_storage(&self) -> PathBuf {
        self.dir.path().join("pulp")
    }

    /// A directory of the test's own.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client of its own, to be moved into tasks.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of somebody who is no administrator.
    pub async fn somebody(&self) -> Client {
        self.sql
            .run(
                "INSERT INTO account (username, password, is_superuser) \
                 SELECT 'somebody', password, false FROM account WHERE username = 'admin'",
            )
            .await;
        self.client.as_user("somebody")
    }

    /// A dispatcher of the test's own.
    pub async fn dispatcher(&self) -> crate::Dispatcher {
        crate::Dispatcher::connect(&self.settings).await
    }

    /// Changes a setting for what is started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        let (name, value) = variable(key, value);
        self.settings.retain(|(other, _)| *other != name);
        self.settings.push((name, value));
    }

    /// Starts the API (again) and waits until it answers.
    pub async fn start_api(&mut self) {
        let client = self.client.clone();
        self.api = Some(self.serve("api", &["serve"], &self.settings, &client).await);
    }

    /// Starts another API with these arguments and settings of its own, and waits until it answers.
    pub async fn another_api(
        &self,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> (Process, Client) {
        let port = free_port();
        let client = self.client.at(&format!("http://127.0.0.1:{port}"));
        let mut all = self.settings.clone();
        all.push(variable("api.listen", &format!("127.0.0.1:{port}")));
        all.extend(settings.iter().map(|(key, value)| variable(key, value)));
        let name = format!("api-{port}");
        let process = self.serve(&name, arguments, &all, &client).await;
        (process, client)
    }

    fn api_program(&self) -> &'static str {
        if self.plugin {
            "plugin-api"
        } else {
            "millrace-api"
        }
    }

    async fn serve(
        &self,
        name: &str,
        arguments: &[&str],
        settings: &[(String, String)],
        client: &Client,
    ) -> Process {
        let program = stack::program(self.api_program());
        let mut api = Process::start(name, &program, arguments, settings, self.dir.path());
        eventually(Duration::from_secs(60), async || {
            assert!(api.ended().is_none(), "the API ended:\n{}", api.log());
            let request = client.anonymous(reqwest::Method::GET, "livez/");
            let answer = client.try_send(request).await;
            answer
                .map_err(|e| e.to_string())
                .and_then(|a| holds(a.status.is_success(), || a.text.clone()))
        })
        .await;
        api
    }

    /// Starts a worker, with settings of its own beside those of the test; gives its place.
    pub fn spawn_worker(&mut self, settings: &[(&str, &str)]) -> usize {
        self.spawn_worker_program(self.worker_program(), settings)
    }

    /// Starts a worker of another program.
    pub fn spawn_worker_program(&mut self, program: &str, settings: &[(&str, &str)]) -> usize {
        self.spawn_worker_command(&[], program, settings)
    }

    /// Starts a worker under a command that becomes it in the end (`ip netns exec …`, `env …`).
    pub fn spawn_worker_under(&mut self, command: &[&str], settings: &[(&str, &str)]) -> usize {
        self.spawn_worker_command(command, self.worker_program(), settings)
    }

    fn worker_program(&self) -> &'static str {
        if self.plugin {
            "plugin-worker"
        } else {
            "millrace-worker"
        }
    }

    fn spawn_worker_command(
        &mut self,
        command: &[&str],
        program: &str,
        settings: &[(&str, &str)],
    ) -> usize {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let mut all = self.settings.clone();
        all.push(variable("worker.name", &name));
        all.extend(settings.iter().map(|(key, value)| variable(key, value)));
        let program = stack::program(program);
        let program = program.to_str().unwrap();
        let mut command = command.to_vec();
        command.extend([program, "run"]);
        let (first, arguments) = command.split_first().unwrap();
        let worker = Process::start(&name, Path::new(first), arguments, &all, self.dir.path());
        self.workers.push(worker);
        self.workers.len() - 1
    }

    /// Waits until so many workers are known to be online.
    pub async fn workers_online(&self, count: usize) {
        let count = i64::try_from(count).unwrap();
        eventually(Duration::from_secs(60), async || {
            let online = self
                .sql
                .number("SELECT count(*) FROM app_status WHERE app_type = 'worker' AND last_heartbeat > clock_timestamp() - interval '5 s'")
                .await;
            holds(online >= count, || format!("{online} of {count} workers are online"))
        })
        .await;
    }

    /// A task's state, number of runs, and reason of failure, from its row.
    pub async fn row(&self, task: impl std::fmt::Display) -> (String, i64, Option<String>) {
        let statement = format!(
            "SELECT state, attempts::bigint, error::text FROM task WHERE pulp_id = '{task}'"
        );
        let row = self.sql.query_one(&statement, &[]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    /// Waits until a task is in a state, by its row.
    pub async fn until(&self, task: impl std::fmt::Display, state: &str, deadline: Duration) {
        eventually(deadline, async || {
            let row = self.row(&task).await;
            holds(row.0 == state, || format!("{task} is not {state}: {row:?}"))
        })
        .await;
    }

    /// Waits until a task has written a line of a kind into the ledger.
    pub async fn until_noted(&self, task: impl std::fmt::Display, what: &str) {
        let task = task.to_string();
        eventually(Duration::from_secs(30), async || {
            let lines = ledger::count(&self.sql, &task, what).await;
            holds(lines > 0, || format!("{task} has written no {what}"))
        })
        .await;
    }

    /// Every task completed, and its effect happened exactly once.
    pub async fn assert_completed_once(&self) {
        let wrong = self
            .sql
            .texts(
                "SELECT t.pulp_id || ' ' || t.state || ' ' || t.attempts || ' runs, flips: ' || count(l.id) || ' ' || coalesce(t.error::text, '')
                   FROM task t LEFT JOIN ledger l ON l.task = t.pulp_id AND l.what = 'flip'
                  WHERE t.name LIKE 'plugin.tasks.ledger%'
                  GROUP BY t.pulp_id HAVING t.state <> 'completed' OR count(l.id) <> 1",
            )
            .await;
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(ledger::overlapping_claims(&self.sql).await, 0);
        assert_eq!(
            ledger::forbidden_moves(&self.sql).await,
            Vec::<String>::new()
        );
    }

    /// No task has failed.
    pub async fn assert_no_failures(&self) {
        let failed = self
            .sql
            .texts("SELECT name || ' ' || error FROM task WHERE state = 'failed'")
            .await;
        assert_eq!(failed, Vec::<String>::new());
    }

    /// The worker that runs a task, by its place among the workers.
    pub async fn worker_of(&self, task: impl std::fmt::Display) -> usize {
        let name = self
            .sql
            .text(&format!(
                "SELECT a.name FROM task t JOIN app_status a ON a.pulp_id = t.worker_id WHERE t.pulp_id = '{task}'"
            ))
            .await;
        self.workers.iter().position(|w| w.name == name).unwrap()
    }

    /// Waits until no task is unfinished.
    pub async fn quiet(&self, deadline: Duration) {
        eventually(deadline, async || {
            let states = self
                .sql
                .texts("SELECT state || ' ' || name || ' ' || pulp_id || ' ' || coalesce(unblocked_at::text, 'blocked')
                          FROM task WHERE state IN ('waiting', 'running', 'canceling') LIMIT 5")
                .await;
            holds(states.is_empty(), || format!("unfinished: {states:#?}"))
        })
        .await;
    }

    /// Ends the test well: nothing unfinished, and nothing that promotion left behind, ever.
    pub async fn finish(self) {
        self.quiet(Duration::from_secs(30)).await;
        assert_eq!(lanes::repairs(&self.sql).await, 0, "left behind");
        let repairs = "SELECT coalesce(sum(repairs), 0) FROM janitor";
        assert_eq!(self.sql.number(repairs).await, 0, "the janitor repaired");
        for table in ["reservation", "lane_continuation"] {
            let left = self
                .sql
                .number(&format!("SELECT count(*) FROM {table}"))
                .await;
            assert_eq!(left, 0, "rows left in {table}");
        }
    }
}
