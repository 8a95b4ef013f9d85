//! The process in the eyes of others: its row in `app_status`, its lock, and the session that hears of
//! ended tasks. When the session is lost the process lives on and opens another.

use crate::app::App;
use crate::waiting::CHANNEL;
use actix_web::web::Data;
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use log::{info, warn};
use millrace_common::db::Session;
use millrace_common::error::Error;
use millrace_common::models::app_status::{AppStatus, NewAppStatus};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An API that was silent for so long is not shown any more (contract 2.8).
const TTL_SECONDS: i32 = 120;
const BEAT: Duration = Duration::from_secs(10);
const RECONNECT_MIN: Duration = Duration::from_millis(200);

/// Keeps the row, the lock and the listener alive until told to stop, then removes the row.
pub async fn keep(app: Data<App>, stop: CancellationToken) {
    let me = row(&app);
    let mut pause = RECONNECT_MIN;
    while !stop.is_cancelled() {
        match begin(&app, &me).await {
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

fn row(app: &App) -> NewAppStatus {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    NewAppStatus {
        pulp_id: app.process,
        app_type: "api",
        name: format!("{}@{}", std::process::id(), host.trim()),
        versions: serde_json::json!(app.catalog.tasks.versions()),
        ttl_seconds: TTL_SECONDS,
    }
}

async fn begin(app: &App, me: &NewAppStatus) -> Result<Session, Error> {
    let mut session = app.db.session("beat").await?;
    AppStatus::hold(&mut session.conn, me.pulp_id).await?;
    session
        .conn
        .batch_execute(&format!("LISTEN {CHANNEL}"))
        .await?;
    AppStatus::beat(&mut session.conn, me).await?;
    info!(process:% = me.pulp_id; "registered as {}", me.name);
    Ok(session)
}

/// `Ok` when told to stop.
async fn live(
    app: &App,
    me: &NewAppStatus,
    session: &mut Session,
    stop: &CancellationToken,
) -> Result<(), Error> {
    loop {
        hear(app, session, stop, Instant::now() + BEAT).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let beating = AppStatus::beat(&mut session.conn, me);
        match tokio::time::timeout(BEAT, beating).await {
            Ok(beaten) => beaten?,
            Err(elapsed) => {
                return Err(Error::Unavailable {
                    what: "database",
                    source: elapsed.into(),
                });
            }
        }
    }
}

/// Passes on what is told, until the next beat.
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
                Some(Ok(notification)) => app.waiters.ended(&notification.payload),
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Unavailable {
                    what: "database",
                    source: "the session ended".into(),
                }),
            },
        }
    }
}

async fn remove(session: &mut Session, me: &NewAppStatus) {
    let removing = AppStatus::remove(&mut session.conn, me.pulp_id);
    if !matches!(tokio::time::timeout(BEAT, removing).await, Ok(Ok(()))) {
        warn!("the process's row stays until it is stale");
    }
}
