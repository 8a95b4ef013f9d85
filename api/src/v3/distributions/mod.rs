//! `distributions/` and `distributions/file/file/`: what is served where (contract 4.13).

mod filters;

pub use filters::{FILE_FILTERS, FILTERS};

use crate::app::App;
use crate::auth::{self, Access, Action, Actor, authorize};
use crate::body::{Body, Unread};
use crate::dispatching::{dispatch_and_accept, immediate};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Listing, Wanted};
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::object::Object;
use crate::v3::{path_id, references};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::content::file::PULP_TYPE;
use millrace_common::db::Conn;
use millrace_common::ids::{DistributionId, DomainId};
use millrace_common::models::selection::Predicate;
use millrace_common::models::{Distribution, Labeled};
use millrace_common::prn;
use millrace_common::representation::FileDistribution;
use millrace_common::schema::distribution as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::kinds::file_distribution::{
    APP_LABEL, Refusal, SERIALIZER, changes_nothing, lanes, merged, read as read_body, refusal,
};
use millrace_common::tasks::{GeneralCreate, GeneralDelete, GeneralUpdate, kinds};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

const WHAT: &str = "FileDistribution";
/// File distributions, as what somebody may do is asked for.
pub const DISTRIBUTION: auth::Object = auth::Object::Distribution(PULP_TYPE);
const REFERENCES: [&str; 4] = [
    "publication",
    "repository_version",
    "repository",
    "content_guard",
];

/// A distribution of any type.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct DistributionResponse {
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
}

impl From<FileDistribution> for DistributionResponse {
    fn from(shown: FileDistribution) -> Self {
        Self {
            pulp_href: shown.pulp_href,
            prn: shown.prn,
            pulp_created: shown.pulp_created,
            pulp_last_updated: shown.pulp_last_updated,
            base_path: shown.base_path,
            base_url: shown.base_url,
            content_guard: shown.content_guard,
            content_guard_prn: shown.content_guard_prn,
            no_content_change_since: shown.no_content_change_since,
            hidden: shown.hidden,
            pulp_labels: shown.pulp_labels,
            name: shown.name,
            repository: shown.repository,
        }
    }
}

/// A file distribution that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = file::FileDistribution)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FileDistributionRequest {
    pub base_path: String,
    pub content_guard: Option<String>,
    #[schema(required = false)]
    pub hidden: bool,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
    pub name: String,
    pub repository: Option<String>,
    pub repository_version: Option<String>,
    pub publication: Option<String>,
    #[schema(required = false)]
    pub checkpoint: bool,
}

/// A page of distributions of all types.
///
/// # Errors
/// 400 for a filter.
pub async fn list_all(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, DISTRIBUTION).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let columns = (table::pulp_id, table::pulp_type);
    let visible = access.rows_of_types("distribution", [PULP_TYPE], columns);
    listing.narrow(visible);
    let (count, shown) = page(&app, &listing).await?;
    let shown: Vec<DistributionResponse> = shown.into_iter().map(Into::into).collect();
    listing.answer(count, &shown)
}

/// A page of file distributions.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, DISTRIBUTION).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILE_FILTERS)?;
    let mine = Predicate::sql("distribution.pulp_type = 'file.file'")
        .and(access.rows(DISTRIBUTION, table::pulp_id));
    listing.narrow(mine);
    let (count, shown) = page(&app, &listing).await?;
    listing.answer(count, &shown)
}

async fn page(
    app: &App,
    listing: &Listing<table::table>,
) -> ApiResult<(i64, Vec<FileDistribution>)> {
    let mut conn = app.db.get().await?;
    let page = Distribution::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let shown = FileDistribution::load_many(&mut conn, &app.settings, page.rows).await?;
    Ok((page.count, shown))
}

/// The distribution that a path names, for an actor who may do this to it.
async fn find(
    app: &App,
    actor: &Actor,
    action: Action,
    id: &str,
) -> ApiResult<(Distribution, Access)> {
    let id: DistributionId = path_id(id, WHAT)?;
    let row = Distribution::find(&mut *app.db.get().await?, DomainId::DEFAULT, id).await?;
    let row = row.filter(|row| row.pulp_type == PULP_TYPE);
    let row = row.ok_or_else(|| ApiError::no(WHAT))?;
    let access = authorize(app, actor, action, DISTRIBUTION.at(id.0)).await?;
    Ok((row, access))
}

async fn show(app: &App, conn: &mut Conn, row: Distribution) -> ApiResult<Vec<FileDistribution>> {
    Ok(FileDistribution::load_many(conn, &app.settings, vec![row]).await?)
}

/// One file distribution.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let (row, _) = find(&app, &actor, Action::View, &path).await?;
    let mut conn = app.db.get().await?;
    Wanted::from_request(&request).answer_one(show(&app, &mut conn, row).await?)
}

/// Makes a file distribution, in a task.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Object>) -> ApiResult {
    let access = authorize(&app, &actor, Action::Create, DISTRIBUTION).await?;
    let Object(mut data) = body.read().await?;
    let mut conn = app.db.get().await?;
    references::into_prns(&mut conn, &access, &mut data, &REFERENCES).await?;
    let wanted = merged(None, &read_body(&data, false)?, DomainId::DEFAULT);
    refuse(&mut conn, &access, None, &wanted).await?;
    drop(conn);
    let task = GeneralCreate::of(kinds::find(APP_LABEL, SERIALIZER)?, data);
    let task = NewTask::new(&app.catalog.tasks, &task)?;
    dispatch_and_accept(&app, &actor, task).await
}

async fn refuse(
    conn: &mut Conn,
    access: &Access,
    row: Option<&Distribution>,
    wanted: &Distribution,
) -> ApiResult<()> {
    match refusal(conn, row, wanted).await? {
        None => Ok(()),
        Some(Refusal::Fields(errors)) => Err(errors.into()),
        Some(Refusal::Overlap(other)) => {
            let is_seen = access.sees(conn, &DISTRIBUTION.model(), other.id.0).await?;
            let name = is_seen.then_some(other.name.as_str());
            // Nested, as clients know it.
            let nested = json!({ "base_path": Refusal::overlap_text(name) });
            let field = Map::from_iter([("base_path".to_owned(), nested)]);
            Err(ApiError::fields(field))
        }
    }
}

/// Replaces the values of a file distribution.
///
/// # Errors
/// 400, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Object>,
) -> ApiResult {
    change(&app, &actor, &path, body, false).await
}

/// Changes some values of a file distribution.
///
/// # Errors
/// 400, 404.
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
    let (row, access) = find(app, actor, Action::Change, id).await?;
    let Object(mut data) = body.read().await?;
    let mut conn = app.db.get().await?;
    references::into_prns(&mut conn, &access, &mut data, &REFERENCES).await?;
    let wanted = merged(Some(&row), &read_body(&data, partial)?, DomainId::DEFAULT);
    refuse(&mut conn, &access, Some(&row), &wanted).await?;
    if changes_nothing(&row, &wanted) {
        let shown = show(app, &mut conn, row).await?;
        return Ok(HttpResponse::Ok().json(shown.first()));
    }
    drop(conn);
    let moves = wanted.base_path != row.base_path;
    let kind = kinds::find(APP_LABEL, SERIALIZER)?;
    let task = GeneralUpdate::requested(kind, row.pulp_id.0, &data, partial);
    let itself = prn::distribution(PULP_TYPE, row.pulp_id);
    let task =
        NewTask::new(&app.catalog.tasks, &task)?.resources(lanes(moves).and_exclusive(itself));
    dispatch_and_accept(app, actor, immediate(app, task, true)).await
}

/// Deletes a file distribution, in a task.
///
/// # Errors
/// 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let (row, _) = find(&app, &actor, Action::Delete, &path).await?;
    let task = GeneralDelete {
        instance_id: row.pulp_id.0,
        app_label: APP_LABEL.into(),
        serializer_name: SERIALIZER.into(),
    };
    let task = immediate(&app, NewTask::new(&app.catalog.tasks, &task)?, true);
    dispatch_and_accept(&app, &actor, task).await
}

/// Sets a label, at once.
///
/// # Errors
/// 400, 404.
pub async fn set_label(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SetLabel>>,
) -> ApiResult {
    let (row, _) = find(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::set(&mut conn, Labeled::Distribution, row.pulp_id.0, label).await
}

/// Takes a label away, at once.
///
/// # Errors
/// 400 where it is not set, 404.
pub async fn unset_label(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<UnsetLabel>>,
) -> ApiResult {
    let (row, _) = find(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::unset(&mut conn, Labeled::Distribution, row.pulp_id.0, label).await
}
