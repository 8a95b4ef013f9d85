//! The part of the URL table about content: artifacts, units, orphans.

use super::{artifacts, content, content_file, labels, orphans, uploads};
use crate::route::{Endpoint, delete, get, post, put};
use artifacts::{ArtifactRequest, ArtifactResponse};
use content::MultipleArtifactContentResponse;
use content_file::{FileContentRequest, FileContentUploadRequest};
use labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use millrace_common::representation::FileContent;
use orphans::OrphansCleanup;
use uploads::{
    UploadChunkRequest, UploadCommitRequest, UploadDetailResponse, UploadRequest, UploadResponse,
};

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = artifacts();
    table.extend(uploads());
    table.extend(content());
    table.extend(orphans());
    table
}

fn artifacts() -> Vec<Endpoint> {
    vec![
        get("artifacts/", "artifacts_list", artifacts::list)
            .tag("Artifacts")
            .about("Stored files")
            .lists::<ArtifactResponse, _>(&artifacts::FILTERS),
        post("artifacts/", "artifacts_create", artifacts::create)
            .tag("Artifacts")
            .about("Store a file")
            .accepts_upload::<ArtifactRequest>()
            .answers::<ArtifactResponse>(201),
        get(
            "artifacts/{artifact_href}/",
            "artifacts_read",
            artifacts::read,
        )
        .tag("Artifacts")
        .about("One stored file")
        .answers::<ArtifactResponse>(200),
        delete(
            "artifacts/{artifact_href}/",
            "artifacts_delete",
            artifacts::remove,
        )
        .tag("Artifacts")
        .about("Always refused: orphan clean-up deletes artifacts")
        .answers_nothing(403),
    ]
}

fn uploads() -> Vec<Endpoint> {
    const ONE: &str = "uploads/{upload_href}/";
    vec![
        get("uploads/", "uploads_list", uploads::list)
            .tag("Uploads")
            .about("Files that come in pieces, the newest first")
            .lists::<UploadResponse, _>(&uploads::FILTERS),
        post("uploads/", "uploads_create", uploads::create)
            .tag("Uploads")
            .about("Begin a file that comes in pieces")
            .accepts::<UploadRequest>()
            .answers::<UploadResponse>(201),
        get(ONE, "uploads_read", uploads::read)
            .tag("Uploads")
            .about("One upload, with the pieces that have come")
            .answers::<UploadDetailResponse>(200),
        put(ONE, "uploads_update", uploads::update)
            .tag("Uploads")
            .about("Send a piece; one at the same offset is replaced")
            .needs_header(
                "Content-Range",
                "Which bytes: `bytes <first>-<last>/<total or *>`.",
            )
            .accepts_upload::<UploadChunkRequest>()
            .answers::<UploadResponse>(200)
            .answers_nothing(409),
        delete(ONE, "uploads_delete", uploads::remove)
            .tag("Uploads")
            .about("Delete an upload with its pieces")
            .answers_nothing(204)
            .answers_nothing(409),
        post(
            "uploads/{upload_href}/commit/",
            "uploads_commit",
            uploads::commit,
        )
        .tag("Uploads")
        .about("Make an artifact of an upload, in a task")
        .accepts::<UploadCommitRequest>()
        .dispatches(),
    ]
}

fn content() -> Vec<Endpoint> {
    vec![
        get("content/", "content_list", content::list)
            .tag("Content")
            .about("Units of all types")
            .lists::<MultipleArtifactContentResponse, _>(&content::FILTERS),
        get(
            "content/file/files/",
            "content_file_files_list",
            content_file::list,
        )
        .tag("Content: Files")
        .about("File units")
        .lists::<FileContent, _>(&content_file::FILTERS),
        post(
            "content/file/files/",
            "content_file_files_create",
            content_file::create,
        )
        .tag("Content: Files")
        .about("Make a file unit, in a task")
        .accepts_upload::<FileContentRequest>()
        .dispatches(),
        post(
            "content/file/files/upload/",
            "content_file_files_upload",
            content_file::upload,
        )
        .tag("Content: Files")
        .about("Make a file unit at once")
        .accepts_upload::<FileContentUploadRequest>()
        .answers::<FileContent>(201),
        get(
            "content/file/files/{file_file_content_href}/",
            "content_file_files_read",
            content_file::read,
        )
        .tag("Content: Files")
        .about("One file unit")
        .answers::<FileContent>(200),
        post(
            "content/file/files/{file_file_content_href}/set_label/",
            "content_file_files_set_label",
            content_file::set_label,
        )
        .tag("Content: Files")
        .about("Set a label")
        .accepts::<SetLabel>()
        .answers::<SetLabelResponse>(201),
        post(
            "content/file/files/{file_file_content_href}/unset_label/",
            "content_file_files_unset_label",
            content_file::unset_label,
        )
        .tag("Content: Files")
        .about("Take a label away")
        .accepts::<UnsetLabel>()
        .answers::<UnsetLabelResponse>(201),
    ]
}

fn orphans() -> Vec<Endpoint> {
    vec![
        post(
            "orphans/cleanup/",
            "orphans_cleanup_cleanup",
            orphans::cleanup,
        )
        .tag("Orphans: Cleanup")
        .about("Delete what nothing needs, in a task")
        .accepts::<OrphansCleanup>()
        .dispatches(),
        delete("orphans/", "orphans_delete", orphans::remove)
            .tag("Orphans")
            .about("Delete what nothing needs, in a task")
            .dispatches(),
    ]
}
