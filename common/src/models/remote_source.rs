//! Where the file of an artifact can be fetched anew.

use crate::db::Conn;
use crate::ids::{ArtifactId, RemoteId};
use crate::schema::{content_artifact, remote_artifact};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// A source of a file.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = remote_artifact)]
pub struct RemoteSource {
    /// Whose source it is.
    pub remote_id: RemoteId,
    /// Where it is.
    pub url: String,
}

impl RemoteSource {
    /// The sources of an artifact's file, by any unit that has it, the newest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, artifact: ArtifactId) -> QueryResult<Vec<Self>> {
        remote_artifact::table
            .inner_join(content_artifact::table)
            .filter(content_artifact::artifact_id.eq(artifact))
            .order(remote_artifact::pulp_id.desc())
            .limit(20)
            .select(Self::as_select())
            .load(conn)
            .await
    }
}
