//! Tasks for tests and demonstrations, registered only where the settings ask for them.

use crate::error::Error;
use crate::tasking::{NewTask, Outcome, Registry, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Registers them all.
pub fn register_all(registry: &mut Registry) {
    registry.register::<Dummy>();
    registry.register::<Sleep>();
    registry.register::<AsyncSleep>();
    registry.register::<Failing>();
    registry.register::<Gooey>();
    registry.register::<DummyGroup>();
    registry.register::<MissingWorker>();
}

/// A span of time in seconds; a negative or endless one fails the task that was given it.
fn seconds(interval: f64) -> Result<Duration, TaskError> {
    Duration::try_from_secs_f64(interval)
        .ok()
        // A clock that runs that far is asked for below.
        .filter(|length| Instant::now().checked_add(*length).is_some())
        .ok_or_else(|| TaskError::failed("sleep length must be non-negative"))
}

async fn sleep_unless_stopped(ctx: &TaskContext, interval: f64) -> Result<Outcome, TaskError> {
    tokio::select! {
        () = sleep(seconds(interval)?) => Ok(Outcome::default()),
        () = ctx.stopped() => Err(TaskError::Canceled),
    }
}

/// Does nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dummy {}

impl Task for Dummy {
    const NAME: &'static str = "pulpcore.app.tasks.test.dummy_task";

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        ctx.checkpoint()?;
        Ok(Outcome::default())
    }
}

/// Sleeps.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// Seconds; fractions are fine.
    pub interval: f64,
}

impl Task for Sleep {
    const NAME: &'static str = "pulpcore.app.tasks.test.sleep";
    const ARGS: &'static [&'static str] = &["interval"];

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        sleep_unless_stopped(&ctx, self.interval).await
    }
}

/// Sleeps, under the name of the asynchronous twin.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsyncSleep {
    /// Seconds; fractions are fine.
    pub interval: f64,
}

impl Task for AsyncSleep {
    const NAME: &'static str = "pulpcore.app.tasks.test.asleep";
    const ARGS: &'static [&'static str] = &["interval"];

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        sleep_unless_stopped(&ctx, self.interval).await
    }
}

/// Fails.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    /// What the client reads.
    #[serde(default = "failed")]
    pub error_message: String,
}

fn failed() -> String {
    "Task failed".into()
}

impl Task for Failing {
    const NAME: &'static str = "pulpcore.app.tasks.test.failing_task";
    const ARGS: &'static [&'static str] = &["error_message"];

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        ctx.checkpoint()?;
        Err(TaskError::failed(self.error_message))
    }
}

/// Sleeps, deaf to every request to stop.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gooey {
    /// Seconds; fractions are fine.
    pub interval: f64,
}

impl Task for Gooey {
    const NAME: &'static str = "pulpcore.app.tasks.test.gooey_task";
    const ARGS: &'static [&'static str] = &["interval"];

    async fn run(self, _ctx: TaskContext) -> Result<Outcome, TaskError> {
        let until = Instant::now() + seconds(self.interval)?;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            sleep(left.min(Duration::from_millis(500))).await;
        }
        Ok(Outcome::default())
    }
}

/// Adds sleeping tasks to its own group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DummyGroup {
    /// Seconds between two of them.
    #[serde(default = "three")]
    pub inbetween: f64,
    /// Seconds that each sleeps; none: five tasks of five seconds.
    #[serde(default)]
    pub intervals: Option<Vec<f64>>,
}

fn three() -> f64 {
    3.0
}

impl Task for DummyGroup {
    const NAME: &'static str = "pulpcore.app.tasks.test.dummy_group_task";
    const ARGS: &'static [&'static str] = &["inbetween", "intervals"];

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let mut outcome = Outcome::default();
        for interval in self.intervals.unwrap_or_else(|| vec![5.0; 5]) {
            sleep_unless_stopped(&ctx, self.inbetween).await?;
            let child = NewTask::new(ctx.registry(), &Sleep { interval })?
                .group(ctx.group())
                .cid(ctx.cid())
                .created_by(ctx.created_by())
                .parent(ctx.task());
            outcome = outcome.then_dispatch(child);
        }
        Ok(outcome)
    }
}

/// Kills the process that runs it, as a power cut would.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingWorker {}

impl Task for MissingWorker {
    const NAME: &'static str = "pulpcore.app.tasks.test.missing_worker";

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        ctx.checkpoint()?;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .map_err(|e| Error::internal(e).into())
            .map(|()| Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_no_clock_holds_fails_the_task() {
        assert_eq!(seconds(0.5).unwrap(), Duration::from_millis(500));
        for bad in [-1.0, 1e19, f64::INFINITY, f64::NAN] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
