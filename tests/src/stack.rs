//! The servers that the tests run against: `make test` names them.

use std::path::PathBuf;
use std::process::Command;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests read their environment"
)]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn need(name: &str) -> String {
    read(name).unwrap_or_else(|| {
        panic!("{name} is not set: run the tests with `make test` (FILTER=name for some of them)")
    })
}

/// An optional setting of a test run.
#[must_use]
pub fn setting(name: &str) -> Option<String> {
    read(name)
}

/// Address of a database in which databases may be created.
#[must_use]
pub fn database_url() -> String {
    need("MILLRACE_TEST_DATABASE_URL")
}

/// Address of the broker.
#[must_use]
pub fn broker_url() -> String {
    need("MILLRACE_TEST_BROKER_URL")
}

/// Address of the broker's management API, with credentials.
#[must_use]
pub fn management_url() -> String {
    need("MILLRACE_TEST_MANAGEMENT_URL")
}

/// Where PostgreSQL's programs are.
#[must_use]
pub fn pg_bin() -> PathBuf {
    need("MILLRACE_TEST_PG_BIN").into()
}

/// The virtual environment with `pulp-cli`.
#[must_use]
pub fn venv() -> PathBuf {
    need("MILLRACE_TEST_VENV").into()
}

/// A program of this workspace, beside the test's own.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let dir = read("MILLRACE_TEST_BIN_DIR").map_or_else(
        || {
            let mut dir = std::env::current_exe().unwrap();
            dir.pop();
            if dir.ends_with("deps") {
                dir.pop();
            }
            dir
        },
        PathBuf::from,
    );
    let path = dir.join(name);
    assert!(
        path.exists(),
        "{} is not built: `cargo build --workspace --bins`",
        path.display()
    );
    path
}

/// Servers of a test's own, for those that stop, wipe or starve one. Deleted at the end.
pub struct Instance {
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Instance {
    /// Starts PostgreSQL with these lines of configuration added.
    #[must_use]
    pub fn postgresql(lines: &[&str]) -> Self {
        Self::start("--pg", "--pg-conf", lines)
    }

    /// Starts RabbitMQ with these lines of configuration added.
    #[must_use]
    pub fn rabbitmq(lines: &[&str]) -> Self {
        Self::start("--rabbitmq", "--rabbitmq-conf", lines)
    }

    fn start(kind: &str, conf: &str, lines: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("millrace-instance-")
            .tempdir()
            .unwrap();
        let path = dir.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["start", &path, kind];
        for line in lines {
            arguments.extend([conf, line]);
        }
        let printed = stack(&arguments);
        let variables = printed
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.replace('\\', "")))
            .collect();
        Self { dir, variables }
    }

    fn variable(&self, name: &str) -> String {
        let found = self.variables.iter().find(|(n, _)| n == name);
        found
            .unwrap_or_else(|| panic!("the instance has no {name}"))
            .1
            .clone()
    }

    /// See [`database_url`].
    #[must_use]
    pub fn database_url(&self) -> String {
        self.variable("MILLRACE_TEST_DATABASE_URL")
    }

    /// See [`broker_url`].
    #[must_use]
    pub fn broker_url(&self) -> String {
        self.variable("MILLRACE_TEST_BROKER_URL")
    }

    /// See [`management_url`].
    #[must_use]
    pub fn management_url(&self) -> String {
        self.variable("MILLRACE_TEST_MANAGEMENT_URL")
    }

    /// Runs one of the stack's verbs on it (`kill-pg`, `restart-rabbitmq`, ...), off the async threads.
    pub async fn run(&self, verb: &str) {
        let (verb, path) = (verb.to_owned(), self.dir.path().to_owned());
        tokio::task::spawn_blocking(move || stack(&[&verb, path.to_str().unwrap()]))
            .await
            .unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let path = self.dir.path().to_str().unwrap();
        let _ = Command::new(need("MILLRACE_TEST_STACK"))
            .args(["instance", "delete", path])
            .output();
    }
}

fn stack(arguments: &[&str]) -> String {
    let output = Command::new(need("MILLRACE_TEST_STACK"))
        .arg("instance")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "stack instance {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
