//! Progress reports of tasks.

use crate::db::Conn;
use crate::ids::TaskId;
use crate::schema::progress_report;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// How far one part of a task has come.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = progress_report, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct ProgressReport {
    pub pulp_id: Uuid,
    pub task_id: TaskId,
    pub message: String,
    pub code: String,
    pub state: String,
    pub total: Option<i64>,
    pub done: i64,
    pub suffix: Option<String>,
}

impl ProgressReport {
    /// The reports of these tasks, in the order in which they were opened.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_tasks(mut conn: &Conn, tasks: &[TaskId]) -> QueryResult<Vec<Self>> {
        let reports = progress_report::table
            .order_by(progress_report::pulp_id)
            .select(Self::as_select());
        crate::load_of!(&mut conn, reports, progress_report::task_id, tasks)
    }
}
