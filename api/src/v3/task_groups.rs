//! `task-groups/` (contract 4.4).

use super::tasks::{MinimalTaskResponse, TaskCancel, cancel_one};
use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::Body;
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
use millrace_common::models::task::Task;
use millrace_common::models::task_group::{GroupProgressReport, TaskGroup};
use millrace_common::prn::Prn;
use millrace_common::schema::task_group;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A group of tasks, and how many of them are in each state.
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
    pub waiting: usize,
    pub skipped: usize,
    pub running: usize,
    pub completed: usize,
    pub canceled: usize,
    pub failed: usize,
    pub canceling: usize,
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

/// The filters of `task-groups/`.
pub static FILTERS: LazyLock<Filters<task_group::table>> = LazyLock::new(|| {
    Filters::newest_first(task_group::pulp_created, task_group::pulp_id)
        .sortable("description", task_group::description)
        .identities(task_group::pulp_id)
});

/// A page of groups.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    authorize(&actor, Action::View, Object::TaskGroup)?;
    let listing = Listing::from_request(&app, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = TaskGroup::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = render(&mut conn, rows).await?;
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
    authorize(&actor, Action::View, Object::TaskGroup)?;
    let id = path_id(&path, "TaskGroup")?;
    let mut conn = app.db.get().await?;
    let group = load(&mut conn, id).await?;
    Wanted::from_request(&request).answer_one(vec![group])
}

/// Cancels the members of a group that have not ended, one transaction a member.
///
/// # Errors
/// 400, 404. 409 with the group where a member still runs or waits.
pub async fn cancel(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    _: Body<TaskCancel>,
) -> ApiResult {
    authorize(&actor, Action::Change, Object::TaskGroup)?;
    let id = path_id(&path, "TaskGroup")?;
    let mut conn = app.db.get().await?;
    load(&mut conn, id).await?;
    TaskGroup::finish(&mut conn, id).await?;
    for member in TaskGroup::unfinished(&mut conn, id).await? {
        cancel_one(&app, &mut conn, member).await?;
    }
    let group = load(&mut conn, id).await?;
    let status = if group.running + group.waiting > 0 {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    Ok(HttpResponse::build(status).json(group))
}

async fn load(conn: &mut Conn, id: TaskGroupId) -> ApiResult<TaskGroupResponse> {
    let group = TaskGroup::find(conn, id)
        .await?
        .ok_or_else(|| ApiError::no("TaskGroup"))?;
    render(conn, vec![group])
        .await?
        .pop()
        .ok_or_else(|| ApiError::no("TaskGroup"))
}

async fn render(conn: &mut Conn, groups: Vec<TaskGroup>) -> QueryResult<Vec<TaskGroupResponse>> {
    let ids: Vec<TaskGroupId> = groups.iter().map(|group| group.pulp_id).collect();
    let mut members: HashMap<TaskGroupId, Vec<MinimalTaskResponse>> = HashMap::new();
    for task in Task::of_groups(conn, &ids).await? {
        if let Some(group) = task.task_group {
            members.entry(group).or_default().push((&task).into());
        }
    }
    let mut reports: HashMap<TaskGroupId, Vec<GroupProgressReportResponse>> = HashMap::new();
    for report in GroupProgressReport::of_groups(conn, &ids).await? {
        reports
            .entry(report.task_group)
            .or_default()
            .push(report.into());
    }
    Ok(groups
        .into_iter()
        .map(|group| {
            let tasks = members.remove(&group.pulp_id).unwrap_or_default();
            let reports = reports.remove(&group.pulp_id).unwrap_or_default();
            TaskGroupResponse::new(group, tasks, reports)
        })
        .collect())
}

impl TaskGroupResponse {
    fn new(
        group: TaskGroup,
        tasks: Vec<MinimalTaskResponse>,
        group_progress_reports: Vec<GroupProgressReportResponse>,
    ) -> Self {
        let count = |state: &str| tasks.iter().filter(|task| task.state == state).count();
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
            group_progress_reports,
            tasks,
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
