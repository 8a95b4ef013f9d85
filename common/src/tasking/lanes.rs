//! Promotion outside a settle: the rest of a long run of readers, and the net under it all.

use super::moves;
use crate::broker::Announcements;
use crate::db::Conn;
use crate::error::{Error, is_too_slow};
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

/// Tasks that one resumption unblocks; fewer where they have so many resources that it takes too long.
const BATCHES: [i32; 4] = [500, 60, 8, 1];

/// Goes on where a promotion stopped because its transaction was full; `None` when nothing is left.
///
/// # Errors
/// As the session.
pub async fn resume_promotions(conn: &mut Conn) -> Result<Option<Announcements>, Error> {
    let mut batches = BATCHES.into_iter().peekable();
    while let Some(batch) = batches.next() {
        let resumed = crate::db::retrying(conn, async |conn| resume(conn, batch).await).await;
        match resumed {
            Err(error) if batches.peek().is_some() && is_too_slow(&error) => {}
            resumed => {
                let Some(row) = resumed? else { return Ok(None) };
                let unblocked =
                    Announcements::from_json(row.announcements).map_err(Error::internal)?;
                moves::unblocked(&unblocked.0);
                return Ok(Some(unblocked));
            }
        }
    }
    Ok(None)
}

async fn resume(conn: &mut Conn, batch: i32) -> QueryResult<Option<Resumed>> {
    sql_query("SELECT * FROM millrace_resume($1)")
        .bind::<Integer, _>(batch)
        .get_result(conn)
        .await
        .optional()
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
    let announcements = Announcements::from_json(row.announcements).map_err(Error::internal)?;
    moves::unblocked(&announcements.0);
    Ok(Sweep {
        last: row.last,
        repaired: row.repaired,
        announcements,
    })
}
