//! One log line and one count for each move of a task, after the commit that made it.
//!
//! Every line names the task, its type, its correlation id and its attempt under the same keys. Nothing here has
//! seen an argument.

use super::claim::Claimed;
use super::dispatch::Dispatched;
use super::facts::Facts;
use super::state::TaskState;
use crate::broker::{Announcement, Announcements};
use crate::ids::TaskId;
use crate::metrics::engine;
use log::{info, warn};

/// It was recorded.
pub(super) fn dispatched(task: &Dispatched) {
    engine().count_dispatched(task.name);
    let (id, name, class, cid) = (task.id, task.name, task.class, task.cid.as_str());
    match (task.state, &task.lane) {
        (TaskState::Waiting, Some(lane)) => info!(
            task_id:% = id, cid, name, class, attempt = 0, state = "waiting", lane;
            "task {id} ({name}) is dispatched and waits for {lane}"
        ),
        (TaskState::Waiting, None) => info!(
            task_id:% = id, cid, name, class, attempt = 0, state = "waiting";
            "task {id} ({name}) is dispatched"
        ),
        (state, _) => {
            engine().count_ended(name, state.as_str());
            info!(
                task_id:% = id, cid, name, class, attempt = 0, state = state.as_str();
                "task {id} ({name}) is {state}: it could not start at once"
            );
        }
    }
}

/// Nothing stands in front of them any more.
pub(super) fn unblocked(tasks: &[Announcement]) {
    for task in tasks {
        engine().unblocked.inc();
        let (id, name) = (task.id, task.name.as_str());
        info!(
            task_id:% = id, cid = task.cid, name, class = task.class, attempt = task.attempt - 1, state = "waiting";
            "task {id} ({name}) is unblocked"
        );
    }
}

/// As [`unblocked`] one of them that `wanted` finds, which is taken out: it is not published.
pub(super) fn handed_on(
    tasks: &mut Announcements,
    wanted: impl Fn(&Announcement) -> bool,
) -> Option<Announcement> {
    let taken = tasks.take(wanted)?;
    unblocked(std::slice::from_ref(&taken));
    Some(taken)
}

/// A worker has it.
pub fn claimed(task: &Claimed, name: &str, class: &str, worker: &str) {
    engine().claims.inc();
    let waited = task.waited_ms as f64 / 1000.0;
    let blocked = task.blocked_seconds;
    if task.attempt == 1 {
        engine().observe_wait(name, blocked, waited);
    }
    let id = task.claim.task;
    info!(
        task_id:% = id, cid = task.cid, name, class, attempt = task.attempt, state = "running", worker,
        blocked_seconds = blocked, waited_seconds = waited;
        "task {id} ({name}) starts"
    );
}

/// It has come to its end.
pub(super) fn ended(id: TaskId, state: TaskState, task: &Facts) {
    engine().count_ended(&task.name, state.as_str());
    let name = task.name.as_str();
    let worker = task.worker.map(|worker| worker.to_string());
    info!(
        task_id:% = id, cid = task.cid, name, class = task.class, attempt = task.attempt, state = state.as_str(),
        worker = worker.as_deref(), blocked_seconds = task.blocked, waited_seconds = task.waited,
        run_seconds = task.ran;
        "task {id} ({name}) is {state}"
    );
}

/// It runs, and was asked to stop.
pub(super) fn canceling(id: TaskId, task: &Facts) {
    engine().cancels.inc();
    let name = task.name.as_str();
    let worker = task.worker.map(|worker| worker.to_string());
    info!(
        task_id:% = id, cid = task.cid, name, class = task.class, attempt = task.attempt, state = "canceling",
        worker = worker.as_deref(), run_seconds = task.ran;
        "task {id} ({name}) is to be canceled"
    );
}

/// Its worker puts it back into its place.
pub fn handed_back(task: &Claimed, name: &str, worker: &str, why: &str) {
    engine().hand_backs.inc();
    let id = task.claim.task;
    info!(
        task_id:% = id, cid = task.cid, name, attempt = task.attempt, state = "waiting", worker, why;
        "task {id} ({name}) was handed back: {why}"
    );
}

/// It was taken from a worker that is gone; its facts are those before that.
pub(super) fn rescued(id: TaskId, again: bool, task: &Facts) {
    engine().rescues.inc();
    let name = task.name.as_str();
    let worker = task.worker.map(|worker| worker.to_string());
    let state = if again { "waiting" } else { "failed" };
    warn!(
        task_id:% = id, cid = task.cid, name, class = task.class, attempt = task.attempt, state,
        worker = worker.as_deref();
        "task {id} ({name}) was taken from a worker that is gone"
    );
}

/// It could not be claimed now, and is announced again later.
pub(super) fn deferred(id: TaskId, why: &str, task: &Facts) {
    let name = task.name.as_str();
    info!(
        task_id:% = id, cid = task.cid, name, class = task.class, attempt = task.attempt, state = "waiting", why;
        "task {id} ({name}) is put off: {why}"
    );
}
