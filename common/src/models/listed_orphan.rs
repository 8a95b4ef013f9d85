//! Units that nothing needs, as they are looked at before they are deleted: exactly those that
//! [`Orphans::lock`](super::Orphans::lock) finds.

use crate::db::{Conn, transaction};
use crate::ids::{ContentId, DomainId};
use crate::storage::StorageKey;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Units that one page looks at, at first and at most.
const LOOK: (i64, i64) = (125, 1000);
/// Bytes of fields after which a page ends: what a listing keeps in memory, several times.
const BYTES: i64 = 512 * 1024;

/// A unit that nothing needs.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named as the columns of `content`")]
pub struct Orphan {
    pub pulp_id: ContentId,
    pub pulp_last_updated: DateTime<Utc>,
    pub fields: Value,
    /// Where its file lies in the store, and its bytes; of several, that of the first path.
    pub file: Option<(StorageKey, i64)>,
    /// Where it lies outside of the store.
    pub path: Option<String>,
}

/// How far a listing has come, in the order in which units were made.
#[derive(Clone, Copy, Debug)]
pub struct OrphanCursor {
    created: DateTime<Utc>,
    id: ContentId,
    /// Units that the next page looks at.
    look: i64,
}

impl Default for OrphanCursor {
    /// In front of all units.
    fn default() -> Self {
        Self {
            created: DateTime::UNIX_EPOCH,
            id: ContentId(Uuid::nil()),
            look: LOOK.0,
        }
    }
}

/// How many units the next page looks at, where this one looked at so many, found so many orphans and took so many of
/// those: all that it looks at are read whole, and of large ones few are taken.
fn next_look(look: i64, found: i64, taken: i64) -> i64 {
    if taken < found {
        (2 * look * taken / found).max(1)
    } else {
        (2 * look).min(LOOK.1)
    }
}

/// Which orphans are asked for.
#[derive(Clone, Debug)]
pub struct OrphansOf {
    /// Of this domain.
    pub domain: DomainId,
    /// Of this type, by its full name.
    pub pulp_type: String,
    /// Last of interest before.
    pub before: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct PageRow {
    #[diesel(sql_type = Timestamptz)]
    last_created: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    last_id: ContentId,
    #[diesel(sql_type = BigInt)]
    found: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pulp_id: Option<ContentId>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pulp_last_updated: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    fields: Option<Value>,
    #[diesel(sql_type = Nullable<Text>)]
    storage_key: Option<StorageKey>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
}

impl PageRow {
    fn orphan(self) -> Option<Orphan> {
        Some(Orphan {
            pulp_id: self.pulp_id?,
            pulp_last_updated: self.pulp_last_updated?,
            fields: self.fields?,
            file: self.storage_key.zip(self.size),
            path: self.path,
        })
    }
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    pulp_type: String,
    #[diesel(sql_type = BigInt)]
    units: i64,
}

impl OrphansOf {
    /// The next orphans behind the cursor, few or even none, and how far that came; `None`: no units are left.
    /// However many units there are, it looks at few and gives few bytes.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        &self,
        conn: &mut Conn,
        behind: OrphanCursor,
    ) -> QueryResult<Option<(Vec<Orphan>, OrphanCursor)>> {
        let rows: Vec<PageRow> = sql_query(include_str!("listed_orphan_page.sql"))
            .bind::<SqlUuid, _>(self.domain)
            .bind::<Text, _>(&self.pulp_type)
            .bind::<Timestamptz, _>(self.before)
            .bind::<Timestamptz, _>(behind.created)
            .bind::<SqlUuid, _>(behind.id)
            .bind::<BigInt, _>(behind.look)
            .bind::<BigInt, _>(BYTES)
            .load(conn)
            .await?;
        let Some(first) = rows.as_slice().first() else {
            return Ok(None);
        };
        let (created, id, found) = (first.last_created, first.last_id, first.found);
        let taken: Vec<Orphan> = rows.into_iter().filter_map(PageRow::orphan).collect();
        let count = i64::try_from(taken.len()).unwrap_or(i64::MAX);
        let look = next_look(behind.look, found, count);
        Ok(Some((taken, OrphanCursor { created, id, look })))
    }

    /// The orphan with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(&self, conn: &mut Conn, id: ContentId) -> QueryResult<Option<Orphan>> {
        let row: Option<PageRow> = sql_query(include_str!("listed_orphan_find.sql"))
            .bind::<SqlUuid, _>(self.domain)
            .bind::<Text, _>(&self.pulp_type)
            .bind::<Timestamptz, _>(self.before)
            .bind::<SqlUuid, _>(id)
            .get_result(conn)
            .await
            .optional()?;
        Ok(row.and_then(PageRow::orphan))
    }
}

/// How many orphans each type has that were last of interest before this moment; types that have none are left out.
///
/// # Errors
/// As the session.
pub async fn count_by_type(
    conn: &mut Conn,
    domain: DomainId,
    before: DateTime<Utc>,
) -> QueryResult<BTreeMap<String, i64>> {
    let rows: Vec<CountRow> = transaction(conn, async |conn| {
        // Units lie in no order of their ids: walking them by that index costs a page of the disk each.
        conn.batch_execute("SET LOCAL enable_mergejoin = off")
            .await?;
        sql_query(include_str!("listed_orphan_count.sql"))
            .bind::<SqlUuid, _>(domain)
            .bind::<Timestamptz, _>(before)
            .load(conn)
            .await
    })
    .await?;
    let pairs = rows.into_iter().map(|row| (row.pulp_type, row.units));
    Ok(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_looks_at_about_twice_as_many_as_it_takes() {
        // Large units: 52 of them are all that a page takes, from the second on of 104.
        assert_eq!(next_look(125, 125, 52), 104);
        assert_eq!(next_look(104, 104, 52), 104);
        assert_eq!(next_look(104, 104, 1), 2);
        assert_eq!(next_look(1, 1, 1), 2);
        // One orphan in ten.
        assert_eq!(next_look(1000, 100, 50), 1000);
        assert_eq!(next_look(1000, 100, 5), 100);
        // Small ones, or none.
        assert_eq!(next_look(125, 125, 125), 250);
        assert_eq!(next_look(1000, 0, 0), 1000);
    }
}
