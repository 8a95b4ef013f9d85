//! `repositories/`: repositories of all types.

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::ApiResult;
use crate::listing::{Filters, Kind, Listing, Types};
use crate::v3::{content, href, references, time};
use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use millrace_common::ids::RepositoryId;
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Repository, RepositoryVersion};
use millrace_common::prn;
use millrace_common::schema::repository;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A repository of any type.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct RepositoryResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub versions_href: String,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub latest_version_href: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub retain_repo_versions: Option<i32>,
    pub retain_checkpoints: Option<i32>,
    pub remote: Option<String>,
}

/// The filters that lists of repositories of any type share.
#[must_use]
pub fn common_filters() -> Filters<repository::table> {
    Filters::newest_first(repository::pulp_created, repository::pulp_id)
        .in_domain(repository::pulp_domain)
        .sortable("pulp_last_updated", repository::pulp_last_updated)
        .sortable("name", repository::name)
        .sortable("description", repository::description)
        .sortable("next_version", repository::next_version)
        .sortable("pulp_type", repository::pulp_type)
        .sortable("pulp_labels", repository::pulp_labels)
        .sortable("user_hidden", repository::user_hidden)
        .sortable("retain_repo_versions", repository::retain_repo_versions)
        .sortable("retain_checkpoints", repository::retain_checkpoints)
        .identities(repository::pulp_id)
        .names("name", repository::name)
        .numbers("retain_repo_versions", repository::retain_repo_versions)
        .numbers("retain_checkpoints", repository::retain_checkpoints)
        .labels(repository::pulp_labels)
        .filter("remote", Kind::Reference, "has this remote", |v| {
            if v.is_empty() || v == "null" {
                return Ok(Predicate::on(repository::remote).then(" IS NULL"));
            }
            let remote = references::object_id("", v, "remote");
            let remote = remote.map_err(|_fault| format!("URI not valid: {v}"))?;
            Ok(Predicate::on(repository::remote)
                .then(" = ")
                .bind(Bind::Uuid(remote)))
        })
        .also_empty()
        .filter(
            "with_content",
            Kind::Reference,
            "any version holds this unit",
            |v| {
                let unit = unit(v)?;
                Ok(Predicate::on(repository::pulp_id)
                .then(" IN (SELECT m.repository_id FROM repository_content m WHERE m.content_id = ")
                .bind(unit)
                .then(
                    " AND EXISTS (SELECT FROM repository_version v WHERE v.complete \
                          AND v.repository_id = m.repository_id AND v.number >= m.version_added \
                          AND (m.version_removed IS NULL OR v.number < m.version_removed)))",
                ))
            },
        )
        .filter(
            "latest_with_content",
            Kind::Reference,
            "the newest version holds this unit",
            |v| {
                let unit = unit(v)?;
                Ok(Predicate::on(repository::pulp_id)
                .then(" IN (SELECT m.repository_id FROM repository_content m WHERE m.content_id = ")
                .bind(unit)
                .then(
                    " AND EXISTS (SELECT FROM (SELECT max(v.number) AS number FROM repository_version v \
                           WHERE v.repository_id = m.repository_id AND v.complete) newest \
                         WHERE newest.number >= m.version_added \
                           AND (m.version_removed IS NULL OR newest.number < m.version_removed)))",
                ))
            },
        )
}

fn unit(value: &str) -> Result<Bind, String> {
    references::object_id("", value, "content")
        .map(Bind::Uuid)
        .map_err(|_fault| format!("URI not valid: {value}"))
}

/// The filters of `repositories/`.
pub static FILTERS: LazyLock<Filters<repository::table>> = LazyLock::new(|| {
    content::by_type(
        common_filters(),
        "repository.pulp_type",
        Types::Repositories,
    )
});

/// The condition that hides what users are not shown.
#[must_use]
pub fn visible() -> Predicate<repository::table> {
    Predicate::sql("NOT repository.user_hidden")
}

/// A page of repositories.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Repository("")).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let columns = (repository::pulp_id, repository::pulp_type);
    let types = app.catalog.content.repository_types();
    let visible = visible().and(access.rows_of_types("repository", types, columns));
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    let page = Repository::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let ids: Vec<RepositoryId> = page.rows.iter().map(|row| row.pulp_id).collect();
    let latest = RepositoryVersion::latest_numbers(&mut conn, &ids).await?;
    let latest: HashMap<RepositoryId, i32> = latest.into_iter().collect();
    let results: Vec<_> = page
        .rows
        .iter()
        .map(|row| show(row, latest.get(&row.pulp_id).copied()))
        .collect();
    listing.answer(page.count, &results)
}

fn show(row: &Repository, latest: Option<i32>) -> RepositoryResponse {
    let (kind, id) = (row.pulp_type.as_str(), row.pulp_id);
    let address = href::repository(kind, id);
    RepositoryResponse {
        versions_href: format!("{address}versions/"),
        pulp_href: address,
        prn: prn::repository(kind, id).to_string(),
        pulp_created: row.pulp_created,
        pulp_last_updated: row.pulp_last_updated,
        pulp_labels: row.pulp_labels.clone(),
        latest_version_href: latest.map(|number| href::version(kind, id, number)),
        name: row.name.clone(),
        description: row.description.clone(),
        retain_repo_versions: row.retain_repo_versions,
        retain_checkpoints: row.retain_checkpoints,
        remote: row
            .remote
            .map(|remote| href::detail("remote", kind, remote)),
    }
}
