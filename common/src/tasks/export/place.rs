//! What an export exports, found by its ids, and kept at its end.

use crate::db::Conn;
use crate::error::Error;
use crate::ids::{PublicationId, VersionId};
use crate::models::{ExportPlace, Membership, Publication, Repository, RepositoryVersion};
use crate::prn::{self, Prn};
use crate::tasking::{TaskContext, TaskError};
use serde_json::{Value, json};

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Publication(PublicationId),
    Version(VersionId),
}

/// The same, found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The files.
    pub files: ExportPlace,
    /// `params` of the export.
    pub params: Value,
    /// Its name.
    pub prn: Prn,
    versions: Vec<VersionId>,
    publication: Option<PublicationId>,
}

impl What {
    /// Finds it, and the version that an incremental export begins at.
    ///
    /// # Errors
    /// A text for the client when something is gone; else as the session.
    pub async fn find(
        self,
        ctx: &TaskContext,
        start: Option<VersionId>,
    ) -> Result<Found, TaskError> {
        let mut conn = ctx.session().await;
        let (publication, version, prn, params) = match self {
            Self::Version(id) => (None, id, Prn::from(id), json!({"repository_version": id})),
            Self::Publication(id) => {
                let found = Publication::find(&mut conn, ctx.domain(), id).await?;
                let row = found.ok_or(Error::NotFound {
                    what: "Publication",
                })?;
                let prn = prn::publication(&row.pulp_type, id);
                let version = row.repository_version_id;
                (Some(row), version, prn, json!({"publication": id}))
            }
        };
        let place = membership(&mut conn, ctx, version).await?;
        let mut found = Found {
            files: ExportPlace {
                version: publication
                    .as_ref()
                    .is_none_or(|p| p.pass_through)
                    .then_some(place),
                publication: publication.as_ref().map(|p| p.pulp_id),
                start: None,
            },
            params,
            prn,
            versions: vec![version],
            publication: publication.map(|p| p.pulp_id),
        };
        if let Some(id) = start {
            let begin = membership(&mut conn, ctx, id).await?;
            if !super::starts_before(begin, place) {
                let text = format!("start_repository_version: {}", super::BACKWARDS);
                return Err(TaskError::failed(text));
            }
            found.files.start = Some(begin);
            if let Some(params) = found.params.as_object_mut() {
                params.insert("start_repository_version".to_owned(), json!(id));
            }
            found.versions.push(id);
        }
        Ok(found)
    }
}

async fn membership(
    conn: &mut Conn,
    ctx: &TaskContext,
    id: VersionId,
) -> Result<Membership, TaskError> {
    let gone = || Error::NotFound {
        what: "RepositoryVersion",
    };
    let version = RepositoryVersion::find(conn, id).await?.ok_or_else(gone)?;
    let repository = Repository::find(conn, ctx.domain(), version.repository_id).await?;
    Ok(Membership {
        repository: repository.ok_or_else(gone)?.pulp_id,
        number: version.number,
    })
}

impl Found {
    /// Fails where something of it was deleted: what was read may have lacked files then. Else keeps it until
    /// the transaction ends.
    ///
    /// # Errors
    /// A text for the client; else as the session.
    pub async fn keep(&self, conn: &mut Conn) -> Result<(), TaskError> {
        let mut ids = self.versions.clone();
        ids.sort_unstable();
        for id in ids {
            if !RepositoryVersion::keep(conn, id).await? {
                return Err(TaskError::failed("the repository version was deleted"));
            }
        }
        match self.publication {
            Some(id) if !Publication::keep(conn, id).await? => {
                Err(TaskError::failed("the publication was deleted"))
            }
            _ => Ok(()),
        }
    }
}
