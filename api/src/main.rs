//! The API with the built-in catalog.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_api::run(|_| {})
}
