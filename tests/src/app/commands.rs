//! Commands of the API's program.

use super::{TestApp, free_port, variable};
use crate::process::Process;
use crate::stack;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

impl TestApp {
    /// Runs a command of the API's program with the settings of the test, and gives it this to read.
    #[must_use]
    pub fn run_command(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(stack::program("millrace-api"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("MILLRACE_")) {
            command.env_remove(key);
        }
        let settings = self.settings.iter().map(|(key, value)| (key, value));
        let command = command
            .env_remove("RUST_LOG")
            .args(arguments)
            .envs(settings);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // It may end before it has read everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Starts a command of the API's program with the settings of the test.
    #[must_use]
    pub fn start_command(&self, name: &str, arguments: &[&str]) -> Process {
        let program = stack::program(self.api_program());
        Process::start(name, &program, arguments, &self.settings, self.dir.path())
    }

    /// Runs a command of the API's program to its end, with settings of its own beside those of the test; gives
    /// its exit code and what it wrote. Where a signal ended it the code is -1.
    pub async fn end_command(
        &self,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> (i32, String) {
        self.end_command_under(&[], arguments, settings).await
    }

    /// The same under a command that becomes it in the end (`setpriv …`).
    pub async fn end_command_under(
        &self,
        command: &[&str],
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> (i32, String) {
        let mut all = self.settings.clone();
        all.extend(settings.iter().map(|(key, value)| variable(key, value)));
        let name = format!("command-{}", free_port());
        let program = stack::program(self.api_program());
        let whole = [command, &[program.to_str().unwrap()], arguments].concat();
        let (first, rest) = whole.split_first().unwrap();
        let mut command = Process::start(&name, Path::new(first), rest, &all, self.dir.path());
        let status = command.end(Duration::from_secs(60)).await;
        (status.code().unwrap_or(-1), command.log())
    }

    /// Runs a command of the API's program to its end: whether it went well, and what it printed.
    #[must_use]
    pub fn printed(&self, arguments: &[&str]) -> (bool, String) {
        let done = self.run_command(arguments, "");
        let text = if done.status.success() {
            done.stdout
        } else {
            done.stderr
        };
        (done.status.success(), String::from_utf8(text).unwrap())
    }
}
