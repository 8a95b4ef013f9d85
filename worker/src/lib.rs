//! The worker: takes announcements into its slots and runs the tasks.
//!
//! A slot has a database session of its own and a channel of its own. It claims what a message names,
//! runs the body, settles, and acknowledges. Beside the slots one beat session says that the worker
//! lives, and a janitor looks after the fleet.

mod beat;
mod claiming;
mod cli;
mod endings;
mod health;
mod hung;
mod metrics;
mod running;
mod sessions;
mod settling;
mod shutdown;
mod slot;
mod slots;
mod tries;
mod turns;
mod unclaimed;
mod watch;
mod worker;

use millrace_common::catalog::Catalog;
use std::process::ExitCode;

/// Runs the command line of a worker that knows the built-in catalog and what `register` adds to it.
pub fn run(register: fn(&mut Catalog)) -> ExitCode {
    cli::main(register)
}
