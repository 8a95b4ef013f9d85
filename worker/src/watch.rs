//! Watching the session of a run: it holds the locks, so the body may not outlive it.

use crate::running::Run;
use crate::worker::Shared;
use diesel_async::SimpleAsyncConnection;
use log::{error, warn};
use millrace_common::cause::chain;
use millrace_common::db::{Backend, Db, Session};
use millrace_common::error::Error;
use millrace_common::models::worker_session;
use millrace_common::tasking::Claim;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A session that answers neither itself nor is seen on the server for so long is lost: 3 s, as three
/// questions without an answer take a little less.
const PATIENCE: Duration = Duration::from_millis(2900);
/// One question, asked so often.
const ANSWER: Duration = Duration::from_secs(1);
/// A body that lost its session has so long to end.
const LEFT: Duration = Duration::from_secs(10);

/// Ends when the session of the run is lost; the run has been asked to stop then, and the process exits
/// when it does not. Reads only: a server that is slow to commit loses nobody's session.
pub(crate) async fn watch(shared: &Arc<Shared>, run: &Run) {
    let mut ticks = interval(ANSWER);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Instant::now();
    loop {
        ticks.tick().await;
        if answers(shared, run).await {
            seen = Instant::now();
        } else if seen.elapsed() > PATIENCE {
            break;
        }
    }
    let id = run.claim.task;
    run.lose();
    shared.metrics.session_losses.count();
    warn!(task_id:% = id; "the database session of task {id} is lost: it is asked to stop");
    tokio::spawn(exit_unless_ended(Arc::clone(shared), run.claim));
}

/// Between two statements the session is asked itself; inside one, the server is asked for it.
async fn answers(shared: &Shared, run: &Run) -> bool {
    match run.session.try_lock() {
        Ok(mut conn) => matches!(
            timeout(ANSWER, conn.batch_execute("SELECT 1")).await,
            Ok(Ok(()))
        ),
        Err(_in_use) => shared.presence.sees(shared.db(), &run.backend).await,
    }
}

/// Ends the process where a run neither stops nor holds its locks any more: nothing else makes sure
/// that it writes no more outside the database.
async fn exit_unless_ended(shared: Arc<Shared>, claim: Claim) {
    tokio::time::sleep(LEFT).await;
    if shared.running.is_running(claim) {
        let id = claim.task;
        error!(task_id:% = id; "task {id} lost its session and did not stop within 10 s: the worker exits");
        std::process::exit(70);
    }
}

/// Asks whether sessions are there, on a session of its own: opened when it is first needed.
#[derive(Default)]
pub(crate) struct Presence(Mutex<Option<Session>>);

impl Presence {
    /// True where the server says so, in time.
    async fn sees(&self, db: &Db, backend: &Backend) -> bool {
        match timeout(ANSWER, self.ask(db, backend)).await {
            Ok(Ok(there)) => there,
            Ok(Err(error)) => {
                warn!(error:% = error; "cannot ask for a session: {}", chain(&error));
                false
            }
            Err(_elapsed) => false,
        }
    }

    async fn ask(&self, db: &Db, backend: &Backend) -> Result<bool, Error> {
        let mut session = self.0.lock().await;
        // Put back only after an answer: a session that fails is closed.
        let mut asked = match session.take() {
            Some(open) => open,
            None => db.session("watch").await?,
        };
        let there = worker_session::is_there(&mut asked.conn, backend).await?;
        *session = Some(asked);
        Ok(there)
    }
}
