//! Promotion outside a settle: the rest of a long run of readers, and the net under it all.

use crate::broker::Announcements;
use crate::db::Conn;
use crate::error::Error;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;

#[derive(QueryableByName)]
struct Resumed {
    #[diesel(sql_type = Jsonb)]
    announcements: Value,
}

/// Goes on where a promotion stopped because its transaction was full; `None` when nothing is left.
///
/// # Errors
/// As the session.
pub async fn resume_promotions(conn: &mut Conn) -> Result<Option<Announcements>, Error> {
    let row: Option<Resumed> = crate::db::retrying(conn, async |conn| {
        sql_query("SELECT * FROM millrace_resume()")
            .get_result(conn)
            .await
            .optional()
    })
    .await?;
    row.map(|row| Announcements::from_json(row.announcements).map_err(Error::internal))
        .transpose()
}

/// What one page of the net found.
#[derive(Debug)]
pub struct Sweep {
    /// The last lane of the page; `None` when the end was reached.
    pub last: Option<String>,
    /// Tasks that somebody had left behind. Must be zero.
    pub repaired: i64,
    /// What to publish.
    pub announcements: Announcements,
}

#[derive(QueryableByName)]
struct Swept {
    #[diesel(sql_type = Nullable<Text>)]
    last: Option<String>,
    #[diesel(sql_type = BigInt)]
    repaired: i64,
    #[diesel(sql_type = Jsonb)]
    announcements: Value,
}

/// Runs the promotion over the heads of one page of lanes, in the order of their names behind `after`.
///
/// # Errors
/// As the session.
pub async fn sweep_lanes(conn: &mut Conn, after: &str, page: i32) -> Result<Sweep, Error> {
    let row: Swept = crate::db::retrying(conn, async |conn| {
        sql_query("SELECT * FROM millrace_sweep($1, $2)")
            .bind::<Text, _>(after)
            .bind::<Integer, _>(page)
            .get_result(conn)
            .await
    })
    .await?;
    Ok(Sweep {
        last: row.last,
        repaired: row.repaired,
        announcements: Announcements::from_json(row.announcements).map_err(Error::internal)?,
    })
}
