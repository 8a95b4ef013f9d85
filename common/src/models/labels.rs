//! Labels of objects of any table that has them.

use crate::db::Conn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// A table whose objects have labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the tables")]
pub enum Labeled {
    Content,
    Repository,
    Remote,
    Distribution,
}

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

impl Labeled {
    const fn table(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Repository => "repository",
            Self::Remote => "remote",
            Self::Distribution => "distribution",
        }
    }

    /// Sets a label. False: the object is gone. When it was changed last does not move.
    ///
    /// # Errors
    /// As the session.
    pub async fn set(
        self,
        conn: &mut Conn,
        id: Uuid,
        key: &str,
        value: Option<&str>,
    ) -> QueryResult<bool> {
        let table = self.table();
        let set = sql_query(format!(
            "UPDATE {table} SET pulp_labels = pulp_labels || jsonb_build_object($2, $3) \
              WHERE pulp_id = $1"
        ))
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(key)
        .bind::<Nullable<Text>, _>(value)
        .execute(conn)
        .await?;
        Ok(set == 1)
    }

    /// Takes a label away; gives the value that it had. `None`: it is not set, or the object is gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn unset(
        self,
        conn: &mut Conn,
        id: Uuid,
        key: &str,
    ) -> QueryResult<Option<Option<String>>> {
        let table = self.table();
        // Locked first: the value that comes back is the one that goes.
        let old: Option<Old> = sql_query(format!(
            "WITH old AS (SELECT pulp_id, pulp_labels ->> $2 AS value FROM {table} \
                           WHERE pulp_id = $1 AND pulp_labels ? $2 FOR NO KEY UPDATE) \
             UPDATE {table} o SET pulp_labels = o.pulp_labels - $2 FROM old \
              WHERE o.pulp_id = old.pulp_id RETURNING old.value"
        ))
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(key)
        .get_result(conn)
        .await
        .optional()?;
        Ok(old.map(|old| old.value))
    }
}
