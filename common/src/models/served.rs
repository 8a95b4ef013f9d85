//! What is served where: reads of the content server only.

use super::CountKind;
use crate::db::Conn;
use crate::ids::{ArtifactId, DistributionId, DomainId, PublicationId, RepositoryId};
use crate::schema::{publication, repository_version, repository_version_count, served};
use crate::storage::StorageKey;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Behind every path.
pub const LAST: &str = "\u{10FFFF}";

/// A distribution, and what it serves at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The distribution.
    pub distribution: DistributionId,
    /// Its base path with a slash behind it.
    pub place: String,
    /// `None`: nothing was published.
    pub publication: Option<ServedPublication>,
}

/// A publication as it is served. None of it ever changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedPublication {
    /// The publication.
    pub id: PublicationId,
    /// True: every file of the version is served under its own path.
    pub pass_through: bool,
    /// The repository of its version.
    pub repository: RepositoryId,
    /// The number of its version.
    pub number: i32,
}

/// A file that is served.
#[derive(Clone, Debug, QueryableByName)]
pub struct ServedFile {
    /// The file as part of a unit.
    #[diesel(sql_type = SqlUuid)]
    pub content_artifact_id: Uuid,
    #[diesel(embed)]
    stored: Columns,
}

#[derive(Clone, Debug, QueryableByName)]
struct Columns {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    artifact_id: Option<ArtifactId>,
    #[diesel(sql_type = Nullable<Text>)]
    storage_key: Option<StorageKey>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    sha256: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    modified: Option<DateTime<Utc>>,
}

/// Where the bytes of a served file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its key in the store.
    pub key: StorageKey,
    /// Its bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// Since when these bytes are here.
    pub modified: DateTime<Utc>,
}

impl ServedFile {
    /// Where its bytes are; `None`: they have not been downloaded.
    #[must_use]
    pub fn stored(&self) -> Option<StoredFile> {
        let of = self.stored.clone();
        of.artifact_id?;
        Some(StoredFile {
            key: of.storage_key?,
            size: of.size?.try_into().ok()?,
            sha256: of.sha256?,
            modified: of.modified?,
        })
    }
}

/// One path of a walk through the files of a publication.
#[derive(Clone, Debug, QueryableByName)]
pub struct ServedPath {
    /// The unit, to go on behind it; none where paths are unique.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub unit: Option<Uuid>,
    /// The path.
    #[diesel(sql_type = Text)]
    pub path: String,
    /// False: of a unit that the publication lacks; only its place counts.
    #[diesel(sql_type = Bool)]
    pub member: bool,
    /// Since when it is known.
    #[diesel(sql_type = Timestamptz)]
    pub modified: DateTime<Utc>,
    /// Its bytes, where that is known.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub size: Option<i64>,
}

type Row = (
    Option<Uuid>,
    Option<String>,
    Option<Uuid>,
    Option<bool>,
    Option<Uuid>,
    Option<i32>,
);

impl Served {
    /// What these distributions serve now; their places are base paths with a slash behind. One that is
    /// missing is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn at(conn: &mut Conn, domain: DomainId, places: &[&str]) -> QueryResult<Vec<Self>> {
        let rows: Vec<Row> = served::table
            .filter(served::pulp_domain.eq(domain))
            .filter(served::place.eq_any(places))
            .select((
                served::distribution_id,
                served::place,
                served::publication_id,
                served::pass_through,
                served::repository_id,
                served::version_number,
            ))
            .load(conn)
            .await?;
        Ok(rows.into_iter().filter_map(Self::new).collect())
    }

    /// The distribution that a path belongs to: base paths never nest, so there is one at most. The path
    /// ends with a slash.
    ///
    /// # Errors
    /// As the session.
    pub async fn around(
        conn: &mut Conn,
        domain: DomainId,
        path: &str,
    ) -> QueryResult<Option<Self>> {
        let row: Option<Row> = served::table
            .filter(served::pulp_domain.eq(domain))
            .filter(served::place.le(path))
            .order(served::place.desc())
            .select((
                served::distribution_id,
                served::place,
                served::publication_id,
                served::pass_through,
                served::repository_id,
                served::version_number,
            ))
            .first(conn)
            .await
            .optional()?;
        let before = row.and_then(Self::new);
        Ok(before.filter(|served| path.starts_with(&served.place)))
    }

    fn new(
        (distribution, place, publication, pass_through, repository, number): Row,
    ) -> Option<Self> {
        let publication = match (publication, pass_through, repository, number) {
            (Some(id), Some(pass_through), Some(repository), Some(number)) => {
                Some(ServedPublication {
                    id: id.into(),
                    pass_through,
                    repository: repository.into(),
                    number,
                })
            }
            _ => None,
        };
        Some(Self {
            distribution: distribution?.into(),
            place: place?,
            publication,
        })
    }

    /// Base paths that are listed, with a slash behind, from one bound to the other in the order of bytes.
    ///
    /// # Errors
    /// As the session.
    pub async fn listed_places(
        conn: &mut Conn,
        domain: DomainId,
        from: &str,
        until: &str,
        limit: i64,
    ) -> QueryResult<Vec<String>> {
        let rows: Vec<Option<String>> = served::table
            .filter(served::pulp_domain.eq(domain))
            .filter(served::hidden.eq(false))
            .filter(served::place.ge(from))
            .filter(served::place.lt(until))
            .order(served::place)
            .select(served::place)
            .limit(limit)
            .load(conn)
            .await?;
        Ok(rows.into_iter().flatten().collect())
    }
}

impl ServedPublication {
    /// True while it exists. What was read of it before is all of it then: it keeps its version.
    ///
    /// # Errors
    /// As the session.
    pub async fn exists(&self, conn: &mut Conn) -> QueryResult<bool> {
        let found = publication::table.find(self.id);
        diesel::select(diesel::dsl::exists(found))
            .get_result(conn)
            .await
    }

    /// The file under this path: one of the publication's own goes before one of the version.
    ///
    /// # Errors
    /// As the session.
    pub async fn file(&self, conn: &mut Conn, path: &str) -> QueryResult<Option<ServedFile>> {
        sql_query(include_str!("served_file.sql"))
            .bind::<SqlUuid, _>(self.id)
            .bind::<Text, _>(path)
            .bind::<SqlUuid, _>(self.repository)
            .bind::<Integer, _>(self.number)
            .bind::<Bool, _>(self.pass_through)
            .get_result(conn)
            .await
            .optional()
    }

    /// The publication's own files from one bound to the other, in the order of bytes.
    ///
    /// # Errors
    /// As the session.
    pub async fn own_paths(
        &self,
        conn: &mut Conn,
        from: &str,
        until: &str,
        limit: i64,
    ) -> QueryResult<Vec<ServedPath>> {
        sql_query(include_str!("served_published.sql"))
            .bind::<SqlUuid, _>(self.id)
            .bind::<Text, _>(from)
            .bind::<Text, _>(until)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await
    }

    /// How many units its version has.
    ///
    /// # Errors
    /// As the session.
    pub async fn units(&self, conn: &mut Conn) -> QueryResult<i64> {
        let counts: Vec<i64> = repository_version_count::table
            .inner_join(repository_version::table)
            .filter(repository_version::repository_id.eq(self.repository))
            .filter(repository_version::number.eq(self.number))
            .filter(repository_version_count::kind.eq(CountKind::Present.as_str()))
            .select(repository_version_count::count)
            .load(conn)
            .await?;
        Ok(counts.iter().sum())
    }

    /// Files of all units from one bound to the other, in the order of bytes, marked where the version
    /// holds them: so each call has a bound, whatever else has paths like these. With `few` only those
    /// that it holds, all of which are looked at: for versions of few units. Goes on behind the unit
    /// `behind` of the path `from`. Fewer than `limit`: there is no more.
    ///
    /// # Errors
    /// As the session.
    pub async fn version_paths(
        &self,
        conn: &mut Conn,
        (from, behind): (&str, Uuid),
        until: &str,
        (limit, few): (i64, bool),
    ) -> QueryResult<Vec<ServedPath>> {
        let text = if few {
            include_str!("served_units.sql")
        } else {
            include_str!("served_paths.sql")
        };
        sql_query(text)
            .bind::<SqlUuid, _>(self.repository)
            .bind::<Integer, _>(self.number)
            .bind::<Text, _>(from)
            .bind::<Text, _>(until)
            .bind::<SqlUuid, _>(behind)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await
    }
}
