//! The command line.

use crate::worker::Worker;
use clap::{Parser, Subcommand};
use millrace_common::catalog::Catalog;
use millrace_common::cause;
use millrace_common::config::Settings;
use millrace_common::crash;
use millrace_common::logging;
use millrace_common::probe::probe;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a command fails with; its text is for the operator.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the tasks of Millrace.
#[derive(Parser)]
#[command(name = "millrace-worker", version, propagate_version = true)]
struct Cli {
    /// TOML file with settings; variables MILLRACE__SECTION__KEY override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take tasks until told to stop. SIGTERM lets running tasks finish; a second one hands them back.
    Run,
    /// Print the effective settings, secrets masked.
    CheckConfig,
    /// Ask the worker at `worker.health_listen` for a path; fails unless that succeeds.
    Probe {
        /// `/livez`, `/readyz` or `/metrics`.
        path: String,
    },
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
pub(crate) fn main(register: fn(&mut Catalog)) -> ExitCode {
    let cli = Cli::parse();
    let done = Settings::load(cli.config.as_deref())
        .map_err(Failure::from)
        .and_then(|settings| execute(&cli.command, settings, register));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace-worker: {}", cause::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn execute(
    command: &Command,
    settings: Settings,
    register: fn(&mut Catalog),
) -> Result<(), Failure> {
    let catalog = Catalog::load(&settings, register)?;
    let classes = catalog.tasks.types().map(|task| task.class);
    settings.worker.check_classes(classes)?;
    match command {
        Command::Probe { path } => Ok(probe(&settings.worker.health_listen, false, path)?),
        Command::CheckConfig => {
            // Written, not printed: a reader that stops early (`| head`) is no fault.
            let _ = writeln!(std::io::stdout(), "{}", settings.masked()?);
            Ok(())
        }
        Command::Run => {
            logging::init(&settings.log);
            crash::arm(&settings.diagnostics.crash_at)?;
            serve(settings, catalog)
        }
    }
}

fn serve(settings: Settings, catalog: Catalog) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { Worker::start(settings, catalog).await?.run().await })?;
    // A thread that blocks would keep the process: everything that counts has ended by now.
    runtime.shutdown_background();
    Ok(())
}
