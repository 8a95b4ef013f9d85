//! What tasks made.

use crate::db::Conn;
use crate::ids::TaskId;
use crate::schema::created_resource;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// Names of what these tasks made, each with its task, in the order in which it was made.
///
/// # Errors
/// As the session.
pub async fn of_tasks(mut conn: &Conn, tasks: &[TaskId]) -> QueryResult<Vec<(TaskId, String)>> {
    let made = created_resource::table
        .order_by(created_resource::id)
        .select((created_resource::task_id, created_resource::prn));
    crate::load_of!(&mut conn, made, created_resource::task_id, tasks)
}
