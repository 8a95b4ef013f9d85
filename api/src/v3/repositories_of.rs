//! `repositories/<component>/<name>/`: repositories of one type (contract 4.7).
//!
//! A type implements [`RepositoryCalls`] and has a line in `table_repositories`.

use crate::app::App;
use crate::auth::{self, Access, Action, Actor, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::{
    accepted, dispatch_and_accept, dispatch_made, dispatch_together, immediate,
    may_dispatch_together,
};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::together;
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::object::Object;
use crate::v3::references::{self, NamedUnits};
use crate::v3::{href, path_id, repositories};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::db::{self, Conn};
use millrace_common::ids::{ContentId, DomainId, RepositoryId};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Content, Labeled, Repository};
use millrace_common::prn;
use millrace_common::schema::{content, repository as table};
use millrace_common::tasking::NewTask;
use millrace_common::tasks::add_and_remove::ALL;
use millrace_common::tasks::kinds::repository::{self, RepositoryType};
use millrace_common::tasks::kinds::{self, FieldErrors};
use millrace_common::tasks::{AddAndRemove, GeneralDelete, GeneralUpdate};
use utoipa::ToSchema;

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

/// Repositories of this type, as what somebody may do is asked for.
#[must_use]
pub fn object<K: RepositoryCalls>() -> auth::Object {
    auth::Object::Repository(K::PULP_TYPE)
}

/// The repository of this type that a path names, for an actor who may do this to it.
///
/// # Errors
/// 404, 403.
pub async fn find<K: RepositoryCalls>(
    app: &App,
    actor: &Actor,
    action: Action,
    id: &str,
) -> ApiResult<(Repository, Access)> {
    let id: RepositoryId = path_id(id, K::WHAT)?;
    let row = get::<K>(&mut *app.db.get().await?, id).await?;
    let access = authorize(app, actor, action, object::<K>().at(id.0)).await?;
    Ok((row, access))
}

/// The repository of this type with this id.
///
/// # Errors
/// 404.
pub async fn get<K: RepositoryCalls>(conn: &mut Conn, id: RepositoryId) -> ApiResult<Repository> {
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
    let access = authorize(&app, &actor, Action::View, object::<K>()).await?;
    let mut listing = Listing::from_request(&app, &access, &request, K::filters())?;
    let mine = Predicate::sql("repository.pulp_type = ")
        .bind(Bind::Text(K::PULP_TYPE.to_owned()))
        .and(repositories::visible())
        .and(access.rows(object::<K>(), table::pulp_id));
    listing.narrow(mine);
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
    let (row, _) = find::<K>(&app, &actor, Action::View, &path).await?;
    let mut conn = app.db.get().await?;
    let shown = repository::load::<K>(&mut conn, row).await?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Makes a repository with its empty version 0, at once.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn create<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    body: Unread<Object>,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::Create, object::<K>()).await?;
    let Object(data) = body.read().await?;
    let mut conn = app.db.get().await?;
    let data = references::resolve_remote(&mut conn, &access, data).await?;
    let row = repository::build::<K>(&data, DomainId::DEFAULT)?;
    refuse_taken(&mut conn, Some(&row.name), None).await?;
    let made = db::transaction(&mut conn, async |conn| {
        millrace_common::repository::create(conn, &row).await?;
        auth::own(conn, &actor, prn::repository(K::PULP_TYPE, row.pulp_id)).await
    })
    .await;
    if let Err(error) = made {
        // Somebody took the name meanwhile.
        refuse_taken(&mut conn, Some(&row.name), None).await?;
        return Err(error.into());
    }
    let found = get::<K>(&mut conn, row.pulp_id).await?;
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
    body: Unread<Object>,
) -> ApiResult {
    change::<K>(&app, &actor, &path, body, false).await
}

/// Changes some values of a repository.
///
/// # Errors
/// 400, 404.
pub async fn partial_update<K: RepositoryCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Object>,
) -> ApiResult {
    change::<K>(&app, &actor, &path, body, true).await
}

/// 200 where nothing changes, else a task (contract 4.1).
async fn change<K: RepositoryCalls>(
    app: &App,
    actor: &Actor,
    id: &str,
    body: Unread<Object>,
    partial: bool,
) -> ApiResult {
    let (row, access) = find::<K>(app, actor, Action::Change, id).await?;
    let Object(data) = body.read().await?;
    let mut conn = app.db.get().await?;
    let data = references::resolve_remote(&mut conn, &access, data).await?;
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
    let (row, _) = find::<K>(&app, &actor, Action::Delete, &path).await?;
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
    body: Unread<Body<Modify>>,
) -> ApiResult {
    let found = find::<K>(&app, &actor, Action::Modify, &path).await;
    let ((row, access), Body(request)) = body.read_for(found).await?;
    let add = NamedUnits::read("add_content_units", &request.add_content_units)?;
    let visible = access.units_to_add(&app.catalog.content);
    if !visible.is_always() {
        add.check(&mut *app.db.get().await?, &visible).await?;
    }
    let (mut remove, mut base) = (Vec::new(), None);
    if !request.remove_content_units.is_empty() || request.base_version.is_some() {
        let mut conn = app.db.get().await?;
        let visible = access.units(&app.catalog.content);
        remove = removals(&mut conn, &visible, request.remove_content_units).await?;
        if let Some(named) = &request.base_version {
            base = Some(references::version_id(&mut conn, &access, "base_version", named).await?);
        }
    }
    let task = AddAndRemove {
        repository_pk: row.pulp_id,
        add_content_units: add.ids().to_vec(),
        remove_content_units: remove,
        base_version_pk: base,
        overwrite: request.overwrite,
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?
        .resources(AddAndRemove::on(&row.pulp_type, row.pulp_id));
    if may_dispatch_together(&task) {
        let mut stale = Vec::new();
        if !add.ids().is_empty() {
            stale = add.look(&mut *app.db.get().await?).await?;
        }
        if stale.is_empty()
            && let Some(accepted) = dispatch_together(&app, &actor, &task).await?
        {
            return Ok(accepted);
        }
    }
    let made = dispatch_made(&app, &actor, async |conn| {
        let stale = add.keep(conn).await?;
        touch(conn, &stale).await?;
        Ok(task.clone())
    });
    match made.await {
        // With others, and nobody answered.
        Err(error) if together::is_there(&error) => Ok(accepted(task.id)),
        made => made,
    }
}

async fn removals(
    conn: &mut Conn,
    visible: &Predicate<content::table>,
    named: Vec<String>,
) -> ApiResult<Vec<String>> {
    if named.iter().any(|unit| unit == ALL) {
        return Ok(vec![ALL.to_owned()]);
    }
    let ids = references::units(conn, visible, "remove_content_units", &named).await?;
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
    body: Unread<Body<SetLabel>>,
) -> ApiResult {
    let (row, _) = find::<K>(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
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
    body: Unread<Body<UnsetLabel>>,
) -> ApiResult {
    let (row, _) = find::<K>(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::unset(&mut conn, Labeled::Repository, row.pulp_id.0, label).await
}
