//! The command line.

use crate::worker::Worker;
use clap::{Parser, Subcommand};
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the tasks of Millrace.
#[derive(Parser)]
#[command(name = "millrace-worker", version)]
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
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command line"
)]
pub(crate) fn main(register: fn(&mut Catalog)) -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(cli.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        Command::CheckConfig => {
            println!("{}", settings.masked().unwrap_or_default());
            ExitCode::SUCCESS
        }
        Command::Run => {
            millrace_common::logging::init(&settings.log);
            let mut catalog = Catalog::builtin(settings.diagnostics.enabled);
            register(&mut catalog);
            match serve(settings, catalog) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    log::error!(error:% = error; "the worker stops: {error}");
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn serve(settings: Settings, catalog: Catalog) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { Worker::start(settings, catalog).await?.run().await })?;
    // A thread that blocks would keep the process: everything that counts has ended by now.
    runtime.shutdown_background();
    Ok(())
}
