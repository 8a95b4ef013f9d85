//! What incomplete tasks are going to use by its id: units and artifacts that orphan clean-up
//! spares. Dispatch records them.

use crate::db::{Conn, Prepare};
use crate::ids::{ArtifactId, TaskId};
use crate::schema::{artifact, task_use};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Removes up to `limit` uses of tasks that have ended or are gone; gives their number.
///
/// # Errors
/// As the session.
pub async fn remove_ended(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
    sql_query(include_str!("task_use_remove_ended.sql"))
        .bind::<BigInt, _>(limit)
        .execute(conn)
        .await
}

/// Adds what a run made and is going to use, in the transaction that made it.
///
/// # Errors
/// As the session.
pub async fn add(conn: &mut Conn, task: TaskId, objects: &[Uuid]) -> QueryResult<()> {
    sql_query(
        "INSERT INTO task_use (task_id, object_id) SELECT $1, id FROM unnest($2) u (id) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(task)
    .bind::<Array<SqlUuid>, _>(objects)
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets that a task uses these, in the transaction in which something else began to need them.
///
/// # Errors
/// As the session.
pub async fn forget(conn: &mut Conn, task: TaskId, objects: &[Uuid]) -> QueryResult<usize> {
    sql_query("DELETE FROM task_use WHERE task_id = $1 AND object_id = ANY ($2)")
        .bind::<SqlUuid, _>(task)
        .bind::<Array<SqlUuid>, _>(objects)
        .prepared()
        .execute(conn)
        .await
}

/// The artifact that a task uses.
///
/// # Errors
/// As the session.
pub async fn artifact_of(conn: &mut Conn, task: TaskId) -> QueryResult<Option<ArtifactId>> {
    let used = task_use::table
        .filter(task_use::task_id.eq(task))
        .select(task_use::object_id);
    artifact::table
        .filter(artifact::pulp_id.eq_any(used))
        .select(artifact::pulp_id)
        .first(conn)
        .await
        .optional()
}
