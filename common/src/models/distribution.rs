//! Distributions of all types.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DistributionId, DomainId, PublicationId, RepositoryId, VersionId};
use crate::schema::{distribution, domain};
use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// What is served under a path.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = distribution)]
#[expect(missing_docs, reason = "the contract describes the columns (1.10)")]
pub struct Distribution {
    pub pulp_id: DistributionId,
    #[diesel(skip_insertion)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(skip_insertion)]
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub name: String,
    pub base_path: String,
    pub pulp_labels: Value,
    pub hidden: bool,
    pub publication_id: Option<PublicationId>,
    pub repository_version_id: Option<VersionId>,
    pub repository_id: Option<RepositoryId>,
    pub checkpoint: bool,
}

/// New values of a distribution; `None` leaves a column as it is.
#[derive(Clone, Debug, Default, PartialEq, AsChangeset)]
#[diesel(table_name = distribution)]
#[expect(missing_docs, reason = "the contract describes the columns (1.10)")]
pub struct DistributionChange {
    pub name: Option<String>,
    pub base_path: Option<String>,
    pub pulp_labels: Option<Value>,
    pub hidden: Option<bool>,
    pub publication_id: Option<Option<PublicationId>>,
    pub repository_version_id: Option<Option<VersionId>>,
    pub repository_id: Option<Option<RepositoryId>>,
    pub checkpoint: Option<bool>,
}

/// A distribution whose base path lies above or below another one.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct InTheWay {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub id: DistributionId,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its base path.
    #[diesel(sql_type = Text)]
    pub base_path: String,
}

/// The paths above this one, and it: `a/b` gives `a` and `a/b`.
#[must_use]
pub fn prefixes(path: &str) -> Vec<&str> {
    path.match_indices('/')
        .filter_map(|(at, _)| path.get(..at))
        .chain([path])
        .collect()
}

impl Distribution {
    /// Inserts the row; gives it as it is then.
    ///
    /// # Errors
    /// A unique violation on its name or its base path; a foreign key violation when what it serves
    /// has just been deleted.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<Self> {
        diesel::insert_into(distribution::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// The distribution with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: DistributionId,
    ) -> QueryResult<Option<Self>> {
        distribution::table
            .find(id)
            .filter(distribution::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of distributions.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<distribution::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, distribution::table, Self, selection)
    }

    /// True where another distribution of the domain has this name.
    ///
    /// # Errors
    /// As the session.
    pub async fn name_taken(
        conn: &mut Conn,
        domain: DomainId,
        name: &str,
        but: Option<DistributionId>,
    ) -> QueryResult<bool> {
        let holder: Option<DistributionId> = distribution::table
            .filter(distribution::pulp_domain.eq(domain))
            .filter(distribution::name.eq(name))
            .select(distribution::pulp_id)
            .first(conn)
            .await
            .optional()?;
        Ok(holder.is_some_and(|id| Some(id) != but))
    }

    /// Keeps others from writing a base path of the domain until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_base_paths(conn: &mut Conn, domain: DomainId) -> QueryResult<()> {
        domain::table
            .find(domain)
            .select(domain::pulp_id)
            .for_no_key_update()
            .first::<DomainId>(conn)
            .await?;
        Ok(())
    }

    /// Name and base path of another distribution whose base path is this one, above it or below it.
    /// Paths below sort between `<path>/` and `<path>0`, the character after the slash.
    ///
    /// # Errors
    /// As the session.
    pub async fn overlapping(
        conn: &mut Conn,
        domain: DomainId,
        base_path: &str,
        but: Option<DistributionId>,
    ) -> QueryResult<Option<InTheWay>> {
        sql_query(
            "(SELECT pulp_id AS id, name, base_path FROM distribution WHERE pulp_domain = $1 \
                AND base_path COLLATE \"C\" = ANY ($2) AND pulp_id IS DISTINCT FROM $4 LIMIT 1) \
             UNION ALL \
             (SELECT pulp_id AS id, name, base_path FROM distribution WHERE pulp_domain = $1 \
                AND base_path COLLATE \"C\" > $3 || '/' AND base_path COLLATE \"C\" < $3 || '0' \
                AND pulp_id IS DISTINCT FROM $4 LIMIT 1) LIMIT 1",
        )
        .bind::<SqlUuid, _>(domain)
        .bind::<Array<Text>, _>(prefixes(base_path))
        .bind::<Text, _>(base_path)
        .bind::<Nullable<SqlUuid>, _>(but)
        .get_result(conn)
        .await
        .optional()
    }

    /// The distributions that name one of these publications, the newest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn of_publications(
        conn: &mut Conn,
        publications: &[PublicationId],
    ) -> QueryResult<Vec<(PublicationId, DistributionId, String)>> {
        distribution::table
            .filter(distribution::publication_id.eq_any(publications))
            .order((
                distribution::pulp_created.desc(),
                distribution::pulp_id.desc(),
            ))
            .select((
                distribution::publication_id.assume_not_null(),
                distribution::pulp_id,
                distribution::pulp_type,
            ))
            .load(conn)
            .await
    }

    /// Writes new values; gives the row as it is then.
    ///
    /// # Errors
    /// As [`Distribution::insert`]; [`diesel::result::Error::NotFound`] when it is gone.
    pub async fn change(
        conn: &mut Conn,
        id: DistributionId,
        change: &DistributionChange,
    ) -> QueryResult<Self> {
        diesel::update(distribution::table.find(id))
            .set((change, distribution::pulp_last_updated.eq(now)))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes it. False: it was gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(
        conn: &mut Conn,
        domain: DomainId,
        id: DistributionId,
    ) -> QueryResult<bool> {
        let gone = diesel::delete(
            distribution::table
                .find(id)
                .filter(distribution::pulp_domain.eq(domain)),
        )
        .execute(conn)
        .await?;
        Ok(gone == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefixes_of_a_path_are_those_at_its_slashes() {
        assert_eq!(prefixes("a"), ["a"]);
        assert_eq!(prefixes("a/b/c"), ["a", "a/b", "a/b/c"]);
    }
}
