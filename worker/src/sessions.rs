//! The database sessions of slots: named in the worker's rows, so that a hung worker can be cut off.

use crate::running::lock;
use crate::worker::Shared;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use log::warn;
use millrace_common::cause::chain;
use millrace_common::db::{Backend, Conn, Session};
use millrace_common::error::Error;
use millrace_common::tasking::TaskSession;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// The session of a slot and the server process behind it. Closed when the last hold on it is dropped.
pub(crate) struct SlotSession {
    pub conn: TaskSession,
    pub backend: Backend,
    _listed: Listed,
}

/// The sessions that slots have open now.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<SyncMutex<Vec<Backend>>>);

/// A session's place in the list, for as long as it is open.
struct Listed {
    open: Open,
    backend: Backend,
}

impl Open {
    fn list(&self, backend: &Backend) -> Listed {
        lock(&self.0).push(backend.clone());
        Listed {
            open: self.clone(),
            backend: backend.clone(),
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.open.0).retain(|open| *open != self.backend);
    }
}

/// Sessions that a process opens at the same time: a hundred at once would make each other late.
static OPENING: Semaphore = Semaphore::const_new(4);

/// Opens a session for a slot.
pub(crate) async fn open(shared: &Shared, purpose: &str) -> Result<SlotSession, Error> {
    let _turn = OPENING.acquire().await;
    let Session { mut conn, backend } = shared.db().session(purpose).await?;
    let listed = shared.sessions.list(&backend);
    name(shared, &mut conn, std::slice::from_ref(&backend)).await?;
    Ok(SlotSession {
        conn: Arc::new(Mutex::new(conn)),
        backend,
        _listed: listed,
    })
}

/// Opens a session, however long that takes; `None` when the worker stops meanwhile.
pub(crate) async fn open_patiently(shared: &Shared, purpose: &str) -> Option<SlotSession> {
    let mut pause = Duration::from_millis(100);
    loop {
        match open(shared, purpose).await {
            Ok(session) => return Some(session),
            Err(error) => {
                warn!(error:% = error, purpose; "no database session for {purpose}: {}", chain(&error))
            }
        }
        tokio::select! {
            () = shared.shutdown.hand_back.cancelled() => return None,
            () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Names all open sessions in the worker's rows, the beat's own too, and forgets those that have ended: the
/// worker's row was new, or had been removed with them.
pub(crate) async fn name_all(shared: &Shared, conn: &mut Conn, own: &Backend) -> Result<(), Error> {
    sql_query(
        "DELETE FROM worker_session s WHERE worker_id = $1 AND NOT EXISTS \
            (SELECT FROM pg_stat_activity a WHERE a.pid = s.pid AND a.backend_start = s.backend_start)",
    )
    .bind::<SqlUuid, _>(shared.id)
    .execute(conn)
    .await?;
    let mut open = lock(&shared.sessions.0).clone();
    open.push(own.clone());
    name(shared, conn, &open).await
}

/// Names sessions in the worker's rows, in place of any that had the same process id.
async fn name(shared: &Shared, conn: &mut Conn, open: &[Backend]) -> Result<(), Error> {
    sql_query(
        "INSERT INTO worker_session (worker_id, pid, backend_start) \
         SELECT $1, pid, start FROM unnest($2, $3) AS open(pid, start) ORDER BY pid \
             ON CONFLICT (worker_id, pid) DO UPDATE SET backend_start = excluded.backend_start",
    )
    .bind::<SqlUuid, _>(shared.id)
    .bind::<Array<Integer>, _>(open.iter().map(|b| b.pid).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(open.iter().map(|b| b.backend_start).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a session that a run may have left inside a transaction or a statement, and waits for its end: it
/// holds locks, on the task's own row too.
pub(crate) async fn end(conn: &mut Conn, left: &Backend) -> Result<(), Error> {
    sql_query(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity \
          WHERE pid = $1 AND backend_start = $2",
    )
    .bind::<Integer, _>(left.pid)
    .bind::<Timestamptz, _>(left.backend_start)
    .execute(conn)
    .await?;
    Ok(())
}
