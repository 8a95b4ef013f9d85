//! `repository_versions/` and `repositories/file/file/<id>/versions/` (contract 4.7).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted};
use crate::v3::{href, path_id, references, time};
use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use millrace_common::content::file::PULP_TYPE;
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, RepositoryId, VersionId};
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::{Repository, RepositoryVersion, VersionCount};
use millrace_common::prn::Prn;
use millrace_common::repository::PROTECTED;
use millrace_common::schema::repository_version as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::DeleteVersion;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

/// A version of a repository.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct RepositoryVersionResponse {
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
    pub number: i32,
    pub repository: String,
    pub base_version: Option<String>,
    pub content_summary: ContentSummaryResponse,
    pub vuln_report: String,
}

/// How many units a version added, removed and holds, by type.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ContentSummaryResponse {
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
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeSummary {
    /// How many.
    pub count: i64,
    /// The list of them.
    pub href: String,
}

/// The filters of both lists.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    Filters::newest_first(table::pulp_created, table::pulp_id)
        .sortable("pulp_last_updated", table::pulp_last_updated)
        .sortable("number", table::number)
        .sortable("complete", table::complete)
        .sortable("info", table::info)
        .numbers("number", table::number)
        .dates("pulp_created", table::pulp_created)
        .filter("content", Kind::Reference, "holds this unit", |v| {
            holds(&[v])
        })
        .filter(
            "content__in",
            Kind::Texts,
            "holds one of these units",
            |v| {
                let all: Vec<&str> = v.split(',').map(str::trim).collect();
                holds(&all)
            },
        )
        .filter("pulp_href__in", Kind::Texts, "href is one of", |v| {
            let mut any = Predicate::never();
            for one in v.split(',').map(str::trim) {
                let Some(href::Target::Version { repository, number }) = href::parse(one) else {
                    return Err(format!("URI not valid: {one}"));
                };
                let id = repository.uuid().unwrap_or_default();
                any = any.or(Predicate::on(table::repository_id)
                    .then(" = ")
                    .bind(Bind::Uuid(id))
                    .then(" AND repository_version.number = ")
                    .bind(Bind::Integer(number.into())));
            }
            Ok(any)
        })
        .filter("prn__in", Kind::Texts, "PRN is one of", |v| {
            let read = |one: &str| {
                Prn::parse(one)
                    .filter(|prn| prn.model == "core.repositoryversion")
                    .and_then(|prn| prn.uuid())
                    .ok_or_else(|| format!("URI not valid: {one}"))
            };
            let ids = v
                .split(',')
                .map(str::trim)
                .map(read)
                .collect::<Result<_, _>>()?;
            Ok(Predicate::on(table::pulp_id)
                .then(" = ANY (")
                .bind(Bind::Uuids(ids))
                .then(")"))
        })
});

fn holds(units: &[&str]) -> Result<Predicate<table::table>, String> {
    let ids = units
        .iter()
        .map(|unit| {
            references::object_id("", unit, "content")
                .map_err(|_fault| format!("URI not valid: {unit}"))
        })
        .collect::<Result<Vec<Uuid>, _>>()?;
    Ok(Predicate::sql(
        "EXISTS (SELECT FROM repository_content m \
          WHERE m.repository_id = repository_version.repository_id \
            AND m.version_added <= repository_version.number \
            AND (m.version_removed IS NULL OR m.version_removed > repository_version.number) \
            AND m.content_id = ANY (",
    )
    .bind(Bind::Uuids(ids))
    .then("))"))
}

/// A page of versions of all repositories.
///
/// # Errors
/// 400 for a filter.
pub async fn list_all(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    authorize(&actor, Action::View, Object::Repository)?;
    let visible = Predicate::sql(
        "repository_version.complete AND EXISTS (SELECT FROM repository r \
          WHERE r.pulp_id = repository_version.repository_id AND r.pulp_domain = ",
    )
    .bind(Bind::Uuid(DomainId::DEFAULT.0))
    .then(")");
    answer(&app, &request, visible).await
}

/// A page of versions of a file repository.
///
/// # Errors
/// 400 for a filter, 404.
pub async fn list(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&actor, Action::View, Object::Repository)?;
    let repository = find(&mut *app.db.get().await?, &path).await?;
    let mine =
        Predicate::sql("repository_version.complete AND repository_version.repository_id = ")
            .bind(Bind::Uuid(repository.0));
    answer(&app, &request, mine).await
}

async fn find(conn: &mut Conn, id: &str) -> ApiResult<RepositoryId> {
    let id: RepositoryId = path_id(id, "FileRepository")?;
    Repository::find(conn, DomainId::DEFAULT, id)
        .await?
        .filter(|row| row.pulp_type == PULP_TYPE)
        .map(|row| row.pulp_id)
        .ok_or_else(|| ApiError::no("FileRepository"))
}

async fn answer(app: &App, request: &HttpRequest, of: Predicate<table::table>) -> ApiResult {
    let mut listing = Listing::from_request(app, request, &FILTERS)?;
    listing.selection.predicate = of.and(listing.selection.predicate.clone());
    let mut conn = app.db.get().await?;
    let Page { count, rows } = RepositoryVersion::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = show(&mut conn, rows).await?;
    listing.answer(count, &results)
}

/// One version of a file repository.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&actor, Action::View, Object::Repository)?;
    let mut conn = app.db.get().await?;
    let row = find_version(&mut conn, path.into_inner()).await?;
    let shown = show(&mut conn, vec![row]).await?.pop();
    let shown = shown.ok_or_else(|| ApiError::no("RepositoryVersion"))?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Deletes a version, in a task. What serves content stays, and so does the only version.
///
/// # Errors
/// 400 where it serves content, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<(String, String)>) -> ApiResult {
    authorize(&actor, Action::Change, Object::Repository)?;
    let mut conn = app.db.get().await?;
    let row = find_version(&mut conn, path.into_inner()).await?;
    let protected = RepositoryVersion::protected(&mut conn, row.repository_id).await?;
    if protected.contains(&row.pulp_id) {
        return Err(ApiError::messages([PROTECTED.to_owned()]));
    }
    drop(conn);
    let task = NewTask::new(&app.catalog.tasks, &DeleteVersion { pk: row.pulp_id })?
        .and_resources(DeleteVersion::on(PULP_TYPE, row.repository_id));
    dispatch_and_accept(&app, &actor, task).await
}

async fn find_version(
    conn: &mut Conn,
    (repository, number): (String, String),
) -> ApiResult<RepositoryVersion> {
    let repository = find(conn, &repository).await?;
    let number: i32 = path_id(&number, "RepositoryVersion")?;
    let row = RepositoryVersion::numbered(conn, repository, number).await?;
    row.ok_or_else(|| ApiError::no("RepositoryVersion"))
}

/// Versions as clients see them: three statements, however many.
async fn show(
    conn: &mut Conn,
    rows: Vec<RepositoryVersion>,
) -> QueryResult<Vec<RepositoryVersionResponse>> {
    let repositories: Vec<RepositoryId> = rows.iter().map(|row| row.repository_id).collect();
    let types: HashMap<RepositoryId, String> = Repository::types(conn, &repositories)
        .await?
        .into_iter()
        .collect();
    let type_of = |id: &RepositoryId| types.get(id).map_or(PULP_TYPE, String::as_str);
    let bases: Vec<VersionId> = rows.iter().filter_map(|row| row.base_version).collect();
    let bases: HashMap<VersionId, String> = RepositoryVersion::places(conn, &bases)
        .await?
        .into_iter()
        // A base version may be of another repository, of the same type.
        .map(|(id, repository, number)| (id, href::version(PULP_TYPE, repository, number)))
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
            let base = row.base_version.and_then(|id| bases.get(&id).cloned());
            one(&row, kind, base, counts)
        })
        .collect())
}

fn one(
    row: &RepositoryVersion,
    kind: &str,
    base_version: Option<String>,
    counts: Vec<VersionCount>,
) -> RepositoryVersionResponse {
    let address = href::version(kind, row.repository_id, row.number);
    let prn = Prn::from(row.pulp_id).to_string();
    RepositoryVersionResponse {
        content_summary: summary(&address, counts),
        pulp_href: address,
        pulp_created: row.pulp_created,
        pulp_last_updated: row.pulp_last_updated,
        number: row.number,
        repository: href::repository(kind, row.repository_id),
        base_version,
        vuln_report: format!("{}vuln_report/?repo_versions={prn}", href::ROOT),
        prn,
    }
}

fn summary(version: &str, counts: Vec<VersionCount>) -> ContentSummaryResponse {
    let mut summary = ContentSummaryResponse::default();
    for row in counts {
        let (map, filter) = match row.kind.as_str() {
            "added" => (&mut summary.added, "repository_version_added"),
            "removed" => (&mut summary.removed, "repository_version_removed"),
            _ => (&mut summary.present, "repository_version"),
        };
        let href = format!(
            "{}?{filter}={version}",
            href::content_collection(&row.pulp_type)
        );
        map.insert(
            row.pulp_type,
            TypeSummary {
                count: row.count,
                href,
            },
        );
    }
    summary
}
