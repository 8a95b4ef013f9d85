//! Deleting tasks that have ended (contract 2.14).

use crate::models::task::{Purged, Task as TaskRow};
use crate::tasking::{Outcome, Progress, Task, TaskContext, TaskError, TaskState};
use chrono::{DateTime, Datelike, Days, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

/// Tasks of one transaction.
const BATCH: i64 = 1000;

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
}

struct Reports {
    total: Progress,
    tasks: Progress,
    reports: Progress,
    created: Progress,
    errors: Progress,
}

impl Reports {
    async fn open(ctx: &TaskContext, found: i64) -> Result<Self, TaskError> {
        let key = async |model: &str, total| {
            let message = format!("Purged task-objects of type {model}");
            ctx.progress(&message, &format!("purge.tasks.key.{model}"), total)
                .await
        };
        Ok(Self {
            total: ctx
                .progress(
                    "Purged task-related-objects total",
                    "purge.tasks.total",
                    None,
                )
                .await?,
            tasks: key("core.Task", Some(found)).await?,
            reports: key("core.ProgressReport", None).await?,
            created: key("core.CreatedResource", None).await?,
            errors: ctx
                .progress("Tasks failed to purge", "purge.tasks.error", None)
                .await?,
        })
    }

    async fn add(&mut self, purged: &Purged) -> Result<(), TaskError> {
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

    fn validate(&self) -> Result<(), crate::error::Error> {
        // What the database can compare with.
        if self
            .finished_before
            .is_some_and(|t| !(1..=9999).contains(&t.year()))
        {
            return Err(crate::error::Error::invalid(
                "finished_before",
                "Datetime has a year beyond 1 to 9999.",
            ));
        }
        match self.states.iter().flatten().find(|s| !s.is_final()) {
            Some(state) => Err(crate::error::Error::invalid(
                "states",
                format!("\"{state}\" is not a valid choice."),
            )),
            None => Ok(()),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let now = crate::db::now(&mut *ctx.session().await).await?;
        let days = ctx.settings().tasks.purge_after_days;
        let before = self
            .finished_before
            .unwrap_or_else(|| Self::default_moment(now, days));
        let states = self.states.unwrap_or_else(|| vec![TaskState::Completed]);
        let found =
            TaskRow::count_finished(&mut *ctx.session().await, ctx.domain(), before, &states)
                .await?;
        let mut reports = Reports::open(&ctx, found).await?;
        loop {
            let purged = ctx
                .fenced(async |conn| {
                    Ok(TaskRow::purge(conn, ctx.domain(), before, &states, BATCH).await?)
                })
                .await?;
            if purged.tasks == 0 {
                break;
            }
            reports.add(&purged).await?;
        }
        reports.finish().await?;
        Ok(Outcome::default())
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
    }

    #[test]
    fn the_default_moment_is_a_midnight() {
        let now = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let moment = Purge::default_moment(now, 30);
        assert_eq!(moment.to_rfc3339(), "2025-12-03T00:00:00+00:00");
    }
}
