//! A task that goes wrong in the way that it is told to.

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use millrace_common::tasking::{Outcome, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Fails where the engine is least prepared for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// In which way.
    kind: Kind,
    /// For how long, where it takes time.
    #[serde(default)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Panics between two statements of a batch: its transaction is open.
    PanicInBatch,
    /// Waits there, whoever asks it to stop.
    DeafInBatch,
    /// Keeps a thread of the worker busy, which a body may never do.
    BlockThread,
    /// Panics in its last write.
    PanicInFlip,
}

impl Task for Fault {
    const NAME: &'static str = "plugin.tasks.fault";
    const COMPONENT: &'static str = "plugin";
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let kind = self.kind;
        if let Kind::BlockThread = kind {
            block(Duration::from_secs(self.seconds));
            return Ok(Outcome::default());
        }
        if let Kind::PanicInFlip = kind {
            return Ok(Outcome::flip(|_conn| async { panic_now() }.boxed()));
        }
        ctx.fenced(async |conn| {
            sql_query("SELECT 1").execute(conn).await?;
            match kind {
                Kind::PanicInBatch => panic_now(),
                _ => tokio::time::sleep(Duration::from_secs(3600)).await,
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::default())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what the task is for")]
fn block(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::panic, reason = "this is what the task is for")]
fn panic_now<T>() -> T {
    panic!("as it was told to")
}
