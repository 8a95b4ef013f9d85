//! Units that nothing needs.

use super::content::{PUBLISHED_METADATA, is_unneeded};
use super::plan::{Plan, go_in_order};
use crate::db::Conn;
use crate::ids::{ArtifactId, ContentId, DomainId};
use crate::schema::{content, content_artifact};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Which orphans: no list of units, however short, stands for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans<'a> {
    /// All.
    All,
    /// Those whose rows have this type.
    Type(&'a str),
    /// Those among these units.
    Units(&'a [ContentId]),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: ContentId,
}

impl Orphans<'_> {
    /// How many units of these nothing needs ([`Orphans::lock`]) and were last of interest before this
    /// moment.
    ///
    /// # Errors
    /// As the session.
    pub async fn count(
        self,
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
    ) -> QueryResult<i64> {
        let mut query = content::table
            .filter(content::pulp_domain.eq(domain))
            .filter(content::timestamp_of_interest.lt(before))
            .filter(content::pulp_type.ne(PUBLISHED_METADATA))
            .filter(is_unneeded())
            .count()
            .into_boxed();
        match self {
            Self::All => {}
            Self::Type(name) => query = query.filter(content::pulp_type.eq(name)),
            Self::Units(ids) => query = query.filter(content::pulp_id.eq_any(ids)),
        }
        query.get_result(conn).await
    }

    /// Locks the next orphans of these behind this id, in the order of ids: units that are in no version of any
    /// repository and that no incomplete task is going to use. What somebody else has locked is left
    /// out. Look again, with [`Orphans::delete`], before deleting. The plan is for all of them, or all of a type.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        self,
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        behind: ContentId,
        limit: i64,
        plan: Plan,
    ) -> QueryResult<Vec<ContentId>> {
        let any = content::table
            .filter(content::pulp_domain.eq(domain))
            .filter(content::timestamp_of_interest.lt(before))
            .filter(content::pulp_type.ne(PUBLISHED_METADATA))
            .filter(content::pulp_id.gt(behind))
            .filter(is_unneeded())
            .order(content::pulp_id)
            .limit(limit)
            .select(content::pulp_id)
            .for_update()
            .skip_locked();
        let of_type = match (self, plan) {
            (Self::Units(ids), _) => {
                return any.filter(content::pulp_id.eq_any(ids)).load(conn).await;
            }
            (Self::All, Plan::Chosen) => return any.load(conn).await,
            (Self::Type(name), Plan::Chosen) => {
                return any.filter(content::pulp_type.eq(name)).load(conn).await;
            }
            (Self::All, Plan::InOrder) => None,
            (Self::Type(name), Plan::InOrder) => Some(name),
        };
        go_in_order(conn).await?;
        let found: Vec<Row> = sql_query(include_str!("orphans_lock.sql"))
            .bind::<SqlUuid, _>(domain)
            .bind::<Timestamptz, _>(before)
            .bind::<SqlUuid, _>(behind)
            .bind::<BigInt, _>(limit)
            .bind::<Nullable<Text>, _>(of_type)
            .load(conn)
            .await?;
        Ok(found.into_iter().map(|row| row.pulp_id).collect())
    }

    /// Deletes those of the given units that are orphans still; gives how many of each type.
    ///
    /// # Errors
    /// A foreign key violation where a row that this query does not know of uses one of them.
    pub async fn delete(
        conn: &mut Conn,
        ids: &[ContentId],
        before: DateTime<Utc>,
    ) -> QueryResult<BTreeMap<String, i64>> {
        let deleted: Vec<String> = diesel::delete(
            content::table
                .filter(content::pulp_id.eq_any(ids))
                .filter(content::timestamp_of_interest.lt(before))
                .filter(is_unneeded()),
        )
        .returning(content::pulp_type)
        .get_results(conn)
        .await?;
        let mut by_type = BTreeMap::new();
        for pulp_type in deleted {
            *by_type.entry(pulp_type).or_insert(0) += 1;
        }
        Ok(by_type)
    }

    /// The artifacts that these units have, each once.
    ///
    /// # Errors
    /// As the session.
    pub async fn artifacts(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<Vec<ArtifactId>> {
        content_artifact::table
            .filter(content_artifact::content_id.eq_any(ids))
            .filter(content_artifact::artifact_id.is_not_null())
            .select(content_artifact::artifact_id.assume_not_null())
            .distinct()
            .load(conn)
            .await
    }

    /// Those of these units, each with the type that its row should have, that exist.
    ///
    /// # Errors
    /// As the session.
    pub async fn named(
        conn: &mut Conn,
        domain: DomainId,
        names: &[(&str, Uuid)],
    ) -> QueryResult<Vec<ContentId>> {
        let (types, ids): (Vec<&str>, Vec<Uuid>) = names.iter().copied().unzip();
        let found: Vec<Row> = sql_query(
            "SELECT DISTINCT c.pulp_id FROM unnest($2, $3) n (id, type) JOIN content c ON c.pulp_id = n.id \
              WHERE c.pulp_domain = $1 AND c.pulp_type = n.type ORDER BY c.pulp_id",
        )
        .bind::<SqlUuid, _>(domain)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(types)
        .load(conn)
        .await?;
        Ok(found.into_iter().map(|row| row.pulp_id).collect())
    }
}
