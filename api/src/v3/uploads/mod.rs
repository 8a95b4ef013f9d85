//! `uploads/`: files that come in pieces (contract 4.11).

mod forms;
mod range;

pub use forms::{
    UploadChunkRequest, UploadChunkResponse, UploadCommitRequest, UploadDetailResponse,
    UploadRequest, UploadResponse,
};

use crate::app::App;
use crate::auth::{self, Action, Actor, Object, authorize};
use crate::body::multipart::Upload as Form;
use crate::body::{Body, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use crate::v3::artifacts::receive_at_most;
use crate::v3::path_id;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use forms::Piece;
use log::warn;
use millrace_common::db::{self, Conn};
use millrace_common::error::Error;
use millrace_common::ids::{DomainId, UploadId};
use millrace_common::models::{Span, Tombstone, Upload, UploadChunk};
use millrace_common::schema::upload;
use millrace_common::storage::{Stored, tombstones};
use millrace_common::tasking::NewTask;
use millrace_common::tasks::UploadCommit;
use range::content_range;
use std::sync::LazyLock;

/// Pieces that are deleted at a time.
const BATCH: i64 = 1000;

/// The filters of `uploads/`.
pub static FILTERS: LazyLock<Filters<upload::table>> = LazyLock::new(|| {
    Filters::newest_first(upload::pulp_created, upload::pulp_id)
        .in_domain(upload::pulp_domain)
        .sortable("pulp_last_updated", upload::pulp_last_updated)
        .sortable("size", upload::size)
        .identities(upload::pulp_id)
        .numbers("size", upload::size)
});

/// A page of uploads.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Upload).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let visible = access.rows(Object::Upload, upload::pulp_id);
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    let page = Upload::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<UploadResponse> = page.rows.iter().cloned().map(Into::into).collect();
    listing.answer(page.count, &results)
}

/// One upload, with its pieces.
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
    let chunks = UploadChunk::spans(&mut conn, row.pulp_id).await?;
    let chunks = chunks
        .into_iter()
        .map(|(offset, size)| UploadChunkResponse { offset, size });
    let upload = UploadResponse::from(row);
    Wanted::from_request(&request).answer_one(vec![UploadDetailResponse {
        pulp_href: upload.pulp_href,
        prn: upload.prn,
        pulp_created: upload.pulp_created,
        pulp_last_updated: upload.pulp_last_updated,
        size: upload.size,
        chunks: chunks.collect(),
    }])
}

/// The upload that a path names, for an actor who may do this to it.
async fn find(app: &App, actor: &Actor, action: Action, id: &str) -> ApiResult<Upload> {
    let id: UploadId = path_id(id, "Upload")?;
    let found = Upload::find(&mut *app.db.get().await?, DomainId::DEFAULT, id).await?;
    let row = found.ok_or_else(|| ApiError::no("Upload"))?;
    authorize(app, actor, action, Object::Upload.at(id.0)).await?;
    Ok(row)
}

/// Begins an upload.
///
/// # Errors
/// 400 for the size, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<UploadRequest>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, Object::Upload).await?;
    let Body(request) = body.read().await?;
    let mut conn = app.db.get().await?;
    let row = db::transaction(&mut conn, async |conn| {
        let row = Upload::create(conn, DomainId::DEFAULT, request.size).await?;
        auth::own(conn, &actor, row.pulp_id.into()).await?;
        Ok::<_, diesel::result::Error>(row)
    })
    .await?;
    let answer = UploadResponse::from(row);
    Ok(HttpResponse::Created()
        .insert_header(("Location", answer.pulp_href.clone()))
        .json(answer))
}

/// Takes a piece in, as a stream in bounded memory; one at the same offset is replaced.
///
/// # Errors
/// 400 for a range that is none, is outside of the upload, overlaps another piece, or is not what came;
/// 404; 409 while a task commits the upload. Nothing changes then.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
    form: Unread<Form>,
) -> ApiResult {
    let row = find(&app, &actor, Action::Change, &path).await?;
    let span = content_range(&request)?;
    if span.end > row.size {
        let message = "End byte is greater than upload size.";
        return Err(ApiError::field("non_field_errors", message));
    }
    let mut form = form.read().await?;
    let size = span.end - span.start;
    let stored = receive_at_most(&app, &mut form, size, WRONG_SIZE).await?;
    let Body(piece): Body<Piece> = form.into_fields()?.finish()?;
    let stored = stored.ok_or_else(|| ApiError::field("file", "No file was submitted."))?;
    if stored.size() != size {
        return Err(ApiError::field("non_field_errors", WRONG_SIZE));
    }
    if piece
        .sha256
        .is_some_and(|sha256| sha256 != stored.digests().sha256())
    {
        let message = "Checksum does not match chunk upload.";
        return Err(ApiError::messages([message.to_owned()]));
    }
    let mut conn = app.db.get().await?;
    let (row, replaced) = db::transaction(&mut conn, async |conn| {
        put(conn, row.pulp_id, span, &stored).await
    })
    .await?;
    drop(conn);
    stored.recorded();
    unlink(&app, &Vec::from_iter(replaced)).await;
    Ok(HttpResponse::Ok().json(UploadResponse::from(row)))
}

const WRONG_SIZE: &str = "Chunk size does not match content range.";

async fn put(
    conn: &mut Conn,
    upload: UploadId,
    span: Span,
    stored: &Stored,
) -> ApiResult<(Upload, Option<Tombstone>)> {
    lock(conn, upload).await?;
    if let Some(other) = UploadChunk::overlapping(conn, upload, span).await? {
        let message = format!("Bytes {span} overlap the chunk of bytes {other}.");
        return Err(ApiError::field("non_field_errors", message));
    }
    let piece = UploadChunk {
        offset: span.start,
        size: span.end - span.start,
        storage_key: stored.take_over(conn).await?.clone(),
    };
    let replaced = UploadChunk::put(conn, upload, &piece).await?;
    Ok((Upload::touch(conn, upload).await?, replaced))
}

/// Locks an upload that nobody commits.
async fn lock(conn: &mut Conn, id: UploadId) -> ApiResult<()> {
    if Upload::lock(conn, DomainId::DEFAULT, id).await?.is_none() {
        return Err(ApiError::no("Upload"));
    }
    if Upload::is_reserved(conn, id).await? {
        let message = "The upload is being committed by a task.";
        return Err(Error::Conflict(message.into()).into());
    }
    Ok(())
}

/// Removes files that are buried; should that fail, the janitor does it.
async fn unlink(app: &App, buried: &[Tombstone]) {
    if let Err(error) = tombstones::unlink(&app.db, &app.storage, buried).await {
        warn!(error:? = error; "{} files are left to the janitor", buried.len());
    }
}

/// Makes an artifact of an upload, in a task.
///
/// # Errors
/// 400 for the digest, 404.
pub async fn commit(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<UploadCommitRequest>>,
) -> ApiResult {
    let found = find(&app, &actor, Action::Change, &path).await;
    let (row, Body(request)) = body.read_for(found).await?;
    let task = UploadCommit {
        upload_id: row.pulp_id,
        sha256: request.sha256,
    };
    dispatch_and_accept(&app, &actor, NewTask::new(&app.catalog.tasks, &task)?).await
}

/// Deletes an upload with its pieces, batch by batch.
///
/// # Errors
/// 404; 409 while a task commits the upload.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    let id: UploadId = path_id(&path, "Upload")?;
    authorize(&app, &actor, Action::Delete, Object::Upload.at(id.0)).await?;
    loop {
        let mut conn = app.db.get().await?;
        let buried = db::transaction(&mut conn, async |conn| {
            lock(conn, id).await?;
            let buried = UploadChunk::bury(conn, id, 0, BATCH, None).await?;
            if buried.is_empty() {
                Upload::delete(conn, id).await?;
            }
            Ok::<_, ApiError>(buried)
        })
        .await?;
        drop(conn);
        if buried.is_empty() {
            return Ok(HttpResponse::NoContent().finish());
        }
        unlink(&app, &buried).await;
    }
}
