//! What would go, and how much room that makes: counts by content type, without changing anything.

use crate::db::Conn;
use crate::ids::{ContentId, DomainId};
use crate::models::Reclaim;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Units of one type that would go (or lose their files), with the artifacts that would go for that. The row
/// without a type counts everything once: artifacts of several types, or of no unit at all, too.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Disposable {
    /// The type; `None` for all of them together.
    #[diesel(sql_type = Nullable<Text>)]
    pub pulp_type: Option<String>,
    /// Units.
    #[diesel(sql_type = BigInt)]
    pub units: i64,
    /// Artifacts that nothing else needs.
    #[diesel(sql_type = BigInt)]
    pub artifacts: i64,
    /// Their bytes.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
}

/// What orphan clean-up would take in its first pass: of the given units only, where some are given.
///
/// # Errors
/// As the session.
pub async fn orphans(
    conn: &mut Conn,
    domain: DomainId,
    before: DateTime<Utc>,
    only: Option<&[ContentId]>,
) -> QueryResult<Vec<Disposable>> {
    let only: Option<Vec<Uuid>> = only.map(|ids| ids.iter().map(|id| id.0).collect());
    sql_query(include_str!("disposable_orphans.sql"))
        .bind::<SqlUuid, _>(domain)
        .bind::<Timestamptz, _>(before)
        .bind::<Nullable<Array<SqlUuid>>, _>(only)
        .load(conn)
        .await
}

/// What reclaim would take.
///
/// # Errors
/// As the session.
pub async fn reclaimable(conn: &mut Conn, reclaim: &Reclaim) -> QueryResult<Vec<Disposable>> {
    let (kept, numbers) = reclaim.kept();
    sql_query(include_str!("disposable_reclaim.sql"))
        .bind::<SqlUuid, _>(reclaim.domain)
        .bind::<Array<SqlUuid>, _>(reclaim.repositories())
        .bind::<Array<Text>, _>(&reclaim.types)
        .bind::<Array<SqlUuid>, _>(kept)
        .bind::<Array<Integer>, _>(numbers)
        .bind::<Bool, _>(reclaim.force)
        .load(conn)
        .await
}
