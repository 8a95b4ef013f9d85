//! The type `file.file`: any file, named by a path.

use super::{ContentType, key_of};
use crate::db::Conn;
use crate::ids::{ArtifactId, ContentId, DomainId};
use crate::models::{Artifact, Content, ContentArtifact, NewContent, RepositoryContent};
use crate::repository::NewVersion;
use crate::tasking::TaskError;
use diesel::QueryResult;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The type `file.file`.
pub struct File;

/// Its full name.
pub const PULP_TYPE: &str = "file.file";

/// What is stored of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Where it lies in a repository.
    pub relative_path: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
}

impl ContentType for File {
    const DEFINITION: &'static str = include_str!("types/file.json");
    type Unit = Unit;

    fn natural_key(unit: &Unit) -> Vec<&str> {
        vec![&unit.relative_path, &unit.digest]
    }

    fn repo_key(unit: &Unit) -> Vec<&str> {
        vec![&unit.relative_path]
    }

    async fn validate_version(
        conn: &mut Conn,
        version: &NewVersion,
        added: &[ContentId],
    ) -> Result<(), TaskError> {
        let conflicts = RepositoryContent::path_conflicts(conn, version.repository, added).await?;
        if conflicts.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = conflicts
            .iter()
            .map(|c| format!("{} is a directory of {}", c.directory, c.path))
            .collect();
        Err(TaskError::failed(format!(
            "Repository version errors : Path errors found. {}",
            list.join(", ")
        )))
    }
}

/// The natural key of a unit, and its key inside a version.
#[must_use]
pub fn keys(unit: &Unit) -> (Vec<u8>, Vec<u8>) {
    let key = |parts: &[&str]| key_of(parts).unwrap_or_default();
    (key(&File::natural_key(unit)), key(&File::repo_key(unit)))
}

/// Makes the unit of this file under this path, or finds it; the artifact is of interest from now on.
/// Labels are those of a unit that existed. True: it was made.
///
/// # Errors
/// As the session; a foreign key violation when the artifact has just been deleted.
pub async fn ensure(
    conn: &mut Conn,
    domain: DomainId,
    relative_path: &str,
    artifact: &Artifact,
    labels: &Value,
) -> QueryResult<(Content, bool)> {
    let unit = Unit {
        relative_path: relative_path.to_owned(),
        digest: artifact.sha256.clone(),
    };
    let new = NewContent {
        pulp_id: ContentId::new(),
        pulp_domain: domain,
        pulp_type: PULP_TYPE,
        natural_key: key_of(&File::natural_key(&unit)).unwrap_or_default(),
        repo_key: key_of(&File::repo_key(&unit)),
        fields: json!(unit),
        pulp_labels: labels.clone(),
    };
    let (content, made) = new.insert_or_find(conn).await?;
    attach(conn, content.pulp_id, artifact.pulp_id, relative_path).await?;
    Ok((content, made))
}

async fn attach(
    conn: &mut Conn,
    content: ContentId,
    artifact: ArtifactId,
    relative_path: &str,
) -> QueryResult<()> {
    ContentArtifact::attach(conn, content, artifact, relative_path).await?;
    Artifact::touch(conn, artifact).await.map(drop)
}
