//! `exporters/core/filesystem/<id>/exports/`: exports of versions and publications (contract 4.14).

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::{exporters, href, path_id, references, time};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use millrace_common::db::Conn;
use millrace_common::error::Error;
use millrace_common::ids::{DomainId, ExportId, ExporterId, PublicationId, VersionId};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Export, Publication, Repository, RepositoryVersion};
use millrace_common::prn::Prn;
use millrace_common::schema::export as table;
use millrace_common::tasking::{NewTask, Resources};
use millrace_common::tasks::export::{BACKWARDS, path, reading, starts_before};
use millrace_common::tasks::{FsPublicationExport, FsRepoVersionExport};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

const WHAT: &str = "FilesystemExport";
const START: &str = "start_repository_version";

/// An export that was recorded.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct FilesystemExportResponse {
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
    pub task: Option<String>,
    /// What was exported, as far as it still exists.
    pub exported_resources: Vec<String>,
    #[schema(value_type = Object)]
    pub params: Value,
}

/// An export that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = FilesystemExport)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct FilesystemExportRequest {
    pub publication: Option<String>,
    pub repository_version: Option<String>,
    pub start_repository_version: Option<String>,
}

impl FromFields for FilesystemExportRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let publication = fields.nullable::<Text>("publication");
        let version = fields.nullable::<Text>("repository_version");
        let start = fields.nullable::<Text>(START);
        let text = |given: Option<Option<Text>>| given.flatten().map(|text| text.0);
        Some(Self {
            publication: text(publication?),
            repository_version: text(version?),
            start_repository_version: text(start?),
        })
    }
}

/// The filters of the list.
pub static FILTERS: LazyLock<Filters<table::table>> =
    LazyLock::new(|| Filters::newest_first(table::pulp_created, table::pulp_id));

/// A page of exports of an exporter.
///
/// # Errors
/// 400 for a filter, 403, 404.
pub async fn list(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Exporter).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let exporter = exporters::find(&mut conn, &path).await?;
    let mine = Predicate::on(table::exporter_id)
        .then(" = ")
        .bind(Bind::Uuid(exporter.pulp_id.0));
    listing.narrow(mine);
    let page = Export::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let shown = show(&mut conn, page.rows).await?;
    listing.answer(page.count, &shown)
}

async fn show(conn: &mut Conn, rows: Vec<Export>) -> ApiResult<Vec<FilesystemExportResponse>> {
    let ids: Vec<ExportId> = rows.iter().map(|row| row.pulp_id).collect();
    let exported = Export::exported(conn, &ids).await?;
    let hrefs = href::of_prns(conn, exported.iter().map(|(_, prn)| prn.as_str())).await?;
    let mut resources: HashMap<ExportId, Vec<String>> = HashMap::new();
    for (id, prn) in &exported {
        if let Some(href) = hrefs.get(prn) {
            resources.entry(*id).or_default().push(href.clone());
        }
    }
    let shown = |row: Export| FilesystemExportResponse {
        pulp_href: href::filesystem_export(row.exporter_id, row.pulp_id),
        prn: Prn::from(row.pulp_id).to_string(),
        pulp_created: row.pulp_created,
        pulp_last_updated: row.pulp_last_updated,
        task: row.task_id.map(href::task),
        exported_resources: resources.remove(&row.pulp_id).unwrap_or_default(),
        params: row.params,
    };
    Ok(rows.into_iter().map(shown).collect())
}

async fn find(conn: &mut Conn, (exporter, id): (String, String)) -> ApiResult<Export> {
    let exporter: ExporterId = path_id(&exporter, WHAT)?;
    let id: ExportId = path_id(&id, WHAT)?;
    Export::find(conn, exporter, id)
        .await?
        .ok_or_else(|| ApiError::no(WHAT))
}

/// One export.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Exporter).await?;
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, path.into_inner()).await?;
    let shown = show(&mut conn, vec![row]).await?;
    Wanted::from_request(&request).answer_one(shown)
}

/// Exports a publication or a version, in a task.
///
/// # Errors
/// 400 for what is wrong with which field, or where the directory is not allowed any more; 403, 404.
pub async fn create(
    app: Data<App>,
    actor: Actor,
    id: Path<String>,
    body: Unread<Body<FilesystemExportRequest>>,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::Create, Object::Exporter).await?;
    let Body(request) = body.read().await?;
    let mut conn = app.db.get().await?;
    let exporter = exporters::find(&mut conn, &id).await?;
    let wanted = Asked::find(&mut conn, &access, &request).await?;
    drop(conn);
    path::find(&exporter.path, &app.settings.exports)
        .await
        .map_err(|refusal| ApiError::messages([refusal.about(&exporter.path)]))?;
    let task = wanted.task(&app, exporter.pulp_id)?;
    dispatch_and_accept(&app, &actor, task).await
}

/// What a request asks for.
struct Asked {
    what: What,
    start: Option<VersionId>,
    reading: Resources,
}

enum What {
    Publication(PublicationId),
    Version(VersionId),
}

impl Asked {
    async fn find(
        conn: &mut Conn,
        access: &Access,
        request: &FilesystemExportRequest,
    ) -> ApiResult<Self> {
        const NOT_ONE: &str =
            "publication or repository_version must either be supplied but not both.";
        let (what, exported, mut reads) = match (&request.publication, &request.repository_version)
        {
            (Some(reference), None) => {
                let (id, row, reads) = publication(conn, reference).await?;
                (What::Publication(id), row, reads)
            }
            (None, Some(reference)) => {
                let (row, reads) = version(conn, access, "repository_version", reference).await?;
                (What::Version(row.pulp_id), row, reads)
            }
            _ => return Err(ApiError::field("non_field_errors", NOT_ONE)),
        };
        let mut start = None;
        if let Some(reference) = &request.start_repository_version {
            let (row, more) = version(conn, access, START, reference).await?;
            if !starts_before(row.membership(), exported.membership()) {
                return Err(ApiError::field(START, BACKWARDS));
            }
            (start, reads) = (Some(row.pulp_id), reads.and(more));
        }
        Ok(Self {
            what,
            start,
            reading: reads,
        })
    }

    fn task(self, app: &App, exporter: ExporterId) -> ApiResult<NewTask> {
        let catalog = &app.catalog.tasks;
        let task = match self.what {
            What::Publication(id) => NewTask::new(
                catalog,
                &FsPublicationExport {
                    exporter_pk: exporter,
                    publication_pk: id,
                    start_repo_version_pk: self.start,
                },
            )?,
            What::Version(id) => NewTask::new(
                catalog,
                &FsRepoVersionExport {
                    exporter_pk: exporter,
                    repo_version_pk: id,
                    start_repo_version_pk: self.start,
                },
            )?,
        };
        Ok(task.and_resources(self.reading))
    }
}

async fn publication(
    conn: &mut Conn,
    reference: &str,
) -> ApiResult<(PublicationId, RepositoryVersion, Resources)> {
    let gone = || ApiError::field("publication", references::NO_OBJECT);
    let id = references::object_id("publication", reference, "publication")?;
    let found = Publication::find(conn, DomainId::DEFAULT, PublicationId(id)).await?;
    let row = found.ok_or_else(gone)?;
    let version = RepositoryVersion::find(conn, row.repository_version_id).await?;
    let version = version.ok_or_else(gone)?;
    let reads = reads(conn, &version).await?;
    Ok((row.pulp_id, version, reads.ok_or_else(gone)?))
}

async fn version(
    conn: &mut Conn,
    access: &Access,
    field: &str,
    reference: &str,
) -> ApiResult<(RepositoryVersion, Resources)> {
    let gone = || ApiError::field(field, references::NO_OBJECT);
    let id = references::version_id(conn, access, field, reference).await?;
    let found = RepositoryVersion::find(conn, id).await?.ok_or_else(gone)?;
    let reads = reads(conn, &found).await?;
    Ok((found, reads.ok_or_else(gone)?))
}

/// What is reserved to read a version; `None`: it is of another domain.
async fn reads(conn: &mut Conn, version: &RepositoryVersion) -> ApiResult<Option<Resources>> {
    let found = Repository::find(conn, DomainId::DEFAULT, version.repository_id).await?;
    Ok(found.map(|row| reading(&row.pulp_type, row.pulp_id)))
}

/// Forgets an export whose task has ended, at once. No file is touched.
///
/// # Errors
/// 403, 404, 409 while its task has not ended.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<(String, String)>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Exporter).await?;
    let path = path.into_inner();
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, path.clone()).await?;
    if Export::delete_ended(&mut conn, row.pulp_id).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    find(&mut conn, path).await?;
    Err(Error::Conflict("The task of this export has not ended.".to_owned()).into())
}
