//! The runs of this process: who may be asked to stop, and whose session must be watched.

use chrono::{DateTime, Utc};
use millrace_common::db::Backend;
use millrace_common::ids::{ClaimId, TaskId};
use millrace_common::tasking::{Claim, TaskSession};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;

/// Why a run is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody canceled the task.
    Canceled,
    /// The worker stops.
    Shutdown,
    /// The session that holds its locks is gone.
    Lost,
    /// Its deadline has passed.
    Overdue,
}

/// One run.
pub(crate) struct Run {
    pub claim: Claim,
    pub session: TaskSession,
    pub backend: Backend,
    pub stop: CancellationToken,
    cause: OnceLock<Cause>,
    lost: AtomicBool,
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
            lost: AtomicBool::new(false),
        }
    }

    /// Asks it to stop. The first cause counts.
    pub(crate) fn stop(&self, cause: Cause) {
        let _ = self.cause.set(cause);
        self.stop.cancel();
    }

    /// Its session is gone, whatever it was asked before.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.stop(Cause::Lost);
    }

    /// True once its session is known to be gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Why it was asked to stop, if it was.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }
}

/// All runs of the process.
#[derive(Default)]
pub(crate) struct Running {
    /// By claim: a run that lost its task may still be ending while another slot here has the task again.
    runs: Mutex<HashMap<ClaimId, Arc<Run>>>,
    engaged: Mutex<HashSet<ClaimId>>,
    /// Claims whose answer never came, the last of them.
    unheard: Mutex<VecDeque<ClaimId>>,
}

/// So many claims without an answer are remembered: far more than the slots that lose a session at once.
const UNHEARD: usize = 1024;

/// From before a claim is tried until its task has been settled.
pub(crate) struct Engaged<'a> {
    running: &'a Running,
    /// The token of the claim.
    pub claim: ClaimId,
}

/// A run's place among the runs, from before its body begins until that has ended.
pub(crate) struct Entered<'a> {
    running: &'a Running,
    claim: ClaimId,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        lock(&self.running.runs).remove(&self.claim);
    }
}

impl Drop for Engaged<'_> {
    fn drop(&mut self) {
        lock(&self.running.engaged).remove(&self.claim);
    }
}

impl Running {
    /// Begins a claim: rows with its token are looked after here from now on.
    pub(crate) fn engage(&self) -> Engaged<'_> {
        let claim = ClaimId(uuid::Uuid::new_v4());
        lock(&self.engaged).insert(claim);
        Engaged {
            running: self,
            claim,
        }
    }

    /// Ends a claim whose answer did not come: it may be in the row all the same, and no body runs.
    pub(crate) fn give_up(&self, engaged: Engaged<'_>) {
        let mut unheard = lock(&self.unheard);
        if unheard.len() == UNHEARD {
            unheard.pop_front();
        }
        unheard.push_back(engaged.claim);
    }

    /// True where no body ran under this claim.
    pub(crate) fn is_unheard(&self, claim: ClaimId) -> bool {
        lock(&self.unheard).contains(&claim)
    }

    /// True while a slot looks after rows with this token.
    pub(crate) fn is_engaged(&self, claim: ClaimId) -> bool {
        lock(&self.engaged).contains(&claim)
    }

    /// Notes a run, until what comes back is dropped.
    pub(crate) fn enter(&self, run: &Arc<Run>) -> Entered<'_> {
        lock(&self.runs).insert(run.claim.id, Arc::clone(run));
        Entered {
            running: self,
            claim: run.claim.id,
        }
    }

    pub(crate) fn is_running(&self, claim: Claim) -> bool {
        lock(&self.runs).contains_key(&claim.id)
    }

    /// Asks the runs of this task to stop, if they are here.
    pub(crate) fn stop(&self, task: TaskId, cause: Cause) {
        for run in self.all().iter().filter(|run| run.claim.task == task) {
            run.stop(cause);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Run>> {
        lock(&self.runs).values().map(Arc::clone).collect()
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
