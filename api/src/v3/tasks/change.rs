//! Canceling and purging.

use super::handlers::{load, require};
use super::requests::{FinalStates, Purge, TaskCancel};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::canceling::cancel_one;
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::v3::path_id;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use chrono::Utc;
use millrace_common::ids::TaskId;
use millrace_common::tasking::{NewTask, TaskState};
use millrace_common::tasks;

/// Cancels a task.
///
/// # Errors
/// 400, 404. A task that ended otherwise is answered with 409.
pub async fn cancel(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<TaskCancel>>,
) -> ApiResult {
    let id: TaskId = path_id(&path, "Task")?;
    require(&app, &actor, Action::Change, id).await?;
    let Body(_) = body.read().await?;
    let mut conn = app.db.get().await?;
    let state = cancel_one(&app, &mut conn, id)
        .await?
        .ok_or_else(|| ApiError::no("Task"))?;
    let status = match state {
        TaskState::Canceled | TaskState::Canceling => StatusCode::OK,
        _ => StatusCode::CONFLICT,
    };
    Ok(HttpResponse::build(status).json(load(&mut conn, id).await?))
}

/// Dispatches a purge of tasks that have ended.
///
/// # Errors
/// 400 that names the field.
pub async fn purge(app: Data<App>, actor: Actor, body: Unread<Body<Purge>>) -> ApiResult {
    let access = authorize(&app, &actor, Action::Purge, Object::Task).await?;
    let Body(request) = body.read().await?;
    let days = app.settings.tasks.purge_after_days;
    let states = request
        .states
        .unwrap_or_else(|| FinalStates(vec![TaskState::Completed]));
    let purge = tasks::Purge {
        finished_before: Some(
            request
                .finished_before
                .unwrap_or_else(|| tasks::Purge::default_moment(Utc::now(), days)),
        ),
        states: Some(states.0),
        // Of those who may not delete every task, each may purge what he may delete.
        deletable_by: (!access.generally(Action::Delete, Object::Task)).then_some(actor.id),
        ..tasks::Purge::default()
    };
    let task = NewTask::new(&app.catalog.tasks, &purge)?;
    dispatch_and_accept(&app, &actor, task).await
}
