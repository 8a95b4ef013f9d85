//! Pieces of files that come in pieces.

use crate::db::Conn;
use crate::ids::{TaskId, UploadId};
use crate::schema::upload_chunk;
use crate::storage::StorageKey;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::fmt;

use super::{Tombstone, Upload};

/// A piece that has come: its whole file is in the store. Pieces of an upload do not overlap, but for one
/// that is the whole file: the others are leftovers then, of which it was made.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = upload_chunk)]
#[expect(missing_docs, reason = "the contract describes the columns (1.12)")]
pub struct UploadChunk {
    pub offset: i64,
    pub size: i64,
    pub storage_key: StorageKey,
}

/// Bytes of an upload, from the first to the one behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
#[expect(missing_docs, reason = "a range")]
pub struct Span {
    #[diesel(sql_type = BigInt)]
    pub start: i64,
    #[diesel(sql_type = BigInt)]
    pub end: i64,
}

impl fmt::Display for Span {
    /// As HTTP writes ranges: from the first byte to the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end - 1)
    }
}

impl UploadChunk {
    /// Where the pieces lie, in order.
    ///
    /// # Errors
    /// As the session.
    pub async fn spans(conn: &mut Conn, upload: UploadId) -> QueryResult<Vec<(i64, i64)>> {
        upload_chunk::table
            .filter(upload_chunk::upload_id.eq(upload))
            .order(upload_chunk::offset)
            .select((upload_chunk::offset, upload_chunk::size))
            .load(conn)
            .await
    }

    /// The next pieces from this offset on, in order.
    ///
    /// # Errors
    /// As the session.
    pub async fn from_offset(
        conn: &mut Conn,
        upload: UploadId,
        offset: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        upload_chunk::table
            .filter(upload_chunk::upload_id.eq(upload))
            .filter(upload_chunk::offset.ge(offset))
            .order(upload_chunk::offset)
            .limit(limit)
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// The piece that is the whole file, if there is one.
    ///
    /// # Errors
    /// As the session.
    pub async fn whole(conn: &mut Conn, upload: &Upload) -> QueryResult<Option<Self>> {
        upload_chunk::table
            .find((upload.pulp_id, 0))
            .filter(upload_chunk::size.eq(upload.size))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A piece at another offset that has bytes of this span.
    ///
    /// # Errors
    /// As the session.
    pub async fn overlapping(
        conn: &mut Conn,
        upload: UploadId,
        span: Span,
    ) -> QueryResult<Option<Span>> {
        sql_query(include_str!("upload_chunk_overlapping.sql"))
            .bind::<SqlUuid, _>(upload)
            .bind::<BigInt, _>(span.start)
            .bind::<BigInt, _>(span.end)
            .get_result(conn)
            .await
            .optional()
    }

    /// The first of the bytes that no piece has.
    ///
    /// # Errors
    /// As the session.
    pub async fn gaps(conn: &mut Conn, upload: &Upload, limit: i64) -> QueryResult<Vec<Span>> {
        sql_query(include_str!("upload_chunk_gaps.sql"))
            .bind::<SqlUuid, _>(upload.pulp_id)
            .bind::<BigInt, _>(upload.size)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await
    }

    /// Puts a piece in its place; one that was there is buried, and given, to be unlinked after the commit.
    /// Lock the upload before.
    ///
    /// # Errors
    /// As the session.
    pub async fn put(
        conn: &mut Conn,
        upload: UploadId,
        piece: &Self,
    ) -> QueryResult<Option<Tombstone>> {
        let replaced: Option<(StorageKey, i64)> =
            diesel::delete(upload_chunk::table.find((upload, piece.offset)))
                .returning((upload_chunk::storage_key, upload_chunk::size))
                .get_result(conn)
                .await
                .optional()?;
        diesel::insert_into(upload_chunk::table)
            .values((
                upload_chunk::upload_id.eq(upload),
                upload_chunk::offset.eq(piece.offset),
                upload_chunk::size.eq(piece.size),
                upload_chunk::storage_key.eq(&piece.storage_key),
            ))
            .execute(conn)
            .await?;
        let buried = replaced.map(tombstone);
        if let Some(tombstone) = &buried {
            Tombstone::bury_all(conn, std::slice::from_ref(tombstone), None).await?;
        }
        Ok(buried)
    }

    /// Takes a piece out and leaves its file to the caller, who makes a row for it in this transaction.
    /// Lock the upload before.
    ///
    /// # Errors
    /// As the session.
    pub async fn take(
        conn: &mut Conn,
        upload: UploadId,
        offset: i64,
    ) -> QueryResult<Option<StorageKey>> {
        diesel::delete(upload_chunk::table.find((upload, offset)))
            .returning(upload_chunk::storage_key)
            .get_result(conn)
            .await
            .optional()
    }

    /// Deletes the first pieces from this offset on and buries their files, in the name of a task, if one is given; unlink
    /// them after the commit. Lock the upload before.
    ///
    /// # Errors
    /// As the session.
    pub async fn bury(
        conn: &mut Conn,
        upload: UploadId,
        offset: i64,
        limit: i64,
        by: Option<TaskId>,
    ) -> QueryResult<Vec<Tombstone>> {
        let pieces = Self::from_offset(conn, upload, offset, limit).await?;
        let offsets: Vec<i64> = pieces.iter().map(|piece| piece.offset).collect();
        diesel::delete(
            upload_chunk::table
                .filter(upload_chunk::upload_id.eq(upload))
                .filter(upload_chunk::offset.eq_any(offsets)),
        )
        .execute(conn)
        .await?;
        let buried: Vec<Tombstone> = pieces
            .into_iter()
            .map(|piece| tombstone((piece.storage_key, piece.size)))
            .collect();
        Tombstone::bury_all(conn, &buried, by).await?;
        Ok(buried)
    }
}

fn tombstone((storage_key, size): (StorageKey, i64)) -> Tombstone {
    Tombstone::of(storage_key, Some(size))
}
