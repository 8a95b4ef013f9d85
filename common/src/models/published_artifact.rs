//! Files that publications serve beside those of their versions.

use crate::db::Conn;
use crate::ids::PublicationId;
use crate::schema::published_artifact;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// A file of a publication, and where it lies.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = published_artifact)]
#[expect(missing_docs, reason = "the contract describes the columns (1.9)")]
pub struct PublishedArtifact {
    pub publication_id: PublicationId,
    pub relative_path: String,
    pub content_artifact_id: Uuid,
}

impl PublishedArtifact {
    /// Inserts the row.
    ///
    /// # Errors
    /// A unique violation when the publication has a file there.
    pub async fn insert(&self, conn: &mut Conn) -> QueryResult<()> {
        diesel::insert_into(published_artifact::table)
            .values(self)
            .execute(conn)
            .await?;
        Ok(())
    }
}
