//! Which units are in which versions: intervals of version numbers.
//!
//! A unit is in version n when `version_added <= n` and `version_removed` is null or greater than n.
//! A version that is being written has the highest number of its repository, so what it holds are the
//! open intervals, and nobody else can see what is written under its number.

mod newest;
mod rules;

pub use rules::{Overwrite, PathConflict};

use crate::db::{Conn, Prepare};
use crate::ids::{ContentId, DomainId, RepositoryId};
use crate::models::version_count::Counts;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// The queries on memberships. Those on a batch of units look at an index once a unit: a subquery with
/// `LIMIT` leaves the planner no other way, whatever the statistics say of tables that grow within
/// minutes. Places of rows (`ctid`) hold because whoever writes memberships holds the repository.
pub struct RepositoryContent;

/// The units of one version: a repository and a number. Number -1 holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The repository.
    pub repository: RepositoryId,
    /// The number of its version.
    pub number: i32,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    content_id: ContentId,
}

/// What a version changes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Units that the version before lacks.
    pub added: Counts,
    /// Units of the version before that it lacks.
    pub removed: Counts,
}

impl Changes {
    fn of(rows: Vec<CountRow>) -> Self {
        let mut changes = Self::default();
        for row in rows {
            let counts = if row.removed {
                &mut changes.removed
            } else {
                &mut changes.added
            };
            counts.insert(row.pulp_type, row.count);
        }
        changes
    }

    /// Of a version that only adds.
    #[must_use]
    pub fn additions(kinds: Vec<AddedKind>) -> Self {
        let added = kinds.into_iter().filter(|kind| kind.added > 0);
        Self {
            added: added.map(|kind| (kind.pulp_type, kind.added)).collect(),
            removed: Counts::new(),
        }
    }

    /// True where it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Units that were named, of one domain and type.
#[derive(Clone, Debug, QueryableByName)]
pub struct AddedKind {
    /// Their domain.
    #[diesel(sql_type = SqlUuid)]
    pub pulp_domain: DomainId,
    /// Their type.
    #[diesel(sql_type = Text)]
    pub pulp_type: String,
    /// How many of them were added.
    #[diesel(sql_type = BigInt)]
    pub added: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Bool)]
    removed: bool,
    #[diesel(sql_type = Text)]
    pulp_type: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// In order, each once: rows are locked in that order, so two transactions do not lock crosswise.
fn uuids(ids: &[ContentId]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl RepositoryContent {
    /// Adds units to the version that is being written; those that it holds already are ignored, as
    /// are those that do not exist in the domain. A removal in the same version is undone. The caller
    /// answers for their types: a repository holds units of its own.
    ///
    /// # Errors
    /// As the session.
    pub async fn add(
        conn: &mut Conn,
        version: Membership,
        domain: DomainId,
        units: &[ContentId],
    ) -> QueryResult<usize> {
        let undone = sql_query(
            "UPDATE repository_content SET version_removed = NULL WHERE ctid = ANY (ARRAY \
               (SELECT m.ctid FROM unnest($3) u (id) CROSS JOIN LATERAL \
                  (SELECT ctid FROM repository_content WHERE repository_id = $1 \
                      AND content_id = u.id AND version_removed = $2 LIMIT 1) m))",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<Array<SqlUuid>, _>(uuids(units))
        .prepared()
        .execute(conn)
        .await?;
        let kinds = Self::add_first(conn, version, domain, units).await?;
        let added: i64 = kinds.iter().map(|kind| kind.added).sum();
        Ok(undone + usize::try_from(added).unwrap_or_default())
    }

    /// The same for a version that has removed nothing so far. Gives the kinds of these units, be they added or not.
    ///
    /// # Errors
    /// As the session.
    pub async fn add_first(
        mut conn: &Conn,
        version: Membership,
        domain: DomainId,
        units: &[ContentId],
    ) -> QueryResult<Vec<AddedKind>> {
        sql_query(include_str!("add.sql"))
            .bind::<SqlUuid, _>(version.repository)
            .bind::<Integer, _>(version.number)
            .bind::<Array<SqlUuid>, _>(uuids(units))
            .bind::<SqlUuid, _>(domain)
            .prepared()
            .load(&mut conn)
            .await
    }

    /// Removes units from the version that is being written; those that it lacks are ignored.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove(
        conn: &mut Conn,
        version: Membership,
        units: &[ContentId],
    ) -> QueryResult<usize> {
        let taken_back = sql_query(
            "DELETE FROM repository_content WHERE ctid = ANY (ARRAY \
               (SELECT m.ctid FROM unnest($3) u (id) CROSS JOIN LATERAL \
                  (SELECT ctid FROM repository_content WHERE repository_id = $1 \
                      AND content_id = u.id AND version_added = $2 LIMIT 1) m))",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<Array<SqlUuid>, _>(uuids(units))
        .prepared()
        .execute(conn)
        .await?;
        let removed = sql_query(
            "UPDATE repository_content SET version_removed = $2 WHERE ctid = ANY (ARRAY \
               (SELECT m.ctid FROM unnest($3) u (id) CROSS JOIN LATERAL \
                  (SELECT ctid FROM repository_content WHERE repository_id = $1 \
                      AND content_id = u.id AND version_removed IS NULL LIMIT 1) m))",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<Array<SqlUuid>, _>(uuids(units))
        .prepared()
        .execute(conn)
        .await?;
        Ok(taken_back + removed)
    }

    /// The units behind this one that exactly this version added, in the order of ids.
    ///
    /// # Errors
    /// As the session.
    pub async fn added(
        conn: &mut Conn,
        version: Membership,
        behind: ContentId,
        limit: i64,
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(
            "SELECT content_id FROM repository_content WHERE repository_id = $1 \
                AND version_added = $2 AND content_id > $3 ORDER BY content_id LIMIT $4",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<SqlUuid, _>(behind)
        .bind::<BigInt, _>(limit)
        .prepared()
        .load(conn)
        .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// The units of a version behind this one, in the order of ids.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        version: Membership,
        behind: ContentId,
        limit: i64,
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(
            "SELECT content_id FROM repository_content \
              WHERE repository_id = $1 AND version_added <= $2 AND content_id > $3 \
                AND (version_removed IS NULL OR version_removed > $2) \
              ORDER BY content_id LIMIT $4",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<SqlUuid, _>(behind)
        .bind::<BigInt, _>(limit)
        .prepared()
        .load(conn)
        .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// Those of the given units that a version lacks, or, with `present`, those that it holds.
    ///
    /// # Errors
    /// As the session.
    pub async fn select(
        conn: &mut Conn,
        version: Membership,
        units: &[ContentId],
        present: bool,
    ) -> QueryResult<Vec<ContentId>> {
        let rows: Vec<IdRow> = sql_query(
            "SELECT u.content_id FROM unnest($3) AS u (content_id) LEFT JOIN LATERAL \
               (SELECT true AS there FROM repository_content m WHERE m.repository_id = $1 \
                   AND m.content_id = u.content_id AND m.version_added + 0 <= $2 \
                   AND (m.version_removed IS NULL OR m.version_removed > $2) LIMIT 1) p ON true \
              WHERE $4 = (p.there IS NOT NULL)",
        )
        .bind::<SqlUuid, _>(version.repository)
        .bind::<Integer, _>(version.number)
        .bind::<Array<SqlUuid>, _>(uuids(units))
        .bind::<Bool, _>(present)
        .prepared()
        .load(conn)
        .await?;
        Ok(rows.into_iter().map(|row| row.content_id).collect())
    }

    /// How many units version `to` added and removed against version `from`, by type. The two must be
    /// neighbours; where versions between them were deleted, units may have gone and come again.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_changes(
        conn: &mut Conn,
        repository: RepositoryId,
        from: i32,
        to: i32,
    ) -> QueryResult<Changes> {
        let rows: Vec<CountRow> = sql_query(include_str!("count_changes.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<Integer, _>(from)
            .bind::<Integer, _>(to)
            .load(conn)
            .await?;
        Ok(Changes::of(rows))
    }

    /// The same for the version that is being written, where it can have changed these units only.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_of(
        conn: &mut Conn,
        version: Membership,
        units: &[ContentId],
    ) -> QueryResult<Changes> {
        let rows = sql_query(include_str!("count_of.sql"))
            .bind::<SqlUuid, _>(version.repository)
            .bind::<Integer, _>(version.number)
            .bind::<Array<SqlUuid>, _>(uuids(units))
            .prepared()
            .load(conn)
            .await?;
        Ok(Changes::of(rows))
    }

    /// Takes back up to `limit` additions and as many removals that came behind version `newest`, which is to
    /// be the newest one. Zero: none are left. Nothing may be written behind it meanwhile.
    ///
    /// # Errors
    /// As the session.
    pub async fn discard(conn: &mut Conn, newest: Membership, limit: i64) -> QueryResult<usize> {
        let mut changes = 0;
        // In the order of an index: what went before is not met again on the way to what is left.
        for statement in [
            "DELETE FROM repository_content WHERE ctid = ANY (ARRAY \
               (SELECT ctid FROM repository_content \
                 WHERE repository_id = $1 AND version_added > $2 \
                 ORDER BY version_added, content_id LIMIT $3))",
            // What came in between as well as went is deleted, so the two never meet in one unit.
            "UPDATE repository_content SET version_removed = NULL WHERE ctid = ANY (ARRAY \
               (SELECT ctid FROM repository_content \
                 WHERE repository_id = $1 AND version_removed > $2 AND version_added <= $2 \
                 ORDER BY version_removed LIMIT $3))",
        ] {
            changes += sql_query(statement)
                .bind::<SqlUuid, _>(newest.repository)
                .bind::<Integer, _>(newest.number)
                .bind::<BigInt, _>(limit)
                .execute(conn)
                .await?;
            // All additions go first: a unit may be among both.
            if changes > 0 {
                break;
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(pulp_type: &str, added: i64) -> AddedKind {
        AddedKind {
            pulp_domain: DomainId::DEFAULT,
            pulp_type: pulp_type.to_owned(),
            added,
        }
    }

    #[test]
    fn kinds_of_which_nothing_was_added_change_nothing() {
        assert!(Changes::additions(vec![kind("file.file", 0)]).is_empty());
        let changes = Changes::additions(vec![kind("file.file", 0), kind("rpm.package", 2)]);
        assert_eq!(changes.added.len(), 1);
        assert_eq!(changes.added.get("rpm.package"), Some(&2));
    }
}
