//! Stored files.

use crate::db::Conn;
use crate::ids::{ArtifactId, DomainId, TaskId};
use crate::schema::{artifact, content_artifact, used_object};
use crate::storage::{Digests, StorageKey};
use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not, now};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::Tombstone;
use super::bulk;
use super::plan::{Plan, go_in_order};
use super::selection::{Page, Predicate, Selection};

/// A stored file. The row says that the whole file is in the store.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = artifact)]
#[expect(missing_docs, reason = "the contract describes the columns (1.2)")]
pub struct Artifact {
    pub pulp_id: ArtifactId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub storage_key: StorageKey,
    pub size: i64,
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha224: Option<String>,
    pub sha256: String,
    pub sha384: Option<String>,
    pub sha512: Option<String>,
}

/// A stored file that has no row yet.
#[derive(Insertable)]
#[diesel(table_name = artifact)]
#[expect(missing_docs, reason = "the contract describes the columns (1.2)")]
pub struct NewArtifact<'a> {
    pub pulp_id: ArtifactId,
    pub pulp_domain: DomainId,
    pub storage_key: &'a StorageKey,
    pub size: i64,
    pub md5: Option<&'a str>,
    pub sha1: Option<&'a str>,
    pub sha224: Option<&'a str>,
    pub sha256: &'a str,
    pub sha384: Option<&'a str>,
    pub sha512: Option<&'a str>,
}

impl<'a> NewArtifact<'a> {
    /// The row of a file that has been written.
    #[must_use]
    pub fn new(domain: DomainId, key: &'a StorageKey, size: i64, digests: &'a Digests) -> Self {
        Self {
            pulp_id: ArtifactId::new(),
            pulp_domain: domain,
            storage_key: key,
            size,
            md5: digests.get("md5"),
            sha1: digests.get("sha1"),
            sha224: digests.get("sha224"),
            sha256: digests.sha256(),
            sha384: digests.get("sha384"),
            sha512: digests.get("sha512"),
        }
    }

    /// Inserts the row; `None` when the domain has this file already.
    ///
    /// # Errors
    /// As the session.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<Option<Artifact>> {
        diesel::insert_into(artifact::table)
            .values(self)
            .on_conflict_do_nothing()
            .returning(Artifact::as_returning())
            .get_result(conn)
            .await
            .optional()
    }
}

impl Artifact {
    /// The artifact with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: ArtifactId,
    ) -> QueryResult<Option<Self>> {
        artifact::table
            .find(id)
            .filter(artifact::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of artifacts.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<artifact::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, artifact::table, Self, selection)
    }

    /// The same, kept from being deleted until the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_shared(
        conn: &mut Conn,
        domain: DomainId,
        id: ArtifactId,
    ) -> QueryResult<Option<Self>> {
        artifact::table
            .find(id)
            .filter(artifact::pulp_domain.eq(domain))
            .select(Self::as_select())
            .for_key_share()
            .first(conn)
            .await
            .optional()
    }

    /// The artifacts with these ids, in no order.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_many(conn: &mut Conn, ids: &[ArtifactId]) -> QueryResult<Vec<Self>> {
        artifact::table
            .filter(artifact::pulp_id.eq_any(ids))
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// The artifact with this digest.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_by_sha256(
        conn: &mut Conn,
        domain: DomainId,
        sha256: &str,
    ) -> QueryResult<Option<Self>> {
        artifact::table
            .filter(artifact::pulp_domain.eq(domain))
            .filter(artifact::sha256.eq(sha256))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The artifacts with these digests, in no order.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_by_digests(
        conn: &mut Conn,
        domain: DomainId,
        sha256: &[&str],
    ) -> QueryResult<Vec<Self>> {
        // By id: statistics that do not know of new rows would have each digest compared with all artifacts of the domain.
        let stored = bulk::stored_artifacts(conn, domain, sha256).await?;
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        artifact::table
            .filter(artifact::pulp_id.eq_any(stored.into_values()))
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// The artifact with this digest, locked: nobody deletes it before the transaction ends.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_by_sha256(
        conn: &mut Conn,
        domain: DomainId,
        sha256: &str,
    ) -> QueryResult<Option<Self>> {
        artifact::table
            .filter(artifact::pulp_domain.eq(domain))
            .filter(artifact::sha256.eq(sha256))
            .select(Self::as_select())
            .for_no_key_update()
            .first(conn)
            .await
            .optional()
    }

    /// Points the row to another copy of its bytes, and buries the old copy if told so: only one that was
    /// seen in the store and is wrong. Lock the row before.
    ///
    /// # Errors
    /// As the session.
    pub async fn attach(
        &mut self,
        conn: &mut Conn,
        key: &StorageKey,
        bury: bool,
    ) -> QueryResult<()> {
        let old = std::mem::replace(&mut self.storage_key, key.clone());
        diesel::update(artifact::table.find(self.pulp_id))
            .set((
                artifact::storage_key.eq(key),
                artifact::pulp_last_updated.eq(now),
            ))
            .execute(conn)
            .await?;
        if bury {
            Tombstone::bury(conn, &old, Some(self.size)).await?;
        }
        Ok(())
    }

    /// Says that the artifact is of interest now. False: it is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn touch(conn: &mut Conn, id: ArtifactId) -> QueryResult<bool> {
        let touched = diesel::update(artifact::table.find(id))
            .set(artifact::timestamp_of_interest.eq(now))
            .execute(conn)
            .await?;
        Ok(touched == 1)
    }

    /// The artifacts that nothing needs, whenever they were last of interest.
    #[must_use]
    pub fn unneeded() -> Predicate<artifact::table> {
        Predicate::of(is_unneeded())
    }

    /// How many artifacts nothing needs ([`Artifact::lock_orphans`]) and were last of interest before
    /// this moment.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_orphans(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
    ) -> QueryResult<i64> {
        artifact::table
            .filter(artifact::pulp_domain.eq(domain))
            .filter(artifact::timestamp_of_interest.lt(before))
            .filter(is_unneeded())
            .count()
            .get_result(conn)
            .await
    }

    /// Locks the next orphans behind this id, in the order of ids: artifacts of no content unit that no
    /// incomplete task is going to use. What somebody else has locked is left out. Look again, with
    /// [`Artifact::bury_many`], before deleting.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_orphans(
        conn: &mut Conn,
        domain: DomainId,
        before: DateTime<Utc>,
        behind: Option<ArtifactId>,
        limit: i64,
        plan: Plan,
    ) -> QueryResult<Vec<ArtifactId>> {
        let behind = behind.unwrap_or(ArtifactId(uuid::Uuid::nil()));
        if plan == Plan::Chosen {
            return artifact::table
                .filter(artifact::pulp_domain.eq(domain))
                .filter(artifact::timestamp_of_interest.lt(before))
                .filter(artifact::pulp_id.gt(behind))
                .filter(is_unneeded())
                .order(artifact::pulp_id)
                .limit(limit)
                .select(artifact::pulp_id)
                .for_update()
                .skip_locked()
                .load(conn)
                .await;
        }
        go_in_order(conn).await?;
        let found: Vec<Row> = sql_query(include_str!("artifact_lock_orphans.sql"))
            .bind::<SqlUuid, _>(domain)
            .bind::<Timestamptz, _>(before)
            .bind::<SqlUuid, _>(behind)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
        Ok(found.into_iter().map(|row| row.pulp_id).collect())
    }

    /// How many of these artifacts nothing needs, locked or not.
    ///
    /// # Errors
    /// As the session.
    pub async fn count_unneeded(conn: &mut Conn, ids: &[ArtifactId]) -> QueryResult<i64> {
        artifact::table
            .filter(artifact::pulp_id.eq_any(ids))
            .filter(is_unneeded())
            .count()
            .get_result(conn)
            .await
    }

    /// Locks those of the given artifacts that nothing needs, whenever they were last of interest, as
    /// [`Artifact::lock_orphans`] does.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_unneeded(
        conn: &mut Conn,
        ids: &[ArtifactId],
    ) -> QueryResult<Vec<ArtifactId>> {
        artifact::table
            .filter(artifact::pulp_id.eq_any(ids))
            .filter(is_unneeded())
            .order(artifact::pulp_id)
            .select(artifact::pulp_id)
            .for_update()
            .skip_locked()
            .load(conn)
            .await
    }

    /// Deletes those of the given artifacts that belong to no content and were last of interest before
    /// this moment, if one is given, and buries their files, in the caller's transaction, in the name of a task, if
    /// one is given. Remove the files of what comes back after the commit.
    ///
    /// # Errors
    /// A foreign key violation where a row that this query does not know of uses one of them.
    pub async fn bury_many(
        conn: &mut Conn,
        ids: &[ArtifactId],
        before: Option<DateTime<Utc>>,
        by: Option<TaskId>,
    ) -> QueryResult<Vec<Tombstone>> {
        let mut delete = diesel::delete(artifact::table)
            .filter(artifact::pulp_id.eq_any(ids))
            .filter(is_unneeded())
            .into_boxed();
        if let Some(before) = before {
            delete = delete.filter(artifact::timestamp_of_interest.lt(before));
        }
        let buried: Vec<(StorageKey, i64)> = delete
            .returning((artifact::storage_key, artifact::size))
            .get_results(conn)
            .await?;
        let buried: Vec<_> = buried
            .into_iter()
            .map(|(storage_key, size)| Tombstone::of(storage_key, Some(size)))
            .collect();
        Tombstone::bury_all(conn, &buried, by).await?;
        Ok(buried)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: ArtifactId,
}

/// Of no content unit, and not about to be used by a task.
#[dsl::auto_type]
fn is_unneeded() -> _ {
    let owner = content_artifact::table
        .filter(content_artifact::artifact_id.eq(artifact::pulp_id.nullable()));
    let used = used_object::table.filter(used_object::object_id.eq(artifact::pulp_id.nullable()));
    not(exists(owner)).and(not(exists(used)))
}
