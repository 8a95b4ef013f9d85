//! Versions of repositories, and what they count.

mod visible;

use super::Membership;
use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{ClaimId, RepositoryId, VersionId};
use crate::schema::repository_version;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A version of a repository.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = repository_version)]
#[expect(missing_docs, reason = "the contract describes the columns (1.7)")]
pub struct RepositoryVersion {
    pub pulp_id: VersionId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub repository_id: RepositoryId,
    pub number: i32,
    pub complete: bool,
    pub base_version: Option<VersionId>,
    pub info: Value,
    pub claim_id: Option<ClaimId>,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: VersionId,
}

impl RepositoryVersion {
    /// The units that it holds.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership {
            repository: self.repository_id,
            number: self.number,
        }
    }

    /// Inserts a version. With a claim it is incomplete, and invisible.
    ///
    /// # Errors
    /// A unique violation when the number is taken.
    pub async fn insert(
        conn: &mut Conn,
        repository: RepositoryId,
        number: i32,
        base: Option<VersionId>,
        claim: Option<ClaimId>,
    ) -> QueryResult<VersionId> {
        let id = VersionId::new();
        diesel::insert_into(repository_version::table)
            .values((
                repository_version::pulp_id.eq(id),
                repository_version::repository_id.eq(repository),
                repository_version::number.eq(number),
                repository_version::complete.eq(claim.is_none()),
                repository_version::base_version.eq(base),
                repository_version::info.eq(json!({})),
                repository_version::claim_id.eq(claim),
            ))
            .execute(conn)
            .await?;
        Ok(id)
    }

    /// The complete version with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: VersionId) -> QueryResult<Option<Self>> {
        repository_version::table
            .find(id)
            .filter(repository_version::complete)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// Keeps a complete version from being deleted until the transaction ends. False: it is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn keep(conn: &mut Conn, id: VersionId) -> QueryResult<bool> {
        let found: Option<VersionId> = repository_version::table
            .find(id)
            .filter(repository_version::complete)
            .select(repository_version::pulp_id)
            .for_key_share()
            .first(conn)
            .await
            .optional()?;
        Ok(found.is_some())
    }

    /// A page of versions.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<repository_version::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, repository_version::table, Self, selection)
    }

    /// The numbers of these versions and their repositories, for addresses.
    ///
    /// # Errors
    /// As the session.
    pub async fn places(
        conn: &mut Conn,
        ids: &[VersionId],
    ) -> QueryResult<Vec<(VersionId, RepositoryId, i32)>> {
        repository_version::table
            .filter(repository_version::pulp_id.eq_any(ids))
            .select((
                repository_version::pulp_id,
                repository_version::repository_id,
                repository_version::number,
            ))
            .load(conn)
            .await
    }

    /// The complete version of a repository with this number.
    ///
    /// # Errors
    /// As the session.
    pub async fn numbered(
        conn: &mut Conn,
        repository: RepositoryId,
        number: i32,
    ) -> QueryResult<Option<Self>> {
        repository_version::table
            .filter(repository_version::repository_id.eq(repository))
            .filter(repository_version::number.eq(number))
            .filter(repository_version::complete)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The newest complete version.
    ///
    /// # Errors
    /// As the session.
    pub async fn latest(conn: &mut Conn, repository: RepositoryId) -> QueryResult<Option<Self>> {
        repository_version::table
            .filter(repository_version::repository_id.eq(repository))
            .filter(repository_version::complete)
            .order(repository_version::number.desc())
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The version with the highest number, complete or not: one that is not complete has that always.
    ///
    /// # Errors
    /// As the session.
    pub async fn last(mut conn: &Conn, repository: RepositoryId) -> QueryResult<Option<Self>> {
        repository_version::table
            .filter(repository_version::repository_id.eq(repository))
            .order(repository_version::number.desc())
            .select(Self::as_select())
            .first(&mut conn)
            .await
            .optional()
    }

    /// The numbers of the newest complete versions of these repositories.
    ///
    /// # Errors
    /// As the session.
    pub async fn latest_numbers(
        conn: &mut Conn,
        repositories: &[RepositoryId],
    ) -> QueryResult<Vec<(RepositoryId, i32)>> {
        repository_version::table
            .filter(repository_version::repository_id.eq_any(repositories))
            .filter(repository_version::complete)
            .order((
                repository_version::repository_id,
                repository_version::number.desc(),
            ))
            .distinct_on(repository_version::repository_id)
            .select((
                repository_version::repository_id,
                repository_version::number,
            ))
            .load(conn)
            .await
    }

    /// The complete versions of a repository, ids and numbers, in the order of numbers.
    ///
    /// # Errors
    /// As the session.
    pub async fn all_of(
        conn: &mut Conn,
        repository: RepositoryId,
    ) -> QueryResult<Vec<(VersionId, i32)>> {
        repository_version::table
            .filter(repository_version::repository_id.eq(repository))
            .filter(repository_version::complete)
            .order(repository_version::number)
            .select((repository_version::pulp_id, repository_version::number))
            .load(conn)
            .await
    }

    /// The complete version with this id, locked until the transaction ends: nobody begins to serve it.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(conn: &mut Conn, id: VersionId) -> QueryResult<Option<Self>> {
        repository_version::table
            .find(id)
            .filter(repository_version::complete)
            .select(Self::as_select())
            .for_update()
            .first(conn)
            .await
            .optional()
    }

    /// Locks these versions, as [`RepositoryVersion::lock`] does.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_many(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<()> {
        repository_version::table
            .filter(repository_version::pulp_id.eq_any(ids))
            .order(repository_version::pulp_id)
            .select(repository_version::pulp_id)
            .for_update()
            .load::<VersionId>(conn)
            .await?;
        Ok(())
    }

    /// The versions of a repository that serve content (contract 1.7). Those that are locked stay as they
    /// are.
    ///
    /// # Errors
    /// As the session.
    pub async fn protected(
        conn: &mut Conn,
        repository: RepositoryId,
    ) -> QueryResult<BTreeSet<VersionId>> {
        let rows: Vec<IdRow> = sql_query(include_str!("repository_version_protected.sql"))
            .bind::<SqlUuid, _>(repository)
            .load(conn)
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Deletes these versions with their counts and publications; their memberships are somebody else's
    /// business.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete_many(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<usize> {
        diesel::delete(repository_version::table.filter(repository_version::pulp_id.eq_any(ids)))
            .execute(conn)
            .await
    }

    /// True where there is a version with this id, complete or not.
    ///
    /// # Errors
    /// As the session.
    pub async fn exists(conn: &mut Conn, id: VersionId) -> QueryResult<bool> {
        diesel::select(diesel::dsl::exists(repository_version::table.find(id)))
            .get_result(conn)
            .await
    }

    /// The complete versions next to this one: the one before it and the one behind it.
    ///
    /// # Errors
    /// As the session.
    pub async fn neighbours(&self, conn: &mut Conn) -> QueryResult<(Option<Self>, Option<Self>)> {
        let others = repository_version::table
            .filter(repository_version::repository_id.eq(self.repository_id))
            .filter(repository_version::complete)
            .select(Self::as_select());
        let before = others
            .filter(repository_version::number.lt(self.number))
            .order(repository_version::number.desc())
            .first(conn)
            .await
            .optional()?;
        let behind = others
            .filter(repository_version::number.gt(self.number))
            .order(repository_version::number.asc())
            .first(conn)
            .await
            .optional()?;
        Ok((before, behind))
    }

    /// Deletes the row and its counts; its memberships are somebody else's business.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: VersionId) -> QueryResult<()> {
        diesel::delete(repository_version::table.find(id))
            .execute(conn)
            .await?;
        Ok(())
    }
}
