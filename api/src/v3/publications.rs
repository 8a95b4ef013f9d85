//! `publications/` and `publications/file/file/`: versions made ready to be served (contract 4.12).

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Defaults, Filters, Kind, Listing, Types, Wanted, truth};
use crate::v3::membership::VersionRef;
use crate::v3::{content, path_id, references};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::content::check_relative_path;
use millrace_common::content::file::PULP_TYPE;
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, PublicationId, RepositoryId};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Publication, Repository, RepositoryVersion};
use millrace_common::prn;
use millrace_common::representation::FilePublication;
use millrace_common::schema::publication as table;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::Publish;
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

const WHAT: &str = "FilePublication";
/// File publications, as what somebody may do is asked for.
pub const PUBLICATION: Object = Object::Publication(PULP_TYPE);

/// A publication of any type.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct PublicationResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_created: String,
    #[schema(read_only, format = DateTime)]
    pub pulp_last_updated: String,
    pub repository_version: Option<String>,
    pub repository: Option<String>,
}

impl From<FilePublication> for PublicationResponse {
    fn from(shown: FilePublication) -> Self {
        Self {
            pulp_href: shown.pulp_href,
            prn: shown.prn,
            pulp_created: shown.pulp_created,
            pulp_last_updated: shown.pulp_last_updated,
            repository_version: shown.repository_version,
            repository: shown.repository,
        }
    }
}

/// A file publication that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = file::FilePublication)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct FilePublicationRequest {
    pub repository: Option<String>,
    pub repository_version: Option<String>,
    pub manifest: Option<String>,
    #[schema(required = false)]
    pub checkpoint: bool,
}

impl FromFields for FilePublicationRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let repository = fields.nullable::<Text>("repository");
        let version = fields.nullable::<Text>("repository_version");
        let manifest = fields.nullable::<Text>("manifest");
        let checkpoint = fields.optional::<bool>("checkpoint");
        let text = |given: Option<Option<Text>>| given.flatten().map(|text| text.0);
        let manifest = match manifest? {
            None => Some("PULP_MANIFEST".to_owned()),
            Some(given) => given.map(|text| text.0),
        };
        if let Some(Err(message)) = manifest.as_deref().map(check_relative_path) {
            return fields.refuse("manifest", message);
        }
        Some(Self {
            repository: text(repository?),
            repository_version: text(version?),
            manifest,
            checkpoint: checkpoint?.unwrap_or(false),
        })
    }
}

fn common_filters() -> Filters<table::table> {
    let filters = Filters::newest_first(table::pulp_created, table::pulp_id)
        .in_domain(table::pulp_domain)
        .sortable("pulp_last_updated", table::pulp_last_updated)
        .sortable("pulp_type", table::pulp_type)
        .sortable("pass_through", table::pass_through)
        .sortable("checkpoint", table::checkpoint)
        .identities(table::pulp_id)
        .dates("pulp_created", table::pulp_created)
        .filter("repository", Kind::Reference, "of this repository", |v| {
            let id = reference(v, "repository")?;
            Ok(of_versions("v.repository_id = ")
                .bind(Bind::Uuid(id))
                .then(")"))
        })
        .filter(
            "repository_version",
            Kind::Reference,
            "of this version",
            |v| match VersionRef::read(v)? {
                VersionRef::Id(id) => Ok(Predicate::on(table::repository_version_id)
                    .then(" = ")
                    .bind(Bind::Uuid(id))),
                VersionRef::Numbered(id, number) => Ok(of_versions("v.repository_id = ")
                    .bind(Bind::Uuid(id))
                    .then(" AND v.number = ")
                    .bind(Bind::Integer(number.into()))
                    .then(")")),
                VersionRef::Newest(_) => Err(format!("URI not valid: {v}")),
            },
        )
        .filter_by_settings(
            "content",
            Kind::Reference,
            "serves this unit",
            |v, defaults| Ok(serves(vec![reference(v, "content")?], defaults)),
        )
        .filter_by_settings(
            "content__in",
            Kind::Texts,
            "serves one of these units",
            |v, defaults| {
                let units = v.split(',').map(|one| reference(one.trim(), "content"));
                Ok(serves(units.collect::<Result<_, _>>()?, defaults))
            },
        );
    filters.filter("checkpoint", Kind::Boolean, "is a checkpoint", |v| {
        let wanted = truth(v)?;
        Ok(if wanted {
            Predicate::sql("publication.checkpoint")
        } else {
            Predicate::sql("NOT publication.checkpoint")
        })
    })
}

fn reference(value: &str, model: &str) -> Result<Uuid, String> {
    references::object_id("", value, model).map_err(|_fault| format!("URI not valid: {value}"))
}

fn of_versions(condition: &'static str) -> Predicate<table::table> {
    Predicate::on(table::repository_version_id)
        .then(" IN (SELECT v.pulp_id FROM repository_version v WHERE ")
        .then(condition)
}

/// The publications of versions that hold one of these units, of those that may be seen.
fn serves(units: Vec<Uuid>, defaults: Defaults<'_>) -> Predicate<table::table> {
    Predicate::sql(
        "EXISTS (SELECT FROM repository_version v \
           JOIN repository_content m ON m.repository_id = v.repository_id \
            AND m.version_added <= v.number \
            AND (m.version_removed IS NULL OR m.version_removed > v.number) \
          WHERE v.pulp_id = publication.repository_version_id AND m.content_id = ANY (",
    )
    .bind(Bind::Uuids(units))
    .then(") AND ")
    .column(defaults.of_units::<table::table>("m.content_id"))
    .then(")")
}

/// The types that there are.
const TYPES: &[&str] = &[PULP_TYPE];

/// The filters of `publications/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    content::by_type(
        common_filters(),
        "publication.pulp_type",
        Types::Named(TYPES),
    )
});

/// The filters of `publications/file/file/`.
pub static FILE_FILTERS: LazyLock<Filters<table::table>> =
    LazyLock::new(|| common_filters().sortable("manifest", table::manifest));

/// A page of publications of all types.
///
/// # Errors
/// 400 for a filter.
pub async fn list_all(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, PUBLICATION).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let columns = (table::pulp_id, table::pulp_type);
    let visible = access.rows_of_types("publication", TYPES, columns);
    listing.narrow(visible);
    let (count, shown) = page(&app, &listing).await?;
    let shown: Vec<PublicationResponse> = shown.into_iter().map(Into::into).collect();
    listing.answer(count, &shown)
}

/// A page of file publications.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, PUBLICATION).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILE_FILTERS)?;
    let mine = Predicate::sql("publication.pulp_type = 'file.file'")
        .and(access.rows(PUBLICATION, table::pulp_id));
    listing.narrow(mine);
    let (count, shown) = page(&app, &listing).await?;
    listing.answer(count, &shown)
}

async fn page(
    app: &App,
    listing: &Listing<table::table>,
) -> ApiResult<(i64, Vec<FilePublication>)> {
    let mut conn = app.db.get().await?;
    let page = Publication::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let shown = FilePublication::load_many(&mut conn, page.rows).await?;
    Ok((page.count, shown))
}

/// The publication that a path names, for an actor who may do this to it.
async fn find(app: &App, actor: &Actor, action: Action, id: &str) -> ApiResult<Publication> {
    let id: PublicationId = path_id(id, WHAT)?;
    let row = Publication::find(&mut *app.db.get().await?, DomainId::DEFAULT, id)
        .await?
        .filter(|row| row.pulp_type == PULP_TYPE)
        .ok_or_else(|| ApiError::no(WHAT))?;
    authorize(app, actor, action, PUBLICATION.at(id.0)).await?;
    Ok(row)
}

/// One file publication.
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
    let mut conn = app.db.get().await?;
    let shown = FilePublication::load_many(&mut conn, vec![row]).await?;
    Wanted::from_request(&request).answer_one(shown)
}

/// Publishes a version, in a task. The newest version of a repository is told now, not when the task
/// starts.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn create(
    app: Data<App>,
    actor: Actor,
    body: Unread<Body<FilePublicationRequest>>,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::Create, PUBLICATION).await?;
    let Body(request) = body.read().await?;
    let mut conn = app.db.get().await?;
    let version = version(&mut conn, &access, &request).await?;
    drop(conn);
    let task = Publish {
        repository_version_pk: version.pulp_id,
        manifest: request.manifest,
        checkpoint: request.checkpoint,
    };
    let task =
        NewTask::new(&app.catalog.tasks, &task)?.and_resources(Publish::on(version.repository_id));
    dispatch_and_accept(&app, &actor, task).await
}

async fn version(
    conn: &mut Conn,
    access: &Access,
    request: &FilePublicationRequest,
) -> ApiResult<RepositoryVersion> {
    const NEITHER: &str = "Either the 'repository' or 'repository_version' need to be specified";
    let refuse = |message: String| Err(ApiError::field("non_field_errors", message));
    let (field, version) = match (&request.repository, &request.repository_version) {
        (None, None) => return refuse(NEITHER.to_owned()),
        (Some(_), Some(_)) => return refuse(format!("{NEITHER} but not both.")),
        (Some(repository), None) => {
            let id = references::object_id("repository", repository, "file.filerepository")?;
            let latest = RepositoryVersion::latest(conn, RepositoryId(id)).await?;
            ("repository", latest)
        }
        (None, Some(_)) if request.checkpoint => {
            return refuse("'checkpoint' may only be used with 'repository'".to_owned());
        }
        (None, Some(version)) => {
            let field = "repository_version";
            let id = references::version_id(conn, access, field, version).await?;
            (field, RepositoryVersion::find(conn, id).await?)
        }
    };
    let gone = || ApiError::field(field, references::NO_OBJECT);
    let version = version.ok_or_else(gone)?;
    let found = Repository::find(conn, DomainId::DEFAULT, version.repository_id).await?;
    let repository = found.ok_or_else(gone)?;
    let itself = prn::repository(&repository.pulp_type, repository.pulp_id);
    references::require_seen(conn, access, field, &itself).await?;
    if repository.pulp_type == PULP_TYPE {
        Ok(version)
    } else {
        Err(gone())
    }
}

/// Deletes a file publication, at once; distributions lose it.
///
/// # Errors
/// 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let row = find(&app, &actor, Action::Delete, &path).await?;
    let mut conn = app.db.get().await?;
    if Publication::delete(&mut conn, DomainId::DEFAULT, row.pulp_id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(ApiError::no(WHAT))
    }
}
