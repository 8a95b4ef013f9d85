//! Files that wait for a task to take them over.

use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DomainId, TaskId, TemporaryFileId};
use crate::schema::{task, temporary_file};
use crate::storage::{StorageKey, Stored};
use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::Tombstone;

/// A file that a request left for a task. The row says that the whole file is in the store.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = temporary_file)]
#[expect(missing_docs, reason = "the contract describes the columns (1.12)")]
pub struct TemporaryFile {
    pub pulp_id: TemporaryFileId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub storage_key: StorageKey,
    pub size: i64,
    pub sha256: String,
    pub task_id: Option<TaskId>,
}

impl TemporaryFile {
    /// Makes a row of a file that has been written, in the caller's transaction. Call
    /// [`Stored::recorded`] after the commit; dropped without it, the file is given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the upload was given up meanwhile or the database does not answer.
    pub async fn create(conn: &mut Conn, domain: DomainId, stored: &Stored) -> Result<Self, Error> {
        let key = stored.take_over(conn).await?;
        let row = diesel::insert_into(temporary_file::table)
            .values((
                temporary_file::pulp_id.eq(TemporaryFileId::new()),
                temporary_file::pulp_domain.eq(domain),
                temporary_file::storage_key.eq(key),
                temporary_file::size.eq(stored.size()),
                temporary_file::sha256.eq(stored.digests().sha256()),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
            .await?;
        Ok(row)
    }

    /// The file with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: TemporaryFileId,
    ) -> QueryResult<Option<Self>> {
        temporary_file::table
            .find(id)
            .filter(temporary_file::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The file with this id, where this task owns it.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_owned(
        conn: &mut Conn,
        domain: DomainId,
        id: TemporaryFileId,
        task: TaskId,
    ) -> QueryResult<Option<Self>> {
        let found = Self::find(conn, domain, id).await?;
        Ok(found.filter(|row| row.task_id == Some(task)))
    }

    /// Buries up to `limit` files whose task has ended or is gone; their removal is the janitor's. Gives
    /// their number. Several processes may do it at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury_ended(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
        sql_query(include_str!("temporary_file_bury_ended.sql"))
            .bind::<BigInt, _>(limit)
            .execute(conn)
            .await
    }

    /// Deletes the row and leaves its file to the caller, who makes a row for it in this transaction.
    /// `None`: it is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn take(conn: &mut Conn, id: TemporaryFileId) -> QueryResult<Option<Self>> {
        diesel::delete(temporary_file::table.find(id))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
            .optional()
    }

    /// Deletes the row and buries its file; unlink it after the commit. `None`: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury(conn: &mut Conn, id: TemporaryFileId) -> QueryResult<Option<Tombstone>> {
        let Some(row) = Self::take(conn, id).await? else {
            return Ok(None);
        };
        let tombstone = Tombstone::of(row.storage_key, Some(row.size));
        Tombstone::bury_all(conn, std::slice::from_ref(&tombstone), None).await?;
        Ok(Some(tombstone))
    }

    /// How many files are older than this and of no incomplete task.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_stale(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
    ) -> QueryResult<i64> {
        temporary_file::table
            .filter(temporary_file::pulp_domain.eq(domain))
            .filter(temporary_file::pulp_created.lt(before))
            .filter(is_unneeded())
            .count()
            .get_result(conn)
            .await
    }

    /// Deletes up to `limit` of them, the oldest first, and buries their files in the name of a task; unlink these after
    /// the commit. What somebody has locked is left out.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury_stale(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        limit: i64,
        by: TaskId,
    ) -> QueryResult<Vec<Tombstone>> {
        let ids: Vec<TemporaryFileId> = temporary_file::table
            .filter(temporary_file::pulp_domain.eq(domain))
            .filter(temporary_file::pulp_created.lt(before))
            .filter(is_unneeded())
            .order(temporary_file::pulp_created)
            .limit(limit)
            .select(temporary_file::pulp_id)
            .for_update()
            .skip_locked()
            .load(conn)
            .await?;
        let rows: Vec<(StorageKey, i64)> = diesel::delete(
            temporary_file::table
                .filter(temporary_file::pulp_id.eq_any(ids))
                .filter(is_unneeded()),
        )
        .returning((temporary_file::storage_key, temporary_file::size))
        .get_results(conn)
        .await?;
        let buried: Vec<Tombstone> = rows
            .into_iter()
            .map(|(storage_key, size)| Tombstone::of(storage_key, Some(size)))
            .collect();
        Tombstone::bury_all(conn, &buried, Some(by)).await?;
        Ok(buried)
    }
}

/// Of no task that has not ended.
#[dsl::auto_type]
fn is_unneeded() -> _ {
    let owner = task::table
        .filter(task::pulp_id.nullable().eq(temporary_file::task_id))
        .filter(task::finished_at.is_null());
    not(exists(owner))
}
