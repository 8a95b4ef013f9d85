//! `POST tasks/`: dispatching any registered task. For administrators.

use super::requests::TaskDispatch;
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::dispatching::{dispatch_and_accept, immediate};
use crate::error::{ApiError, ApiResult};
use crate::v3::href::{self, Target};
use actix_web::web::Data;
use chrono::Utc;
use millrace_common::db::Conn;
use millrace_common::ids::{TaskGroupId, VersionId};
use millrace_common::models::object::version_ids;
use millrace_common::models::task_group::TaskGroup;
use millrace_common::prn::Prn;
use millrace_common::tasking::{NewTask, Resources};
use uuid::Uuid;

/// Dispatches a task by name.
///
/// # Errors
/// 400 that names the field.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<TaskDispatch>>) -> ApiResult {
    authorize(&app, &actor, Action::Dispatch, Object::Task).await?;
    let Body(request) = body.read().await?;
    if request.deadline.is_some_and(|moment| moment <= Utc::now()) {
        return Err(ApiError::field("deadline", "The moment has passed."));
    }
    let registry = &app.catalog.tasks;
    let task = NewTask::named(registry, &request.name, request.args, request.kwargs)?
        .versions(registry, request.versions)?;
    let mut conn = app.db.get().await?;
    let resources = resources(
        &mut conn,
        &request.exclusive_resources,
        &request.shared_resources,
    )
    .await?;
    let group = group(&mut conn, request.task_group.as_deref()).await?;
    drop(conn);
    let task = task.and_resources(resources).group(group);
    let mut task = task.deadline(request.deadline);
    if request.immediate {
        task = immediate(&app, task, request.deferred);
    }
    dispatch_and_accept(&app, &actor, task).await
}

async fn resources(
    conn: &mut Conn,
    exclusive: &[String],
    shared: &[String],
) -> ApiResult<Resources> {
    let mut resources = Resources::default();
    for name in names(conn, "exclusive_resources", exclusive).await? {
        resources = resources.and_exclusive(name);
    }
    // Checked apart: a name in both lists would hide a fault of the second.
    let mut others = Resources::default();
    for name in names(conn, "shared_resources", shared).await? {
        others = others.and_shared(name);
    }
    resources.validate()?;
    others.validate()?;
    Ok(resources.and(others))
}

/// Names under which resources are reserved: addresses of versions become PRNs, which takes the database.
async fn names(conn: &mut Conn, field: &str, given: &[String]) -> ApiResult<Vec<String>> {
    let versions: Vec<(Uuid, i32)> = given.iter().filter_map(|name| version_key(name)).collect();
    let ids = version_ids(conn, &versions).await?;
    given
        .iter()
        .map(|name| match version_key(name) {
            Some(key) => ids
                .get(&key)
                .map(|id| Prn::from(VersionId(*id)).to_string())
                .ok_or_else(|| {
                    ApiError::field(
                        field,
                        format!("URI {name} not found for repositoryversion."),
                    )
                }),
            None => Ok(name.clone()),
        })
        .collect()
}

fn version_key(name: &str) -> Option<(Uuid, i32)> {
    match href::parse(name)? {
        Target::Version { repository, number } => Some((repository.uuid()?, number)),
        Target::Object(_) => None,
    }
}

async fn group(conn: &mut Conn, reference: Option<&str>) -> ApiResult<Option<TaskGroupId>> {
    let Some(reference) = reference else {
        return Ok(None);
    };
    let refuse = |message: &str| ApiError::field("task_group", message);
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        _ => return Err(refuse("Invalid hyperlink - No URL match.")),
    };
    let id = prn
        .uuid()
        .filter(|_| prn.model == "core.taskgroup")
        .ok_or_else(|| refuse("Invalid hyperlink - Incorrect URL match."))?;
    match TaskGroup::find(conn, id.into()).await? {
        Some(group) => Ok(Some(group.pulp_id)),
        None => Err(refuse("Invalid hyperlink - Object does not exist.")),
    }
}
