//! Which files a unit has.

use crate::db::Conn;
use crate::ids::{ArtifactId, ContentId};
use crate::schema::content_artifact;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// A file of a unit, and where it lies.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = content_artifact)]
#[expect(missing_docs, reason = "the contract describes the columns (1.4)")]
pub struct ContentArtifact {
    pub content_id: ContentId,
    pub artifact_id: Option<ArtifactId>,
    pub relative_path: String,
}

impl ContentArtifact {
    /// Gives a unit its file; a unit that lacked its file gets it back. Gives the id of the pair.
    ///
    /// # Errors
    /// A foreign key violation when the unit or the artifact has just been deleted.
    pub async fn attach(
        conn: &mut Conn,
        content: ContentId,
        artifact: ArtifactId,
        relative_path: &str,
    ) -> QueryResult<Uuid> {
        diesel::insert_into(content_artifact::table)
            .values((
                content_artifact::pulp_id.eq(Uuid::now_v7()),
                content_artifact::content_id.eq(content),
                content_artifact::artifact_id.eq(artifact),
                content_artifact::relative_path.eq(relative_path),
            ))
            .on_conflict((
                content_artifact::content_id,
                content_artifact::relative_path,
            ))
            .do_update()
            .set(content_artifact::artifact_id.eq(excluded(content_artifact::artifact_id)))
            .returning(content_artifact::pulp_id)
            .get_result(conn)
            .await
    }

    /// Gives a file that was fetched to the units that lacked it. False: it is there already, or gone.
    ///
    /// # Errors
    /// As the session.
    pub async fn fill(conn: &mut Conn, id: Uuid, artifact: ArtifactId) -> QueryResult<bool> {
        let missing = content_artifact::table
            .find(id)
            .filter(content_artifact::artifact_id.is_null());
        let filled = diesel::update(missing)
            .set(content_artifact::artifact_id.eq(artifact))
            .execute(conn)
            .await?;
        Ok(filled == 1)
    }

    /// True where this file is in the store.
    ///
    /// # Errors
    /// As the session.
    pub async fn is_here(conn: &mut Conn, id: Uuid) -> QueryResult<bool> {
        diesel::select(diesel::dsl::exists(
            content_artifact::table
                .find(id)
                .filter(content_artifact::artifact_id.is_not_null()),
        ))
        .get_result(conn)
        .await
    }

    /// The files of these units.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, units: &[ContentId]) -> QueryResult<Vec<Self>> {
        content_artifact::table
            .filter(content_artifact::content_id.eq_any(units))
            .order((
                content_artifact::content_id,
                content_artifact::relative_path,
            ))
            .select(Self::as_select())
            .load(conn)
            .await
    }
}
