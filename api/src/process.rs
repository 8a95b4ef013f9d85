//! The process in the eyes of others: its row in `app_status`, its lock, and the session that hears of
//! ended tasks. When the session is lost the process lives on and opens another.

use crate::app::{App, Serves};
use crate::waiting::CHANNEL;
use actix_web::web::Data;
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use log::{info, warn};
use millrace_common::db::{self, Backend, Session};
use millrace_common::error::Error;
use millrace_common::ids::ProcessId;
use millrace_common::models::account;
use millrace_common::models::app_status::{AppStatus, NewAppStatus};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An API that was silent for so long is not shown any more (contract 2.8).
const TTL_SECONDS: i32 = 120;
const BEAT: Duration = Duration::from_secs(10);
/// An idle session is asked so often, so that half-open ones are found before a request needs one.
const ASK: Duration = Duration::from_secs(1);
const RECONNECT_MIN: Duration = Duration::from_millis(200);

/// Keeps the rows, their locks and the listener alive until told to stop, then removes the rows.
pub async fn keep(app: Data<App>, stop: CancellationToken) {
    let me = rows(&app);
    let mut pause = RECONNECT_MIN;
    let mut last = None;
    while !stop.is_cancelled() {
        match begin(&app, &me, &mut last).await {
            Ok(mut session) => {
                pause = RECONNECT_MIN;
                app.waiters.set_listening(true);
                let ended = live(&app, &me, &mut session, &stop).await;
                app.waiters.set_listening(false);
                match ended {
                    Ok(()) => remove(&mut session, &me).await,
                    Err(error) => warn!(error:% = error; "the beat session is lost: {error}"),
                }
            }
            Err(error) => {
                warn!(error:% = error; "no beat session: {error}");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
                pause = (pause * 2).min(app.settings.broker.reconnect_max_ms.get());
            }
        }
    }
}

/// One row for each half that is served.
fn rows(app: &App) -> Vec<NewAppStatus> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let row = |pulp_id, app_type| NewAppStatus {
        pulp_id,
        app_type,
        name: format!("{}@{}", std::process::id(), host.trim()),
        versions: serde_json::json!(app.catalog.tasks.versions()),
        ttl_seconds: TTL_SECONDS,
    };
    match app.serves {
        Serves::Api => vec![row(app.process, "api")],
        Serves::Content => vec![row(app.process, "content")],
        Serves::All => vec![row(app.process, "api"), row(ProcessId::new(), "content")],
    }
}

/// On a new session: what is left of the last one is ended, as it may be half open, and hold the locks.
async fn begin(
    app: &App,
    me: &[NewAppStatus],
    last: &mut Option<Backend>,
) -> Result<Session, Error> {
    let mut session = app.db.session("beat").await?;
    if let Some(last) = last.as_ref() {
        db::end_sessions(&mut session.conn, std::slice::from_ref(last)).await?;
    }
    // Not before: the last one may hold the locks.
    *last = Some(session.backend.clone());
    for row in me {
        AppStatus::hold(&mut session.conn, row.pulp_id).await?;
    }
    session
        .conn
        .batch_execute(&format!("LISTEN {CHANNEL}; LISTEN {}", account::CHANNEL))
        .await?;
    // What was told before was heard by nobody.
    app.credentials.forget_all();
    beat(&mut session, me).await?;
    for row in me {
        info!(process:% = row.pulp_id; "registered as {} {}", row.app_type, row.name);
    }
    Ok(session)
}

/// `Ok` when told to stop.
async fn live(
    app: &App,
    me: &[NewAppStatus],
    session: &mut Session,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut beaten = Instant::now();
    loop {
        hear(app, session, stop, Instant::now() + ASK).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let is_due = beaten.elapsed() >= BEAT;
        let answered = async {
            if is_due {
                beat(session, me).await
            } else {
                Ok(session.conn.batch_execute("SELECT 1").await?)
            }
        };
        match tokio::time::timeout(BEAT, answered).await {
            Ok(answered) => answered?,
            Err(elapsed) => {
                return Err(Error::Unavailable {
                    what: "database",
                    source: elapsed.into(),
                });
            }
        }
        if is_due {
            beaten = Instant::now();
        }
    }
}

/// Passes on what is told, until then.
async fn hear(
    app: &App,
    session: &mut Session,
    stop: &CancellationToken,
    until: Instant,
) -> Result<(), Error> {
    let mut told = std::pin::pin!(session.conn.notifications_stream());
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep_until(until) => return Ok(()),
            next = told.next() => match next {
                Some(Ok(told)) if told.channel == account::CHANNEL => account_changed(app, &told.payload).await,
                Some(Ok(told)) => app.waiters.ended(&told.payload),
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Unavailable {
                    what: "database",
                    source: "the session ended".into(),
                }),
            },
        }
    }
}

async fn account_changed(app: &App, payload: &str) {
    match payload.parse() {
        Ok(account) => app.credentials.forget(account).await,
        Err(error) => warn!(payload = payload; "not an account: {error}"),
    }
}

async fn beat(session: &mut Session, me: &[NewAppStatus]) -> Result<(), Error> {
    for row in me {
        AppStatus::beat(&mut session.conn, row).await?;
    }
    Ok(())
}

async fn remove(session: &mut Session, me: &[NewAppStatus]) {
    for row in me {
        let removing = AppStatus::remove(&mut session.conn, row.pulp_id);
        if !matches!(tokio::time::timeout(BEAT, removing).await, Ok(Ok(()))) {
            warn!("the process's row stays until it is stale");
        }
    }
}
