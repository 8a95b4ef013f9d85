//! What tasks made.

use crate::db::{Conn, Prepare};
use crate::ids::TaskId;
use crate::prn::Prn;
use crate::schema::created_resource;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

/// Notes what a task made, in this order.
///
/// # Errors
/// As the session.
pub async fn add(conn: &mut Conn, task: TaskId, made: &[Prn]) -> QueryResult<()> {
    if made.is_empty() {
        return Ok(());
    }
    sql_query(
        "INSERT INTO created_resource (task_id, prn) \
         SELECT $1, made.prn FROM unnest($2) WITH ORDINALITY made (prn, place) ORDER BY made.place",
    )
    .bind::<SqlUuid, _>(task)
    .bind::<Array<Text>, _>(made.iter().map(ToString::to_string).collect::<Vec<_>>())
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Names of what these tasks made, each with its task, in the order in which it was made.
///
/// # Errors
/// As the session.
pub async fn of_tasks(conn: &mut Conn, tasks: &[TaskId]) -> QueryResult<Vec<(TaskId, String)>> {
    created_resource::table
        .filter(created_resource::task_id.eq_any(tasks))
        .order_by(created_resource::id)
        .select((created_resource::task_id, created_resource::prn))
        .load(conn)
        .await
}
