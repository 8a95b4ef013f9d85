//! `repositories/<component>/<name>/`: repositories of one type (contract 4.7).
//!
//! A type implements [`RepositoryCalls`] and has a line in `table_repositories`.

use crate::app::App;
use crate::auth::{self, Action, Actor, authorize};
use crate::body::{Body, Fields, FromFields, Text};
use crate::dispatching::{dispatch_and_accept, dispatch_made, immediate};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::object::Object;
use crate::v3::{href, path_id, references, repositories};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::db::{self, Conn};
use millrace_common::ids::{ContentId, DomainId, RepositoryId};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Content, Labeled, Repository};
use millrace_common::schema::repository as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::add_and_remove::ALL;
use millrace_common::tasks::kinds::repository::{self, RepositoryType};
use millrace_common::tasks::kinds::{self, FieldErrors};
use millrace_common::tasks::{AddAndRemove, GeneralDelete, GeneralUpdate};
use serde_json::{Map, Value};
use utoipa::ToSchema;

const REPOSITORY: auth::Object = auth::Object::Repository;

/// What is to be added and removed.
#[derive(Debug, ToSchema)]
#[schema(as = RepositoryAddRemoveContent)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct Modify {
    #[schema(required = false)]
    pub add_content_units: Vec<String>,
    #[schema(required = false)]
    pub remove_content_units: Vec<String>,
    pub base_version: Option<String>,
    #[schema(required = false)]
    pub overwrite: bool,
}

impl FromFields for Modify {
    fn read(fields: &mut Fields) -> Option<Self> {
        let add = fields.optional::<Vec<Text>>("add_content_units");
        let remove = fields.optional::<Vec<Text>>("remove_content_units");
        let base = fields.nullable::<Text>("base_version");
        let overwrite = fields.optional::<bool>("overwrite");
        let texts = |list: Vec<Text>| list.into_iter().map(|text| text.0).collect::<Vec<_>>();
        let texts = |list: Option<_>| list.map(texts).unwrap_or_default();
        let (add, remove) = (texts(add?), texts(remove?));
        if remove.len() > 1 && remove.iter().any(|unit| unit == ALL) {
            let message = "Cannot supply content units and '*'.";
            return fields.refuse("remove_content_units", message);
        }
        Some(Self {
            add_content_units: add,
            remove_content_units: remove,
            base_version: base?.flatten().map(|text| text.0),
            overwrite: overwrite?.unwrap_or(true),
        })
    }
}

/// The calls on repositories of a type, which their table asks for.
pub trait RepositoryCalls: RepositoryType + ToSchema {
    /// The body that makes one.
    type Request: ToSchema;

    /// The filters of their list.
    fn filters() -> &'static Filters<table::table>;
}

/// The repository of this type that a path names.
///
/// # Errors
/// 404.
pub async fn find<K: RepositoryCalls>(conn: &mut Conn, id: &str) -> ApiResult<Repository> {
    let id: RepositoryId = path_id(id, K::WHAT)?;
    Repository::find(conn, DomainId::DEFAULT, id)
        .await?
        .filter(|row| row.pulp_type == K::PULP_TYPE)
        .ok_or_else(|| ApiError::no(K::WHAT))
}

/// A page of repositories of this type.
///
/// # Errors
/// 400 for a filter.
pub async fn list<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
) -> ApiResult {
    authorize(&actor, Action::View, REPOSITORY)?;
    let mut listing = Listing::from_request(&app, &request, K::filters())?;
    let mine = Predicate::sql("repository.pulp_type = ")
        .bind(Bind::Text(K::PULP_TYPE.to_owned()))
        .and(repositories::visible());
    listing.selection.predicate = mine.and(listing.selection.predicate.clone());
    let mut conn = app.db.get().await?;
    let mut page = Repository::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let rows = std::mem::take(&mut page.rows);
    let results = repository::load_many::<K>(&mut conn, rows).await?;
    listing.answer(page.count, &results)
}

/// One repository.
///
/// # Errors
/// 404.
pub async fn read<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&actor, Action::View, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let row = find::<K>(&mut conn, &path).await?;
    let shown = repository::load::<K>(&mut conn, row).await?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Makes a repository with its empty version 0, at once.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn create<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    Object(data): Object,
) -> ApiResult {
    authorize(&actor, Action::Create, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let data = references::resolve_remote(&mut conn, data).await?;
    let row = repository::build::<K>(&data, DomainId::DEFAULT)?;
    refuse_taken(&mut conn, Some(&row.name), None).await?;
    let made = db::transaction(&mut conn, async |conn| {
        millrace_common::repository::create(conn, &row).await
    })
    .await;
    if let Err(error) = made {
        // Somebody took the name meanwhile.
        refuse_taken(&mut conn, Some(&row.name), None).await?;
        return Err(error.into());
    }
    let found = find::<K>(&mut conn, &row.pulp_id.to_string()).await?;
    let shown = repository::load::<K>(&mut conn, found).await?;
    let href = href::repository(K::PULP_TYPE, row.pulp_id);
    Ok(HttpResponse::Created()
        .insert_header(("Location", href))
        .json(shown))
}

async fn refuse_taken(
    conn: &mut Conn,
    name: Option<&String>,
    but: Option<RepositoryId>,
) -> ApiResult<()> {
    match name {
        Some(name) if Repository::name_taken(conn, DomainId::DEFAULT, name, but).await? => {
            Err(FieldErrors::one("name", "This field must be unique.").into())
        }
        _ => Ok(()),
    }
}

/// Replaces the values of a repository.
///
/// # Errors
/// 400, 404.
pub async fn update<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Object(data): Object,
) -> ApiResult {
    change::<K>(&app, &actor, &path, data, false).await
}

/// Changes some values of a repository.
///
/// # Errors
/// 400, 404.
pub async fn partial_update<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Object(data): Object,
) -> ApiResult {
    change::<K>(&app, &actor, &path, data, true).await
}

/// 200 where nothing changes, else a task (contract 4.1).
async fn change<K: RepositoryCalls>(
    app: &App,
    actor: &Actor,
    id: &str,
    data: Map<String, Value>,
    partial: bool,
) -> ApiResult {
    authorize(actor, Action::Change, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let row = find::<K>(&mut conn, id).await?;
    let data = references::resolve_remote(&mut conn, data).await?;
    let change = repository::read::<K>(&data, partial)?;
    refuse_taken(&mut conn, change.name.as_ref(), Some(row.pulp_id)).await?;
    if repository::changes_nothing(&row, &change) {
        let shown = repository::load::<K>(&mut conn, row).await?;
        return Ok(HttpResponse::Ok().json(shown));
    }
    drop(conn);
    let kind = kinds::find(K::APP_LABEL, K::SERIALIZER)?;
    let task = GeneralUpdate::requested(kind, row.pulp_id.0, &data, partial);
    let task = immediate(app, NewTask::new(&app.catalog.tasks, &task)?, true);
    dispatch_and_accept(app, actor, task).await
}

/// Deletes a repository, in a task.
///
/// # Errors
/// 404.
pub async fn remove<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
) -> ApiResult {
    authorize(&actor, Action::Delete, REPOSITORY)?;
    let row = find::<K>(&mut *app.db.get().await?, &path).await?;
    let task = GeneralDelete {
        instance_id: row.pulp_id.0,
        app_label: K::APP_LABEL.into(),
        serializer_name: K::SERIALIZER.into(),
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?;
    dispatch_and_accept(&app, &actor, task).await
}

/// Makes a version by adding and removing units, in a task.
///
/// # Errors
/// 400 for what is wrong with which field, 404.
pub async fn modify<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Body(request): Body<Modify>,
) -> ApiResult {
    authorize(&actor, Action::Change, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let row = find::<K>(&mut conn, &path).await?;
    let named = request.add_content_units;
    let add = references::units(&mut conn, "add_content_units", &named).await?;
    let remove = removals(&mut conn, request.remove_content_units).await?;
    let base = match &request.base_version {
        Some(base) => Some(references::version_id(&mut conn, "base_version", base).await?),
        None => None,
    };
    drop(conn);
    let task = AddAndRemove {
        repository_pk: row.pulp_id,
        add_content_units: add.clone(),
        remove_content_units: remove,
        base_version_pk: base,
        overwrite: request.overwrite,
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?
        .resources(AddAndRemove::on(&row.pulp_type, row.pulp_id));
    dispatch_made(&app, &actor, async |conn| {
        references::keep_units(conn, "add_content_units", &named, &add).await?;
        touch(conn, &add).await?;
        Ok(task.clone())
    })
    .await
}

async fn removals(conn: &mut Conn, named: Vec<String>) -> ApiResult<Vec<String>> {
    if named.iter().any(|unit| unit == ALL) {
        return Ok(vec![ALL.to_owned()]);
    }
    let ids = references::units(conn, "remove_content_units", &named).await?;
    Ok(ids.iter().map(ToString::to_string).collect())
}

/// So that orphan clean-up spares what is about to be added.
async fn touch(conn: &mut Conn, units: &[ContentId]) -> ApiResult<()> {
    for batch in units.chunks(5000) {
        Content::touch(conn, batch).await?;
    }
    Ok(())
}

/// Sets a label, at once.
///
/// # Errors
/// 400, 404.
pub async fn set_label<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Body(label): Body<SetLabel>,
) -> ApiResult {
    authorize(&actor, Action::Change, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let row = find::<K>(&mut conn, &path).await?;
    labels::set(&mut conn, Labeled::Repository, row.pulp_id.0, label).await
}

/// Takes a label away, at once.
///
/// # Errors
/// 400 where it is not set, 404.
pub async fn unset_label<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Body(label): Body<UnsetLabel>,
) -> ApiResult {
    authorize(&actor, Action::Change, REPOSITORY)?;
    let mut conn = app.db.get().await?;
    let row = find::<K>(&mut conn, &path).await?;
    labels::unset(&mut conn, Labeled::Repository, row.pulp_id.0, label).await
}
