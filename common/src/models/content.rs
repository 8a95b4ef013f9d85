//! Content units of all types.

use super::selection::{Page, Predicate, Selection};
use crate::db::{Conn, Prepare};
use crate::ids::{ContentId, DomainId, PublicationId};
use crate::schema::{content, repository_content, used_object};
use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not, now};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

/// It was not of interest for an hour: only then a write says that it is (contract 1.2).
const STALE: &str = "timestamp_of_interest < now() - interval '1 hour'";

/// A content unit.
#[derive(Clone, Debug, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = content)]
#[expect(missing_docs, reason = "the contract describes the columns (1.3)")]
pub struct Content {
    pub pulp_id: ContentId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub pulp_domain: DomainId,
    pub pulp_type: String,
    pub fields: Value,
    pub pulp_labels: Value,
}

/// A content unit that is to be made.
#[derive(Insertable)]
#[diesel(table_name = content)]
#[expect(missing_docs, reason = "the contract describes the columns (1.3)")]
pub struct NewContent<'a> {
    pub pulp_id: ContentId,
    pub pulp_domain: DomainId,
    pub pulp_type: &'a str,
    pub natural_key: Vec<u8>,
    pub repo_key: Option<Vec<u8>>,
    pub fields: Value,
    pub pulp_labels: Value,
}

impl NewContent<'_> {
    /// Inserts the unit, or finds the one with its natural key and says that it is of interest now.
    /// That row stays locked until the transaction ends. True: it was inserted.
    ///
    /// # Errors
    /// As the session.
    pub async fn insert_or_find(&self, conn: &mut Conn) -> QueryResult<(Content, bool)> {
        loop {
            let made = diesel::insert_into(content::table)
                .values(self)
                .on_conflict_do_nothing()
                .returning(Content::as_returning())
                .get_result(conn)
                .await
                .optional()?;
            if let Some(unit) = made {
                return Ok((unit, true));
            }
            // What was in the way may be deleted by now: then insert again.
            if let Some(unit) = self.touch_existing(conn).await? {
                return Ok((unit, false));
            }
        }
    }

    async fn touch_existing(&self, conn: &mut Conn) -> QueryResult<Option<Content>> {
        diesel::update(
            content::table
                .filter(content::pulp_domain.eq(self.pulp_domain))
                .filter(content::pulp_type.eq(self.pulp_type))
                .filter(content::natural_key.eq(&self.natural_key)),
        )
        .set(content::timestamp_of_interest.eq(now))
        .returning(Content::as_returning())
        .get_result(conn)
        .await
        .optional()
    }
}

/// What is to be known of a unit that a task is to use.
#[derive(Clone, Debug, QueryableByName)]
pub struct NamedUnit {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub pulp_id: ContentId,
    /// Its domain.
    #[diesel(sql_type = SqlUuid)]
    pub pulp_domain: DomainId,
    /// Its type.
    #[diesel(sql_type = Text)]
    pub pulp_type: String,
    /// True: [`Content::touch`] would do something to it.
    #[diesel(sql_type = Bool)]
    pub is_stale: bool,
}

impl Content {
    /// Makes the unit that stands for a metadata file of a publication.
    ///
    /// # Errors
    /// A foreign key violation when the publication is not there.
    pub async fn insert_metadata(
        conn: &mut Conn,
        domain: DomainId,
        publication: PublicationId,
        relative_path: &str,
        natural_key: Vec<u8>,
    ) -> QueryResult<ContentId> {
        let id = ContentId::new();
        diesel::insert_into(content::table)
            .values((
                content::pulp_id.eq(id),
                content::pulp_domain.eq(domain),
                content::pulp_type.eq(PUBLISHED_METADATA),
                content::natural_key.eq(natural_key),
                content::fields.eq(json!({ "relative_path": relative_path })),
                content::publication.eq(publication),
            ))
            .execute(conn)
            .await?;
        Ok(id)
    }

    /// The unit with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: ContentId,
    ) -> QueryResult<Option<Self>> {
        content::table
            .find(id)
            .filter(content::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// Those of these units that exist, the newest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn find_many(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<Vec<Self>> {
        content::table
            .filter(content::pulp_id.eq_any(ids))
            .order(content::pulp_id.desc())
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// A page of units.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<content::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, content::table, Self, selection)
    }

    /// Which of these units exist, to which domain they belong, and their types.
    ///
    /// # Errors
    /// As the session.
    pub async fn known(
        conn: &mut Conn,
        ids: &[ContentId],
    ) -> QueryResult<Vec<(ContentId, DomainId, String)>> {
        content::table
            .filter(content::pulp_id.eq_any(ids))
            .select((content::pulp_id, content::pulp_domain, content::pulp_type))
            .load(conn)
            .await
    }

    /// Those of these units that fulfil a condition.
    ///
    /// # Errors
    /// As the session.
    pub async fn among(
        conn: &mut Conn,
        ids: &[ContentId],
        condition: Predicate<content::table>,
    ) -> QueryResult<Vec<ContentId>> {
        content::table
            .filter(content::pulp_id.eq_any(ids))
            .filter(condition)
            .select(content::pulp_id)
            .load(conn)
            .await
    }

    /// The domains and types of these units, each pair once.
    ///
    /// # Errors
    /// As the session.
    pub async fn kinds(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<Vec<(DomainId, String)>> {
        content::table
            .filter(content::pulp_id.eq_any(ids))
            .select((content::pulp_domain, content::pulp_type))
            .distinct()
            .load(conn)
            .await
    }

    /// Those of these units that exist, kept from being deleted until the transaction ends. Waits for a clean-up that is
    /// about to delete one.
    ///
    /// # Errors
    /// As the session.
    pub async fn keep(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<Vec<NamedUnit>> {
        named(conn, ids, "ORDER BY pulp_id FOR KEY SHARE").await
    }

    /// Those of these units that exist now.
    ///
    /// # Errors
    /// As the session.
    pub async fn look(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<Vec<NamedUnit>> {
        named(conn, ids, "").await
    }

    /// Says that units are of interest now. Those of the last hour and those that somebody has locked
    /// are left alone (contract 1.2).
    ///
    /// # Errors
    /// As the session.
    pub async fn touch(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<usize> {
        let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
        sql_query(format!(
            "UPDATE content SET timestamp_of_interest = now() WHERE pulp_id IN \
               (SELECT pulp_id FROM content WHERE pulp_id = ANY ($1) AND {STALE} \
                 ORDER BY pulp_id FOR NO KEY UPDATE SKIP LOCKED)",
        ))
        .bind::<Array<SqlUuid>, _>(ids)
        .prepared()
        .execute(conn)
        .await
    }

    /// The units that nothing needs and that clean-up would take, whenever they were last of interest.
    #[must_use]
    pub fn unneeded() -> Predicate<content::table> {
        Predicate::of(is_unneeded().and(content::pulp_type.ne(PUBLISHED_METADATA)))
    }
}

async fn named(conn: &mut Conn, ids: &[ContentId], lock: &str) -> QueryResult<Vec<NamedUnit>> {
    sql_query(format!(
        "SELECT pulp_id, pulp_domain, pulp_type, {STALE} AS is_stale FROM content \
          WHERE pulp_id = ANY ($1) {lock}",
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .prepared()
    .load(conn)
    .await
}

/// In no version of any repository, and not about to be used by a task.
#[dsl::auto_type]
pub(super) fn is_unneeded() -> _ {
    let member =
        repository_content::table.filter(repository_content::content_id.eq(content::pulp_id));
    let used = used_object::table.filter(used_object::object_id.eq(content::pulp_id.nullable()));
    not(exists(member)).and(not(exists(used)))
}

/// The type whose units belong to publications and are never orphans.
pub const PUBLISHED_METADATA: &str = "core.publishedmetadata";
