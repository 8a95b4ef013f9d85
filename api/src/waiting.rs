//! Requests that wait for the final state of an immediate task: a bounded number, woken by the one
//! session that listens.

use log::warn;
use millrace_common::ids::TaskId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The channel on which the end of immediate tasks is told; the payload is the task's id.
pub const CHANNEL: &str = "millrace_task_final";

/// The requests that wait.
#[derive(Clone)]
pub struct Waiters {
    waiting: Arc<Mutex<HashMap<TaskId, oneshot::Sender<()>>>>,
    listening: Arc<AtomicBool>,
    limit: usize,
}

/// One request that waits; forgotten when dropped.
pub struct Waiter {
    all: Waiters,
    task: TaskId,
    ended: oneshot::Receiver<()>,
}

impl Waiters {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: Arc::default(),
            listening: Arc::default(),
            limit,
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<TaskId, oneshot::Sender<()>>> {
        // A map of channels has no state that a panic could leave half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait, before the task is dispatched. `None`: too many wait, or nobody listens.
    #[must_use]
    pub fn begin(&self, task: TaskId) -> Option<Waiter> {
        if !self.listening.load(Ordering::Relaxed) {
            return None;
        }
        let (wake, ended) = oneshot::channel();
        let mut waiting = self.map();
        if waiting.len() >= self.limit {
            return None;
        }
        waiting.insert(task, wake);
        drop(waiting);
        Some(Waiter {
            all: self.clone(),
            task,
            ended,
        })
    }

    /// Says whether the listening session is there.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
        if !listening {
            // What ended meanwhile would not be heard of: those who wait answer at once.
            self.map().clear();
        }
    }

    /// Wakes the request that waits for this task.
    pub fn ended(&self, payload: &str) {
        match payload.parse::<TaskId>() {
            Ok(task) => {
                if let Some(wake) = self.map().remove(&task) {
                    // The request may be gone.
                    let _ = wake.send(());
                }
            }
            Err(error) => warn!(payload = payload; "not a task: {error}"),
        }
    }
}

impl Waiter {
    /// Waits until the task has ended, the listener is gone, or the time is up.
    pub async fn wait(mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, &mut self.ended).await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.all.map().remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_waiter_is_woken_by_its_task_only() {
        let waiters = Waiters::new(10);
        assert!(waiters.begin(TaskId::new()).is_none(), "nobody listens");
        waiters.set_listening(true);
        let (one, other) = (TaskId::new(), TaskId::new());
        let first = waiters.begin(one).unwrap();
        let second = waiters.begin(other).unwrap();
        waiters.ended(&one.to_string());
        waiters.ended("nonsense");
        first.wait(LONG).await;
        assert!(waiters.map().contains_key(&other));
        drop(second);
        assert!(waiters.map().is_empty());
    }

    #[tokio::test]
    async fn there_is_a_limit_and_a_lost_listener_wakes_all() {
        let waiters = Waiters::new(1);
        waiters.set_listening(true);
        let one = waiters.begin(TaskId::new()).unwrap();
        assert!(waiters.begin(TaskId::new()).is_none());
        waiters.set_listening(false);
        one.wait(LONG).await;
    }
}
