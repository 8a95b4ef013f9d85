//! Deleting tasks that have ended (contract 2.14).

use super::disposal::protected_since;
use crate::db::{Db, RetryCause, transaction};
use crate::error::Error;
use crate::ids::{DomainId, TaskId};
use crate::models::Tally;
use crate::models::permission::deletable_tasks;
use crate::models::task::{PurgeCursor, Purged, Task as TaskRow};
use crate::tasking::{Outcome, Progress, Task, TaskContext, TaskError, TaskState};
use chrono::{DateTime, Datelike, Days, NaiveTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde::{Deserialize, Serialize};

/// Tasks that one statement looks at, and one transaction deletes at most.
const BATCH: i32 = 1000;

/// Deletes tasks that ended before a moment in one of the given states, with all that belongs to them.
/// Safe to run again after dying anywhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// Tasks that ended before; when left out, some days ago (`tasks.purge_after_days`).
    #[serde(default)]
    pub finished_before: Option<DateTime<Utc>>,
    /// Final states; `completed` when left out.
    #[serde(default)]
    pub states: Option<Vec<TaskState>>,
    /// Instead of a moment: tasks that ended so many minutes before the purge begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_minutes: Option<u32>,
    /// Of all domains, not only of the task's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_domain: bool,
    /// Only tasks that this account may delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletable_by: Option<i32>,
}

/// Which tasks are looked at.
#[derive(Clone, Copy)]
struct Scope {
    /// `None`: those of all.
    domain: Option<DomainId>,
    deletable_by: Option<i32>,
}

impl Purge {
    /// The moment used when none is given: midnight, so many days ago.
    #[must_use]
    pub fn default_moment(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
        let date = now.date_naive();
        date.checked_sub_days(Days::new(days.into()))
            .unwrap_or(date)
            .and_time(NaiveTime::MIN)
            .and_utc()
    }

    fn before(&self, now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
        match (self.finished_before, self.older_than_minutes) {
            (Some(moment), _) => moment,
            (None, Some(minutes)) => protected_since(now, minutes),
            (None, None) => Self::default_moment(now, days),
        }
    }
}

/// Deletes the tasks of the context's domain that ended before this moment in one of these states. Batch by batch
/// in the order in which they ended, each in a fenced transaction of its own; what cannot be deleted, or is in use, is
/// left and counted. Leaves nothing to the last write, so it may run again anywhere (contract 2.14).
///
/// # Errors
/// As [`TaskContext::fenced`].
pub async fn purge(
    ctx: &TaskContext,
    finished_before: DateTime<Utc>,
    states: &[TaskState],
) -> Result<Outcome, TaskError> {
    let scope = Scope {
        domain: Some(ctx.domain()),
        deletable_by: None,
    };
    purge_in(ctx, scope, finished_before, states).await
}

async fn purge_in(
    ctx: &TaskContext,
    scope: Scope,
    before: DateTime<Utc>,
    states: &[TaskState],
) -> Result<Outcome, TaskError> {
    let (tally, found) = ctx
        .fenced(async |conn| {
            let tally = Tally::of(conn, ctx.task()).await?;
            let found = match tally.noted(FOUND) {
                Some(found) => found,
                None => {
                    let Scope {
                        domain,
                        deletable_by,
                    } = scope;
                    let found =
                        TaskRow::count_finished(conn, domain, deletable_by, before, states).await?;
                    Tally::note(conn, ctx.task(), FOUND, found).await?
                }
            };
            Ok((tally, found))
        })
        .await?;
    let mut reports = Reports::open(ctx, found, &tally).await?;
    let mut cursor = PurgeCursor::default();
    loop {
        ctx.checkpoint()?;
        let page = TaskRow::purge_page(
            &mut *ctx.session().await,
            &cursor,
            before,
            scope.domain,
            states,
            BATCH,
        )
        .await?;
        let Some(page) = page else { break };
        let doomed = match scope.deletable_by {
            None => page.found,
            Some(account) => {
                deletable_tasks(&mut *ctx.session().await, account, &page.found).await?
            }
        };
        delete(ctx, doomed, &mut reports).await?;
        cursor = page.cursor;
    }
    reports.finish().await?;
    Ok(Outcome::default())
}

/// Deletes the tasks that have ended by now in one of these states, without a task of its own: for callers that answer
/// when it is done. Each batch is a transaction; what cannot be deleted is left. Gives how many went.
///
/// # Errors
/// As the sessions; what went until then is gone.
pub async fn purge_in_place(db: &Db, domain: DomainId, states: &[TaskState]) -> Result<i64, Error> {
    let before = crate::db::now(&mut *db.get().await?).await?;
    let mut cursor = PurgeCursor::default();
    let mut gone = 0;
    loop {
        let mut conn = db.get().await?;
        let page = TaskRow::purge_page(&mut conn, &cursor, before, Some(domain), states, BATCH);
        let Some(page) = page.await? else { break };
        cursor = page.cursor;
        let mut pending = vec![page.found];
        while let Some(mut tasks) = pending.pop() {
            let purged = transaction(&mut conn, async |conn| TaskRow::purge(conn, &tasks).await);
            match purged.await {
                Ok(purged) => gone += purged.tasks,
                Err(error) if is_protected(&error) && tasks.len() > 1 => {
                    pending.push(tasks.split_off(tasks.len() / 2));
                    pending.push(tasks);
                }
                Err(error) if is_protected(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(gone)
}

/// Deletes these tasks. Where one of them is protected, halves of them, down to that one.
async fn delete(
    ctx: &TaskContext,
    tasks: Vec<TaskId>,
    reports: &mut Reports,
) -> Result<(), TaskError> {
    let mut pending = vec![tasks];
    while let Some(mut tasks) = pending.pop() {
        if tasks.is_empty() {
            continue;
        }
        let purged = ctx
            .fenced(async |conn| {
                let purged = TaskRow::purge(conn, &tasks).await?;
                let counts = [
                    (TASKS, purged.tasks),
                    (REPORTS, purged.progress_reports),
                    (CREATED, purged.created_resources),
                ];
                let counts = counts.map(|(key, count)| (key.to_owned(), count));
                Tally::add(conn, ctx.task(), counts).await?;
                Ok(purged)
            })
            .await;
        match purged {
            Ok(purged) => reports.add(&purged, tasks.len()).await?,
            Err(error) if is_protected(&error) && tasks.len() > 1 => {
                pending.push(tasks.split_off(tasks.len() / 2));
                pending.push(tasks);
            }
            Err(error) if is_protected(&error) => {
                reports.add(&Purged::default(), tasks.len()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// True where a row of somebody else needs the task.
fn is_protected(error: &impl RetryCause) -> bool {
    matches!(
        error.diesel(),
        Some(DieselError::DatabaseError(
            DatabaseErrorKind::ForeignKeyViolation,
            _
        ))
    )
}

/// Key of the tally: the moment, in microseconds.
const BEFORE: &str = "before";
/// Keys of the tally: how many tasks there were at the start of the first run, then what has gone, by the model
/// that clients know it by.
const FOUND: &str = "found";
const TASKS: &str = "core.Task";
const REPORTS: &str = "core.ProgressReport";
const CREATED: &str = "core.CreatedResource";

struct Reports {
    total: Progress,
    tasks: Progress,
    reports: Progress,
    created: Progress,
    errors: Progress,
}

impl Reports {
    /// They go on with what earlier runs have counted.
    async fn open(ctx: &TaskContext, found: i64, tally: &Tally) -> Result<Self, TaskError> {
        let key = async |model: &str, total| {
            let message = format!("Purged task-objects of type {model}");
            let code = format!("purge.tasks.key.{model}");
            let mut progress = ctx.progress(&message, &code, total).await?;
            progress.resume(tally.get(model));
            Ok::<_, TaskError>(progress)
        };
        let message = "Purged task-related-objects total";
        let mut total = ctx.progress(message, "purge.tasks.total", None).await?;
        let counted = [TASKS, REPORTS, CREATED].map(|model| tally.get(model));
        total.resume(counted.iter().sum());
        Ok(Self {
            total,
            tasks: key(TASKS, Some(found)).await?,
            reports: key(REPORTS, None).await?,
            created: key(CREATED, None).await?,
            errors: ctx
                .progress("Tasks failed to purge", "purge.tasks.error", None)
                .await?,
        })
    }

    /// Counts what went of so many tasks.
    async fn add(&mut self, purged: &Purged, asked: usize) -> Result<(), TaskError> {
        let asked = i64::try_from(asked).unwrap_or(i64::MAX);
        self.errors.add(asked - purged.tasks).await?;
        self.total.add(purged.all()).await?;
        self.tasks.add(purged.tasks).await?;
        self.reports.add(purged.progress_reports).await?;
        self.created.add(purged.created_resources).await
    }

    async fn finish(self) -> Result<(), TaskError> {
        for progress in [
            self.total,
            self.tasks,
            self.reports,
            self.created,
            self.errors,
        ] {
            progress.finish_as_total().await?;
        }
        Ok(())
    }
}

impl Task for Purge {
    const NAME: &'static str = "pulpcore.app.tasks.purge.purge";
    const ARGS: &'static [&'static str] = &["finished_before", "states"];
    const RERUN_AFTER_LOSS: bool = true;

    fn validate(&self) -> Result<(), Error> {
        if self.finished_before.is_some() && self.older_than_minutes.is_some() {
            return Err(Error::invalid(
                "older_than_minutes",
                "Not beside finished_before.",
            ));
        }
        // What the database can compare with.
        if self
            .finished_before
            .is_some_and(|t| !(1..=9999).contains(&t.year()))
        {
            return Err(Error::invalid(
                "finished_before",
                "Datetime has a year beyond 1 to 9999.",
            ));
        }
        match self.states.iter().flatten().find(|s| !s.is_final()) {
            Some(state) => Err(Error::invalid(
                "states",
                format!("\"{state}\" is not a valid choice."),
            )),
            None => Ok(()),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let now = crate::db::now(&mut *ctx.session().await).await?;
        let days = ctx.settings().tasks.purge_after_days;
        let before = self.before(now, days).timestamp_micros();
        // That of the first run: what has ended since is not of this purge.
        let before = ctx
            .fenced(async |conn| Ok(Tally::note(conn, ctx.task(), BEFORE, before).await?))
            .await?;
        let before = DateTime::from_timestamp_micros(before).unwrap_or_default();
        let states = self.states.unwrap_or_else(|| vec![TaskState::Completed]);
        let scope = Scope {
            domain: (!self.every_domain).then(|| ctx.domain()),
            deletable_by: self.deletable_by,
        };
        purge_in(&ctx, scope, before, &states).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_states_may_be_purged() {
        let purge = |states| Purge {
            states,
            ..Purge::default()
        };
        assert!(purge(None).validate().is_ok());
        assert!(purge(Some(TaskState::FINAL.to_vec())).validate().is_ok());
        assert!(
            purge(Some(vec![TaskState::Running]))
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("states: ")
        );
    }

    #[test]
    fn a_moment_that_the_database_cannot_hold_is_refused() {
        let purge = |moment: &str| Purge {
            finished_before: Some(moment.parse().unwrap()),
            ..Purge::default()
        };
        assert!(purge("2026-01-02T03:04:05Z").validate().is_ok());
        assert!(purge("-5000-01-01T00:00:00Z").validate().is_err());
        let both = Purge {
            older_than_minutes: Some(5),
            ..purge("2026-01-02T03:04:05Z")
        };
        let refusal = both.validate().unwrap_err().to_string();
        assert!(refusal.starts_with("older_than_minutes: "), "{refusal}");
    }

    #[test]
    fn the_default_moment_is_a_midnight() {
        let now = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let moment = Purge::default_moment(now, 30);
        assert_eq!(moment.to_rfc3339(), "2025-12-03T00:00:00+00:00");
        let aged = |minutes| Purge {
            older_than_minutes: Some(minutes),
            ..Purge::default()
        };
        let before = |minutes| aged(minutes).before(now, 30).to_rfc3339();
        assert_eq!(before(60), "2026-01-02T02:04:05+00:00");
        assert_eq!(before(u32::MAX), "1970-01-01T00:00:00+00:00");
    }
}
