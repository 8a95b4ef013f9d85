//! The servers that the tests run against: `make test` names them.

use std::path::{Path, PathBuf};
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

/// What a random run begins with: `MILLRACE_TEST_SEED`, or a new one; printed, so that the run can be repeated.
#[must_use]
#[expect(clippy::print_stdout, reason = "a failed test shows what it printed")]
pub fn seed() -> u64 {
    let seed =
        setting("MILLRACE_TEST_SEED").map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("MILLRACE_TEST_SEED={seed}");
    seed
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

/// What a test makes on a shared server carries our prefix and this process, so that nobody else's
/// things are taken for it.
pub(crate) fn own_name(number: u32) -> String {
    format!("{}{}_{number}", own_prefix(), std::process::id())
}

/// True for what [`own_name`] named in a process that has ended. Other machines, and earlier boots of
/// this one, are left alone: what runs there cannot be seen from here.
pub(crate) fn is_left_behind(name: &str) -> bool {
    let numbers = |text: &str| {
        let (process, number) = text.split_once('_')?;
        number.parse::<u32>().ok()?;
        process.parse::<u32>().ok()
    };
    name.strip_prefix(&own_prefix())
        .and_then(numbers)
        .is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}

/// Names the place in which process ids mean something: one boot of a machine, or one container in it.
fn own_prefix() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_string_lossy();
    format!(
        "millrace_test_{}{}_",
        &boot.replace('-', "")[..12],
        namespace.trim_matches(|c: char| !c.is_ascii_digit())
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_processes_of_this_boot_named_is_left_behind() {
        // Process ids end far below this one.
        let ended = format!("{}4294967295_0", own_prefix());
        assert!(is_left_behind(&ended));
        assert!(ended.len() < 64, "PostgreSQL cuts longer names: {ended}");
        assert!(!is_left_behind(&own_name(0)), "this process lives");
        for foreign in [
            "test_production",
            "test_4294967295_0",
            "millrace_test_production",
            "millrace_test_0123456789ab4026531836_4294967295_0",
            &format!("{ended}_backup"),
            &format!("{}production_0", own_prefix()),
        ] {
            assert!(!is_left_behind(foreign), "{foreign}");
        }
    }
}
