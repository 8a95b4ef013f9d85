//! A task that goes wrong in the way that it is told to.

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use millrace_common::models::ExportPlace;
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
    /// Panics in the middle of a transaction of which a statement has failed.
    PanicAfterError,
    /// Panics in its last write.
    PanicInFlip,
    /// Panics as an export does that has its list open.
    PanicWithList,
    /// Waits there, whoever asks it to stop.
    DeafWithList,
    /// Fails where its session has a list open that it did not open itself.
    FindList,
}

impl Task for Fault {
    const NAME: &'static str = "plugin.tasks.fault";
    const COMPONENT: &'static str = "plugin";
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        match self.kind {
            Kind::BlockThread => block(Duration::from_secs(self.seconds)),
            Kind::PanicInFlip => {
                return Ok(Outcome::flip(|_conn| async { panic_now() }.boxed()));
            }
            kind @ (Kind::PanicInBatch | Kind::PanicAfterError | Kind::DeafInBatch) => {
                ctx.fenced(async |conn| {
                    sql_query("SELECT 1").execute(conn).await?;
                    match kind {
                        Kind::PanicInBatch => panic_now(),
                        Kind::PanicAfterError => {
                            let _failed = sql_query("SELECT 1 / 0").execute(conn).await;
                            panic_now()
                        }
                        _ => hear_nothing().await,
                    }
                    Ok(())
                })
                .await?;
            }
            Kind::PanicWithList => {
                open_list(&ctx).await?;
                panic_now()
            }
            Kind::DeafWithList => {
                open_list(&ctx).await?;
                hear_nothing().await;
            }
            Kind::FindList => find_list(&ctx).await?,
        }
        Ok(Outcome::default())
    }
}

async fn hear_nothing() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

async fn open_list(ctx: &TaskContext) -> Result<(), TaskError> {
    let nothing = ExportPlace {
        version: None,
        publication: None,
        start: None,
    };
    nothing.open(&mut *ctx.session().await).await?;
    Ok(())
}

async fn find_list(ctx: &TaskContext) -> Result<(), TaskError> {
    let cursors = sql_query("SELECT FROM pg_cursors WHERE is_holdable");
    match cursors.execute(&mut *ctx.session().await).await? {
        0 => Ok(()),
        _ => Err(TaskError::failed("a list was left open")),
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
