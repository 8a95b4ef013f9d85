//! `millrace-api migrate`

use super::{Failure, admin};
use log::info;
use millrace_common::config::Settings;
use millrace_common::db;
use tokio::signal::unix::{SignalKind, signal};

/// Applies what is pending; then the built-in roles are there, and somebody can log in. Told to stop, it gives up where
/// it is: what is not whole is rolled back, or made up for by the next run.
pub async fn migrate(settings: &Settings) -> Result<(), Failure> {
    // The first process of a container is sent nothing that it does not ask for.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    // Apart from the signals, as a migration keeps its thread.
    let settings = settings.clone();
    let mut applying = tokio::spawn(async move { apply(&settings).await });
    tokio::select! {
        applied = &mut applying => applied?,
        _ = terminated.recv() => Err(STOPPED.into()),
        _ = interrupted.recv() => Err(STOPPED.into()),
    }
}

const STOPPED: &str =
    "told to stop: the migration under way is rolled back, those before it stay; run it again";

#[expect(clippy::print_stdout, reason = "this is the command line")]
async fn apply(settings: &Settings) -> Result<(), Failure> {
    let done = db::migrate(&settings.database).await?;
    for name in &done {
        info!("applied migration {name}");
        println!("applied {name}");
    }
    if done.is_empty() {
        println!("nothing to apply");
    }
    admin::build_in_roles(settings).await?;
    admin::ensure(settings).await
}
