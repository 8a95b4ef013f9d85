//! The runs of this process: who may be asked to stop, and whose session must be watched.

use chrono::{DateTime, Utc};
use millrace_common::db::Backend;
use millrace_common::ids::TaskId;
use millrace_common::tasking::{Claim, TaskSession};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a run is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody cancelled the task.
    Canceled,
    /// The worker stops.
    Shutdown,
    /// The session that holds its locks is gone.
    Lost,
}

/// One run.
pub(crate) struct Run {
    pub claim: Claim,
    pub session: TaskSession,
    pub backend: Backend,
    pub stop: CancellationToken,
    cause: OnceLock<Cause>,
    /// When its session was last seen alive.
    pub seen: Mutex<Instant>,
}

impl Run {
    /// A run that starts now.
    pub(crate) fn new(claim: Claim, session: TaskSession, backend: Backend) -> Self {
        Self {
            claim,
            session,
            backend,
            stop: CancellationToken::new(),
            cause: OnceLock::new(),
            seen: Mutex::new(Instant::now()),
        }
    }

    /// Asks it to stop. The first cause counts. True: this call was the first.
    pub(crate) fn stop(&self, cause: Cause) -> bool {
        let first = self.cause.set(cause).is_ok();
        self.stop.cancel();
        first
    }

    /// Why it was asked to stop, if it was.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }
}

/// All runs of the process.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<TaskId, Arc<Run>>>);

impl Running {
    pub(crate) fn enter(&self, run: &Arc<Run>) {
        lock(&self.0).insert(run.claim.task, Arc::clone(run));
    }

    pub(crate) fn leave(&self, run: &Run) {
        lock(&self.0).remove(&run.claim.task);
    }

    pub(crate) fn is_running(&self, claim: Claim) -> bool {
        lock(&self.0)
            .get(&claim.task)
            .is_some_and(|run| run.claim == claim)
    }

    /// Asks the run of this task to stop, if it is here.
    pub(crate) fn stop(&self, task: TaskId, cause: Cause) {
        if let Some(run) = lock(&self.0).get(&task) {
            run.stop(cause);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Run>> {
        lock(&self.0).values().map(Arc::clone).collect()
    }
}

/// How far first deliveries have been claimed, by class; collected by a beat.
#[derive(Default)]
pub(crate) struct Progress(Mutex<BTreeMap<String, DateTime<Utc>>>);

impl Progress {
    pub(crate) fn claimed(&self, class: &str, announced_at: DateTime<Utc>) {
        let mut marks = lock(&self.0);
        let mark = marks.entry(class.to_owned()).or_insert(announced_at);
        *mark = announced_at.max(*mark);
    }

    pub(crate) fn take(&self) -> Vec<(String, DateTime<Utc>)> {
        std::mem::take(&mut *lock(&self.0)).into_iter().collect()
    }
}

/// A panic elsewhere leaves these maps whole: every change is one call.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
