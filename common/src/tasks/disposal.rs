//! What tasks that make room have in common: deleting what nothing protects, removing files, and saying
//! what went.

use crate::db::{Conn, Work, transaction};
use crate::error::Error;
use crate::ids::ArtifactId;
use crate::models::{Artifact, Disposable, MembershipDebris, Tally, Tombstone};
use crate::storage::tombstones::{Unlinked, unlink};
use crate::tasking::{Outcome, TaskContext, TaskError};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use log::warn;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows of one transaction.
pub const BATCH: i64 = 2000;

/// Key of the tally: artifacts that are gone.
pub const ARTIFACTS: &str = "artifacts";
/// Key of the tally: their bytes.
pub const BYTES: &str = "bytes";
/// Begins a key of the tally, before the type: units that are gone, or have lost their files.
pub const UNITS: &str = "units:";

/// Key of the tally: uploads that are gone.
pub const UPLOADS: &str = "uploads";
/// Key of the tally: temporary files that are gone.
pub const TEMPORARY_FILES: &str = "temporary files";

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
    Tombstone::sign(conn, &buried, ctx.task()).await?;
    Ok(buried)
}

/// Counts the bytes of files that the task has just buried, as its own.
pub async fn count_bytes(
    ctx: &TaskContext,
    conn: &mut Conn,
    buried: &[Tombstone],
) -> Result<(), TaskError> {
    let bytes = buried.iter().filter_map(|tombstone| tombstone.size).sum();
    Tombstone::sign(conn, buried, ctx.task()).await?;
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
    unlink_buried_before(ctx, now).await?;
    let (tally, failed, taken) = {
        let mut conn = ctx.session().await;
        let tally = Tally::of(&mut conn, ctx.task()).await?;
        let (failed, taken) = Tombstone::left_by(&mut conn, ctx.task()).await?;
        (tally, failed, taken)
    };
    let freed = tally.get(BYTES) - taken;
    for (message, name, done) in [
        ("Free bytes", "bytes", freed),
        ("Files that cannot be removed now", "failed", failed),
    ] {
        let mut progress = ctx
            .progress(message, &format!("{code}.{name}"), None)
            .await?;
        progress.resume(done);
        progress.finish_as_total().await?;
    }
    let by_type = tally.under(UNITS).map(|(pulp_type, units)| {
        let figures = Figures {
            units,
            artifacts: None,
            bytes: None,
        };
        (pulp_type.to_owned(), figures)
    });
    let disposal = Disposal {
        dry_run: false,
        units: tally.under(UNITS).map(|(_, units)| units).sum(),
        artifacts: tally.get(ARTIFACTS),
        bytes: freed,
        by_type: by_type.collect(),
        uploads: tally.noted(UPLOADS),
        temporary_files: tally.noted(TEMPORARY_FILES),
        skipped,
        failed,
    };
    Ok(Outcome::result(json!(disposal)))
}

/// The result of a task that makes room: what went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Disposal {
    /// True: nothing went.
    pub dry_run: bool,
    /// Units that went, or lost their files.
    pub units: i64,
    /// Artifacts that went.
    pub artifacts: i64,
    /// Bytes that this made free.
    pub bytes: i64,
    /// The same by content type; an artifact of two types counts with both.
    pub by_type: BTreeMap<String, Figures>,
    /// Uploads that went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<i64>,
    /// Temporary files that went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_files: Option<i64>,
    /// What was to go and was kept, as somebody used it.
    pub skipped: i64,
    /// Files that could not be removed yet; their bytes are not free.
    pub failed: i64,
}

/// Those of one content type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Units.
    pub units: i64,
    /// Artifacts, where they are known by type: before they go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<i64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

impl Disposal {
    /// What would go.
    #[must_use]
    pub fn dry(found: Vec<Disposable>) -> Self {
        let mut all = Self {
            dry_run: true,
            ..Self::default()
        };
        for row in found {
            let Some(pulp_type) = row.pulp_type else {
                (all.units, all.artifacts, all.bytes) = (row.units, row.artifacts, row.bytes);
                continue;
            };
            let figures = Figures {
                units: row.units,
                artifacts: Some(row.artifacts),
                bytes: Some(row.bytes),
            };
            all.by_type.insert(pulp_type, figures);
        }
        all
    }
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
