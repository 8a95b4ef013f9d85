//! Memberships that deletions left behind, which no version holds.

use crate::db::Conn;
use crate::ids::RepositoryId;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Records of what is left to remove. Nobody sees those memberships: they lie between versions that are
/// next to each other, or their repository is gone. They only keep their units from being orphans.
pub struct MembershipDebris;

#[derive(QueryableByName)]
struct Record {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = SqlUuid)]
    repository_id: Uuid,
    #[diesel(sql_type = Integer)]
    behind: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    until: Option<i32>,
    #[diesel(sql_type = Integer)]
    done_version: i32,
    #[diesel(sql_type = SqlUuid)]
    done_unit: Uuid,
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = BigInt)]
    seen: i64,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = SqlUuid)]
    content_id: Uuid,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    value: bool,
}

const COLUMNS: &str = "id, repository_id, behind, until, done_version, done_unit";

impl MembershipDebris {
    /// Records the memberships added behind version `behind` and removed up to version `until`, between
    /// which there is no version any more, and removes them at once where they are no more than `limit`.
    ///
    /// # Errors
    /// As the session.
    pub async fn leave(
        conn: &mut Conn,
        repository: RepositoryId,
        behind: i32,
        until: i32,
        limit: i64,
    ) -> QueryResult<()> {
        let record: Record = sql_query(format!(
            "INSERT INTO membership_debris (repository_id, behind, until, done_version) \
             VALUES ($1, $2, $3, $2) RETURNING {COLUMNS}"
        ))
        .bind::<SqlUuid, _>(repository)
        .bind::<Integer, _>(behind)
        .bind::<Integer, _>(until)
        .get_result(conn)
        .await?;
        record.remove_some(conn, limit).await?;
        Ok(())
    }

    /// Removes the memberships of a repository that was deleted in this transaction, which the table has
    /// recorded itself, where they are no more than `limit`.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_repository(
        conn: &mut Conn,
        repository: RepositoryId,
        limit: i64,
    ) -> QueryResult<()> {
        let record: Option<Record> = sql_query(format!(
            "SELECT {COLUMNS} FROM membership_debris WHERE repository_id = $1 AND until IS NULL"
        ))
        .bind::<SqlUuid, _>(repository)
        .get_result(conn)
        .await
        .optional()?;
        if let Some(record) = record {
            record.remove_some(conn, limit).await?;
        }
        Ok(())
    }

    /// Removes up to `limit` memberships of one record; gives how many it looked at. Zero: there was
    /// nothing to do. Call it in a transaction; several processes may, each takes another record.
    ///
    /// # Errors
    /// As the session.
    pub async fn sweep(conn: &mut Conn, limit: i64) -> QueryResult<i64> {
        let record: Option<Record> = sql_query(format!(
            "SELECT {COLUMNS} FROM membership_debris ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        ))
        .get_result(conn)
        .await
        .optional()?;
        match record {
            // A record counts too, so that zero is the end.
            Some(record) => Ok(record.remove_some(conn, limit).await?.max(1)),
            None => Ok(0),
        }
    }

    /// True where something is left.
    ///
    /// # Errors
    /// As the session.
    pub async fn any(conn: &mut Conn) -> QueryResult<bool> {
        let row: Flag = sql_query("SELECT EXISTS (SELECT FROM membership_debris) AS value")
            .get_result(conn)
            .await?;
        Ok(row.value)
    }
}

impl Record {
    async fn remove_some(&self, conn: &mut Conn, limit: i64) -> QueryResult<i64> {
        let text = match self.until {
            Some(_) => include_str!("membership_debris.sql"),
            None => include_str!("membership_debris_all.sql"),
        };
        let page = sql_query(text)
            .bind::<SqlUuid, _>(self.repository_id)
            .bind::<Integer, _>(self.done_version)
            .bind::<SqlUuid, _>(self.done_unit)
            .bind::<BigInt, _>(limit);
        let step: Option<Step> = match self.until {
            Some(until) => {
                page.bind::<Integer, _>(self.behind)
                    .bind::<Integer, _>(until)
                    .get_result(conn)
                    .await
            }
            None => page.get_result(conn).await,
        }
        .optional()?;
        let (seen, last) = match step {
            Some(step) => (step.seen, Some((step.version, step.content_id))),
            None => (0, None),
        };
        match last {
            Some((version, unit)) if seen >= limit => {
                sql_query(
                    "UPDATE membership_debris SET done_version = $2, done_unit = $3 WHERE id = $1",
                )
                .bind::<BigInt, _>(self.id)
                .bind::<Integer, _>(version)
                .bind::<SqlUuid, _>(unit)
                .execute(conn)
                .await?;
            }
            _ => {
                sql_query("DELETE FROM membership_debris WHERE id = $1")
                    .bind::<BigInt, _>(self.id)
                    .execute(conn)
                    .await?;
            }
        }
        Ok(seen)
    }
}
