//! `repository_versions/` and `repositories/<component>/<name>/<id>/versions/` (contract 4.7).

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted};
use crate::v3::repositories_of::{RepositoryCalls, find};
use crate::v3::{href, path_id, references};
use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use millrace_common::ids::DomainId;
use millrace_common::models::RepositoryVersion;
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::prn::Prn;
use millrace_common::repository::PROTECTED;
use millrace_common::representation::Version;
use millrace_common::schema::repository_version as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::{DeleteVersion, RepairVersion};
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

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
    let access = authorize(&app, &actor, Action::View, Object::Version).await?;
    let visible = Predicate::sql(
        "repository_version.complete AND EXISTS (SELECT FROM repository r \
          WHERE r.pulp_id = repository_version.repository_id AND r.pulp_domain = ",
    )
    .bind(Bind::Uuid(DomainId::DEFAULT.0))
    .then(")")
    .and(access.versions(&app.catalog.content));
    answer(&app, &access, &request, visible).await
}

/// A page of versions of a repository.
///
/// # Errors
/// 400 for a filter, 404.
pub async fn list<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (repository, access) = find::<K>(&app, &actor, Action::View, &path).await?;
    let mine =
        Predicate::sql("repository_version.complete AND repository_version.repository_id = ")
            .bind(Bind::Uuid(repository.pulp_id.0));
    answer(&app, &access, &request, mine).await
}

async fn answer(
    app: &App,
    access: &Access,
    request: &HttpRequest,
    of: Predicate<table::table>,
) -> ApiResult {
    let mut listing = Listing::from_request(app, access, request, &FILTERS)?;
    listing.narrow(of);
    let mut conn = app.db.get().await?;
    let Page { count, rows } = RepositoryVersion::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = Version::load_many(&mut conn, rows).await?;
    listing.answer(count, &results)
}

/// One version of a repository.
///
/// # Errors
/// 404.
pub async fn read<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> ApiResult {
    let row = find_version::<K>(&app, &actor, Action::View, path.into_inner()).await?;
    let mut conn = app.db.get().await?;
    let shown = Version::load_many(&mut conn, vec![row]).await?.pop();
    let shown = shown.ok_or_else(|| ApiError::no("RepositoryVersion"))?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Deletes a version, in a task. What serves content stays, and so does the only version.
///
/// # Errors
/// 400 where it serves content, 404.
pub async fn remove<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
) -> ApiResult {
    let row = find_version::<K>(&app, &actor, Action::Delete, path.into_inner()).await?;
    let mut conn = app.db.get().await?;
    let protected = RepositoryVersion::protected(&mut conn, row.repository_id).await?;
    if protected.contains(&row.pulp_id) {
        return Err(ApiError::messages([PROTECTED.to_owned()]));
    }
    drop(conn);
    let task = NewTask::new(&app.catalog.tasks, &DeleteVersion { pk: row.pulp_id })?
        .and_resources(DeleteVersion::on(K::PULP_TYPE, row.repository_id));
    dispatch_and_accept(&app, &actor, task).await
}

/// What a repair is to look at.
#[derive(Debug, ToSchema)]
pub struct Repair {
    /// True: read every file and compare its digest.
    #[schema(required = false)]
    pub verify_checksums: bool,
}

impl FromFields for Repair {
    fn read(fields: &mut Fields) -> Option<Self> {
        let verify = fields.optional::<bool>("verify_checksums")?;
        Some(Self {
            verify_checksums: verify.unwrap_or(true),
        })
    }
}

/// Fetches the files of a version anew that are missing or not what they should be, in a task.
///
/// # Errors
/// 400, 404.
pub async fn repair<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
    body: Unread<Body<Repair>>,
) -> ApiResult {
    let found = find_version::<K>(&app, &actor, Action::Repair, path.into_inner()).await;
    let (row, Body(request)) = body.read_for(found).await?;
    let task = RepairVersion {
        repository_version_pk: row.pulp_id,
        verify_checksums: request.verify_checksums,
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?
        .and_resources(RepairVersion::on(K::PULP_TYPE, row.repository_id));
    dispatch_and_accept(&app, &actor, task).await
}

/// A version of a repository to which the actor may do this.
async fn find_version<K: RepositoryCalls>(
    app: &App,
    actor: &Actor,
    action: Action,
    (repository, number): (String, String),
) -> ApiResult<RepositoryVersion> {
    let (repository, _) = find::<K>(app, actor, action, &repository).await?;
    let number: i32 = path_id(&number, "RepositoryVersion")?;
    let mut conn = app.db.get().await?;
    let row = RepositoryVersion::numbered(&mut conn, repository.pulp_id, number).await?;
    row.ok_or_else(|| ApiError::no("RepositoryVersion"))
}
