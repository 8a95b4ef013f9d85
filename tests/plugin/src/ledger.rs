//! Tasks that write down when they ran: what the tests check afterwards. Twice: into the database,
//! each line under the claim, and into a file, apart from all that is under test.
//!
//! The test makes the table:
//! `ledger (id bigserial, task uuid, claim uuid, attempt int, what text, at timestamptz default clock_timestamp())`.

use diesel::sql_query;
use diesel::sql_types::{Integer, Text, Uuid};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use millrace_common::db::Conn;
use millrace_common::ids::{ClaimId, TaskId};
use millrace_common::tasking::{Effects, Outcome, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes lines while it runs; may run again after a loss.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Number of lines.
    steps: u32,
    /// Pause between two lines.
    pause_ms: u64,
    /// Time that the last write takes, inside the settle transaction.
    #[serde(default)]
    flip_ms: u32,
    /// The file; none: only the table.
    #[serde(default)]
    file: Option<PathBuf>,
}

/// As [`Ledger`], but fails when its worker is lost.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerOnce(Ledger);

impl Task for Ledger {
    const NAME: &'static str = "plugin.tasks.ledger";
    const COMPONENT: &'static str = "plugin";
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        for step in 0..self.steps {
            let what = if step == 0 { "start" } else { "beat" };
            // Under the claim first: what a worker that stood still does when it goes on, is guarded by nothing else.
            ctx.fenced(async |conn| {
                Ok(insert(conn, ctx.task(), ctx.claim(), ctx.attempt(), what).await?)
            })
            .await?;
            self.note(&ctx, what)?;
            tokio::select! {
                () = ctx.stopped() => return Err(TaskError::Canceled),
                () = tokio::time::sleep(Duration::from_millis(self.pause_ms)) => {}
            }
        }
        ctx.fenced(async |_| Ok(())).await?;
        self.note(&ctx, "end")?;
        let (task, claim, attempt) = (ctx.task(), ctx.claim(), ctx.attempt());
        let flip_ms = self.flip_ms;
        Ok(Outcome::flip(move |conn| {
            async move {
                insert(conn, task, claim, attempt, "flip").await?;
                if flip_ms > 0 {
                    let wait = format!("SELECT pg_sleep({flip_ms}::double precision / 1000)");
                    sql_query(wait).execute(conn).await?;
                }
                Ok(Effects {
                    result: Some(json!({"attempt": attempt})),
                    created: Vec::new(),
                })
            }
            .boxed()
        }))
    }
}

impl Task for LedgerOnce {
    const NAME: &'static str = "plugin.tasks.ledger_once";
    const COMPONENT: &'static str = "plugin";

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.0.run(ctx).await
    }
}

impl Ledger {
    /// One line, in one write: lines of many processes never mix.
    fn note(&self, ctx: &TaskContext, what: &str) -> Result<(), TaskError> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(TaskError::internal)?;
        let line = json!({"task": ctx.task(), "claim": ctx.claim(), "what": what, "at": now.as_nanos().to_string()});
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(TaskError::internal)?;
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(TaskError::internal)
    }
}

async fn insert(
    conn: &mut Conn,
    task: TaskId,
    claim: ClaimId,
    attempt: i32,
    what: &str,
) -> Result<(), diesel::result::Error> {
    sql_query("INSERT INTO ledger (task, claim, attempt, what) VALUES ($1, $2, $3, $4)")
        .bind::<Uuid, _>(task)
        .bind::<Uuid, _>(claim)
        .bind::<Integer, _>(attempt)
        .bind::<Text, _>(what)
        .execute(conn)
        .await
        .map(drop)
}
