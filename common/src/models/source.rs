//! Where files that have not been downloaded can be fetched from: what the content server asks.

use super::Remote;
use crate::db::Conn;
use crate::ids::RemoteId;
use crate::schema::{remote, remote_artifact};
use crate::storage::ALGORITHMS;
use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A place that a file can be fetched from, and what it must be then.
#[derive(Clone, Debug)]
pub struct Source {
    /// The remote artifact.
    pub id: Uuid,
    /// The remote, with its credentials and limits.
    pub remote: Remote,
    /// The address.
    pub url: String,
    /// Bytes, where that is known.
    pub size: Option<u64>,
    /// Lower-case hex digests by algorithm, as far as they are known.
    pub digests: BTreeMap<&'static str, String>,
    /// When it last failed.
    pub failed_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = remote_artifact, check_for_backend(diesel::pg::Pg))]
struct Row {
    pulp_id: Uuid,
    url: String,
    size: Option<i64>,
    md5: Option<String>,
    sha1: Option<String>,
    sha224: Option<String>,
    sha256: Option<String>,
    sha384: Option<String>,
    sha512: Option<String>,
    failed_at: Option<DateTime<Utc>>,
}

impl Source {
    /// The places of a file, the newest remote first.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, content_artifact: Uuid) -> QueryResult<Vec<Self>> {
        let rows: Vec<(Row, Remote)> = remote_artifact::table
            .inner_join(remote::table)
            .filter(remote_artifact::content_artifact_id.eq(content_artifact))
            .order((remote::pulp_created.desc(), remote::pulp_id.desc()))
            .select((Row::as_select(), Remote::as_select()))
            .load(conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(row, remote)| Self::new(row, remote))
            .collect())
    }

    fn new(row: Row, remote: Remote) -> Self {
        let digests = [
            row.md5, row.sha1, row.sha224, row.sha256, row.sha384, row.sha512,
        ];
        let known = ALGORITHMS.into_iter().zip(digests);
        Self {
            id: row.pulp_id,
            remote,
            url: row.url,
            size: row.size.and_then(|size| size.try_into().ok()),
            digests: known
                .filter_map(|(name, digest)| Some((name, digest?.to_lowercase())))
                .collect(),
            failed_at: row.failed_at,
        }
    }

    /// The remote that it belongs to.
    #[must_use]
    pub fn remote_id(&self) -> RemoteId {
        self.remote.pulp_id
    }

    /// Notes that a fetch has failed just now.
    ///
    /// # Errors
    /// As the session.
    pub async fn note_failure(conn: &mut Conn, id: Uuid) -> QueryResult<()> {
        diesel::update(remote_artifact::table.find(id))
            .set(remote_artifact::failed_at.eq(now))
            .execute(conn)
            .await?;
        Ok(())
    }
}
