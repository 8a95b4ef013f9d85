//! `artifacts/`: stored files (contract 4.10).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::multipart::{FilePart, Upload};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::{href, membership, path_id, time};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use millrace_common::ids::{ArtifactId, DomainId};
use millrace_common::models::Artifact;
use millrace_common::prn::Prn;
use millrace_common::schema::artifact;
use millrace_common::storage::{self, ALGORITHMS, Saved, Storage, Stored};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A stored file.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct ArtifactResponse {
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
    pub file: String,
    pub size: i64,
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha224: Option<String>,
    pub sha256: String,
    pub sha384: Option<String>,
    pub sha512: Option<String>,
}

impl From<Artifact> for ArtifactResponse {
    fn from(row: Artifact) -> Self {
        Self {
            pulp_href: href::artifact(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_last_updated,
            file: row.storage_key.to_string(),
            size: row.size,
            md5: row.md5,
            sha1: row.sha1,
            sha224: row.sha224,
            sha256: row.sha256,
            sha384: row.sha384,
            sha512: row.sha512,
        }
    }
}

/// A file to store, and what is known of it.
#[derive(Debug, ToSchema)]
#[schema(as = Artifact)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct ArtifactRequest {
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    pub size: Option<i64>,
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha224: Option<String>,
    pub sha256: Option<String>,
    pub sha384: Option<String>,
    pub sha512: Option<String>,
}

/// What a client says of the file that it sends.
struct Expected {
    size: Option<i64>,
    digests: BTreeMap<&'static str, String>,
}

impl FromFields for Expected {
    fn read(fields: &mut Fields) -> Option<Self> {
        let size = fields.nullable::<i64>("size");
        let mut digests = BTreeMap::new();
        for name in ALGORITHMS {
            if let Some(text) = fields.nullable::<Text>(name)?.flatten() {
                digests.insert(name, text.0.to_ascii_lowercase());
            }
        }
        Some(Self {
            size: size?.flatten(),
            digests,
        })
    }
}

impl Expected {
    fn check(&self, stored: &Stored, storage: &Storage) -> ApiResult<()> {
        let refuse = |message: String| Err(ApiError::field("non_field_errors", message));
        let allowed = |name: &str| storage.checksums().iter().any(|c| c == name);
        let forbidden: Vec<String> = self
            .digests
            .keys()
            .filter(|name| !allowed(name))
            .map(|name| format!("'{name}'"))
            .collect();
        if !forbidden.is_empty() {
            let list = forbidden.join(", ");
            return refuse(format!(
                "Checksum algorithms [{list}] forbidden for this Pulp instance."
            ));
        }
        if self.size.is_some_and(|size| size != stored.size()) {
            return refuse("The size did not match actual size of file.".into());
        }
        for (name, digest) in &self.digests {
            if stored.digests().get(name) != Some(digest) {
                return refuse(format!("The {name} checksum did not match."));
            }
        }
        Ok(())
    }
}

/// The filters of `artifacts/`.
pub static FILTERS: LazyLock<Filters<artifact::table>> = LazyLock::new(|| {
    let filters = Filters::newest_first(artifact::pulp_created, artifact::pulp_id)
        .in_domain(artifact::pulp_domain)
        .sortable("pulp_last_updated", artifact::pulp_last_updated)
        .sortable("timestamp_of_interest", artifact::timestamp_of_interest)
        .sortable("file", artifact::storage_key)
        .sortable("size", artifact::size)
        .sortable("md5", artifact::md5)
        .sortable("sha1", artifact::sha1)
        .sortable("sha224", artifact::sha224)
        .sortable("sha256", artifact::sha256)
        .sortable("sha384", artifact::sha384)
        .sortable("sha512", artifact::sha512)
        .identities(artifact::pulp_id)
        .exact("md5", artifact::md5)
        .exact("sha1", artifact::sha1)
        .exact("sha224", artifact::sha224)
        .exact("sha256", artifact::sha256)
        .exact("sha384", artifact::sha384)
        .exact("sha512", artifact::sha512);
    let filters = membership::by_artifact(filters);
    membership::orphaned(
        filters,
        Artifact::unneeded(),
        "artifact.timestamp_of_interest",
    )
});

/// A page of artifacts.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Artifact).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let page = Artifact::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<ArtifactResponse> = page.rows.iter().cloned().map(Into::into).collect();
    listing.answer(page.count, &results)
}

/// One artifact.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Artifact).await?;
    let id: ArtifactId = path_id(&path, "Artifact")?;
    let mut conn = app.db.get().await?;
    let found = Artifact::find(&mut conn, DomainId::DEFAULT, id).await?;
    let row = found.ok_or_else(|| ApiError::no("Artifact"))?;
    Wanted::from_request(&request).answer_one(vec![ArtifactResponse::from(row)])
}

/// Stores a file, as a stream in bounded memory.
///
/// # Errors
/// 400 for a file that is missing, other than announced, or stored already.
pub async fn create(app: Data<App>, actor: Actor, upload: Unread<Upload>) -> ApiResult {
    authorize(&app, &actor, Action::Create, Object::Artifact).await?;
    let mut upload = upload.read().await?;
    let stored = receive(&app, &mut upload).await?;
    let Body(expected): Body<Expected> = upload.into_fields()?.finish()?;
    let stored = stored.ok_or_else(|| ApiError::field("file", "No file was submitted."))?;
    expected.check(&stored, &app.storage)?;
    let artifact = match stored.save(DomainId::DEFAULT).await? {
        Saved::New(artifact) | Saved::Restored(artifact) => artifact,
        Saved::Existing(artifact) => {
            let sha256 = artifact.sha256;
            let message = format!("Artifact with sha256 checksum of '{sha256}' already exists.");
            return Err(ApiError::field("non_field_errors", message));
        }
    };
    let answer = ArtifactResponse::from(artifact);
    Ok(HttpResponse::Created()
        .insert_header(("Location", answer.pulp_href.clone()))
        .json(answer))
}

/// Nobody may delete artifacts: orphan clean-up does.
///
/// # Errors
/// 404, else always 403.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Artifact).await?;
    let id: ArtifactId = path_id(&path, "Artifact")?;
    let mut conn = app.db.get().await?;
    match Artifact::find(&mut conn, DomainId::DEFAULT, id).await? {
        Some(_) => Err(ApiError::forbidden()),
        None => Err(ApiError::no("Artifact")),
    }
}

/// Stores the file of a body, if it has one. Dropped, what was stored is given up.
///
/// # Errors
/// 400 for a file in another field, or a second one.
pub async fn receive(app: &App, upload: &mut Upload) -> ApiResult<Option<Stored>> {
    receive_at_most(app, upload, i64::MAX, TOO_LARGE).await
}

/// As [`receive`]; what is longer than that is refused with this message as soon as it is seen.
///
/// # Errors
/// As [`receive`].
pub async fn receive_at_most(
    app: &App,
    upload: &mut Upload,
    size: i64,
    message: &str,
) -> ApiResult<Option<Stored>> {
    let mut stored = None;
    while let Some(part) = next(upload, stored.is_some()).await? {
        stored = Some(store(app, part, size, message).await?);
    }
    Ok(stored)
}

/// As [`receive`]; with what came in front of the file it is asked whether it is taken, before a byte of it is.
///
/// # Errors
/// As [`receive`]; the refusal, or the answer that the same request had before.
pub async fn receive_if(
    app: &App,
    upload: &mut Upload,
    may: impl AsyncFnOnce(&[(String, String)]) -> ApiResult<()>,
) -> ApiResult<Option<Stored>> {
    let Some(part) = next(upload, false).await? else {
        return Ok(None);
    };
    if let Err(refusal) = may(upload.texts()).await {
        return Err(upload.answered_before(part).await.unwrap_or(refusal));
    }
    let stored = store(app, part, i64::MAX, TOO_LARGE).await?;
    next(upload, true).await?;
    Ok(Some(stored))
}

/// The file of a body, which has one at most.
async fn next(upload: &mut Upload, has_one: bool) -> ApiResult<Option<FilePart>> {
    match upload.next_file().await? {
        Some(part) if part.name != "file" || has_one => {
            Err(ApiError::field(&part.name, "Unexpected field"))
        }
        part => Ok(part),
    }
}

const TOO_LARGE: &str = "The file is too large.";

async fn store(app: &App, mut part: FilePart, size: i64, message: &str) -> ApiResult<Stored> {
    let mut file = storage::Upload::begin(&app.db, &app.storage).await?;
    let mut room = u64::try_from(size).unwrap_or(0);
    while let Some(piece) = part.next().await? {
        room = room
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| ApiError::field("non_field_errors", message))?;
        file.write(piece).await?;
    }
    Ok(file.finish().await?)
}
