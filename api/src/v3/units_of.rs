//! `content/<component>/<names>/`: units of one type that are made from one file each (contract 4.9).
//!
//! A type implements [`UnitCalls`] and has a line in `table_content`.

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::multipart::Upload;
use crate::body::{Body, Unread};
use crate::dispatching::dispatch_made;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::artifacts::receive_if;
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::{membership, path_id, references};
use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use diesel::QueryResult;
use millrace_common::content::{FromFile, UnitKind};
use millrace_common::db::Conn;
use millrace_common::ids::{ArtifactId, ContentId, DomainId, RepositoryId};
use millrace_common::models::selection::Predicate;
use millrace_common::models::{self, Artifact, Content, Labeled, Repository, TemporaryFile};
use millrace_common::prn::{self, Prn};
use millrace_common::schema::content as table;
use millrace_common::storage::Stored;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::kinds::unit_data::{self, UnitData};
use millrace_common::tasks::{GeneralCreate, GeneralCreateFromTempFile, file_url};
use serde::Serialize;
use serde_json::{Map, Value};
use std::future::Future;
use utoipa::ToSchema;

/// The calls on units of a type, implemented by what clients see of one.
pub trait UnitCalls: Serialize + ToSchema + Sized + 'static {
    /// The type.
    type Unit: FromFile;
    /// The body that makes one.
    type Request: ToSchema;
    /// What clients know one by (`FileContent`).
    const WHAT: &'static str;
    /// True: a task judges the file that comes with a request; it is no artifact before that.
    const JUDGES_FILES: bool;

    /// Holds for units of this type. Written out: indexes on fields are of one type each.
    const OF_TYPE: &'static str;

    /// The filters of their list.
    fn filters() -> &'static Filters<table::table>;

    /// What clients see of these units, in their order.
    fn load_many(
        conn: &mut Conn,
        rows: Vec<Content>,
    ) -> impl Future<Output = QueryResult<Vec<Self>>> + Send;
}

fn pulp_type<K: UnitCalls>() -> &'static str {
    <K::Unit as FromFile>::PULP_TYPE
}

/// A page of units of this type.
///
/// # Errors
/// 400 for a filter.
pub async fn list<K: UnitCalls>(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Content).await?;
    let mut listing = Listing::from_request(&app, &access, &request, K::filters())?;
    let of_type = Predicate::sql(K::OF_TYPE).and(access.units(&app.catalog.content));
    listing.narrow(of_type);
    let mut conn = app.db.get().await?;
    let mut page = membership::page(&mut conn, &access, &listing, Some(pulp_type::<K>())).await?;
    let rows = std::mem::take(&mut page.rows);
    let results = K::load_many(&mut conn, rows).await?;
    listing.answer(page.count, &results)
}

/// One unit.
///
/// # Errors
/// 404.
pub async fn read<K: UnitCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let row = find::<K>(&app, &actor, Action::View, &path).await?;
    let mut conn = app.db.get().await?;
    let shown = show::<K>(&mut conn, row).await?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// The unit that a path names, for an actor who sees it and may do this to units.
async fn find<K: UnitCalls>(
    app: &App,
    actor: &Actor,
    action: Action,
    id: &str,
) -> ApiResult<Content> {
    let none = || ApiError::no(K::WHAT);
    let id: ContentId = path_id(id, K::WHAT)?;
    let access = authorize(app, actor, Action::View, Object::Content).await?;
    let mut conn = app.db.get().await?;
    let row = Content::find(&mut conn, DomainId::DEFAULT, id).await?;
    let row = row.filter(|row| row.pulp_type == pulp_type::<K>());
    let row = row.ok_or_else(none)?;
    let visible = access.units(&app.catalog.content);
    if !visible.is_always() && Content::among(&mut conn, &[id], visible).await?.is_empty() {
        return Err(none());
    }
    if access.generally(action, Object::Content) {
        Ok(row)
    } else {
        Err(ApiError::forbidden())
    }
}

/// What clients see of a unit.
///
/// # Errors
/// As the session.
pub async fn show<K: UnitCalls>(conn: &mut Conn, row: Content) -> ApiResult<K> {
    K::load_many(conn, vec![row])
        .await?
        .pop()
        .ok_or_else(|| ApiError::no(K::WHAT))
}

/// Makes a unit from its file, in a task.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn create<K: UnitCalls>(app: Data<App>, actor: Actor, body: Unread<Upload>) -> ApiResult {
    let access = authorize(&app, &actor, Action::Create, Object::Content).await?;
    let types = &app.catalog.content;
    if !access
        .modifies_any(&mut *app.db.get().await?, types)
        .await?
    {
        return Err(ApiError::forbidden());
    }
    let mut upload = body.read().await?;
    let may = async |texts: &[(String, String)]| may_bring::<K>(&app, &access, texts).await;
    let stored = receive_if(&app, &mut upload, may).await?;
    let mut data = upload.into_object()?;
    unit_data::one_source(&data, stored.is_some())?;
    let references = ["artifact", "upload", "repository"];
    references::into_prns(&mut *app.db.get().await?, &access, &mut data, &references).await?;
    let kind = UnitKind::of::<K::Unit>();
    let unit = unit_data::read(&kind, &data, stored.is_some())?;
    match unit.repository {
        Some(id) => holds(&app, &access, id, kind.pulp_type).await?,
        None if actor.is_superuser => {}
        None => {
            let message = "Destination upload repository was not provided.";
            return Err(ApiError::messages([message.to_owned()]));
        }
    }
    if let Some(url) = &unit.file_url {
        let config = unit.downloader_config.as_ref();
        file_url::check(url, config, &app.settings.remotes)?;
    }
    match stored {
        Some(stored) if K::JUDGES_FILES => from_temp_file(&app, &actor, &kind, unit, stored).await,
        stored => from_sources(&app, &actor, &kind, unit, stored).await,
    }
}

/// Refuses a file whose repository is known already and would not take it.
async fn may_bring<K: UnitCalls>(
    app: &App,
    access: &Access,
    texts: &[(String, String)],
) -> ApiResult<()> {
    let named = texts.iter().rev().find(|(name, _)| name == "repository");
    let Some((name, reference)) = named.filter(|_| !access.is_unlimited()) else {
        return Ok(());
    };
    let mut data = Map::from_iter([(name.clone(), reference.clone().into())]);
    references::into_prns(&mut *app.db.get().await?, access, &mut data, &[name]).await?;
    let prn = data.get(name).and_then(Value::as_str).and_then(Prn::parse);
    match prn.and_then(|prn| prn.uuid()) {
        Some(id) => holds(app, access, id.into(), pulp_type::<K>()).await,
        None => Ok(()),
    }
}

/// Leaves the file to the task, which makes an artifact of it only together with the unit.
async fn from_temp_file(
    app: &App,
    actor: &Actor,
    kind: &UnitKind,
    unit: UnitData,
    stored: Stored,
) -> ApiResult {
    let answer = dispatch_made(app, actor, async |conn| {
        let file = TemporaryFile::create(conn, DomainId::DEFAULT, &stored).await?;
        let task = GeneralCreateFromTempFile::unit(kind, file.pulp_id, &unit)?;
        Ok(NewTask::new(&app.catalog.tasks, &task)?)
    })
    .await?;
    stored.recorded();
    Ok(answer)
}

/// Makes an artifact of a file that came along; what else is named must be there.
async fn from_sources(
    app: &App,
    actor: &Actor,
    kind: &UnitKind,
    unit: UnitData,
    mut stored: Option<Stored>,
) -> ApiResult {
    if let Some(stored) = &mut stored {
        stored.probe(DomainId::DEFAULT).await?;
    }
    // A clean-up either sees the task that uses the artifact, or was there before both.
    let answer = dispatch_made(app, actor, async |conn| {
        let mut unit = unit.clone();
        if let Some(stored) = &stored {
            let saved = stored.record(conn, DomainId::DEFAULT).await?;
            unit.artifact = Some(saved.into_artifact().pulp_id);
        } else if let Some(id) = unit.artifact {
            touched(conn, id).await?;
        } else if let Some(id) = unit.upload {
            let found = models::Upload::find(conn, DomainId::DEFAULT, id).await?;
            found.ok_or_else(|| ApiError::field("upload", references::NO_OBJECT))?;
        }
        let task = GeneralCreate::unit(kind, &unit)?;
        Ok(NewTask::new(&app.catalog.tasks, &task)?)
    })
    .await?;
    if let Some(stored) = stored {
        stored.recorded();
    }
    Ok(answer)
}

/// The artifact that a body names, of interest from now on: nobody deletes it before the transaction ends.
///
/// # Errors
/// 400 for the field.
pub async fn touched(conn: &mut Conn, id: ArtifactId) -> ApiResult<Artifact> {
    Artifact::touch(conn, id).await?;
    Artifact::find(conn, DomainId::DEFAULT, id)
        .await?
        .ok_or_else(|| ApiError::field("artifact", references::NO_OBJECT))
}

/// Refuses a repository that is not there, does not hold such units, or may not be modified.
async fn holds(app: &App, access: &Access, id: RepositoryId, unit: &str) -> ApiResult<()> {
    let mut conn = app.db.get().await?;
    let found = Repository::find(&conn, DomainId::DEFAULT, id).await?;
    let row = found.ok_or_else(|| ApiError::field("repository", references::NO_OBJECT))?;
    let model = prn::repository(&row.pulp_type, id).model;
    if !access.holds(&mut conn, "modify", &model, id.0).await? {
        return Err(ApiError::forbidden());
    }
    if app.catalog.content.holds(&row.pulp_type, unit) {
        return Ok(());
    }
    let message = "Content is not supported by this repository.";
    Err(ApiError::field("non_field_errors", message))
}

/// Sets a label, at once.
///
/// # Errors
/// 400, 404.
pub async fn set_label<K: UnitCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SetLabel>>,
) -> ApiResult {
    let row = find::<K>(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::set(&mut conn, Labeled::Content, row.pulp_id.0, label).await
}

/// Takes a label away, at once.
///
/// # Errors
/// 400 where it is not set, 404.
pub async fn unset_label<K: UnitCalls>(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<UnsetLabel>>,
) -> ApiResult {
    let row = find::<K>(&app, &actor, Action::Label, &path).await?;
    let Body(label) = body.read().await?;
    let mut conn = app.db.get().await?;
    labels::unset(&mut conn, Labeled::Content, row.pulp_id.0, label).await
}
