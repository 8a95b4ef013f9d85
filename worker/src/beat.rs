//! The beat: one statement a second on a session that holds the worker's own lock. It says that the
//! worker lives, hears of cancels, and watches other workers.

use crate::hung::Watch;
use crate::running::Cause;
use crate::sessions::{self, Listed};
use crate::settling;
use crate::worker::Shared;
use diesel::sql_types::{Bool, Jsonb, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use log::{info, warn};
use millrace_common::cause::chain;
use millrace_common::db::{Conn, Prepare, Session};
use millrace_common::error::Error;
use millrace_common::ids::{ClaimId, ProcessId, TaskId};
use millrace_common::metrics::engine;
use millrace_common::models::announcement::record_progress;
use millrace_common::models::app_status::{AppStatus, NewAppStatus};
use millrace_common::tasking::{CANCEL_CHANNEL, Claim};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A beat that takes longer is given up with its session: others would take the worker for hung.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Beat {
    shared: Arc<Shared>,
    /// Taken while it beats, so that a session that is given up is also closed: it holds the worker's
    /// lock for as long as it is open.
    session: Option<(Session, Listed)>,
    watch: Watch,
}

#[derive(QueryableByName)]
struct Pulse {
    #[diesel(sql_type = Bool)]
    registered: bool,
    #[diesel(sql_type = Jsonb)]
    held: serde_json::Value,
    #[diesel(sql_type = Nullable<Jsonb>)]
    others: Option<serde_json::Value>,
}

/// A row that names this worker as the one that runs it.
#[derive(Deserialize)]
struct Held {
    task: TaskId,
    claim: ClaimId,
    canceling: bool,
    overdue: bool,
}

impl Beat {
    /// Takes the worker's lock and registers it.
    pub(crate) async fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        shared.db().require_direct_sessions().await?;
        shared.presence.open(shared.db()).await?;
        let session = open(&shared).await?;
        Ok(Self {
            shared,
            session: Some(session),
            watch: Watch::default(),
        })
    }

    /// Beats for as long as the process lives; the session is made again when it is lost.
    pub(crate) async fn run(mut self) {
        loop {
            if let Some((session, _listed)) = self.session.take()
                && let Err(error) = self.beat_on(session).await
            {
                warn!(error:% = error; "the beat was lost: {}", chain(&error));
            }
            let mut pause = Duration::from_millis(100);
            loop {
                self.shared.turns.beat.mark();
                match timeout(PATIENCE * 2, self.reconnect()).await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => warn!(error:% = error; "no beat session: {}", chain(&error)),
                    Err(_elapsed) => warn!("no beat session in time"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            info!("the beat goes on");
        }
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        self.session = Some(open(&self.shared).await?);
        self.watch.forget();
        Ok(())
    }

    async fn beat_on(&mut self, mut session: Session) -> Result<(), Error> {
        let mut ticks = interval(self.shared.settings().worker.beat_ms.get());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heard = {
                let mut notifications = std::pin::pin!(session.conn.notifications_stream());
                tokio::select! {
                    _ = ticks.tick() => None,
                    notification = notifications.next() => match notification {
                        Some(Ok(notification)) => Some(notification.payload),
                        Some(Err(error)) => return Err(error.into()),
                        None => return Err(Error::internal("the beat session ended")),
                    },
                }
            };
            self.shared.turns.beat.mark();
            match heard {
                Some(payload) => {
                    if let Ok(task) = payload.parse() {
                        self.shared.running.stop(task, Cause::Canceled);
                    }
                }
                None => timeout(PATIENCE, self.beat(&mut session))
                    .await
                    .map_err(Error::internal)??,
            }
        }
    }

    async fn beat(&mut self, session: &mut Session) -> Result<(), Error> {
        let conn = &mut session.conn;
        let pulse: Pulse = sql_query(include_str!("beat.sql"))
            .bind::<SqlUuid, _>(self.shared.id)
            .prepared()
            .get_result(conn)
            .await?;
        if !pulse.registered {
            register_row(&self.shared, conn).await?;
            sessions::name_all(&self.shared, conn).await?;
        }
        self.shared.turns.committed.mark();
        self.compare(serde_json::from_value(pulse.held).map_err(Error::internal)?);
        let progress = self.shared.progress.take();
        if !progress.is_empty() {
            record_progress(conn, &progress).await?;
        }
        let others: HashMap<ProcessId, i64> = pulse
            .others
            .map(serde_json::from_value)
            .transpose()
            .map_err(Error::internal)?
            .unwrap_or_default();
        for hung in self.watch.observe(others, Instant::now()) {
            engine().terminated_workers.inc();
            if let Err(error) = crate::hung::terminate(conn, hung).await {
                warn!(error:% = error, worker:% = hung; "cannot end the sessions of {hung}: {}", chain(&error));
            }
        }
        Ok(())
    }

    /// Stops what was canceled or is overdue, and gives back what nobody here runs: its claim was committed, but the
    /// session was lost before the answer came.
    fn compare(&self, held: Vec<Held>) {
        for row in held {
            let claim = Claim {
                task: row.task,
                id: row.claim,
            };
            // Asked after the rows were read: a claim is engaged before it can be in a row.
            if !self.shared.running.is_engaged(claim.id) {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move { settling::give_back(&shared, claim).await });
            } else if row.canceling {
                self.shared.running.stop(claim.task, Cause::Canceled);
            } else if row.overdue {
                self.shared.running.stop(claim.task, Cause::Overdue);
            }
        }
    }
}

/// A session with the lock of the process on it, which may still be held by the session that was lost.
async fn open(shared: &Shared) -> Result<(Session, Listed), Error> {
    let mut session = shared.db().session("beat").await?;
    let listed = shared.sessions.list(&session.backend);
    let conn = &mut session.conn;
    // Named before it can hold the lock, so that the next one ends it should its answers be lost.
    register_row(shared, conn).await?;
    sessions::name_all(shared, conn).await?;
    sessions::end_given_up(shared, conn).await?;
    AppStatus::hold(conn, shared.id).await?;
    conn.batch_execute(&format!("LISTEN {CANCEL_CHANNEL}"))
        .await?;
    Ok((session, listed))
}

async fn register_row(shared: &Shared, conn: &mut Conn) -> Result<(), Error> {
    let versions =
        serde_json::to_value(shared.execution.registry.versions()).map_err(Error::internal)?;
    let me = NewAppStatus {
        pulp_id: shared.id,
        app_type: "worker",
        name: shared.name.clone(),
        versions,
        ttl_seconds: shared.settings().worker.ttl_seconds,
    };
    Ok(AppStatus::beat(conn, &me).await?)
}

/// Takes the worker's row away at its orderly end, and before that what it has given up and the server still serves: after
/// that nobody finds it by the row.
pub(crate) async fn unregister(shared: &Shared) {
    let deleted = async {
        let mut conn = shared.db().get().await?;
        sessions::end_given_up(shared, &mut conn).await?;
        AppStatus::remove(&mut conn, shared.id)
            .await
            .map_err(Error::from)
    };
    if let Err(error) = deleted.await {
        warn!(error:% = error; "the worker's row stays until it is stale: {}", chain(&error));
    }
}
