//! Where versions and publications are exported to.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, ExporterId};
use crate::schema::exporter;
use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// A directory that content is exported to, and how.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = exporter)]
#[expect(missing_docs, reason = "the contract describes the columns (1.11)")]
pub struct Exporter {
    pub pulp_id: ExporterId,
    #[diesel(skip_insertion)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(skip_insertion)]
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub name: String,
    pub path: String,
    pub method: String,
}

/// New values of an exporter; `None` leaves a column as it is.
#[derive(Clone, Debug, Default, PartialEq, AsChangeset)]
#[diesel(table_name = exporter)]
#[expect(missing_docs, reason = "the contract describes the columns (1.11)")]
pub struct ExporterChange {
    pub name: Option<String>,
    pub path: Option<String>,
    pub method: Option<String>,
}

impl Exporter {
    /// Inserts the row; a name that the domain has already is a unique violation.
    ///
    /// # Errors
    /// As the session.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<()> {
        diesel::insert_into(exporter::table)
            .values(self)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The exporter with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: ExporterId,
    ) -> QueryResult<Option<Self>> {
        exporter::table
            .find(id)
            .filter(exporter::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The same, locked until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        conn: &mut Conn,
        domain: DomainId,
        id: ExporterId,
    ) -> QueryResult<Option<Self>> {
        exporter::table
            .find(id)
            .filter(exporter::pulp_domain.eq(domain))
            .select(Self::as_select())
            .for_no_key_update()
            .first(conn)
            .await
            .optional()
    }

    /// A page of exporters.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<exporter::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, exporter::table, Self, selection)
    }

    /// True where another exporter of the domain has this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn name_taken(
        conn: &mut Conn,
        domain: DomainId,
        name: &str,
        but: Option<ExporterId>,
    ) -> QueryResult<bool> {
        let holder: Option<ExporterId> = exporter::table
            .filter(exporter::pulp_domain.eq(domain))
            .filter(exporter::name.eq(name))
            .select(exporter::pulp_id)
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
        id: ExporterId,
        change: &ExporterChange,
    ) -> QueryResult<Self> {
        diesel::update(exporter::table.find(id))
            .set((change, exporter::pulp_last_updated.eq(now)))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes it with the rows of its exports; no file is touched. False: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, domain: DomainId, id: ExporterId) -> QueryResult<bool> {
        let mine = exporter::table
            .find(id)
            .filter(exporter::pulp_domain.eq(domain));
        Ok(diesel::delete(mine).execute(conn).await? == 1)
    }
}
