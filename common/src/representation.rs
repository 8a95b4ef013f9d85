//! What clients see of objects that are also the `result` of tasks (contract 4.7, 4.9). The REST layer
//! answers with the same forms.

mod exporter;
mod file_remote;
mod rpm;
mod served;
mod version;

pub use exporter::{FilesystemExporter, filesystem_export_href, filesystem_exporter_href};
pub use file_remote::{FileRemote, HiddenField};
pub use rpm::{RpmPackage, RpmRepository};
pub use served::{FileDistribution, FilePublication, base_url};
pub use version::{ContentSummary, TypeSummary, Version, content_collection};

use crate::content::file;
use crate::db::Conn;
pub use crate::href::ROOT as API_ROOT;
use crate::ids::{
    ArtifactId, ContentId, DistributionId, PublicationId, RemoteId, RepositoryId, TaskId,
};
use crate::models::{Artifact, Content, ContentArtifact, Repository};
use crate::prn;
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::QueryResult;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A moment as clients read it: UTC, microseconds, `Z`.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The address of a task.
#[must_use]
pub fn task_href(id: TaskId) -> String {
    format!("{API_ROOT}tasks/{id}/")
}

/// The address of an artifact.
#[must_use]
pub fn artifact_href(id: ArtifactId) -> String {
    format!("{API_ROOT}artifacts/{id}/")
}

/// The address of a file unit.
#[must_use]
pub fn file_content_href(id: ContentId) -> String {
    format!("{API_ROOT}content/file/files/{id}/")
}

/// The address of a file repository.
#[must_use]
pub fn file_repository_href(id: RepositoryId) -> String {
    format!("{API_ROOT}repositories/file/file/{id}/")
}

/// The address of a file remote.
#[must_use]
pub fn file_remote_href(id: RemoteId) -> String {
    format!("{API_ROOT}remotes/file/file/{id}/")
}

/// The address of a file publication.
#[must_use]
pub fn file_publication_href(id: PublicationId) -> String {
    format!("{API_ROOT}publications/file/file/{id}/")
}

/// The address of a file distribution.
#[must_use]
pub fn file_distribution_href(id: DistributionId) -> String {
    format!("{API_ROOT}distributions/file/file/{id}/")
}

/// The address of a version of a file repository.
#[must_use]
pub fn file_version_href(id: RepositoryId, number: i32) -> String {
    format!("{}versions/{number}/", file_repository_href(id))
}

/// A file repository.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = file::FileRepositoryResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.7)")]
pub struct FileRepository {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub versions_href: String,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub latest_version_href: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub retain_repo_versions: Option<i32>,
    pub retain_checkpoints: Option<i32>,
    pub remote: Option<String>,
    pub autopublish: bool,
    pub manifest: Option<String>,
    #[schema(value_type = Object)]
    pub last_sync_details: Value,
}

impl FileRepository {
    /// What clients see of this repository, whose newest version has this number.
    #[must_use]
    pub fn new(row: Repository, latest: Option<i32>) -> Self {
        let href = file_repository_href(row.pulp_id);
        Self {
            prn: prn::repository(&row.pulp_type, row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            versions_href: format!("{href}versions/"),
            pulp_labels: row.pulp_labels,
            latest_version_href: latest.map(|number| file_version_href(row.pulp_id, number)),
            name: row.name,
            description: row.description,
            retain_repo_versions: row.retain_repo_versions,
            retain_checkpoints: row.retain_checkpoints,
            remote: row.remote.map(file_remote_href),
            autopublish: row.autopublish,
            manifest: row.manifest,
            last_sync_details: row.last_sync_details,
            pulp_href: href,
        }
    }
}

/// A file unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = file::FileContentResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.9)")]
pub struct FileContent {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub vuln_report: Option<String>,
    pub artifact: Option<String>,
    pub relative_path: String,
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha224: Option<String>,
    pub sha256: Option<String>,
    pub sha384: Option<String>,
    pub sha512: Option<String>,
}

impl FileContent {
    /// What clients see of this unit; without an artifact, all digests are null.
    #[must_use]
    pub fn new(row: Content, artifact: Option<Artifact>) -> Self {
        let path = row.fields.get("relative_path").and_then(Value::as_str);
        let href = artifact.as_ref().map(|a| artifact_href(a.pulp_id));
        let digest =
            |get: fn(&Artifact) -> &Option<String>| artifact.as_ref().and_then(|a| get(a).clone());
        Self {
            pulp_href: file_content_href(row.pulp_id),
            prn: prn::content(file::PULP_TYPE, row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            pulp_labels: row.pulp_labels,
            vuln_report: None,
            artifact: href,
            relative_path: path.unwrap_or_default().to_owned(),
            md5: digest(|a| &a.md5),
            sha1: digest(|a| &a.sha1),
            sha224: digest(|a| &a.sha224),
            sha256: artifact.as_ref().map(|a| a.sha256.clone()),
            sha384: digest(|a| &a.sha384),
            sha512: digest(|a| &a.sha512),
        }
    }

    /// The same for many, in their order, with three statements in all.
    ///
    /// # Errors
    /// As the session.
    pub async fn load_many(conn: &mut Conn, rows: Vec<Content>) -> QueryResult<Vec<Self>> {
        with_artifacts(conn, rows, Self::new).await
    }
}

/// Units of one file each as clients see them, in their order, with three statements in all.
async fn with_artifacts<T>(
    conn: &mut Conn,
    rows: Vec<Content>,
    shown: fn(Content, Option<Artifact>) -> T,
) -> QueryResult<Vec<T>> {
    let ids: Vec<_> = rows.iter().map(|row| row.pulp_id).collect();
    let links = ContentArtifact::of(conn, &ids).await?;
    let wanted: Vec<_> = links.iter().filter_map(|link| link.artifact_id).collect();
    let artifacts = Artifact::find_many(conn, &wanted).await?;
    let artifacts: HashMap<_, _> = artifacts.into_iter().map(|a| (a.pulp_id, a)).collect();
    let of_unit: HashMap<_, _> = links
        .into_iter()
        .filter_map(|link| Some((link.content_id, link.artifact_id?)))
        .collect();
    let shown = |row: Content| {
        let artifact = of_unit.get(&row.pulp_id).and_then(|id| artifacts.get(id));
        shown(row, artifact.cloned())
    };
    Ok(rows.into_iter().map(shown).collect())
}
