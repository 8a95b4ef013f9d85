//! Packages and the repositories that hold them.

use super::{API_ROOT, artifact_href, moment, with_artifacts};
use crate::content::rpm::{PULP_TYPE, REPOSITORY};
use crate::db::Conn;
use crate::models::{Artifact, Content, Repository};
use crate::prn;
use diesel::QueryResult;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A package.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = rpm::PackageResponse)]
#[expect(missing_docs, reason = "named as clients know them (contract 4.9)")]
pub struct RpmPackage {
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
    pub name: String,
    pub epoch: String,
    pub version: String,
    pub release: String,
    pub arch: String,
    /// The checksum of the package.
    #[serde(rename = "pkgId")]
    pub pkg_id: String,
    pub checksum_type: String,
    pub description: String,
    /// Where it lies.
    pub location_href: String,
    pub rpm_buildhost: String,
    pub rpm_license: String,
    pub rpm_vendor: String,
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha224: Option<String>,
    pub sha256: Option<String>,
    pub sha384: Option<String>,
    pub sha512: Option<String>,
}

impl RpmPackage {
    /// What clients see of this unit; without an artifact, all digests are null.
    #[must_use]
    pub fn new(row: Content, artifact: Option<Artifact>) -> Self {
        let fields = &row.fields;
        let field = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let digest =
            |get: fn(&Artifact) -> &Option<String>| artifact.as_ref().and_then(|a| get(a).clone());
        Self {
            pulp_href: format!("{API_ROOT}content/rpm/packages/{}/", row.pulp_id),
            prn: prn::content(PULP_TYPE, row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            vuln_report: None,
            artifact: artifact.as_ref().map(|a| artifact_href(a.pulp_id)),
            name: field("name"),
            epoch: field("epoch"),
            version: field("version"),
            release: field("release"),
            arch: field("arch"),
            pkg_id: field("checksum"),
            checksum_type: field("checksumtype"),
            description: field("description"),
            location_href: field("relativepath"),
            rpm_buildhost: field("buildhost"),
            rpm_license: field("license"),
            rpm_vendor: field("vendor"),
            md5: digest(|a| &a.md5),
            sha1: digest(|a| &a.sha1),
            sha224: digest(|a| &a.sha224),
            sha256: artifact.as_ref().map(|a| a.sha256.clone()),
            sha384: digest(|a| &a.sha384),
            sha512: digest(|a| &a.sha512),
            pulp_labels: row.pulp_labels,
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

/// A repository of packages.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = rpm::RpmRepositoryResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.7)")]
pub struct RpmRepository {
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
    /// Always null: there are no remotes of this type.
    pub remote: Option<String>,
}

impl RpmRepository {
    /// What clients see of this repository, whose newest version has this number.
    #[must_use]
    pub fn new(row: Repository, latest: Option<i32>) -> Self {
        let href = format!("{API_ROOT}repositories/rpm/rpm/{}/", row.pulp_id);
        Self {
            prn: prn::repository(REPOSITORY, row.pulp_id).to_string(),
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            versions_href: format!("{href}versions/"),
            pulp_labels: row.pulp_labels,
            latest_version_href: latest.map(|number| format!("{href}versions/{number}/")),
            name: row.name,
            description: row.description,
            retain_repo_versions: row.retain_repo_versions,
            retain_checkpoints: row.retain_checkpoints,
            remote: None,
            pulp_href: href,
        }
    }
}
