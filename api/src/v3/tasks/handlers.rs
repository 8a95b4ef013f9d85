//! What there is to do with tasks.

use super::filters::{FILTERS, check_created};
use super::response::{MinimalTaskResponse, TaskResponse, render};
use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Listing, Wanted, pairs};
use crate::v3::path_id;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::db::Conn;
use millrace_common::ids::TaskId;
use millrace_common::models::selection::Page;
use millrace_common::models::task::{MinimalTask, Task};

/// A page of tasks.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Task).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let visible = access.tasks(Action::View);
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    for (name, value) in pairs(&request) {
        if name == "created_resources" && !value.is_empty() {
            check_created(&mut conn, &access, &app.catalog.content, &value).await?;
        }
    }
    if listing.wanted.is_minimal() {
        let Page { count, rows } = MinimalTask::page(&mut conn, &listing.selection)
            .await
            .map_err(|e| listing.blame(e))?;
        let results: Vec<MinimalTaskResponse> = rows.into_iter().map(Into::into).collect();
        return listing.answer(count, &results);
    }
    let Page { count, rows } = Task::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = render(&mut conn, rows).await?;
    listing.answer(count, &results)
}

/// One task.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let id: TaskId = path_id(&path, "Task")?;
    authorize(&app, &actor, Action::View, Object::Task.at(id.0)).await?;
    let mut conn = app.db.get().await?;
    let wanted = Wanted::from_request(&request);
    if wanted.is_minimal() {
        let found = MinimalTask::find(&mut conn, id).await?;
        let found = found.ok_or_else(|| ApiError::no("Task"))?;
        return wanted.answer_one(vec![MinimalTaskResponse::from(found)]);
    }
    wanted.answer_one(vec![load(&mut conn, id).await?])
}

/// Forgets a task that has ended.
///
/// # Errors
/// 404; 409 without a body while it has not ended.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let id: TaskId = path_id(&path, "Task")?;
    require(&app, &actor, Action::Delete, id).await?;
    let mut conn = app.db.get().await?;
    if Task::delete_final(&mut conn, id).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    match Task::state(&mut conn, id).await? {
        Some(_) => Ok(HttpResponse::build(StatusCode::CONFLICT).finish()),
        None => Err(ApiError::no("Task")),
    }
}

/// Refuses unless there is this task and the actor may do this to it.
///
/// # Errors
/// 404, 403.
pub(in crate::v3) async fn require(
    app: &App,
    actor: &Actor,
    action: Action,
    id: TaskId,
) -> ApiResult<Access> {
    let access = authorize(app, actor, action, Object::Task.at(id.0)).await;
    // What is not there is missing also for those who see all tasks and may not do this to any.
    if access
        .as_ref()
        .is_err_and(|refusal| refusal.status() == StatusCode::FORBIDDEN)
        && Task::state(&mut *app.db.get().await?, id).await?.is_none()
    {
        return Err(ApiError::no("Task"));
    }
    access
}

/// A task as clients see it.
pub(super) async fn load(conn: &mut Conn, id: TaskId) -> ApiResult<TaskResponse> {
    let task = Task::find(conn, id)
        .await?
        .ok_or_else(|| ApiError::no("Task"))?;
    render(conn, vec![task])
        .await?
        .pop()
        .ok_or_else(|| ApiError::no("Task"))
}
