//! The database sessions of slots: named in the worker's rows, so that a hung worker can be cut off.

use crate::running::lock;
use crate::worker::Shared;
use log::warn;
use millrace_common::cause::chain;
use millrace_common::db::{self, Backend, Conn};
use millrace_common::error::Error;
use millrace_common::models::worker_session;
use millrace_common::tasking::TaskSession;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};

/// The session of a slot and the server process behind it. Closed when the last hold on it is dropped.
pub(crate) struct SlotSession {
    pub conn: TaskSession,
    pub backend: Backend,
    pub opened: Instant,
    _listed: Listed,
}

/// The sessions that slots, and the beat, have open now.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<SyncMutex<Vec<Backend>>>);

/// A session's place in the list, for as long as it is open.
pub(crate) struct Listed {
    open: Open,
    backend: Backend,
}

impl Open {
    /// Notes a session until what comes back is dropped: before it is named, and for as long as anything relies on it.
    pub(crate) fn list(&self, backend: &Backend) -> Listed {
        lock(&self.0).push(backend.clone());
        Listed {
            open: self.clone(),
            backend: backend.clone(),
        }
    }

    fn all(&self) -> Vec<Backend> {
        lock(&self.0).clone()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.open.0).retain(|open| *open != self.backend);
    }
}

/// Sessions that a process opens at the same time: a hundred at once would make each other late.
static OPENING: Semaphore = Semaphore::const_new(4);

/// Opens a session for a slot, and ends on the server those that this worker has given up: what is half open keeps its
/// locks there.
pub(crate) async fn open(shared: &Shared, purpose: &str) -> Result<SlotSession, Error> {
    let _turn = OPENING.acquire().await;
    let session = shared.db().session(purpose).await?;
    // The next session that is opened ends this one, when no body runs by it any more.
    let (mut conn, backend, opened) = session.into_parts();
    let listed = shared.sessions.list(&backend);
    worker_session::name(&mut conn, shared.id, std::slice::from_ref(&backend)).await?;
    end_given_up(shared, &mut conn).await?;
    Ok(SlotSession {
        conn: Arc::new(Mutex::new(conn)),
        backend,
        opened,
        _listed: listed,
    })
}

/// Opens a session, however long that takes; `None` when the worker stops, and `left` has passed since then.
pub(crate) async fn open_patiently(
    shared: &Shared,
    purpose: &str,
    left: Duration,
) -> Option<SlotSession> {
    let stopped = async {
        shared.shutdown.hand_back.cancelled().await;
        tokio::time::sleep(left).await;
    };
    tokio::pin!(stopped);
    let mut pause = Duration::from_millis(100);
    loop {
        match open(shared, purpose).await {
            Ok(session) => return Some(session),
            Err(error) => {
                warn!(error:% = error, purpose; "no database session for {purpose}: {}", chain(&error));
            }
        }
        tokio::select! {
            () = &mut stopped => return None,
            () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Names all open sessions in the worker's rows, and forgets those that have ended: the worker's row was new, or had
/// been removed with them.
pub(crate) async fn name_all(shared: &Shared, conn: &mut Conn) -> Result<(), Error> {
    worker_session::forget_ended(conn, shared.id).await?;
    let open = shared.sessions.all();
    Ok(worker_session::name(conn, shared.id, &open).await?)
}

/// Ends on the server what this worker has named and does not have open any more.
pub(crate) async fn end_given_up(shared: &Shared, conn: &mut Conn) -> Result<(), Error> {
    let mut given_up = worker_session::named(conn, shared.id).await?;
    // Looked at after the rows: a session is listed before it is named.
    let open = shared.sessions.all();
    given_up.retain(|session| !open.contains(session));
    if !given_up.is_empty() {
        db::end_sessions(conn, &given_up).await?;
    }
    Ok(())
}
