//! Units of a Pulp 2 that say where they lie, for a look at all of them.

use crate::db::Conn;
use crate::ids::ContentId;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// A unit of a Pulp 2 that says where it lies.
#[derive(Clone, Debug, QueryableByName)]
pub struct StoredUnit {
    /// The unit.
    #[diesel(sql_type = SqlUuid)]
    pub content_id: ContentId,
    /// Where it lies.
    #[diesel(sql_type = Text)]
    pub place: String,
}

impl StoredUnit {
    /// The next ones behind this unit.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(conn: &mut Conn, behind: ContentId, limit: i64) -> QueryResult<Vec<Self>> {
        sql_query(
            "SELECT content_id, place FROM unit_storage WHERE content_id > $1 \
              ORDER BY content_id LIMIT $2",
        )
        .bind::<SqlUuid, _>(behind.0)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    /// True where the unit still lies there.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_current(&self, conn: &mut Conn) -> QueryResult<bool> {
        let rows: Vec<Self> =
            sql_query("SELECT content_id, place FROM unit_storage WHERE content_id = $1")
                .bind::<SqlUuid, _>(self.content_id.0)
                .load(conn)
                .await?;
        Ok(rows.iter().any(|row| row.place == self.place))
    }
}
