//! The worker of Millrace with the built-in tasks.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_worker::run(|_catalog| {})
}
