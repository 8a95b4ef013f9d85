//! A task as clients see it.

use crate::v3::href;
use crate::v3::time;
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use futures_util::join;
use millrace_common::db::Conn;
use millrace_common::ids::TaskId;
use millrace_common::models::created_resource;
use millrace_common::models::progress_report::ProgressReport;
use millrace_common::models::task::{MinimalTask, Task};
use millrace_common::prn::Prn;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A task.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct TaskResponse {
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
    pub state: String,
    pub name: String,
    pub logging_cid: String,
    pub created_by: Option<String>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub unblocked_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub finished_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<Object>)]
    pub error: Option<Value>,
    /// Always null: which process runs a task is no part of the contract any more.
    pub worker: Option<String>,
    pub parent_task: Option<String>,
    pub child_tasks: Vec<String>,
    pub task_group: Option<String>,
    pub progress_reports: Vec<ProgressReportResponse>,
    pub created_resources: Vec<String>,
    pub created_resource_prns: Vec<String>,
    pub reserved_resources_record: Vec<String>,
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// By when it is to be over.
    #[serde(serialize_with = "time::maybe_micros")]
    pub deadline: Option<DateTime<Utc>>,
    pub pulp_api_version: &'static str,
}

/// The short form of a task: what `minimal` asks for, and how groups show their members.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct MinimalTaskResponse {
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
    pub name: String,
    pub state: String,
    #[serde(serialize_with = "time::maybe_micros")]
    pub unblocked_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub finished_at: Option<DateTime<Utc>>,
    pub worker: Option<String>,
    pub pulp_api_version: &'static str,
}

/// How far one part of a task has come.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct ProgressReportResponse {
    pub message: String,
    pub code: String,
    pub state: String,
    pub total: Option<i64>,
    pub done: i64,
    pub suffix: Option<String>,
}

impl From<ProgressReport> for ProgressReportResponse {
    fn from(report: ProgressReport) -> Self {
        Self {
            message: report.message,
            code: report.code,
            state: report.state,
            total: report.total,
            done: report.done,
            suffix: report.suffix,
        }
    }
}

impl From<MinimalTask> for MinimalTaskResponse {
    fn from(task: MinimalTask) -> Self {
        Self {
            pulp_href: href::task(task.pulp_id),
            prn: Prn::from(task.pulp_id).to_string(),
            pulp_created: task.pulp_created,
            pulp_last_updated: task.pulp_last_updated,
            name: task.name,
            state: task.state,
            unblocked_at: task.unblocked_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            worker: None,
            pulp_api_version: "v3",
        }
    }
}

/// What belongs to the tasks of a page, by task.
#[derive(Default)]
struct Around {
    children: HashMap<TaskId, Vec<String>>,
    reports: HashMap<TaskId, Vec<ProgressReportResponse>>,
    created: HashMap<TaskId, Vec<String>>,
    hrefs: HashMap<String, String>,
}

impl Around {
    async fn load(conn: &mut Conn, ids: &[TaskId]) -> QueryResult<Self> {
        let mut around = Self::default();
        // In one round trip.
        let (children, reports, created) = join!(
            Task::children(conn, ids),
            ProgressReport::of_tasks(conn, ids),
            created_resource::of_tasks(conn, ids)
        );
        for (parent, child) in children? {
            around
                .children
                .entry(parent)
                .or_default()
                .push(href::task(child));
        }
        for report in reports? {
            around
                .reports
                .entry(report.task_id)
                .or_default()
                .push(report.into());
        }
        for (task, prn) in created? {
            around.created.entry(task).or_default().push(prn);
        }
        let prns = around.created.values().flatten().map(String::as_str);
        around.hrefs = href::of_prns(conn, prns).await?;
        Ok(around)
    }

    fn complete(&mut self, task: Task) -> TaskResponse {
        let id = task.pulp_id;
        let created = self.created.remove(&id).unwrap_or_default();
        TaskResponse {
            pulp_href: href::task(id),
            prn: Prn::from(id).to_string(),
            pulp_created: task.pulp_created,
            pulp_last_updated: task.pulp_last_updated,
            state: task.state,
            name: task.name,
            logging_cid: task.logging_cid,
            created_by: task.created_by.map(href::user),
            unblocked_at: task.unblocked_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            error: task.error,
            worker: None,
            parent_task: task.parent_task.map(href::task),
            child_tasks: self.children.remove(&id).unwrap_or_default(),
            task_group: task.task_group.map(href::task_group),
            progress_reports: self.reports.remove(&id).unwrap_or_default(),
            created_resources: created.iter().map(|prn| self.href(prn)).collect(),
            created_resource_prns: created,
            reserved_resources_record: task.reserved_resources_record,
            result: task.result,
            deadline: task.deadline,
            pulp_api_version: "v3",
        }
    }

    fn href(&self, prn: &str) -> String {
        self.hrefs
            .get(prn)
            .map_or(href::UNAVAILABLE, String::as_str)
            .to_owned()
    }
}

/// Tasks as clients see them: four statements, however many tasks.
///
/// # Errors
/// As the session.
pub async fn render(conn: &mut Conn, tasks: Vec<Task>) -> QueryResult<Vec<TaskResponse>> {
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.pulp_id).collect();
    let mut around = Around::load(conn, &ids).await?;
    Ok(tasks
        .into_iter()
        .map(|task| around.complete(task))
        .collect())
}
