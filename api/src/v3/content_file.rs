//! `content/file/files/`: file units (contract 4.9).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::multipart::Upload;
use crate::body::{Body, Fields, FromFields, Labels, Text};
use crate::dispatching::dispatch_made;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted};
use crate::v3::artifacts::receive;
use crate::v3::labels::{self, SetLabel, UnsetLabel};
use crate::v3::{content, membership, path_id, references};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use diesel::dsl::sql;
use diesel::sql_types;
use millrace_common::content::check_relative_path;
use millrace_common::content::file::{self, PULP_TYPE};
use millrace_common::db::{self, Conn};
use millrace_common::ids::{ArtifactId, ContentId, DomainId, RepositoryId, UploadId};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{self, Artifact, Content, Labeled, Repository};
use millrace_common::representation::FileContent;
use millrace_common::schema::content as table;
use millrace_common::storage::Stored;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::kinds::file_content::FileContentData;
use millrace_common::tasks::{GeneralCreate, file_url};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::ToSchema;

/// What a file unit is made from.
#[derive(Debug, ToSchema)]
#[schema(as = file::FileContent)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FileContentRequest {
    pub relative_path: String,
    #[schema(value_type = Option<String>, format = Binary)]
    pub file: Option<Vec<u8>>,
    pub artifact: Option<String>,
    pub upload: Option<String>,
    pub file_url: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub downloader_config: Option<Value>,
    pub repository: Option<String>,
    #[schema(required = false)]
    pub overwrite: bool,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
}

/// The same without a repository.
#[derive(Debug, ToSchema)]
#[schema(as = file::FileContentUpload)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FileContentUploadRequest {
    pub relative_path: String,
    #[schema(value_type = Option<String>, format = Binary)]
    pub file: Option<Vec<u8>>,
    pub artifact: Option<String>,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
}

/// The texts of a body that makes a unit.
struct Request {
    relative_path: String,
    artifact: Option<String>,
    upload: Option<String>,
    file_url: Option<String>,
    downloader_config: Option<Map<String, Value>>,
    repository: Option<String>,
    overwrite: bool,
    pulp_labels: Labels,
}

impl FromFields for Request {
    fn read(fields: &mut Fields) -> Option<Self> {
        let path = fields.required::<Text>("relative_path");
        let artifact = fields.nullable::<Text>("artifact");
        let upload = fields.nullable::<Text>("upload");
        let url = fields.nullable::<Text>("file_url");
        let config = fields.nullable::<Map<String, Value>>("downloader_config");
        let repository = fields.nullable::<Text>("repository");
        let overwrite = fields.optional::<bool>("overwrite");
        let labels = fields.optional::<Labels>("pulp_labels");
        let path = path?.0;
        if let Err(message) = check_relative_path(&path) {
            return fields.refuse("relative_path", message);
        }
        Some(Self {
            relative_path: path,
            artifact: artifact?.flatten().map(|text| text.0),
            upload: upload?.flatten().map(|text| text.0),
            file_url: url?.flatten().map(|text| text.0),
            downloader_config: config?.flatten(),
            repository: repository?.flatten().map(|text| text.0),
            overwrite: overwrite?.unwrap_or(true),
            pulp_labels: labels?.unwrap_or_default(),
        })
    }
}

/// The filters of `content/file/files/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    let digest = |v: &str| {
        Ok(Predicate::sql("content.fields ->> 'digest' = ").bind(Bind::Text(v.to_owned())))
    };
    let stored = sql::<sql_types::Text>("content.fields ->> 'digest'");
    let filters = content::common_filters()
        .sortable("relative_path", content::RelativePath)
        .sortable("digest", stored.clone())
        .sortable("sha256", stored)
        .names("relative_path", content::RelativePath)
        .filter("digest", Kind::Text, "SHA-256 of the file", digest)
        .filter("sha256", Kind::Text, "SHA-256 of the file", digest);
    let filters = membership::by_version(filters, table::pulp_id);
    content::orphaned(filters)
});

/// A page of file units.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    authorize(&actor, Action::View, Object::Content)?;
    let mut listing = Listing::from_request(&app, &request, &FILTERS)?;
    let of_type = Predicate::sql("content.pulp_type = 'file.file'");
    listing.selection.predicate = of_type.and(listing.selection.predicate.clone());
    let mut conn = app.db.get().await?;
    let mut page = membership::page(&mut conn, &listing, Some(PULP_TYPE)).await?;
    let rows = std::mem::take(&mut page.rows);
    let results = FileContent::load_many(&mut conn, rows).await?;
    listing.answer(page.count, &results)
}

/// One file unit.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&actor, Action::View, Object::Content)?;
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, &path).await?;
    let shown = show(&mut conn, row).await?;
    Wanted::from_request(&request).answer_one(vec![shown])
}

async fn find(conn: &mut Conn, id: &str) -> ApiResult<Content> {
    let id: ContentId = path_id(id, "FileContent")?;
    Content::find(conn, DomainId::DEFAULT, id)
        .await?
        .filter(|row| row.pulp_type == PULP_TYPE)
        .ok_or_else(|| ApiError::no("FileContent"))
}

async fn show(conn: &mut Conn, row: Content) -> ApiResult<FileContent> {
    FileContent::load_many(conn, vec![row])
        .await?
        .pop()
        .ok_or_else(|| ApiError::no("FileContent"))
}

/// Makes a unit from an artifact or an uploaded file, in a task.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn create(app: Data<App>, actor: Actor, mut upload: Upload) -> ApiResult {
    authorize(&actor, Action::Create, Object::Content)?;
    let stored = receive(&app, &mut upload).await?;
    let Body(request): Body<Request> = upload.into_fields()?.finish()?;
    let repository = match &request.repository {
        Some(reference) => Some(file_repository(&app, reference).await?),
        None if actor.is_superuser => None,
        None => {
            let message = "Destination upload repository was not provided.";
            return Err(ApiError::messages([message.to_owned()]));
        }
    };
    let mut source = Source::of(&request, stored, FOR_A_TASK)?;
    match &request.file_url {
        Some(url) => {
            let config = request.downloader_config.as_ref();
            file_url::check(url, config, &app.settings.remotes)?;
        }
        None if request.downloader_config.is_some() => {
            let message = "Only applicable when providing a 'file_url'.";
            return Err(ApiError::field("downloader_config", message));
        }
        None => {}
    }
    source.probe().await?;
    // A clean-up either sees the task that uses the artifact, or was there before both.
    let answer = dispatch_made(&app, &actor, async |conn| {
        let (artifact, upload) = match &source {
            Source::Upload(id) => (None, Some(there(conn, *id).await?)),
            Source::Url => (None, None),
            _ => (Some(source.artifact(conn).await?.pulp_id), None),
        };
        let task = GeneralCreate::file_content(&FileContentData {
            relative_path: request.relative_path.clone(),
            artifact,
            upload,
            file_url: request.file_url.clone(),
            downloader_config: request.downloader_config.clone(),
            repository,
            pulp_labels: Some(request.pulp_labels.0.clone()),
            overwrite: request.overwrite,
        })?;
        Ok(NewTask::new(&app.catalog.tasks, &task)?)
    })
    .await?;
    source.used();
    Ok(answer)
}

/// Makes a unit at once.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn upload(app: Data<App>, actor: Actor, mut upload: Upload) -> ApiResult {
    authorize(&actor, Action::Create, Object::Content)?;
    let stored = receive(&app, &mut upload).await?;
    let Body(request): Body<Request> = upload.into_fields()?.finish()?;
    if request.repository.is_some() {
        return Err(ApiError::field("repository", "Unexpected field"));
    }
    for (field, given) in [
        ("upload", request.upload.is_some()),
        ("file_url", request.file_url.is_some()),
        ("downloader_config", request.downloader_config.is_some()),
    ] {
        if given {
            let message = "It takes its time: post it to content/file/files/, for a task.";
            return Err(ApiError::field(field, message));
        }
    }
    let mut source = Source::of(&request, stored, AT_ONCE)?;
    source.probe().await?;
    let mut conn = app.db.get().await?;
    let unit = db::transaction(&mut conn, async |conn| {
        let artifact = source.artifact(conn).await?;
        let (path, labels) = (&request.relative_path, json!(request.pulp_labels.0));
        let (unit, _) = file::ensure(conn, DomainId::DEFAULT, path, &artifact, &labels).await?;
        Ok::<_, ApiError>(unit)
    })
    .await?;
    source.used();
    let shown = show(&mut conn, unit).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// The sources of a unit that a task makes.
const FOR_A_TASK: &str = "'artifact', 'file', 'file_url', 'upload'";
/// The sources of a unit that is made at once.
const AT_ONCE: &str = "'artifact', 'file'";

/// What a unit is made from: the artifact that is named, the file that came along, or an upload or an
/// address, of which the task makes the artifact.
enum Source {
    Artifact(ArtifactId),
    File(Box<Stored>),
    Upload(UploadId),
    Url,
}

impl Source {
    fn of(request: &Request, stored: Option<Stored>, offered: &str) -> ApiResult<Self> {
        match (
            &request.artifact,
            stored,
            &request.upload,
            &request.file_url,
        ) {
            (None, Some(stored), None, None) => Ok(Self::File(Box::new(stored))),
            (Some(reference), None, None, None) => {
                let id = references::object_id("artifact", reference, "core.artifact")?;
                Ok(Self::Artifact(ArtifactId(id)))
            }
            (None, None, Some(reference), None) => {
                let id = references::object_id("upload", reference, "core.upload")?;
                Ok(Self::Upload(UploadId(id)))
            }
            (None, None, None, Some(_)) => Ok(Self::Url),
            _ => Err(ApiError::field(
                "non_field_errors",
                format!("Exactly one of {offered} must be specified."),
            )),
        }
    }

    /// Looks, before the transaction, at what the store has of the file.
    async fn probe(&mut self) -> ApiResult<()> {
        if let Self::File(stored) = self {
            stored.probe(DomainId::DEFAULT).await?;
        }
        Ok(())
    }

    /// The artifact, which nobody deletes before the transaction ends.
    async fn artifact(&self, conn: &mut Conn) -> ApiResult<Artifact> {
        match self {
            Self::File(stored) => Ok(stored
                .record(conn, DomainId::DEFAULT)
                .await?
                .into_artifact()),
            Self::Artifact(id) => {
                Artifact::touch(conn, *id).await?;
                Artifact::find(conn, DomainId::DEFAULT, *id)
                    .await?
                    .ok_or_else(|| ApiError::field("artifact", references::NO_OBJECT))
            }
            Self::Upload(_) | Self::Url => Err(ApiError::internal("it is no artifact yet")),
        }
    }

    /// The transaction was committed.
    fn used(self) {
        if let Self::File(stored) = self {
            stored.recorded();
        }
    }
}

/// The upload that is named, if it is there.
async fn there(conn: &mut Conn, id: UploadId) -> ApiResult<UploadId> {
    let found = models::Upload::find(conn, DomainId::DEFAULT, id).await?;
    let row = found.ok_or_else(|| ApiError::field("upload", references::NO_OBJECT))?;
    Ok(row.pulp_id)
}

async fn file_repository(app: &App, reference: &str) -> ApiResult<RepositoryId> {
    let id = references::object_id("repository", reference, "repository")?;
    let mut conn = app.db.get().await?;
    let found = Repository::find(&mut conn, DomainId::DEFAULT, RepositoryId(id)).await?;
    let row = found.ok_or_else(|| ApiError::field("repository", references::NO_OBJECT))?;
    if row.pulp_type != PULP_TYPE {
        let message = "Content is not supported by this repository.";
        return Err(ApiError::field("non_field_errors", message));
    }
    Ok(row.pulp_id)
}

/// Sets a label, at once.
///
/// # Errors
/// 400, 404.
pub async fn set_label(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Body(label): Body<SetLabel>,
) -> ApiResult {
    authorize(&actor, Action::Change, Object::Content)?;
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, &path).await?;
    labels::set(&mut conn, Labeled::Content, row.pulp_id.0, label).await
}

/// Takes a label away, at once.
///
/// # Errors
/// 400 where it is not set, 404.
pub async fn unset_label(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    Body(label): Body<UnsetLabel>,
) -> ApiResult {
    authorize(&actor, Action::Change, Object::Content)?;
    let mut conn = app.db.get().await?;
    let row = find(&mut conn, &path).await?;
    labels::unset(&mut conn, Labeled::Content, row.pulp_id.0, label).await
}
