//! How rows are found that many others stand between.

use crate::db::Conn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// How the next rows of a table are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// As PostgreSQL chooses.
    Chosen,
    /// One row after the other, in the order of ids, until there are enough.
    InOrder,
}

/// Batches.
const FEW: i64 = 8;

impl Plan {
    /// For a table of which so many rows were counted that are to be found, `batch` at a time. PostgreSQL chooses well for few
    /// batches where statistics know of the table. Of rows that came since, or that nothing needs since lately, it believes
    /// that they are few, and would find and sort all of them for each batch; a walk costs as much as a few of those.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, table: &str, counted: i64, batch: i64) -> QueryResult<Self> {
        #[derive(QueryableByName)]
        struct Known {
            #[diesel(sql_type = BigInt)]
            rows: i64,
        }
        if counted <= batch {
            return Ok(Self::Chosen);
        }
        let known = "SELECT reltuples::bigint AS rows FROM pg_class WHERE oid = $1::regclass";
        let known: Known = sql_query(known)
            .bind::<Text, _>(table)
            .get_result(conn)
            .await?;
        if counted > FEW * batch || counted > known.rows / 4 {
            Ok(Self::InOrder)
        } else {
            Ok(Self::Chosen)
        }
    }
}

/// Keeps the rest of the transaction from sorting what an index has in order, and from walking small tables for each row of
/// a larger one.
///
/// # Errors
/// As the session.
pub async fn go_in_order(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off")
        .await
}
