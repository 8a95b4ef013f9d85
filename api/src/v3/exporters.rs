//! `exporters/core/filesystem/`: exporters to file systems (contract 4.14).

use crate::app::App;
use crate::auth::{self, Action, Actor, authorize};
use crate::body::Unread;
use crate::dispatching::{dispatch_and_accept, immediate};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::object::Object;
use crate::v3::path_id;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, ExporterId};
use millrace_common::models::Exporter;
use millrace_common::representation::FilesystemExporter;
use millrace_common::schema::exporter as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::kinds::{self, FieldErrors, filesystem_exporter};
use millrace_common::tasks::{GeneralDelete, GeneralUpdate};
use std::sync::LazyLock;
use utoipa::ToSchema;

const WHAT: &str = "FilesystemExporter";
const EXPORTER: auth::Object = auth::Object::Exporter;

/// How files are exported.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as in the contract")]
pub enum Method {
    Write,
    Hardlink,
    Symlink,
}

/// An exporter to a file system that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = FilesystemExporter)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FilesystemExporterRequest {
    pub name: String,
    pub path: String,
    #[schema(required = false, inline)]
    pub method: Method,
}

/// The filters of `exporters/core/filesystem/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    Filters::newest_first(table::pulp_created, table::pulp_id)
        .in_domain(table::pulp_domain)
        .sortable("pulp_last_updated", table::pulp_last_updated)
        .sortable("pulp_type", table::pulp_type)
        .sortable("name", table::name)
        .sortable("path", table::path)
        .sortable("method", table::method)
        .identities(table::pulp_id)
        .names("name", table::name)
});

/// The exporter that a path names.
///
/// # Errors
/// 404.
pub async fn find(conn: &mut Conn, id: &str) -> ApiResult<Exporter> {
    let id: ExporterId = path_id(id, WHAT)?;
    Exporter::find(conn, DomainId::DEFAULT, id)
        .await?
        .ok_or_else(|| ApiError::no(WHAT))
}

/// A page of exporters.
///
/// # Errors
/// 400 for a filter, 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, EXPORTER).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let page = Exporter::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = page
        .rows
        .into_iter()
        .map(FilesystemExporter::from)
        .collect();
    listing.answer(page.count, &results)
}

/// One exporter.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, EXPORTER).await?;
    let row = find(&mut *app.db.get().await?, &path).await?;
    Wanted::from_request(&request).answer_one(vec![FilesystemExporter::from(row)])
}

/// Makes an exporter, at once.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Object>) -> ApiResult {
    authorize(&app, &actor, Action::Create, EXPORTER).await?;
    let Object(data) = body.read().await?;
    let change = filesystem_exporter::read(&data, false)?;
    filesystem_exporter::check_path(&change, &app.settings.exports).await?;
    let row = filesystem_exporter::build(change, DomainId::DEFAULT);
    let mut conn = app.db.get().await?;
    refuse_taken(&mut conn, Some(&row.name), None).await?;
    if let Err(error) = row.insert(&mut conn).await {
        // Somebody took the name meanwhile.
        refuse_taken(&mut conn, Some(&row.name), None).await?;
        return Err(error.into());
    }
    let shown = FilesystemExporter::from(find(&mut conn, &row.pulp_id.to_string()).await?);
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

async fn refuse_taken(
    conn: &mut Conn,
    name: Option<&String>,
    but: Option<ExporterId>,
) -> ApiResult<()> {
    match name {
        Some(name) if Exporter::name_taken(conn, DomainId::DEFAULT, name, but).await? => {
            Err(FieldErrors::one("name", "This field must be unique.").into())
        }
        _ => Ok(()),
    }
}

/// Replaces the values of an exporter.
///
/// # Errors
/// 400, 403, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Object>,
) -> ApiResult {
    change(&app, &actor, &path, body, false).await
}

/// Changes some values of an exporter.
///
/// # Errors
/// 400, 403, 404.
pub async fn partial_update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Object>,
) -> ApiResult {
    change(&app, &actor, &path, body, true).await
}

/// 200 where nothing changes, else a task (contract 4.1).
async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    body: Unread<Object>,
    partial: bool,
) -> ApiResult {
    authorize(app, actor, Action::Change, EXPORTER).await?;
    let Object(data) = body.read().await?;
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, id).await?;
    let change = filesystem_exporter::read(&data, partial)?;
    filesystem_exporter::check_path(&change, &app.settings.exports).await?;
    refuse_taken(&mut conn, change.name.as_ref(), Some(row.pulp_id)).await?;
    drop(conn);
    if filesystem_exporter::changes_nothing(&row, &change) {
        return Ok(HttpResponse::Ok().json(FilesystemExporter::from(row)));
    }
    let kind = kinds::find(
        filesystem_exporter::APP_LABEL,
        filesystem_exporter::SERIALIZER,
    )?;
    let task = GeneralUpdate::requested(kind, row.pulp_id.0, &data, partial);
    let task = immediate(app, NewTask::new(&app.catalog.tasks, &task)?, true);
    dispatch_and_accept(app, actor, task).await
}

/// Deletes an exporter with the records of its exports, in a task. No file is touched.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, EXPORTER).await?;
    let row = find(&mut *app.db.get().await?, &path).await?;
    let task = GeneralDelete {
        instance_id: row.pulp_id.0,
        app_label: filesystem_exporter::APP_LABEL.into(),
        serializer_name: filesystem_exporter::SERIALIZER.into(),
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?;
    dispatch_and_accept(&app, &actor, task).await
}
