//! Directories in which exports made their files, and of which no row knows any more.

use super::{BATCH, Finding, Run, What};
use crate::error::Error;
use crate::models::ExportStaging;
use crate::tasks::export::leftover::{self, Leftover, Seen};
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

/// Read ahead.
const AHEAD: usize = 100;

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    // Rows and files that belong to each other were seen: this is the database of this place. That all of the few
    // staging directories are left over is then how it usually is.
    let is_known = run.summary.rows > 0 && run.summary.files > 0;
    let allowed = run.fsck.settings.exports.allowed_paths.to_vec();
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let walking = tokio::task::spawn_blocking(move || {
        // Nobody listens where the look has ended early.
        leftover::find(&allowed, &mut |seen| sender.blocking_send(seen).is_ok());
    });
    let mut batches = stream::poll_fn(|context| receiver.poll_recv(context)).chunks(BATCH);
    let (mut wrong, mut all) = (0, 0);
    while let Some(batch) = batches.next().await {
        let mut found = Vec::new();
        for seen in batch {
            match seen {
                Seen::Closed(path, why) => run.add(Finding::unreadable(path.display(), why)),
                Seen::Passed(path) => run.pass(path.display()),
                Seen::Leftover(one) => {
                    all += 1;
                    found.extend(forgotten(run, one).await?);
                }
            }
        }
        wrong += found.len() as u64;
        if !is_known {
            run.doubt(wrong, all, "staging directories of exports")?;
        }
        for (leftover, modified) in found {
            report(run, leftover, modified).await?;
        }
    }
    drop(batches);
    walking.await.map_err(Error::internal)
}

/// Gives it back, with its age, where no row knows of it.
async fn forgotten(
    run: &Run<'_>,
    found: Leftover,
) -> Result<Option<(Leftover, DateTime<Utc>)>, Error> {
    let modified = DateTime::<Utc>::from(found.modified);
    let is_forgotten = modified < run.before && !is_noted(run, &found).await?;
    Ok(is_forgotten.then_some((found, modified)))
}

/// The row is committed before the directory is made.
async fn is_noted(run: &Run<'_>, found: &Leftover) -> Result<bool, Error> {
    let mut conn = run.fsck.db.get().await?;
    Ok(ExportStaging::is_noted(&mut conn, found.export).await?)
}

async fn report(run: &mut Run<'_>, found: Leftover, modified: DateTime<Utc>) -> Result<(), Error> {
    let name = found.path().display().to_string();
    let detail = format!("written {}", modified.format("%Y-%m-%dT%H:%M:%SZ"));
    let mut done = None;
    if run.fsck.options.repair {
        // A run of the export may have begun there since.
        if is_noted(run, &found).await? {
            return Ok(());
        }
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
