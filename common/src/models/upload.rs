//! Files that come in pieces.

use crate::db::Conn;
use crate::ids::{DomainId, UploadId};
use crate::prn::Prn;
use crate::schema::{reservation, upload};
use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::selection::{Page, Selection};

/// A file of which some pieces may have come. Its pieces are in `upload_chunk`.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = upload)]
#[expect(missing_docs, reason = "the contract describes the columns (1.12)")]
pub struct Upload {
    pub pulp_id: UploadId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub size: i64,
}

impl Upload {
    /// Begins an upload of so many bytes.
    ///
    /// # Errors
    /// As the session.
    pub async fn create(conn: &mut Conn, domain: DomainId, size: i64) -> QueryResult<Self> {
        diesel::insert_into(upload::table)
            .values((
                upload::pulp_id.eq(UploadId::new()),
                upload::pulp_domain.eq(domain),
                upload::size.eq(size),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// The upload with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: UploadId,
    ) -> QueryResult<Option<Self>> {
        upload::table
            .find(id)
            .filter(upload::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of uploads.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<upload::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, upload::table, Self, selection)
    }

    /// The same, locked until the transaction ends: whoever changes the pieces, takes them over or deletes
    /// them holds this lock.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        conn: &mut Conn,
        domain: DomainId,
        id: UploadId,
    ) -> QueryResult<Option<Self>> {
        upload::table
            .find(id)
            .filter(upload::pulp_domain.eq(domain))
            .select(Self::as_select())
            .for_update()
            .first(conn)
            .await
            .optional()
    }

    /// True where an incomplete task reserves the upload: nobody else may change it then. Lock the upload
    /// before: a task that looks at the pieces has waited for that lock.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_reserved(conn: &mut Conn, id: UploadId) -> QueryResult<bool> {
        let name = Prn::from(id).to_string();
        diesel::select(exists(
            reservation::table.filter(reservation::resource.eq(name)),
        ))
        .get_result(conn)
        .await
    }

    /// How many uploads nothing came for since this moment.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_stale(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
    ) -> QueryResult<i64> {
        upload::table
            .filter(upload::pulp_domain.eq(domain))
            .filter(upload::pulp_last_updated.lt(before))
            .count()
            .get_result(conn)
            .await
    }

    /// The next of them behind this id, in the order of ids. Lock one, and look again, before changing it.
    ///
    /// # Errors
    /// As the session.
    pub async fn stale(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        behind: UploadId,
        limit: i64,
    ) -> QueryResult<Vec<UploadId>> {
        upload::table
            .filter(upload::pulp_domain.eq(domain))
            .filter(upload::pulp_last_updated.lt(before))
            .filter(upload::pulp_id.gt(behind))
            .order(upload::pulp_id)
            .limit(limit)
            .select(upload::pulp_id)
            .load(conn)
            .await
    }

    /// Notes that the pieces have changed; gives the upload as it is then.
    ///
    /// # Errors
    /// As the session.
    pub async fn touch(conn: &mut Conn, id: UploadId) -> QueryResult<Self> {
        diesel::update(upload::table.find(id))
            .set(upload::pulp_last_updated.eq(dsl::now))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes an upload that has no pieces any more.
    ///
    /// # Errors
    /// As the session; a foreign key violation where it has pieces.
    pub async fn delete(conn: &mut Conn, id: UploadId) -> QueryResult<()> {
        diesel::delete(upload::table.find(id)).execute(conn).await?;
        Ok(())
    }
}
