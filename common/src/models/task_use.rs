//! What incomplete tasks are going to use by its id: units and artifacts that orphan clean-up
//! spares. Dispatch records them.

use crate::db::Conn;
use diesel::QueryResult;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

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
