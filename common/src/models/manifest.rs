//! The files of a version as a manifest names them.

use super::repository_content::Membership;
use crate::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// A file of a version.
#[derive(Clone, Debug, QueryableByName)]
pub struct ManifestEntry {
    /// Where it lies.
    #[diesel(sql_type = Text)]
    pub relative_path: String,
    /// Its digest in hex; `None` where neither a stored file nor a remote says it.
    #[diesel(sql_type = Nullable<Text>)]
    pub sha256: Option<String>,
    /// Its size in bytes; `None` likewise.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub size: Option<i64>,
}

impl ManifestEntry {
    /// Opens a cursor over the files of a version, the newest unit first. The transaction that it is
    /// opened in must be one of its own: the cursor lives as long. One sort of the whole version, which
    /// the server keeps on its disk where it is large.
    ///
    /// # Errors
    /// As the session.
    pub async fn open(conn: &mut Conn, version: Membership) -> QueryResult<()> {
        // All of it will be read: a plan that is quick with the first rows would be slow in all.
        conn.batch_execute("SET LOCAL cursor_tuple_fraction = 1; SET LOCAL work_mem = '32MB'")
            .await?;
        sql_query(include_str!("manifest.sql"))
            .bind::<SqlUuid, _>(version.repository)
            .bind::<Integer, _>(version.number)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The next files of the cursor; none at its end.
    ///
    /// # Errors
    /// As the session.
    pub async fn fetch(conn: &mut Conn) -> QueryResult<Vec<Self>> {
        sql_query("FETCH FORWARD 2000 FROM manifest")
            .load(conn)
            .await
    }
}
