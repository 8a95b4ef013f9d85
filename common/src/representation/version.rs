//! Versions of repositories (contract 4.7).

use super::{API_ROOT, moment};
use crate::db::Conn;
use crate::ids::{RepositoryId, VersionId};
use crate::models::{Repository, RepositoryVersion, VersionCount};
use crate::prn::Prn;
use diesel::QueryResult;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use utoipa::ToSchema;

/// A version of a repository.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RepositoryVersionResponse)]
#[expect(missing_docs, reason = "the contract describes the fields (4.7)")]
pub struct Version {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub number: i32,
    pub repository: String,
    pub base_version: Option<String>,
    pub content_summary: ContentSummary,
    pub vuln_report: String,
}

/// How many units a version added, removed and holds, by type.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = ContentSummaryResponse)]
pub struct ContentSummary {
    /// Units that the version before lacks.
    #[schema(value_type = Object)]
    pub added: BTreeMap<String, TypeSummary>,
    /// Units of the version before that it lacks.
    #[schema(value_type = Object)]
    pub removed: BTreeMap<String, TypeSummary>,
    /// All units.
    #[schema(value_type = Object)]
    pub present: BTreeMap<String, TypeSummary>,
}

/// Units of one type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TypeSummary {
    /// How many.
    pub count: i64,
    /// The list of them.
    pub href: String,
}

/// The collection of content units of this type: the plural of its name.
#[must_use]
pub fn content_collection(pulp_type: &str) -> String {
    format!("{API_ROOT}content/{}s/", pulp_type.replace('.', "/"))
}

fn repository_href(pulp_type: &str, id: RepositoryId) -> String {
    format!(
        "{API_ROOT}repositories/{}/{id}/",
        pulp_type.replace('.', "/")
    )
}

fn version_href(pulp_type: &str, id: RepositoryId, number: i32) -> String {
    format!("{}versions/{number}/", repository_href(pulp_type, id))
}

impl Version {
    /// Versions as clients see them, in their order: three statements, however many.
    ///
    /// # Errors
    /// As the session.
    pub async fn load_many(
        conn: &mut Conn,
        rows: Vec<RepositoryVersion>,
    ) -> QueryResult<Vec<Self>> {
        let repositories: Vec<RepositoryId> = rows.iter().map(|row| row.repository_id).collect();
        let types: HashMap<RepositoryId, String> = Repository::types(conn, &repositories)
            .await?
            .into_iter()
            .collect();
        let type_of = |id: &RepositoryId| types.get(id).map_or("", String::as_str);
        let bases: Vec<VersionId> = rows.iter().filter_map(|row| row.base_version).collect();
        let bases: HashMap<VersionId, (RepositoryId, i32)> =
            RepositoryVersion::places(conn, &bases)
                .await?
                .into_iter()
                .map(|(id, repository, number)| (id, (repository, number)))
                .collect();
        let ids: Vec<VersionId> = rows.iter().map(|row| row.pulp_id).collect();
        let mut counts: HashMap<VersionId, Vec<VersionCount>> = HashMap::new();
        for count in VersionCount::of(conn, &ids).await? {
            counts.entry(count.version_id).or_default().push(count);
        }
        Ok(rows
            .into_iter()
            .map(|row| {
                let kind = type_of(&row.repository_id);
                let counts = counts.remove(&row.pulp_id).unwrap_or_default();
                // A base version may be of another repository, of the same type.
                let base = row.base_version.and_then(|id| bases.get(&id));
                let base =
                    base.map(|(repository, number)| version_href(kind, *repository, *number));
                Self::new(&row, kind, base, counts)
            })
            .collect())
    }

    fn new(
        row: &RepositoryVersion,
        kind: &str,
        base_version: Option<String>,
        counts: Vec<VersionCount>,
    ) -> Self {
        let address = version_href(kind, row.repository_id, row.number);
        let prn = Prn::from(row.pulp_id).to_string();
        Self {
            content_summary: summary(&address, counts),
            pulp_href: address,
            pulp_created: moment(row.pulp_created),
            pulp_last_updated: moment(row.pulp_last_updated),
            number: row.number,
            repository: repository_href(kind, row.repository_id),
            base_version,
            vuln_report: format!("{API_ROOT}vuln_report/?repo_versions={prn}"),
            prn,
        }
    }
}

fn summary(version: &str, counts: Vec<VersionCount>) -> ContentSummary {
    let mut summary = ContentSummary::default();
    for row in counts {
        let (map, filter) = match row.kind.as_str() {
            "added" => (&mut summary.added, "repository_version_added"),
            "removed" => (&mut summary.removed, "repository_version_removed"),
            _ => (&mut summary.present, "repository_version"),
        };
        let href = format!("{}?{filter}={version}", content_collection(&row.pulp_type));
        let count = row.count;
        map.insert(row.pulp_type, TypeSummary { count, href });
    }
    summary
}
