//! Making versions visible; until then, or once they are taken away, nobody sees them.

use super::RepositoryVersion;
use crate::db::{Conn, Prepare};
use crate::ids::{ClaimId, RepositoryId, VersionId};
use crate::models::version_count::CountKind;
use crate::models::{Changes, Membership};
use crate::schema::repository_version;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

impl RepositoryVersion {
    /// Makes a complete version one that is being written by this run, so that nobody sees it any more.
    ///
    /// # Errors
    /// As the session.
    pub async fn hide(conn: &mut Conn, id: VersionId, claim: ClaimId) -> QueryResult<()> {
        diesel::update(repository_version::table.find(id))
            .set((
                repository_version::complete.eq(false),
                repository_version::claim_id.eq(claim),
            ))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The version with this id, where it is not complete.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_incomplete(conn: &mut Conn, id: VersionId) -> QueryResult<Option<Self>> {
        repository_version::table
            .find(id)
            .filter(diesel::dsl::not(repository_version::complete))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The version of a repository that is being written, locked until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_incomplete(
        conn: &mut Conn,
        repository: RepositoryId,
    ) -> QueryResult<Option<Self>> {
        repository_version::table
            .filter(repository_version::repository_id.eq(repository))
            .filter(diesel::dsl::not(repository_version::complete))
            .select(Self::as_select())
            .for_update()
            .first(conn)
            .await
            .optional()
    }

    /// A version that a run left unfinished that is no more, locked until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_abandoned(conn: &mut Conn) -> QueryResult<Option<Self>> {
        sql_query(
            "SELECT v.* FROM repository_version v \
              WHERE NOT v.complete AND NOT EXISTS (SELECT FROM task t \
                    WHERE t.claim_id = v.claim_id AND t.state IN ('running', 'canceling')) \
              LIMIT 1 FOR UPDATE OF v SKIP LOCKED",
        )
        .get_result(conn)
        .await
        .optional()
    }

    /// Makes a version visible: it is the newest of its repository then, takes its number, and has its counts.
    /// `previous`: the one that it changes. False: it is not that run's any more.
    ///
    /// # Errors
    /// As the session.
    pub async fn complete(
        conn: &mut Conn,
        id: VersionId,
        claim: ClaimId,
        previous: Option<VersionId>,
        changes: &Changes,
    ) -> QueryResult<bool> {
        let (kinds, (types, counts)) = columns(changes);
        let statement = concat!(include_str!("complete.sql"), include_str!("count_done.sql"));
        let done = sql_query(statement)
            .bind::<Nullable<SqlUuid>, _>(previous)
            .bind::<Array<Text>, _>(kinds)
            .bind::<Array<Text>, _>(types)
            .bind::<Array<BigInt>, _>(counts)
            .bind::<SqlUuid, _>(id)
            .bind::<SqlUuid, _>(claim)
            .prepared()
            .execute(conn)
            .await?;
        Ok(done == 1)
    }

    /// Inserts a version that is visible from the commit on: the newest of its repository, with its number and counts.
    /// `previous`: the one that it changes. Locks the repository, and says whether that is hidden from users; `None`: it is
    /// not there, or its next version has another number.
    ///
    /// # Errors
    /// A unique violation where an incomplete version has the number.
    pub async fn insert_complete(
        conn: &mut Conn,
        id: VersionId,
        place: Membership,
        previous: Option<VersionId>,
        changes: &Changes,
    ) -> QueryResult<Option<bool>> {
        #[derive(QueryableByName)]
        struct Made {
            #[diesel(sql_type = Bool)]
            user_hidden: bool,
        }
        let (kinds, (types, counts)) = columns(changes);
        let statement = concat!(
            include_str!("insert_complete.sql"),
            include_str!("count_done.sql"),
            " RETURNING repository.user_hidden"
        );
        let made: Option<Made> = sql_query(statement)
            .bind::<Nullable<SqlUuid>, _>(previous)
            .bind::<Array<Text>, _>(kinds)
            .bind::<Array<Text>, _>(types)
            .bind::<Array<BigInt>, _>(counts)
            .bind::<SqlUuid, _>(id)
            .bind::<SqlUuid, _>(place.repository)
            .bind::<Integer, _>(place.number)
            .prepared()
            .get_result(conn)
            .await
            .optional()?;
        Ok(made.map(|made| made.user_hidden))
    }
}

/// Kinds, types and numbers of units.
type Columns<'a> = (Vec<&'a str>, (Vec<&'a str>, Vec<i64>));

fn columns(changes: &Changes) -> Columns<'_> {
    let kinds = [
        (CountKind::Added, &changes.added),
        (CountKind::Removed, &changes.removed),
    ];
    let rows = kinds.into_iter().flat_map(|(kind, counts)| {
        counts
            .iter()
            .map(move |(name, count)| (kind.as_str(), (name.as_str(), *count)))
    });
    rows.unzip()
}
