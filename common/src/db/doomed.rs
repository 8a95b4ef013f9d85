//! Sessions that were given up here, and of which the server hears nothing: they are ended there, once nobody relies on
//! what they lock.

use super::line::Line;
use super::lookout::lock;
use super::{Backend, Conn, end_sessions};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

/// Longest time for the end of all of them.
const END: Duration = Duration::from_millis(2500);
/// So often that is tried.
const TRIES: u8 = 3;

/// Server processes to be ended, and how often that was tried.
#[derive(Default)]
pub(super) struct Doomed(Mutex<Vec<(Backend, u8)>>);

impl Doomed {
    pub(super) fn add(&self, backends: impl IntoIterator<Item = Backend>) {
        let backends = backends.into_iter().map(|backend| (backend, 0));
        lock(&self.0).extend(backends);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Ends them by this session; what cannot be is tried again. False: the session is of no use any more.
    pub(super) async fn end(&self, conn: Option<&mut Conn>) -> bool {
        let doomed = std::mem::take(&mut *lock(&self.0));
        let backends: Vec<Backend> = doomed.iter().map(|(backend, _)| backend.clone()).collect();
        if let Some(conn) = conn
            && let Ok(Ok(())) = timeout(END, end_sessions(conn, &backends)).await
        {
            return true;
        }
        let again = doomed
            .into_iter()
            .map(|(backend, tried)| (backend, tried + 1))
            .filter(|(_, tried)| *tried < TRIES);
        lock(&self.0).extend(again);
        false
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Backend> {
        let doomed = lock(&self.0);
        doomed.iter().map(|(backend, _)| backend.clone()).collect()
    }
}

/// Ends a session on the server when it is dropped after its line was cut.
pub(super) struct EndIfLost {
    doomed: Arc<Doomed>,
    line: Arc<Line>,
    backend: Option<Backend>,
}

impl EndIfLost {
    pub(super) fn new(doomed: Arc<Doomed>, line: Arc<Line>, backend: &Backend) -> Self {
        Self {
            doomed,
            line,
            backend: Some(backend.clone()),
        }
    }

    /// Leaves that to whoever has the session now.
    pub(super) fn leave(mut self) {
        self.backend = None;
    }
}

impl Drop for EndIfLost {
    fn drop(&mut self) {
        if self.line.is_cut() {
            self.doomed.add(self.backend.take());
        }
    }
}
