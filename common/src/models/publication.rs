//! Publications of all types.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, PublicationId, VersionId};
use crate::schema::publication;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// A version made ready to be served.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = publication)]
#[expect(missing_docs, reason = "the contract describes the columns (1.9)")]
pub struct Publication {
    pub pulp_id: PublicationId,
    #[diesel(skip_insertion)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(skip_insertion)]
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub repository_version_id: VersionId,
    pub pass_through: bool,
    pub checkpoint: bool,
    pub manifest: Option<String>,
}

impl Publication {
    /// Inserts the row; gives it as it is then.
    ///
    /// # Errors
    /// A foreign key violation when the version has just been deleted.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<Self> {
        diesel::insert_into(publication::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// The publication with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: PublicationId,
    ) -> QueryResult<Option<Self>> {
        publication::table
            .find(id)
            .filter(publication::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// Keeps a publication from being deleted until the transaction ends. False: it is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn keep(conn: &mut Conn, id: PublicationId) -> QueryResult<bool> {
        let found: Option<PublicationId> = publication::table
            .find(id)
            .select(publication::pulp_id)
            .for_key_share()
            .first(conn)
            .await
            .optional()?;
        Ok(found.is_some())
    }

    /// A page of publications.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<publication::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, publication::table, Self, selection)
    }

    /// Deletes all publications of a version.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete_of_version(conn: &mut Conn, version: VersionId) -> QueryResult<usize> {
        diesel::delete(publication::table.filter(publication::repository_version_id.eq(version)))
            .execute(conn)
            .await
    }

    /// Deletes it with its metadata; distributions lose it. False: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, domain: DomainId, id: PublicationId) -> QueryResult<bool> {
        let gone = diesel::delete(
            publication::table
                .find(id)
                .filter(publication::pulp_domain.eq(domain)),
        )
        .execute(conn)
        .await?;
        Ok(gone == 1)
    }
}
