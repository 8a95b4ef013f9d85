//! `millrace-api import-units`

use super::Failure;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::units::import::{Import, Imported};
use std::path::PathBuf;
use tokio::io::{AsyncBufRead, BufReader};

/// What is to be imported.
#[derive(clap::Args)]
pub struct Arguments {
    /// The id of the units' type, as in its definition (`rpm`).
    #[arg(long = "type", value_name = "T")]
    type_id: String,
    /// Leave units that are there already as they are, instead of importing nothing.
    #[arg(long)]
    skip_existing: bool,
    /// The units, one JSON object a line; `-`: standard input.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
}

/// Imports all units of a file, or none.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command line"
)]
pub async fn import(
    settings: &Settings,
    catalog: &Catalog,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let id = arguments.type_id.as_str();
    let known = || {
        let ids = catalog.content.definitions().map(|one| one.id.as_str());
        ids.collect::<Vec<_>>().join(", ")
    };
    let definition = catalog.content.by_id(id);
    let definition =
        definition.ok_or_else(|| format!("--type: there is no type `{id}`, only {}", known()))?;
    let pending = db::pending_migrations(&settings.database).await?;
    if !pending.is_empty() {
        return Err("the database lacks migrations: run `millrace-api migrate` first".into());
    }
    let import = Import {
        definition,
        path_field: catalog.content.path_field(definition),
        storage_root: &settings.units.storage_root,
        skip_existing: arguments.skip_existing,
    };
    let db = Db::new(&settings.database, "millrace-api")?;
    let tell = |text: String| eprintln!("{text}");
    let Imported { made, skipped } = import.run(&db, open(arguments).await?, tell).await?;
    println!("imported {made} units of the type {id}");
    if arguments.skip_existing {
        println!("left out {skipped} that were there already");
    }
    Ok(())
}

async fn open(arguments: &Arguments) -> Result<Box<dyn AsyncBufRead + Unpin>, Failure> {
    if arguments.file.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    let file = tokio::fs::File::open(&arguments.file).await;
    let file = file.map_err(|e| format!("{}: {e}", arguments.file.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}
