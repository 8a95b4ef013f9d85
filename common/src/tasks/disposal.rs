//! What tasks that make room have in common: deleting what nothing protects, removing files, and saying
//! what went.

use crate::db::{Conn, Work, transaction};
use crate::error::Error;
use crate::ids::{ArtifactId, TaskId};
use crate::models::{Artifact, Disposable, MembershipDebris, Tally, Tombstone};
use crate::storage::tombstones::{Unlinked, unlink};
use crate::tasking::{Outcome, TaskContext, TaskError};
use crate::units::Removal;
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use log::warn;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows of one transaction.
pub const BATCH: i64 = 2000;

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

/// What a function that makes room keeps count of, over all runs of its task. Its keys in the tally begin with the
/// name of the function: a task may call several, each once.
pub struct Account<'a> {
    ctx: &'a TaskContext,
    function: &'static str,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Artifacts that went.
    Artifacts,
    /// Artifacts that were to go and stay, as somebody had them at that moment.
    Skipped,
    /// Bytes of files that were buried.
    Bytes,
    /// Uploads that went.
    Uploads,
    /// Temporary files that went.
    TemporaryFiles,
    /// Units that went and had something stored in a Pulp 2.
    Stored,
}

impl Count {
    fn key(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Skipped => "artifacts skipped",
            Self::Bytes => "bytes",
            Self::Uploads => "uploads",
            Self::TemporaryFiles => "temporary files",
            Self::Stored => "stored",
        }
    }
}

/// Begins the key of units, before their type.
const UNITS: &str = "units of ";

impl<'a> Account<'a> {
    /// That of this function in this task.
    #[must_use]
    pub fn of(ctx: &'a TaskContext, function: &'static str) -> Self {
        Self { ctx, function }
    }

    /// The run that counts.
    #[must_use]
    pub fn ctx(&self) -> &'a TaskContext {
        self.ctx
    }

    fn key(&self, name: &str) -> String {
        format!("{}: {name}", self.function)
    }

    async fn tally(&self) -> Result<Tally, TaskError> {
        let mut conn = self.ctx.session().await;
        Ok(Tally::of(&mut conn, self.ctx.task()).await?)
    }

    /// What all runs have counted so far.
    pub async fn counted(&self, what: Count) -> Result<i64, TaskError> {
        Ok(self.tally().await?.get(&self.key(what.key())))
    }

    /// How many units all runs have counted so far.
    pub async fn units(&self) -> Result<i64, TaskError> {
        let tally = self.tally().await?;
        let prefix = self.key(UNITS);
        Ok(tally.under(&prefix).map(|(_, units)| units).sum())
    }

    /// A figure that the first run takes, and further runs go by. It is taken outside of any transaction, and
    /// given up where the task is to stop.
    pub async fn first<F>(&self, name: &str, take: F) -> Result<i64, TaskError>
    where
        F: Future<Output = Result<i64, TaskError>>,
    {
        let key = self.key(name);
        if let Some(value) = self.tally().await?.noted(&key) {
            return Ok(value);
        }
        let value = self.ctx.unless_stopped(take).await?;
        let task = self.ctx.task();
        self.ctx
            .fenced(async |conn| Ok(Tally::note(conn, task, &key, value).await?))
            .await
    }

    /// The moment that was so many minutes before the first run: what was of interest since is protected.
    pub async fn protected_since(&self, minutes: u32) -> Result<DateTime<Utc>, TaskError> {
        let now = async {
            let now = crate::db::now(&mut *self.ctx.session().await).await?;
            Ok(now.timestamp_micros())
        };
        let micros = self.first("began", now).await?;
        let began = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        Ok(protected_since(began, minutes))
    }

    /// Counts, in the transaction that did what is counted.
    pub async fn add(&self, conn: &mut Conn, what: Count, more: i64) -> Result<(), TaskError> {
        let counts = [(self.key(what.key()), more)];
        Ok(Tally::add(conn, self.ctx.task(), counts).await?)
    }

    /// Counts units by type, in the transaction that took them, or their files.
    pub async fn add_units<'t>(
        &self,
        conn: &mut Conn,
        by_type: impl IntoIterator<Item = (&'t str, i64)>,
    ) -> Result<(), TaskError> {
        let counts = by_type.into_iter().map(|(pulp_type, units)| {
            let name = format!("{UNITS}{pulp_type}");
            (self.key(&name), units)
        });
        Ok(Tally::add(conn, self.ctx.task(), counts.collect::<Vec<_>>()).await?)
    }

    /// Counts files that were just buried in the name of the task.
    pub async fn add_files(&self, conn: &mut Conn, buried: &[Tombstone]) -> Result<(), TaskError> {
        let bytes = buried.iter().filter_map(|tombstone| tombstone.size).sum();
        self.add(conn, Count::Bytes, bytes).await
    }

    /// Buries locked artifacts that nothing needs, and counts them. What a row that the query does not know of
    /// holds is kept: first all at once, and where that fails, one by one.
    pub async fn bury(
        &self,
        conn: &mut Conn,
        ids: &[ArtifactId],
        before: Option<DateTime<Utc>>,
    ) -> Result<Vec<Tombstone>, TaskError> {
        let by = Some(self.ctx.task());
        let all = unless_protected(conn, async |conn| {
            Artifact::bury_many(conn, ids, before, by).await
        })
        .await?;
        let buried = match all {
            Some(buried) => buried,
            None => bury_singly(conn, ids, before, by).await?,
        };
        self.add(conn, Count::Artifacts, count(buried.len()))
            .await?;
        self.add_files(conn, &buried).await?;
        Ok(buried)
    }

    /// Ends the function as [`Account::end`] does, and makes the result of what that says.
    pub async fn close(&self, code: &str, skipped: i64) -> Result<Outcome, TaskError> {
        let disposal = self.end(code, skipped).await?;
        Ok(Outcome::result(json!(disposal)))
    }

    /// Ends the function: removes the files that are left, reports under codes that begin with `code`, and says
    /// what all runs have counted.
    pub async fn end(&self, code: &str, skipped: i64) -> Result<Disposal, TaskError> {
        let ctx = self.ctx;
        let now = crate::db::now(&mut *ctx.session().await).await?;
        unlink_buried_before(ctx, now).await?;
        let left = Removal::of(ctx).end().await?;
        let tally = self.tally().await?;
        let (failed, taken) = Tombstone::left_by(&mut *ctx.session().await, ctx.task()).await?;
        let of = |what: Count| tally.noted(&self.key(what.key()));
        let freed = (of(Count::Bytes).unwrap_or_default() - taken).max(0);
        let failed = failed + left;
        let mut reports = vec![
            ("Free bytes", "bytes", freed),
            ("Files that cannot be removed now", "failed", failed),
        ];
        if let Some(stored) = of(Count::Stored) {
            let done = (stored - left).max(0);
            reports.push(("Remove what units have stored", "storage", done));
        }
        for (message, name, done) in reports {
            let mut progress = ctx
                .progress(message, &format!("{code}.{name}"), None)
                .await?;
            progress.resume(done);
            progress.finish_as_total().await?;
        }
        let prefix = self.key(UNITS);
        let by_type: BTreeMap<_, _> = tally
            .under(&prefix)
            .map(|(pulp_type, units)| (pulp_type.to_owned(), Figures::of_units(units)))
            .collect();
        Ok(Disposal {
            dry_run: false,
            units: by_type.values().map(|figures| figures.units).sum(),
            artifacts: of(Count::Artifacts).unwrap_or_default(),
            bytes: freed,
            by_type,
            uploads: of(Count::Uploads),
            temporary_files: of(Count::TemporaryFiles),
            skipped,
            failed,
        })
    }
}

/// What was of interest within the last minutes is protected; the database knows no years as early as the longest
/// protection reaches.
#[must_use]
pub fn protected_since(now: DateTime<Utc>, minutes: u32) -> DateTime<Utc> {
    (now - chrono::Duration::minutes(minutes.into())).max(DateTime::UNIX_EPOCH)
}

async fn bury_singly(
    conn: &mut Conn,
    ids: &[ArtifactId],
    before: Option<DateTime<Utc>>,
    by: Option<TaskId>,
) -> Result<Vec<Tombstone>, TaskError> {
    let mut buried = Vec::new();
    for id in ids {
        let one = std::slice::from_ref(id);
        let gone = unless_protected(conn, async |conn| {
            Artifact::bury_many(conn, one, before, by).await
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

impl Figures {
    fn of_units(units: i64) -> Self {
        Self {
            units,
            artifacts: None,
            bytes: None,
        }
    }
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
