//! What clients see of publications and distributions (contract 4.12, 4.13).

use super::{
    file_distribution_href, file_publication_href, file_repository_href, file_version_href, moment,
};
use crate::config::Settings;
use crate::db::Conn;
use crate::ids::{PublicationId, RepositoryId, VersionId};
use crate::models::{Distribution, Publication, RepositoryVersion};
use crate::prn;
use diesel::QueryResult;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A file publication.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = file::FilePublicationResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.12)")]
pub struct FilePublication {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub repository_version: Option<String>,
    pub repository: Option<String>,
    pub distributions: Vec<String>,
    pub manifest: Option<String>,
    pub checkpoint: bool,
}

/// Where versions are, by id.
async fn places(
    conn: &mut Conn,
    ids: Vec<VersionId>,
) -> QueryResult<HashMap<VersionId, (RepositoryId, i32)>> {
    let found = RepositoryVersion::places(conn, &ids).await?;
    Ok(found
        .into_iter()
        .map(|(id, repository, number)| (id, (repository, number)))
        .collect())
}

impl FilePublication {
    /// What clients see of these publications, in their order: two statements, however many.
    ///
    /// # Errors
    /// As the session.
    pub async fn load_many(conn: &mut Conn, rows: Vec<Publication>) -> QueryResult<Vec<Self>> {
        let versions = rows.iter().map(|row| row.repository_version_id).collect();
        let places = places(conn, versions).await?;
        let ids: Vec<PublicationId> = rows.iter().map(|row| row.pulp_id).collect();
        let mut distributions: HashMap<PublicationId, Vec<String>> = HashMap::new();
        for (publication, id, _) in Distribution::of_publications(conn, &ids).await? {
            let href = file_distribution_href(id);
            distributions.entry(publication).or_default().push(href);
        }
        let shown = |row: Publication| {
            let place = places.get(&row.repository_version_id).copied();
            Self {
                pulp_href: file_publication_href(row.pulp_id),
                prn: prn::publication(&row.pulp_type, row.pulp_id).to_string(),
                pulp_created: moment(row.pulp_created),
                pulp_last_updated: moment(row.pulp_last_updated),
                repository_version: place.map(|(id, number)| file_version_href(id, number)),
                repository: place.map(|(id, _)| file_repository_href(id)),
                distributions: distributions.remove(&row.pulp_id).unwrap_or_default(),
                manifest: row.manifest,
                checkpoint: row.checkpoint,
            }
        };
        Ok(rows.into_iter().map(shown).collect())
    }
}

/// A file distribution.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = file::FileDistributionResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.13)")]
pub struct FileDistribution {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub base_path: String,
    #[schema(read_only)]
    pub base_url: String,
    pub content_guard: Option<String>,
    #[schema(read_only)]
    pub content_guard_prn: Option<String>,
    #[schema(read_only)]
    pub no_content_change_since: Option<String>,
    pub hidden: bool,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub name: String,
    pub repository: Option<String>,
    pub repository_version: Option<String>,
    pub publication: Option<String>,
    pub checkpoint: bool,
}

/// Where the content below a base path is reached: the whole address if the settings know the origin.
#[must_use]
pub fn base_url(settings: &Settings, base_path: &str) -> String {
    let origin = settings.api.content_origin.trim_end_matches('/');
    format!("{origin}{}{base_path}/", settings.content.path_prefix)
}

impl FileDistribution {
    /// What clients see of these distributions, in their order: one statement, however many.
    ///
    /// # Errors
    /// As the session.
    pub async fn load_many(
        conn: &mut Conn,
        settings: &Settings,
        rows: Vec<Distribution>,
    ) -> QueryResult<Vec<Self>> {
        let versions = rows.iter().filter_map(|row| row.repository_version_id);
        let places = places(conn, versions.collect()).await?;
        let shown = |row: Distribution| {
            let version = row.repository_version_id.and_then(|id| places.get(&id));
            let changed = moment(row.pulp_last_updated);
            Self {
                pulp_href: file_distribution_href(row.pulp_id),
                prn: prn::distribution(&row.pulp_type, row.pulp_id).to_string(),
                pulp_created: moment(row.pulp_created),
                base_url: base_url(settings, &row.base_path),
                base_path: row.base_path,
                content_guard: None,
                content_guard_prn: None,
                no_content_change_since: row.publication_id.map(|_| changed.clone()),
                pulp_last_updated: changed,
                hidden: row.hidden,
                pulp_labels: row.pulp_labels,
                name: row.name,
                repository: row.repository_id.map(file_repository_href),
                repository_version: version.map(|(id, number)| file_version_href(*id, *number)),
                publication: row.publication_id.map(file_publication_href),
                checkpoint: row.checkpoint,
            }
        };
        Ok(rows.into_iter().map(shown).collect())
    }
}
