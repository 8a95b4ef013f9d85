//! The REST API: validates requests, authenticates, records tasks and publishes them; serves reads.
//! It never runs a task body. Beside it, the content server.
//!
//! `route` and `v3/mod.rs` say what there is to call; `body` and `listing` read requests; `openapi`
//! writes the document from the same table. `v2` is the dialect before that, over the same functions. `content` serves files.

pub mod app;
pub mod auth;
pub mod body;
mod canceling;
mod cli;
pub mod content;
mod correlation;
mod dispatch_headers;
pub mod dispatching;
pub mod error;
pub mod events;
pub mod listing;
mod metrics;
mod negotiation;
pub mod openapi;
mod permits;
mod process;
mod readiness;
pub mod route;
mod server;
mod together;
pub mod v2;
pub mod v3;
mod waiting;

use millrace_common::catalog::Catalog;
use std::process::ExitCode;

/// Runs the command line of an API that knows the built-in catalog and what `register` adds to it.
pub fn run(register: fn(&mut Catalog)) -> ExitCode {
    cli::main(register)
}
