//! What tasks that make room have in common: deleting what nothing protects, removing files, and saying
//! what went.

use crate::db::{Conn, Work, transaction};
use crate::error::Error;
use crate::ids::ArtifactId;
use crate::models::{Artifact, Disposable, MembershipDebris, Tally, Tombstone};
use crate::storage::tombstones::{Unlinked, unlink};
use crate::tasking::{Effects, Outcome, TaskContext, TaskError};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use log::warn;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Rows of one transaction.
pub const BATCH: i64 = 2000;

/// Key of the tally: artifacts that are gone.
pub const ARTIFACTS: &str = "artifacts";
/// Key of the tally: their bytes.
pub const BYTES: &str = "bytes";
/// Begins a key of the tally, before the type: units that are gone, or have lost their files.
pub const UNITS: &str = "units:";

/// Removes the memberships that deletions left: they keep their units from being orphans. What another
/// process is removing at this moment is waited for.
pub async fn sweep_debris(ctx: &TaskContext) -> Result<(), TaskError> {
    loop {
        let seen = ctx
            .fenced(async |conn| Ok(MembershipDebris::sweep(conn, BATCH).await?))
            .await?;
        if seen == 0 {
            if !MembershipDebris::any(&mut *ctx.session().await).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Buries locked artifacts that nothing needs, and counts them in the task's tally. What a row that the query does
/// not know of holds is kept: first all at once, and where that fails, one by one.
pub async fn bury(
    ctx: &TaskContext,
    conn: &mut Conn,
    ids: &[ArtifactId],
    before: Option<DateTime<Utc>>,
) -> Result<Vec<Tombstone>, TaskError> {
    let all = unless_protected(conn, async |conn| {
        Artifact::bury_many(conn, ids, before).await
    })
    .await?;
    let buried = match all {
        Some(buried) => buried,
        None => bury_singly(conn, ids, before).await?,
    };
    let bytes = buried.iter().filter_map(|tombstone| tombstone.size).sum();
    let counts = [(ARTIFACTS, count(buried.len())), (BYTES, bytes)];
    let counts = counts.map(|(key, value)| (key.to_owned(), value));
    Tally::add(conn, ctx.task(), counts).await?;
    Ok(buried)
}

/// Counts the bytes of files that are buried already.
pub async fn count_bytes(
    ctx: &TaskContext,
    conn: &mut Conn,
    buried: &[Tombstone],
) -> Result<(), TaskError> {
    let bytes = buried.iter().filter_map(|tombstone| tombstone.size).sum();
    Ok(Tally::add(conn, ctx.task(), [(BYTES.to_owned(), bytes)]).await?)
}

async fn bury_singly(
    conn: &mut Conn,
    ids: &[ArtifactId],
    before: Option<DateTime<Utc>>,
) -> Result<Vec<Tombstone>, TaskError> {
    let mut buried = Vec::new();
    for id in ids {
        let one = std::slice::from_ref(id);
        let gone = unless_protected(conn, async |conn| {
            Artifact::bury_many(conn, one, before).await
        })
        .await?;
        match gone {
            Some(gone) => buried.extend(gone),
            None => warn!(artifact:% = id; "{id} is needed by something else and is kept"),
        }
    }
    Ok(buried)
}

/// Removes every file that was buried before a moment, by whomever: what an earlier run of the task did not
/// come to remove, too.
pub async fn unlink_buried_before(
    ctx: &TaskContext,
    moment: DateTime<Utc>,
) -> Result<Unlinked, TaskError> {
    let mut gone = Unlinked::default();
    let mut behind = String::new();
    loop {
        ctx.checkpoint()?;
        let page = {
            let mut conn = ctx.session().await;
            Tombstone::page(&mut conn, &behind, moment, BATCH).await?
        };
        match page.last() {
            None => return Ok(gone),
            Some(last) => last.storage_key.as_str().clone_into(&mut behind),
        }
        gone += unlink(ctx.db(), ctx.storage(), &page).await?;
    }
}

/// Ends a task that made room: removes the files that are left, reports under codes that begin with `code`, and
/// makes the result of what all runs of the task have counted.
pub async fn finish(ctx: &TaskContext, code: &str, skipped: i64) -> Result<Outcome, TaskError> {
    let now = crate::db::now(&mut *ctx.session().await).await?;
    let left = unlink_buried_before(ctx, now).await?;
    let tally = Tally::of(&mut *ctx.session().await, ctx.task()).await?;
    let freed = (tally.get(BYTES) - left.bytes_failed).max(0);
    for (message, name, done) in [
        ("Free bytes", "bytes", freed),
        ("Files that cannot be removed now", "failed", left.failed),
    ] {
        let mut progress = ctx
            .progress(message, &format!("{code}.{name}"), None)
            .await?;
        progress.resume(done);
        progress.finish_as_total().await?;
    }
    let by_type: Map<String, Value> = tally
        .under(UNITS)
        .map(|(pulp_type, units)| (pulp_type.to_owned(), json!({ "units": units })))
        .collect();
    let units: i64 = tally.under(UNITS).map(|(_, units)| units).sum();
    let result = json!({
        "dry_run": false, "units": units, "artifacts": tally.get(ARTIFACTS), "bytes": freed,
        "by_type": by_type, "skipped": skipped, "failed": left.failed,
    });
    Ok(Outcome::flip(move |_| {
        let result = Some(result.clone());
        Box::pin(async move {
            Ok(Effects {
                result,
                ..Effects::default()
            })
        })
    }))
}

/// What would go, as the result of a task that changes nothing.
#[must_use]
pub fn would_go(found: &[Disposable]) -> Value {
    let figures =
        |d: &Disposable| json!({"units": d.units, "artifacts": d.artifacts, "bytes": d.bytes});
    let by_type: Map<String, Value> = found
        .iter()
        .filter_map(|d| Some((d.pulp_type.clone()?, figures(d))))
        .collect();
    let all = found.iter().find(|d| d.pulp_type.is_none());
    let mut result = all.map_or_else(|| json!({}), figures);
    result["dry_run"] = true.into();
    result["by_type"] = by_type.into();
    result
}

/// Runs a delete in a savepoint. `None`: a foreign key protects one of the rows; nothing is deleted.
pub async fn unless_protected<'a, T, F>(conn: &mut Conn, delete: F) -> Result<Option<T>, TaskError>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, DieselError>
        + Work<&'r mut Conn, Result<T, DieselError>, Fut: Send>
        + Send
        + Sync
        + 'a,
    T: Send + 'a,
{
    match transaction(conn, delete).await {
        Ok(done) => Ok(Some(done)),
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(None),
        Err(error) => Err(Error::from(error).into()),
    }
}

/// The minutes that a clean-up protects: those that it was given, or those of a setting, where 0 means that nobody
/// has said how many.
///
/// # Errors
/// A text for the client where neither says it.
pub fn protection(given: Option<u32>, setting: u32) -> Result<u32, TaskError> {
    match (given, setting) {
        (Some(minutes), _) => Ok(minutes),
        (None, 0) => Err(TaskError::failed(
            "protection_time: This field is required.",
        )),
        (None, minutes) => Ok(minutes),
    }
}

/// A number of rows, as the database counts.
#[must_use]
pub fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
