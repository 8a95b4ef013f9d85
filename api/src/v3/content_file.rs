//! `content/file/files/`: what is their own of file units (contract 4.9).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::Unread;
use crate::body::multipart::Upload;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind};
use crate::v3::artifacts::receive;
use crate::v3::units_of::{self, UnitCalls};
use crate::v3::{content, membership, references};
use actix_web::HttpResponse;
use actix_web::web::Data;
use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::sql_types;
use millrace_common::content::UnitKind;
use millrace_common::content::file::{self, File};
use millrace_common::db::{self, Conn};
use millrace_common::ids::DomainId;
use millrace_common::models::Content;
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::representation::FileContent;
use millrace_common::schema::content as table;
use millrace_common::tasks::kinds::unit_data;
use serde_json::{Value, json};
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

/// The filters of `content/file/files/`.
static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
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

impl UnitCalls for FileContent {
    type Unit = File;
    type Request = FileContentRequest;
    const WHAT: &'static str = "FileContent";
    const JUDGES_FILES: bool = false;
    const OF_TYPE: &'static str = "content.pulp_type = 'file.file'";

    fn filters() -> &'static Filters<table::table> {
        &FILTERS
    }

    async fn load_many(conn: &mut Conn, rows: Vec<Content>) -> QueryResult<Vec<Self>> {
        Self::load_many(conn, rows).await
    }
}

/// Makes a unit at once.
///
/// # Errors
/// 400 for what is wrong with which field, 403.
pub async fn upload(app: Data<App>, actor: Actor, body: Unread<Upload>) -> ApiResult {
    let access = authorize(&app, &actor, Action::Upload, Object::Content).await?;
    let mut upload = body.read().await?;
    let mut stored = receive(&app, &mut upload).await?;
    let mut data = upload.into_object()?;
    let is_given = |field| data.get(field).is_some_and(|v| !v.is_null() && *v != "");
    if is_given("repository") {
        return Err(ApiError::field("repository", "Unexpected field"));
    }
    for field in ["upload", "file_url", "downloader_config"] {
        if is_given(field) {
            let message = "It takes its time: post it to content/file/files/, for a task.";
            return Err(ApiError::field(field, message));
        }
    }
    unit_data::one_source(&data, stored.is_some())?;
    references::into_prns(&mut *app.db.get().await?, &access, &mut data, &["artifact"]).await?;
    let given = unit_data::read(&UnitKind::of::<File>(), &data, stored.is_some())?;
    if let Some(stored) = &mut stored {
        stored.probe(DomainId::DEFAULT).await?;
    }
    let path = given.relative_path.unwrap_or_default();
    let labels = json!(given.pulp_labels);
    let mut conn = app.db.get().await?;
    let unit = db::transaction(&mut conn, async |conn| {
        let artifact = match (&stored, given.artifact) {
            (Some(stored), _) => stored
                .record(conn, DomainId::DEFAULT)
                .await?
                .into_artifact(),
            (None, Some(id)) => units_of::touched(conn, id).await?,
            (None, None) => return Err(ApiError::internal("a unit without a file")),
        };
        let (unit, _) = file::ensure(conn, DomainId::DEFAULT, &path, &artifact, &labels).await?;
        Ok(unit)
    })
    .await?;
    if let Some(stored) = stored {
        stored.recorded();
    }
    let shown: FileContent = units_of::show(&mut conn, unit).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}
