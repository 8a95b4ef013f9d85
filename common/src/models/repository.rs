//! Repositories of all types.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, RemoteId, RepositoryId};
use crate::schema::repository;
use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// A repository.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = repository)]
#[expect(missing_docs, reason = "the contract describes the columns (1.6)")]
pub struct Repository {
    pub pulp_id: RepositoryId,
    #[diesel(skip_insertion)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(skip_insertion)]
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub name: String,
    pub description: Option<String>,
    pub pulp_labels: Value,
    pub next_version: i32,
    pub retain_repo_versions: Option<i32>,
    pub retain_checkpoints: Option<i32>,
    pub user_hidden: bool,
    pub autopublish: bool,
    pub manifest: Option<String>,
    pub last_sync_details: Value,
    pub remote: Option<RemoteId>,
}

/// New values of a repository; `None` leaves a column as it is.
#[derive(Clone, Debug, Default, PartialEq, AsChangeset)]
#[diesel(table_name = repository)]
#[expect(missing_docs, reason = "the contract describes the columns (1.6)")]
pub struct RepositoryChange {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub pulp_labels: Option<Value>,
    pub retain_repo_versions: Option<Option<i32>>,
    pub retain_checkpoints: Option<Option<i32>>,
    pub autopublish: Option<bool>,
    pub manifest: Option<Option<String>>,
    pub remote: Option<Option<RemoteId>>,
}

impl Repository {
    /// Inserts the row; a name that the domain has already is a unique violation.
    ///
    /// # Errors
    /// As the session.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<()> {
        diesel::insert_into(repository::table)
            .values(self)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The repository with this id. A term on the domain would offer an index of domains to a plan that is kept from
    /// when there were few repositories; so with [`Repository::lock`].
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        mut conn: &Conn,
        domain: DomainId,
        id: RepositoryId,
    ) -> QueryResult<Option<Self>> {
        let found: Option<Self> = repository::table
            .find(id)
            .select(Self::as_select())
            .first(&mut conn)
            .await
            .optional()?;
        Ok(found.filter(|row| row.pulp_domain == domain))
    }

    /// A page of repositories.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<repository::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, repository::table, Self, selection)
    }

    /// The same, locked until the transaction ends: its versions are made and deleted by one at a time.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        conn: &mut Conn,
        domain: DomainId,
        id: RepositoryId,
    ) -> QueryResult<Option<Self>> {
        let found: Option<Self> = repository::table
            .find(id)
            .select(Self::as_select())
            .for_no_key_update()
            .first(conn)
            .await
            .optional()?;
        Ok(found.filter(|row| row.pulp_domain == domain))
    }

    /// All repositories of a domain, with their types.
    ///
    /// # Errors
    /// As the session.
    pub async fn all(
        conn: &mut Conn,
        domain: DomainId,
    ) -> QueryResult<Vec<(RepositoryId, String)>> {
        repository::table
            .filter(repository::pulp_domain.eq(domain))
            .order(repository::pulp_id)
            .select((repository::pulp_id, repository::pulp_type))
            .load(conn)
            .await
    }

    /// The types of these repositories.
    ///
    /// # Errors
    /// As the session.
    pub async fn types(
        conn: &mut Conn,
        ids: &[RepositoryId],
    ) -> QueryResult<Vec<(RepositoryId, String)>> {
        repository::table
            .filter(repository::pulp_id.eq_any(ids))
            .select((repository::pulp_id, repository::pulp_type))
            .load(conn)
            .await
    }

    /// True where another repository of the domain has this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn name_taken(
        conn: &mut Conn,
        domain: DomainId,
        name: &str,
        but: Option<RepositoryId>,
    ) -> QueryResult<bool> {
        let holder: Option<RepositoryId> = repository::table
            .filter(repository::pulp_domain.eq(domain))
            .filter(repository::name.eq(name))
            .select(repository::pulp_id)
            .first(conn)
            .await
            .optional()?;
        Ok(holder.is_some_and(|id| Some(id) != but))
    }

    /// Writes new values; gives the row as it is then.
    ///
    /// # Errors
    /// As the session; [`diesel::result::Error::NotFound`] when it is gone.
    pub async fn change(
        conn: &mut Conn,
        id: RepositoryId,
        change: &RepositoryChange,
    ) -> QueryResult<Self> {
        diesel::update(repository::table.find(id))
            .set((change, repository::pulp_last_updated.eq(now)))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Notes what the last synchronisation did (contract 3.7).
    ///
    /// # Errors
    /// As the session.
    pub async fn note_sync(conn: &mut Conn, id: RepositoryId, details: &Value) -> QueryResult<()> {
        diesel::update(repository::table.find(id))
            .set((
                repository::last_sync_details.eq(details),
                repository::pulp_last_updated.eq(now),
            ))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Deletes it with its versions; its memberships become debris. False: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, domain: DomainId, id: RepositoryId) -> QueryResult<bool> {
        let gone = diesel::delete(
            repository::table
                .find(id)
                .filter(repository::pulp_domain.eq(domain)),
        )
        .execute(conn)
        .await?;
        Ok(gone == 1)
    }
}
