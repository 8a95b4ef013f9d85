//! `task-groups/` (contract 4.4).

use super::tasks::{MinimalTaskResponse, TaskCancel};
use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::canceling::cancel_one;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use millrace_common::db::Conn;
use millrace_common::ids::TaskGroupId;
use millrace_common::models::selection::Page;
use millrace_common::models::task::MinimalTask;
use millrace_common::models::task_group::{GroupProgressReport, TaskGroup};
use millrace_common::prn::Prn;
use millrace_common::schema::task_group;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A group of tasks, and how many of them are in each state, of those that one sees.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct TaskGroupResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub description: String,
    pub all_tasks_dispatched: bool,
    pub waiting: i64,
    pub skipped: i64,
    pub running: i64,
    pub completed: i64,
    pub canceled: i64,
    pub failed: i64,
    pub canceling: i64,
    pub group_progress_reports: Vec<GroupProgressReportResponse>,
    pub tasks: Vec<MinimalTaskResponse>,
}

/// A count that the tasks of a group share.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct GroupProgressReportResponse {
    pub message: String,
    pub code: String,
    pub total: i64,
    pub done: i64,
    pub suffix: Option<String>,
}

/// The field with the members.
const TASKS: &str = "tasks";

/// The filters of `task-groups/`.
pub static FILTERS: LazyLock<Filters<task_group::table>> = LazyLock::new(|| {
    Filters::newest_first(task_group::pulp_created, task_group::pulp_id)
        .in_domain(task_group::pulp_domain)
        .sortable("pulp_last_updated", task_group::pulp_last_updated)
        .sortable("description", task_group::description)
        .sortable("all_tasks_dispatched", task_group::all_tasks_dispatched)
        .identities(task_group::pulp_id)
});

/// A page of groups.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::TaskGroup).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let visible = access.task_groups();
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    let Page { count, rows } = TaskGroup::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = render(&mut conn, &access, rows, listing.wanted.wants(TASKS)).await?;
    listing.answer(count, &results)
}

/// One group.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::TaskGroup).await?;
    let id = path_id(&path, "TaskGroup")?;
    let mut conn = app.db.get().await?;
    let wanted = Wanted::from_request(&request);
    let group = load(&mut conn, &access, id, wanted.wants(TASKS)).await?;
    wanted.answer_one(vec![group])
}

/// Cancels the members of a group that have not ended, one transaction a member.
///
/// # Errors
/// 400, 404, 403 unless the actor may cancel every member. 409 with the group where a member still runs or waits.
pub async fn cancel(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<TaskCancel>>,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::Change, Object::TaskGroup).await?;
    let id = path_id(&path, "TaskGroup")?;
    require_cancelable(&app, &access, id).await?;
    let Body(_) = body.read().await?;
    let mut conn = app.db.get().await?;
    TaskGroup::finish(&mut conn, id).await?;
    for member in TaskGroup::unfinished(&mut conn, id).await? {
        cancel_one(&app, &mut conn, member).await?;
    }
    let group = load(&mut conn, &access, id, true).await?;
    let status = if group.running + group.waiting > 0 {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    Ok(HttpResponse::build(status).json(group))
}

/// Refuses a group that is not seen, or of which not every member may be canceled.
async fn require_cancelable(app: &App, access: &Access, id: TaskGroupId) -> ApiResult<()> {
    let mut conn = app.db.get().await?;
    load(&mut conn, access, id, false).await?;
    if access.cancels_members(&mut conn, id).await? {
        Ok(())
    } else {
        Err(ApiError::forbidden())
    }
}

async fn load(
    conn: &mut Conn,
    access: &Access,
    id: TaskGroupId,
    with_members: bool,
) -> ApiResult<TaskGroupResponse> {
    let group = TaskGroup::find_visible(conn, id, access.task_groups())
        .await?
        .ok_or_else(|| ApiError::no("TaskGroup"))?;
    render(conn, access, vec![group], with_members)
        .await?
        .pop()
        .ok_or_else(|| ApiError::no("TaskGroup"))
}

/// What belongs to a group.
#[derive(Default)]
struct Around {
    counts: HashMap<String, i64>,
    tasks: Vec<MinimalTaskResponse>,
    reports: Vec<GroupProgressReportResponse>,
}

/// Groups as clients see them, in three statements at most. A group may have very many members: they are
/// read only where somebody wants to see them.
async fn render(
    conn: &mut Conn,
    access: &Access,
    groups: Vec<TaskGroup>,
    with_members: bool,
) -> QueryResult<Vec<TaskGroupResponse>> {
    let ids: Vec<TaskGroupId> = groups.iter().map(|group| group.pulp_id).collect();
    let mut around: HashMap<TaskGroupId, Around> = HashMap::new();
    let visible = access.tasks(Action::View);
    for (group, state, count) in TaskGroup::count_members(conn, &ids, visible.clone()).await? {
        if let Some(group) = group {
            around.entry(group).or_default().counts.insert(state, count);
        }
    }
    if with_members {
        for task in MinimalTask::of_groups(conn, &ids, visible).await? {
            if let Some(group) = task.task_group {
                around.entry(group).or_default().tasks.push(task.into());
            }
        }
    }
    for report in GroupProgressReport::of_groups(conn, &ids).await? {
        let around = around.entry(report.task_group).or_default();
        around.reports.push(report.into());
    }
    Ok(groups
        .into_iter()
        .map(|group| {
            let around = around.remove(&group.pulp_id).unwrap_or_default();
            TaskGroupResponse::new(group, around)
        })
        .collect())
}

impl TaskGroupResponse {
    fn new(group: TaskGroup, around: Around) -> Self {
        let count = |state: &str| around.counts.get(state).copied().unwrap_or(0);
        Self {
            pulp_href: href::task_group(group.pulp_id),
            prn: Prn::from(group.pulp_id).to_string(),
            pulp_created: group.pulp_created,
            pulp_last_updated: group.pulp_last_updated,
            description: group.description,
            all_tasks_dispatched: group.all_tasks_dispatched,
            waiting: count("waiting"),
            skipped: count("skipped"),
            running: count("running"),
            completed: count("completed"),
            canceled: count("canceled"),
            failed: count("failed"),
            canceling: count("canceling"),
            group_progress_reports: around.reports,
            tasks: around.tasks,
        }
    }
}

impl From<GroupProgressReport> for GroupProgressReportResponse {
    fn from(report: GroupProgressReport) -> Self {
        Self {
            message: report.message,
            code: report.code,
            total: report.total,
            done: report.done,
            suffix: report.suffix,
        }
    }
}
