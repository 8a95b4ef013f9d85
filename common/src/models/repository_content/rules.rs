//! What a new version must not hold (contract 1.8). Each query looks at a batch of added units only.

use super::{IdRow, Membership, RepositoryContent, uuids};
use crate::db::{Conn, Prepare};
use crate::ids::{ContentId, RepositoryId};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// A path that is a file in one unit and a directory in another.
#[derive(Clone, Debug, QueryableByName)]
pub struct PathConflict {
    /// The path that is both.
    #[diesel(sql_type = Text)]
    pub directory: String,
    /// The path below it.
    #[diesel(sql_type = Text)]
    pub path: String,
}

impl RepositoryContent {
    /// Those added units whose key another unit that is there has too; with `later`, only those that sort
    /// behind such a one. Every unit that replaces another is among them.
    ///
    /// # Errors
    /// As the session.
    pub async fn rivals(
        mut conn: &Conn,
        repository: RepositoryId,
        added: &[ContentId],
        later: bool,
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(include_str!("rivals.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<Array<SqlUuid>, _>(uuids(added))
            .bind::<Bool, _>(later)
            .prepared()
            .load(&mut conn)
            .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// Units of `start` that an added unit replaces, because it has the same key.
    ///
    /// # Errors
    /// As the session.
    pub async fn replaced(
        conn: &mut Conn,
        repository: RepositoryId,
        start: Membership,
        added: &[ContentId],
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(include_str!("replaced.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<Array<SqlUuid>, _>(uuids(added))
            .bind::<SqlUuid, _>(start.repository)
            .bind::<Integer, _>(start.number)
            .prepared()
            .load(conn)
            .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// Paths of files that are directories of other files, where one of the two was added; some of
    /// them, if there are many.
    ///
    /// # Errors
    /// As the session.
    pub async fn path_conflicts(
        conn: &mut Conn,
        repository: RepositoryId,
        added: &[ContentId],
    ) -> QueryResult<Vec<PathConflict>> {
        sql_query(include_str!("path_conflicts.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<Array<SqlUuid>, _>(uuids(added))
            .prepared()
            .load(conn)
            .await
    }

    /// Paths of packages that are those of other packages or directories of theirs, where one of the two was
    /// added; some of them, if there are many.
    ///
    /// # Errors
    /// As the session.
    pub async fn package_path_conflicts(
        conn: &mut Conn,
        repository: RepositoryId,
        added: &[ContentId],
    ) -> QueryResult<Vec<PathConflict>> {
        sql_query(include_str!("package_path_conflicts.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<Array<SqlUuid>, _>(uuids(added))
            .prepared()
            .load(conn)
            .await
    }

    /// Pairs of an incoming unit and the unit of `start` that it would replace, which is not about to
    /// be removed.
    ///
    /// # Errors
    /// As the session.
    pub async fn overwrites(
        conn: &mut Conn,
        start: Membership,
        incoming: &[ContentId],
        removing: &[ContentId],
    ) -> QueryResult<Vec<Overwrite>> {
        sql_query(include_str!("overwrites.sql"))
            .bind::<SqlUuid, _>(start.repository)
            .bind::<Integer, _>(start.number)
            .bind::<Array<SqlUuid>, _>(uuids(incoming))
            .bind::<Array<SqlUuid>, _>(uuids(removing))
            .prepared()
            .load(conn)
            .await
    }
}

/// An incoming unit and the one that it would replace.
#[derive(Clone, Debug, QueryableByName)]
pub struct Overwrite {
    /// Their type.
    #[diesel(sql_type = Text)]
    pub pulp_type: String,
    /// The incoming unit.
    #[diesel(sql_type = SqlUuid)]
    pub incoming: ContentId,
    /// The unit that is there.
    #[diesel(sql_type = SqlUuid)]
    pub existing: ContentId,
}
