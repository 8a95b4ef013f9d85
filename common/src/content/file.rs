//! The type `file.file`: any file, named by a path.

use super::path::refuse_conflicts;
use super::{ContentType, FromFile, NewUnit, StoredFile, key_of};
use crate::db::Conn;
use crate::ids::{ContentId, DomainId};
use crate::models::{Artifact, Content, RepositoryContent};
use crate::repository::NewVersion;
use crate::representation::FileContent;
use crate::tasking::{TaskContext, TaskError};
use diesel::QueryResult;
use diesel::result::Error as DieselError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        refuse_conflicts(&conflicts)
    }
}

/// The natural key of a unit, and its key inside a version.
#[must_use]
pub fn keys(unit: &Unit) -> (Vec<u8>, Vec<u8>) {
    let key = |parts: &[&str]| key_of(parts).unwrap_or_default();
    (key(&File::natural_key(unit)), key(&File::repo_key(unit)))
}

impl FromFile for File {
    const PULP_TYPE: &'static str = PULP_TYPE;
    const APP_LABEL: &'static str = "file";
    const SERIALIZER: &'static str = "FileContentSerializer";
    const NEEDS_PATH: bool = true;
    const PATH_FIELD: &'static str = "relative_path";

    async fn read(
        _ctx: &TaskContext,
        file: &StoredFile,
        path: Option<&str>,
    ) -> Result<Unit, TaskError> {
        Ok(Unit {
            relative_path: path.unwrap_or_default().to_owned(),
            digest: file.sha256.clone(),
        })
    }

    async fn show(conn: &mut Conn, unit: Content) -> Result<Value, TaskError> {
        let shown = FileContent::load_many(conn, vec![unit]).await?;
        serde_json::to_value(shown.first()).map_err(TaskError::internal)
    }
}

/// Makes the unit of this file under this path, or finds it, as [`NewUnit::ensure`] does.
///
/// # Errors
/// As [`NewUnit::ensure`].
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
    let new = NewUnit::of::<File>(&unit)
        .map_err(|error| DieselError::SerializationError(error.into()))?;
    new.ensure(conn, domain, artifact.pulp_id, labels).await
}
