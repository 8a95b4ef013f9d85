//! What units that are gone have left in the storage of a Pulp 2.

use crate::db::Conn;
use crate::ids::{ContentId, TaskId};
use crate::schema::unit_tombstone;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// Something that is to be removed.
#[derive(Clone, Debug, QueryableByName)]
pub struct UnitTombstone {
    /// Its key.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Where it lies.
    #[diesel(sql_type = Text)]
    pub path: String,
    /// How often somebody has begun to remove it, this time among them.
    #[diesel(sql_type = Integer)]
    pub tries: i32,
}

/// What other units have to do with a path.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct PathUse {
    /// One lies there, or in a directory that it is in: whatever is there is that one's.
    #[diesel(sql_type = Bool)]
    pub named: bool,
    /// One lies below it.
    #[diesel(sql_type = Bool)]
    pub holds_others: bool,
    /// One lies beside the directory with the links, of which this is one: what they lead to may be its.
    #[diesel(sql_type = Bool)]
    pub shares_others: bool,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    stored: i64,
}

const STORED: &str = "(SELECT count(*) FROM unit_storage WHERE content_id = ANY ($1)) AS stored";

/// Claims the tombstones of which this says the ids, for a minute, two, four, up to a day.
const CLAIM: &str = "UPDATE unit_tombstone SET tries = tries + 1, \
        not_before = now() + least(86400, 60 * 2 ^ least(tries, 11)) * interval '1 s' WHERE id IN ";

impl UnitTombstone {
    /// Says which task deletes what is deleted in this transaction from now on. Gives how many of these units
    /// have something stored.
    ///
    /// # Errors
    /// As the session.
    pub async fn sign(conn: &mut Conn, units: &[ContentId], by: TaskId) -> QueryResult<i64> {
        let row: Stored = sql_query(format!(
            "SELECT {STORED} FROM set_config('millrace.task', $2::text, true)"
        ))
        .bind::<Array<SqlUuid>, _>(units.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind::<SqlUuid, _>(by)
        .get_result(conn)
        .await?;
        Ok(row.stored)
    }

    /// How many of these units have something stored.
    ///
    /// # Errors
    /// As the session.
    pub async fn stored(conn: &mut Conn, units: &[ContentId]) -> QueryResult<i64> {
        let row: Stored = sql_query(format!("SELECT {STORED}"))
            .bind::<Array<SqlUuid>, _>(units.iter().map(|id| id.0).collect::<Vec<_>>())
            .get_result(conn)
            .await?;
        Ok(row.stored)
    }

    /// Claims those that this task has left and nobody has begun with; with `again`, all that it has left. In the
    /// order of their keys.
    ///
    /// # Errors
    /// As the session.
    pub async fn claim_of(
        conn: &mut Conn,
        task: TaskId,
        behind: i64,
        again: bool,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut claimed: Vec<Self> = sql_query(format!(
            "{CLAIM} (SELECT id FROM unit_tombstone WHERE buried_by = $1 AND id > $2 AND (tries = 0 OR $3) \
                       ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED) RETURNING id, path, tries"
        ))
        .bind::<SqlUuid, _>(task)
        .bind::<BigInt, _>(behind)
        .bind::<Bool, _>(again)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
        claimed.sort_unstable_by_key(|one| one.id);
        Ok(claimed)
    }

    /// Claims those that are due.
    ///
    /// # Errors
    /// As the session.
    pub async fn claim_due(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Self>> {
        sql_query(format!(
            "{CLAIM} (SELECT id FROM unit_tombstone WHERE not_before <= now() \
                       ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, path, tries"
        ))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    /// True where some are due.
    ///
    /// # Errors
    /// As the session.
    pub async fn any_due(conn: &mut Conn) -> QueryResult<bool> {
        let due = unit_tombstone::table.filter(unit_tombstone::not_before.le(diesel::dsl::now));
        diesel::select(diesel::dsl::exists(due))
            .get_result(conn)
            .await
    }

    /// What other units have to do with these paths, in their order.
    ///
    /// # Errors
    /// As the session.
    pub async fn uses(conn: &mut Conn, claimed: &[Self]) -> QueryResult<Vec<PathUse>> {
        let paths: Vec<&str> = claimed.iter().map(|one| one.path.as_str()).collect();
        let around: Vec<Option<&str>> = paths.iter().map(|path| around(path)).collect();
        let above = (1_i64..)
            .zip(&paths)
            .flat_map(|(n, path)| directories(path).map(move |directory| (n, directory)));
        let (numbers, directories): (Vec<i64>, Vec<&str>) = above.unzip();
        sql_query(include_str!("unit_tombstone_uses.sql"))
            .bind::<Array<Text>, _>(paths)
            .bind::<Array<Nullable<Text>>, _>(around)
            .bind::<Array<BigInt>, _>(numbers)
            .bind::<Array<Text>, _>(directories)
            .load(conn)
            .await
    }

    /// Fails where the session has ended, and its lock with it.
    ///
    /// # Errors
    /// As the session.
    pub async fn check_lock(conn: &mut Conn) -> QueryResult<()> {
        conn.batch_execute("SELECT 1").await
    }

    /// Forgets what is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn forget(conn: &mut Conn, ids: &[i64]) -> QueryResult<usize> {
        diesel::delete(unit_tombstone::table.filter(unit_tombstone::id.eq_any(ids)))
            .execute(conn)
            .await
    }

    /// How many are left of a task.
    ///
    /// # Errors
    /// As the session.
    pub async fn left_by(conn: &mut Conn, task: TaskId) -> QueryResult<i64> {
        unit_tombstone::table
            .filter(unit_tombstone::buried_by.eq(task))
            .count()
            .get_result(conn)
            .await
    }

    /// Waits for the lock of this session under which alone stored things are removed, and new units come that lie
    /// beside them: nothing is removed that a unit has named since. False: it did not come in time. It is given back by
    /// [`UnitTombstone::unlock`], or with the session.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, wait_ms: u32) -> QueryResult<bool> {
        conn.batch_execute(&format!("SET lock_timeout = {wait_ms}"))
            .await?;
        match conn
            .batch_execute(&format!("SELECT pg_advisory_lock({KEY})"))
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if crate::error::is_retryable(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// As the session.
    pub async fn unlock(conn: &mut Conn) -> QueryResult<()> {
        conn.batch_execute(&format!("SELECT pg_advisory_unlock({KEY})"))
            .await
    }
}

/// The directories that a path lies in.
fn directories(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    ends.filter(|at| *at > 0)
        .filter_map(|at| path.get(..at))
        .filter(|directory| directory.len() < path.len())
}

/// The directory around the one with the links, where a path may be such a link.
fn around(path: &str) -> Option<&str> {
    let (links, _) = path.rsplit_once('/')?;
    links.strip_suffix("/links")
}

/// A key in a namespace of its own.
const KEY: &str = "hashtextextended('unit storage', 7121)";
