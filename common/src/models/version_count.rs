//! What versions count.

use crate::db::Conn;
use crate::ids::VersionId;
use crate::schema::repository_version_count;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;

/// What a count counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountKind {
    /// Units that the version before lacks.
    Added,
    /// All units.
    Present,
    /// Units of the version before that it lacks.
    Removed,
}

impl CountKind {
    /// The word in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Present => "present",
            Self::Removed => "removed",
        }
    }
}

/// Units by type.
pub type Counts = BTreeMap<String, i64>;

/// One count of a version.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = repository_version_count)]
#[expect(missing_docs, reason = "the contract describes the columns (1.7)")]
pub struct VersionCount {
    pub version_id: VersionId,
    pub kind: String,
    pub pulp_type: String,
    pub count: i64,
}

impl VersionCount {
    /// The counts of these versions.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, versions: &[VersionId]) -> QueryResult<Vec<Self>> {
        repository_version_count::table
            .filter(repository_version_count::version_id.eq_any(versions))
            .order(repository_version_count::pulp_type)
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// One kind of count of a version, by type.
    ///
    /// # Errors
    /// As the session.
    pub async fn get(conn: &mut Conn, version: VersionId, kind: CountKind) -> QueryResult<Counts> {
        let rows: Vec<(String, i64)> = repository_version_count::table
            .filter(repository_version_count::version_id.eq(version))
            .filter(repository_version_count::kind.eq(kind.as_str()))
            .select((
                repository_version_count::pulp_type,
                repository_version_count::count,
            ))
            .load(conn)
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Replaces one kind of count of a version. Types with none are left out.
    ///
    /// # Errors
    /// As the session.
    pub async fn set(
        conn: &mut Conn,
        version: VersionId,
        kind: CountKind,
        counts: &Counts,
    ) -> QueryResult<()> {
        diesel::delete(
            repository_version_count::table
                .filter(repository_version_count::version_id.eq(version))
                .filter(repository_version_count::kind.eq(kind.as_str())),
        )
        .execute(conn)
        .await?;
        let rows: Vec<Self> = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(pulp_type, count)| Self {
                version_id: version,
                kind: kind.as_str().to_owned(),
                pulp_type: pulp_type.clone(),
                count: *count,
            })
            .collect();
        diesel::insert_into(repository_version_count::table)
            .values(rows)
            .execute(conn)
            .await?;
        Ok(())
    }
}
