//! Directories in which exports made their files, and of which no row knows any more.

use super::{Finding, Run, What};
use crate::error::Error;
use crate::models::ExportStaging;
use crate::tasks::export::stray::{self, Leftover};
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

/// Read ahead.
const AHEAD: usize = 100;

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let allowed = run.fsck.settings.exports.allowed_paths.to_vec();
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let walking = tokio::task::spawn_blocking(move || {
        // Nobody listens where the look has ended early.
        stray::find(&allowed, &mut |found| sender.blocking_send(found).is_ok())
    });
    while let Some(found) = receiver.recv().await {
        let modified = DateTime::<Utc>::from(found.modified);
        // The row is committed before the directory is made.
        let is_noted =
            ExportStaging::is_noted(&mut *run.fsck.db.get().await?, found.export).await?;
        if is_noted || modified >= run.before {
            continue;
        }
        report(run, found, modified).await?;
    }
    let walked = walking.await.map_err(Error::internal)?;
    walked.map_err(|source| Error::Unavailable {
        what: "directory of exports",
        source: source.into(),
    })
}

async fn report(run: &mut Run<'_>, found: Leftover, modified: DateTime<Utc>) -> Result<(), Error> {
    let name = found.path().display().to_string();
    let detail = format!("written {}", modified.format("%Y-%m-%dT%H:%M:%SZ"));
    let mut done = None;
    if run.fsck.options.repair {
        let allowed = run.fsck.settings.exports.allowed_paths.to_vec();
        let removing = tokio::task::spawn_blocking(move || found.remove(&allowed));
        done = match removing.await.map_err(Error::internal)? {
            Ok(()) => Some("removed".to_owned()),
            Err(why) => {
                log::warn!("{name} cannot be removed: {why}");
                None
            }
        };
    }
    run.add(Finding {
        what: What::ExportLeftover,
        name,
        detail,
        done,
    });
    Ok(())
}
