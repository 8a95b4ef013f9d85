//! Publications: a version, and beside its files one metadata file that names them.
//!
//! Everything is written before the transaction that settles the task: the metadata file lies in the
//! store without a row. That transaction makes the rows, or nothing; a run that dies leaves a file that
//! the store gives up by itself.

use crate::content::{file, key_of};
use crate::db::Conn;
use crate::ids::{DomainId, PublicationId, VersionId};
use crate::models::manifest::ManifestEntry;
use crate::models::{
    Content, ContentArtifact, Membership, Publication, PublishedArtifact, RepositoryVersion,
};
use crate::storage::{Stored, Upload};
use crate::tasking::{TaskContext, TaskError};
use bytes::Bytes;
use diesel_async::AsyncConnection;
use std::sync::Arc;

/// A publication that is ready to be made; cheap to clone.
#[derive(Clone)]
pub struct PublicationDraft {
    inner: Arc<Inner>,
}

struct Inner {
    id: PublicationId,
    domain: DomainId,
    version: VersionId,
    checkpoint: bool,
    /// The metadata file and where it lies.
    metadata: Option<(String, Stored)>,
}

impl std::fmt::Debug for PublicationDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicationDraft({})", self.inner.id)
    }
}

impl PublicationDraft {
    /// Writes the manifest of a version of a file repository (contract 1.9) into the store, in constant
    /// memory; with `manifest` null there is none. The version may be one that this run is writing, and
    /// must not change until the flip: hold its repository.
    ///
    /// # Errors
    /// A text for the client when a unit has neither a stored file nor a remote that says its size; else
    /// as the session and the store.
    pub async fn write(
        ctx: &TaskContext,
        version: VersionId,
        place: Membership,
        manifest: Option<&str>,
        checkpoint: bool,
    ) -> Result<Self, TaskError> {
        let metadata = match manifest {
            Some(path) => Some((path.to_owned(), write_manifest(ctx, place).await?)),
            None => None,
        };
        Ok(Self::with_metadata(ctx, version, metadata, checkpoint))
    }

    /// A publication whose metadata file is in the store already, under this path.
    #[must_use]
    pub fn with_metadata(
        ctx: &TaskContext,
        version: VersionId,
        metadata: Option<(String, Stored)>,
        checkpoint: bool,
    ) -> Self {
        let inner = Inner {
            id: PublicationId::new(),
            domain: ctx.domain(),
            version,
            checkpoint,
            metadata,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes the publication, in the transaction that settles its task, after its version is complete.
    /// May be called again when that transaction is retried.
    ///
    /// # Errors
    /// A text for the client when the version has been deleted.
    pub async fn flip(&self, conn: &mut Conn) -> Result<Publication, TaskError> {
        let it = &*self.inner;
        if !RepositoryVersion::keep(conn, it.version).await? {
            return Err(TaskError::failed("the repository version was deleted"));
        }
        let manifest = it.metadata.as_ref().map(|(path, _)| path.clone());
        let row = Publication {
            pulp_id: it.id,
            // The database's clock gives the moment.
            pulp_created: chrono::DateTime::default(),
            pulp_last_updated: chrono::DateTime::default(),
            pulp_domain: it.domain,
            pulp_type: file::PULP_TYPE.to_owned(),
            repository_version_id: it.version,
            pass_through: true,
            checkpoint: it.checkpoint,
            manifest,
        };
        let row = row.insert(conn).await?;
        if let Some((path, stored)) = &it.metadata {
            self.attach(conn, path, stored).await?;
        }
        Ok(row)
    }

    async fn attach(&self, conn: &mut Conn, path: &str, stored: &Stored) -> Result<(), TaskError> {
        let Inner { id, domain, .. } = *self.inner;
        // The copy that this leaves where the store had the bytes already is removed when the draft is
        // dropped, as is the file of a draft that was never flipped.
        let artifact = stored.record(conn, domain).await?.into_artifact();
        let key = key_of(&[&id.to_string(), path]).unwrap_or_default();
        let unit = Content::insert_metadata(conn, domain, id, path, key).await?;
        let file = ContentArtifact::attach(conn, unit, artifact.pulp_id, path).await?;
        let published = PublishedArtifact {
            publication_id: id,
            relative_path: path.to_owned(),
            content_artifact_id: file,
        };
        Ok(published.insert(conn).await?)
    }
}

async fn write_manifest(ctx: &TaskContext, place: Membership) -> Result<Stored, TaskError> {
    let mut upload = Upload::begin(ctx.db(), ctx.storage()).await?;
    let file = &mut upload;
    let mut session = ctx.session().await;
    let conn: &mut Conn = &mut session;
    conn.transaction(async |conn: &mut Conn| {
        ManifestEntry::open(conn, place).await?;
        loop {
            ctx.checkpoint()?;
            let entries = ManifestEntry::fetch(conn).await?;
            if entries.is_empty() {
                return Ok::<_, TaskError>(());
            }
            file.write(lines(&entries)?).await?;
        }
    })
    .await?;
    drop(session);
    let mut stored = upload.finish().await?;
    stored.probe(ctx.domain()).await?;
    Ok(stored)
}

fn lines(entries: &[ManifestEntry]) -> Result<Bytes, TaskError> {
    let mut text = String::with_capacity(entries.len() * 120);
    for entry in entries {
        let (Some(sha256), Some(size)) = (&entry.sha256, entry.size) else {
            return Err(TaskError::failed(format!(
                "'{}' cannot be published: it was never downloaded, and no remote has it any more.",
                entry.relative_path
            )));
        };
        text.push_str(&entry.relative_path);
        text.push(',');
        text.push_str(sha256);
        text.push(',');
        text.push_str(&size.to_string());
        text.push('\n');
    }
    Ok(Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: Option<i64>) -> ManifestEntry {
        ManifestEntry {
            relative_path: "a,b/c".into(),
            sha256: Some("00ff".into()),
            size,
        }
    }

    #[test]
    fn a_line_is_path_digest_and_size() {
        let text = lines(&[entry(Some(3)), entry(Some(0))]).unwrap();
        assert_eq!(text, "a,b/c,00ff,3\na,b/c,00ff,0\n");
    }

    #[test]
    fn a_file_that_nobody_has_is_named() {
        let error = lines(&[entry(None)]).unwrap_err().to_string();
        assert!(error.contains("'a,b/c' cannot be published"), "{error}");
    }
}
