//! Progress reports of a running task.

use super::context::TaskContext;
use super::task::TaskError;
use crate::schema::progress_report;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Writes of one report are at least this far apart, but for the last (contract 2.10).
const PAUSE: Duration = Duration::from_secs(2);

/// One report of a task. A report that is not finished gets the final state of its task.
pub struct Progress {
    ctx: TaskContext,
    id: Uuid,
    done: i64,
    written: Instant,
}

impl Progress {
    pub(super) async fn open(
        ctx: TaskContext,
        message: &str,
        code: &str,
        total: Option<i64>,
    ) -> Result<Self, TaskError> {
        let id = Uuid::now_v7();
        let task = ctx.task();
        ctx.fenced(async |conn| {
            // A run before this one may have died and left its report.
            diesel::delete(progress_report::table)
                .filter(
                    progress_report::task_id
                        .eq(task)
                        .and(progress_report::code.eq(code)),
                )
                .execute(conn)
                .await?;
            diesel::insert_into(progress_report::table)
                .values((
                    progress_report::pulp_id.eq(id),
                    progress_report::task_id.eq(task),
                    progress_report::message.eq(message),
                    progress_report::code.eq(code),
                    progress_report::state.eq("running"),
                    progress_report::total.eq(total),
                ))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await?;
        Ok(Self {
            ctx,
            id,
            done: 0,
            written: Instant::now(),
        })
    }

    /// Counts work that is done. Written at most every two seconds.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn add(&mut self, done: i64) -> Result<(), TaskError> {
        self.done += done;
        if self.written.elapsed() < PAUSE {
            return Ok(());
        }
        self.written = Instant::now();
        self.write("running", None).await
    }

    /// Goes on where an earlier run of the task stopped.
    pub fn resume(&mut self, done: i64) {
        self.done = done;
    }

    /// What has been counted so far.
    #[must_use]
    pub fn done(&self) -> i64 {
        self.done
    }

    /// Writes the last count and completes the report.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn finish(self) -> Result<(), TaskError> {
        self.write("completed", None).await
    }

    /// As [`Progress::finish`]; where more was done than the total that was known at the start, that is the total.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn finish_of(self, total: i64) -> Result<(), TaskError> {
        if self.done < total {
            self.finish().await
        } else {
            self.finish_as_total().await
        }
    }

    /// As [`Progress::finish`]; the count becomes the total too.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn finish_as_total(self) -> Result<(), TaskError> {
        let total = self.done;
        self.finish_with(total).await
    }

    /// As [`Progress::finish`]; the total is known only now.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn finish_with(self, total: i64) -> Result<(), TaskError> {
        self.write("completed", Some(total)).await
    }

    async fn write(&self, state: &str, total: Option<i64>) -> Result<(), TaskError> {
        self.ctx
            .fenced(async |conn| {
                diesel::update(progress_report::table.find(self.id))
                    .set((
                        progress_report::done.eq(self.done),
                        progress_report::state.eq(state),
                        total.map(|total| progress_report::total.eq(total)),
                    ))
                    .execute(conn)
                    .await?;
                Ok(())
            })
            .await
    }
}
