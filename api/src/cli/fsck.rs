//! `millrace-api fsck`

use super::Failure;
use millrace_common::config::Settings;
use millrace_common::db::{self, Db};
use millrace_common::fsck::{Finding, Fsck, Options, Summary};
use millrace_common::storage::Storage;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// The code where something is amiss, and where nothing could be found out.
const AMISS: u8 = 1;
pub const UNKNOWN: u8 = 2;

/// How to look.
#[derive(clap::Args)]
pub struct Arguments {
    /// Remove files without a row; take broken files away from units that a remote has them for, which fetch them again
    /// when somebody asks; remove what exports have left. The rest is only told.
    #[arg(long)]
    repair: bool,
    /// Read all files, and compare their digests: as long as the disk needs for that.
    #[arg(long)]
    digests: bool,
    /// Print one JSON object a line: the findings, and then the summary.
    #[arg(long)]
    json: bool,
    /// Files without a row that were written within so many minutes do not count.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    min_age: u64,
    /// Repair even where more than half is amiss, as it is with another database than that of the store.
    #[arg(long, requires = "repair")]
    force: bool,
}

/// Looks, prints, and gives the code to end with.
pub async fn fsck(settings: &Settings, arguments: Arguments) -> Result<ExitCode, Failure> {
    let pending = db::pending_migrations(&settings.database).await?;
    if !pending.is_empty() {
        return Err("the database lacks migrations: run `millrace-api migrate` first".into());
    }
    let db = Db::new(&settings.database, "millrace-api fsck")?;
    // One that is not there is not made: rows without any file would be what that looks like.
    let mut storage = Storage::open_existing(&settings.storage)?;
    if arguments.repair {
        storage = Storage::open(&settings.storage)?;
    }
    storage.check().await?;
    let json = arguments.json;
    let mut tell = |finding: &Finding| {
        let line = if json {
            serde_json::to_string(finding).unwrap_or_default()
        } else {
            written(finding)
        };
        // Written, not printed: a reader that stops early is no fault.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    let fsck = Fsck {
        db: &db,
        storage: &storage,
        settings,
        options: Options {
            repair: arguments.repair,
            digests: arguments.digests,
            min_age: Duration::from_secs(arguments.min_age.saturating_mul(60)),
            force: arguments.force,
        },
        tell: &mut tell,
    };
    let (summary, ended) = fsck.run().await;
    let complete = ended.is_ok();
    let clean = complete && summary.is_clean();
    let text = if json {
        json!({"clean": clean, "complete": complete, "summary": summary}).to_string()
    } else {
        summed(&summary, complete)?
    };
    let _ = writeln!(std::io::stdout(), "{text}");
    ended?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        AMISS.into()
    })
}

fn written(finding: &Finding) -> String {
    let done = finding.done.iter().map(|done| format!(": {done}"));
    let done: String = done.collect();
    let (what, name, detail) = (finding.what.name(), &finding.name, &finding.detail);
    format!("{what:<18} {name} ({detail}){done}")
}

fn summed(summary: &Summary, complete: bool) -> Result<String, std::fmt::Error> {
    let (files, rows, units) = (summary.files, summary.rows, summary.units);
    let mut text = format!("{files} files, {rows} rows, {units} units of a Pulp 2: ");
    if summary.passed > 0 {
        let passed = summary.passed;
        text = format!(
            "{files} files ({passed} names of the file system's own passed over), {rows} rows, {units} units of a Pulp 2: "
        );
    }
    if summary.is_clean() {
        text.push_str(match complete {
            true => "all is well",
            false => "nothing amiss so far; not all was looked at",
        });
        return Ok(text);
    }
    let mut found = summary.found.iter();
    if let Some((what, count)) = found.next() {
        write!(text, "{} {count}", what.name())?;
    }
    for (what, count) in found {
        write!(text, ", {} {count}", what.name())?;
    }
    write!(text, "; repaired {}", summary.repaired)?;
    if !complete {
        text.push_str("; not all was looked at");
    }
    Ok(text)
}
