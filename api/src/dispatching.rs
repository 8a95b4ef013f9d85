//! From a checked request to 202: record the task, commit, announce, and wait where it is immediate.

use crate::app::App;
use crate::auth::Actor;
use crate::correlation;
use crate::error::ApiResult;
use crate::route::AsyncOperationResponse;
use crate::v3::href;
use actix_web::HttpResponse;
use millrace_common::db;
use millrace_common::tasking::{Dispatched, NewTask, TaskState, dispatch};

/// Dispatches a task for this request and answers 202 with its href.
///
/// An immediate task is waited for: the answer comes when it has ended, at the latest after
/// `api.immediate_wait_ms`; at once when it cannot start now, the broker is away, or too many wait.
///
/// # Errors
/// 400 for a resource that cannot be reserved, 503 without a database.
pub async fn dispatch_and_accept(app: &App, actor: &Actor, task: NewTask) -> ApiResult {
    let task = signed(task, actor);
    let waiter = task
        .is_immediate()
        .then(|| app.waiters.begin(task.id))
        .flatten();
    let mut conn = app.db.get().await?;
    let dispatched = db::transaction(&mut conn, async |conn| {
        dispatch(conn, &app.keyring, &task).await
    })
    .await?;
    drop(conn);
    let starts_now = dispatched.announcement.is_some() && app.publisher.is_connected();
    let answer = announce_and_accept(app, &task, dispatched);
    if let Some(waiter) = waiter.filter(|_| starts_now) {
        waiter.wait(app.settings.api.immediate_wait_ms.get()).await;
    }
    Ok(answer)
}

/// Adds what the request knows: its correlation id and its account. For handlers that dispatch in a
/// transaction of their own.
#[must_use]
pub fn signed(task: NewTask, actor: &Actor) -> NewTask {
    task.cid(correlation::current()).created_by(Some(actor.id))
}

/// Announces a task that was committed, and answers 202 with its href.
pub fn announce_and_accept(app: &App, task: &NewTask, dispatched: Dispatched) -> HttpResponse {
    let id = dispatched.id;
    if dispatched.state == TaskState::Canceled {
        app.publisher
            .state_changed(id, task.name(), dispatched.state.as_str());
    }
    app.publisher.announce(dispatched.announcements());
    HttpResponse::Accepted().json(AsyncOperationResponse {
        task: href::task(id),
    })
}

/// Makes a task immediate, unless the settings prefer to defer.
#[must_use]
pub fn immediate(app: &App, task: NewTask, deferred: bool) -> NewTask {
    if deferred && app.settings.tasks.prefer_defer {
        task
    } else {
        task.immediate(deferred)
    }
}
