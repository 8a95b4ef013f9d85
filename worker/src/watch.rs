//! Watching the session of a run: it holds the locks, so the body may not outlive it.

use crate::running::Run;
use crate::worker::Shared;
use diesel_async::SimpleAsyncConnection;
use log::{error, warn};
use millrace_common::cause::chain;
use millrace_common::db::{Backend, Db, Session};
use millrace_common::error::Error;
use millrace_common::metrics::engine;
use millrace_common::models::worker_session;
use millrace_common::tasking::Claim;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

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
    // A short run is over before the first question.
    let mut ticks = interval_at(Instant::now() + ANSWER, ANSWER);
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
    engine().session_losses.inc();
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

/// Asks whether sessions are there, on a session of its own: a server that takes no more connections can be
/// asked all the same.
#[derive(Clone, Default)]
pub(crate) struct Presence {
    session: Arc<Mutex<Option<Session>>>,
    opening: Arc<AtomicBool>,
}

impl Presence {
    /// Opens the session.
    ///
    /// # Errors
    /// As the database.
    pub(crate) async fn open(&self, db: &Db) -> Result<(), Error> {
        let session = db.session("watch").await?;
        *self.session.lock().await = Some(session);
        Ok(())
    }

    /// True where the server says so, in time: on the session, or on a pooled one while that is lost.
    async fn sees(&self, db: &Db, backend: &Backend) -> bool {
        if let Ok(Some(there)) = timeout(ANSWER, self.ask(backend)).await {
            return there;
        }
        self.open_again(db);
        let pooled = async {
            let mut conn = db.get().await?;
            Ok::<_, Error>(worker_session::is_there(&mut conn, backend).await?)
        };
        matches!(timeout(ANSWER, pooled).await, Ok(Ok(true)))
    }

    /// `None`: the session is lost. It is put back only after an answer.
    async fn ask(&self, backend: &Backend) -> Option<bool> {
        let mut session = self.session.lock().await;
        let mut asked = session.take()?;
        let there = worker_session::is_there(&mut asked.conn, backend).await;
        let there = there.ok()?;
        *session = Some(asked);
        Some(there)
    }

    fn open_again(&self, db: &Db) {
        if self.opening.swap(true, Ordering::Relaxed) {
            return;
        }
        let (presence, db) = (self.clone(), db.clone());
        tokio::spawn(async move {
            if let Err(error) = presence.open(&db).await {
                warn!(error:% = error; "no session to watch the others: {}", chain(&error));
            }
            presence.opening.store(false, Ordering::Relaxed);
        });
    }
}
