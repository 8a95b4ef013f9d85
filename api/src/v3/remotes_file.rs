//! `remotes/file/file/`: file remotes (contract 4.8).

use crate::app::App;
use crate::auth::{self, Action, Actor, authorize};
use crate::body::{Body, Unread};
use crate::dispatching::{dispatch_and_accept, immediate};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::object::Object;
use crate::v3::{path_id, remotes};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::content::file::PULP_TYPE;
use millrace_common::db::{self, Conn};
use millrace_common::ids::{DomainId, RemoteId};
use millrace_common::models::selection::Predicate;
use millrace_common::models::{Labeled, Remote};
use millrace_common::prn;
use millrace_common::representation::FileRemote;
use millrace_common::schema::remote as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::kinds::{self, FieldErrors, file_remote};
use millrace_common::tasks::{GeneralDelete, GeneralUpdate};
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

const WHAT: &str = "FileRemote";
/// File remotes, as what somebody may do is asked for.
pub const REMOTE: auth::Object = auth::Object::Remote(PULP_TYPE);

/// When the files of a remote are fetched.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as in the contract")]
pub enum Policy {
    Immediate,
    OnDemand,
    Streamed,
}

/// A file remote that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = file::FileRemote)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FileRemoteRequest {
    pub name: String,
    pub url: String,
    pub ca_cert: Option<String>,
    pub client_cert: Option<String>,
    #[schema(write_only)]
    pub client_key: Option<String>,
    #[schema(required = false)]
    pub tls_validation: bool,
    pub proxy_url: Option<String>,
    #[schema(write_only)]
    pub proxy_username: Option<String>,
    #[schema(write_only)]
    pub proxy_password: Option<String>,
    #[schema(write_only)]
    pub username: Option<String>,
    #[schema(write_only)]
    pub password: Option<String>,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
    #[schema(minimum = 1)]
    pub download_concurrency: Option<i64>,
    #[schema(minimum = 0)]
    pub max_retries: Option<i64>,
    #[schema(required = false, inline)]
    pub policy: Policy,
    #[schema(minimum = 0)]
    pub total_timeout: Option<f64>,
    #[schema(minimum = 0)]
    pub connect_timeout: Option<f64>,
    #[schema(minimum = 0)]
    pub sock_connect_timeout: Option<f64>,
    #[schema(minimum = 0)]
    pub sock_read_timeout: Option<f64>,
    #[schema(value_type = Option<Vec<Object>>)]
    pub headers: Option<Value>,
    #[schema(minimum = 1)]
    pub rate_limit: Option<i64>,
}

/// The filters of `remotes/file/file/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(remotes::common_filters);

/// The remote that a path names, for an actor who may do this to it.
async fn find(app: &App, actor: &Actor, action: Action, id: &str) -> ApiResult<Remote> {
    let id: RemoteId = path_id(id, WHAT)?;
    let row = get(&mut *app.db.get().await?, id).await?;
    authorize(app, actor, action, REMOTE.at(id.0)).await?;
    Ok(row)
}

async fn get(conn: &mut Conn, id: RemoteId) -> ApiResult<Remote> {
    Remote::find(conn, DomainId::DEFAULT, id)
        .await?
        .filter(|row| row.pulp_type == PULP_TYPE)
        .ok_or_else(|| ApiError::no(WHAT))
}

/// A page of file remotes.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, REMOTE).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mine =
        Predicate::sql("remote.pulp_type = 'file.file'").and(access.rows(REMOTE, table::pulp_id));
    listing.narrow(mine);
    let mut conn = app.db.get().await?;
    let page = Remote::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = page.rows.into_iter().map(FileRemote::from).collect();
    listing.answer(page.count, &results)
}

/// One file remote.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let row = find(&app, &actor, Action::View, &path).await?;
    Wanted::from_request(&request).answer_one(vec![FileRemote::from(row)])
}

/// Makes a file remote, at once.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Object>) -> ApiResult {
    authorize(&app, &actor, Action::Create, REMOTE).await?;
    let Object(data) = body.read().await?;
    let change = file_remote::read(&data, false)?;
    file_remote::check_whole(None, &change, &app.settings.remotes)?;
    let row = file_remote::build(change, DomainId::DEFAULT, &app.keyring)?;
    let mut conn = app.db.get().await?;
    refuse_taken(&mut conn, Some(&row.name), None).await?;
    let made = db::transaction(&mut conn, async |conn| {
        row.insert(conn).await?;
        auth::own(conn, &actor, prn::remote(PULP_TYPE, row.pulp_id)).await
    });
    if let Err(error) = made.await {
        // Somebody took the name meanwhile.
        refuse_taken(&mut conn, Some(&row.name), None).await?;
        return Err(error.into());
    }
    let shown = FileRemote::from(get(&mut conn, row.pulp_id).await?);
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

async fn refuse_taken(
    conn: &mut Conn,
    name: Option<&String>,
    but: Option<RemoteId>,
) -> ApiResult<()> {
    match name {
        Some(name) if Remote::name_taken(conn, DomainId::DEFAULT, name, but).await? => {
            Err(FieldErrors::one("name", "This field must be unique.").into())
        }
        _ => Ok(()),
    }
}

/// Replaces the values of a file remote.
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

/// Changes some values of a file remote.
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
    let row = find(app, actor, Action::Change, id).await?;
    let Object(data) = body.read().await?;
    let mut conn = app.db.get().await?;
    let change = file_remote::read(&data, partial)?;
    file_remote::check_whole(Some(&row), &change, &app.settings.remotes)?;
    refuse_taken(&mut conn, change.name.as_ref(), Some(row.pulp_id)).await?;
    drop(conn);
    if file_remote::changes_nothing(&row, &change, &app.keyring) {
        return Ok(HttpResponse::Ok().json(FileRemote::from(row)));
    }
    let kind = kinds::find(file_remote::APP_LABEL, file_remote::SERIALIZER)?;
    let task = GeneralUpdate::requested(kind, row.pulp_id.0, &data, partial);
    let task = immediate(app, NewTask::new(&app.catalog.tasks, &task)?, true);
    dispatch_and_accept(app, actor, task).await
}

/// Deletes a file remote, in a task.
///
/// # Errors
/// 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let row = find(&app, &actor, Action::Delete, &path).await?;
    let task = GeneralDelete {
        instance_id: row.pulp_id.0,
        app_label: file_remote::APP_LABEL.into(),
        serializer_name: file_remote::SERIALIZER.into(),
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?;
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
    let row = find(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::set(&mut conn, Labeled::Remote, row.pulp_id.0, label).await
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
    let row = find(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::unset(&mut conn, Labeled::Remote, row.pulp_id.0, label).await
}
