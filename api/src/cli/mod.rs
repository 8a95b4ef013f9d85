//! The command line.

mod admin;
mod doctor;
mod fsck;
mod import_units;
mod make_admin;
mod migrate;
mod password;
mod pause;
mod serve;
mod why;

use crate::app::Serves;
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

/// Serves the REST API of Millrace, and the content.
#[derive(Parser)]
#[command(name = "millrace-api", version, propagate_version = true)]
struct Cli {
    /// TOML file with settings; variables MILLRACE__SECTION__KEY override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop. The database must have been migrated.
    Serve {
        /// Serve one half, for fleets of their own; the path `livez/` of the API answers in both.
        #[arg(long)]
        only: Option<Serves>,
    },
    /// Bring the database to this program's schema, and make the first administrator.
    Migrate,
    /// Print the effective settings, secrets masked.
    CheckConfig,
    /// Ask the server at `api.listen` for a path; fails unless that succeeds.
    Probe {
        /// Such as `/pulp/api/v3/livez/`.
        path: String,
    },
    /// Look at everything that the programs need, and say how to mend what is amiss. Fails where a check does.
    Doctor {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Hold the database and the stored files against each other. Ends with 0 where all is well, 1 where something is
    /// amiss (also where it was repaired), 2 where that could not be found out.
    ///
    /// May run beside the programs, and be broken off at any time. Run it on a host that reaches the artifact store and
    /// the directories of exports as the programs do.
    Fsck(fsck::Arguments),
    /// Set the password of an account, read from the terminal or from standard input.
    SetPassword {
        /// The account; the administrator of the settings when left out.
        username: Option<String>,
    },
    /// Make an account an administrator, who may do everything.
    MakeAdmin {
        /// The account.
        username: String,
        /// Make it one like any other again.
        #[arg(long)]
        undo: bool,
    },
    /// Bring units of a Pulp 2 in from a file: all of them, or none.
    ///
    /// Each line is a JSON object: the unit's fields, those of its type's unit key among them; `_storage_path`, where it
    /// lies (below `content` of `units.storage_root`; null or left out: nowhere), which goes with the unit when that is
    /// deleted as an orphan; and `_id`, a UUID, which it keeps. `_content_type_id` must be the type;
    /// `_ns`, `_href`, `_rev`, `_last_updated` and `_<type>_children` are left out; other names that begin with `_` are
    /// refused. A line that is wrong is told by its number and field.
    ImportUnits(import_units::Arguments),
    /// Keep tasks of a lane or of a type from starting; those that run go on.
    Pause {
        #[command(flatten)]
        what: pause::What,
        /// Why, for people.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a pause.
    Resume {
        #[command(flatten)]
        what: pause::What,
    },
    /// Say why a task waits.
    Why {
        /// The id of the task, its href or its PRN.
        task: String,
        /// The answer for programs, as `tasks/<id>/blockers/` gives it.
        #[arg(long)]
        json: bool,
    },
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
pub fn main(register: fn(&mut Catalog)) -> ExitCode {
    let cli = Cli::parse();
    let failed: ExitCode = match cli.command {
        Command::Fsck(_) => fsck::UNKNOWN.into(),
        _ => ExitCode::FAILURE,
    };
    let done = Settings::load(cli.config.as_deref())
        .map_err(Failure::from)
        .and_then(|settings| execute(cli.command, settings, register));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("millrace-api: {}", cause::chain(&*error));
            failed
        }
    }
}

fn execute(
    command: Command,
    settings: Settings,
    register: fn(&mut Catalog),
) -> Result<ExitCode, Failure> {
    if let Command::CheckConfig = command {
        let catalog = Catalog::load(&settings, register)?;
        let classes = catalog.tasks.types().map(|task| task.class);
        settings.worker.check_classes(classes)?;
        // Written, not printed: a reader that stops early (`| head`) is no fault.
        let _ = writeln!(std::io::stdout(), "{}", settings.masked()?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Probe { path } = &command {
        let https = settings.api.is_https();
        probe(&settings.api.listen, https, path)?;
        return Ok(ExitCode::SUCCESS);
    }
    logging::init(&settings.log);
    crash::arm(&settings.diagnostics.crash_at)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Serve { only } => {
            let serves = only.unwrap_or_default();
            runtime.block_on(serve::serve(settings, register, serves))
        }
        Command::Doctor { json } => runtime.block_on(doctor::doctor(&settings, register, json)),
        Command::Fsck(arguments) => {
            return runtime.block_on(fsck::fsck(&settings, arguments));
        }
        Command::Migrate => {
            let migrated = runtime.block_on(migrate::migrate(&settings));
            // One that was given up keeps its thread until the server has ended it.
            runtime.shutdown_background();
            return migrated.map(|()| ExitCode::SUCCESS);
        }
        Command::SetPassword { username } => {
            runtime.block_on(password::set_password(&settings, username))
        }
        Command::MakeAdmin { username, undo } => {
            runtime.block_on(make_admin::make_admin(&settings, &username, !undo))
        }
        Command::ImportUnits(arguments) => {
            let catalog = Catalog::load(&settings, register)?;
            runtime.block_on(import_units::import(&settings, &catalog, &arguments))
        }
        Command::Pause { what, reason } => {
            runtime.block_on(pause::set(settings, register, what, reason))
        }
        Command::Resume { what } => runtime.block_on(pause::end(&settings, what)),
        Command::Why { task, json } => runtime.block_on(why::print(&settings, &task, json)),
        Command::CheckConfig | Command::Probe { .. } => Ok(()),
    }?;
    Ok(ExitCode::SUCCESS)
}
