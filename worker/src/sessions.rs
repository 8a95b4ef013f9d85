//! The database sessions of slots: named in the worker's rows, so that a hung worker can be cut off.

use crate::worker::Shared;
use diesel::sql_query;
use diesel::sql_types::{Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use log::warn;
use millrace_common::db::{Backend, Conn, Session};
use millrace_common::error::Error;
use millrace_common::tasking::TaskSession;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// The session of a slot and the server process behind it.
#[derive(Clone)]
pub(crate) struct SlotSession {
    pub conn: TaskSession,
    pub backend: Backend,
}

/// Sessions that a process opens at the same time: a hundred at once would make each other late.
static OPENING: Semaphore = Semaphore::const_new(4);

/// Opens a session for a slot.
pub(crate) async fn open(shared: &Shared, purpose: &str) -> Result<SlotSession, Error> {
    let _turn = OPENING.acquire().await;
    let Session { mut conn, backend } = shared.db().session(purpose).await?;
    register(shared, &mut conn, &backend).await?;
    Ok(SlotSession {
        conn: Arc::new(Mutex::new(conn)),
        backend,
    })
}

/// Opens a session, however long that takes; `None` when the worker stops meanwhile.
pub(crate) async fn open_patiently(shared: &Shared, purpose: &str) -> Option<SlotSession> {
    let mut pause = Duration::from_millis(100);
    loop {
        match open(shared, purpose).await {
            Ok(session) => return Some(session),
            Err(error) => {
                warn!(error:% = error, purpose; "no database session for {purpose}: {error}")
            }
        }
        tokio::select! {
            () = shared.shutdown.hand_back.cancelled() => return None,
            () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Names the session in the worker's rows, in place of any that had the same process id.
pub(crate) async fn register(
    shared: &Shared,
    conn: &mut Conn,
    backend: &Backend,
) -> Result<(), Error> {
    sql_query(
        "INSERT INTO worker_session (worker_id, pid, backend_start) VALUES ($1, $2, $3) \
             ON CONFLICT (worker_id, pid) DO UPDATE SET backend_start = excluded.backend_start",
    )
    .bind::<SqlUuid, _>(shared.id)
    .bind::<Integer, _>(backend.pid)
    .bind::<Timestamptz, _>(backend.backend_start)
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives up a session whose body may have left it inside a statement: the statement is interrupted, so
/// that its locks do not outlive the run for long.
pub(crate) async fn discard(session: SlotSession) {
    let token = session.conn.lock().await.cancel_token();
    let cancelled = tokio::time::timeout(
        Duration::from_secs(1),
        token.cancel_query(tokio_postgres::NoTls),
    );
    // If the request does not arrive, the server notices the closed connection by itself.
    let _ = cancelled.await;
}
