//! The part of the URL table about content: artifacts, units, repositories, orphans.

use super::{
    artifacts, content, content_file, labels, orphans, reclaim, repositories, repositories_file,
    repositories_file_sync, repository_versions, uploads,
};
use crate::route::{Endpoint, delete, get, patch, post, put};
use artifacts::{ArtifactRequest, ArtifactResponse};
use content::MultipleArtifactContentResponse;
use content_file::{FileContentRequest, FileContentUploadRequest};
use labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use millrace_common::representation::{FileContent, FileRepository, Version};
use orphans::{OrphansCleanup, OrphansSummary};
use reclaim::ReclaimRequest;
use repositories::RepositoryResponse;
use repositories_file::{FileRepositoryRequest, Modify};
use repositories_file_sync::Sync;
use uploads::{
    UploadChunkRequest, UploadCommitRequest, UploadDetailResponse, UploadRequest, UploadResponse,
};

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = artifacts();
    table.extend(uploads());
    table.extend(content());
    table.extend(file_repositories());
    table.extend(file_repository_actions());
    table.extend(versions_and_orphans());
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

fn file_repositories() -> Vec<Endpoint> {
    const LIST: &str = "repositories/file/file/";
    const ONE: &str = "repositories/file/file/{file_file_repository_href}/";
    const TAG: &str = "Repositories: File";
    vec![
        get(LIST, "repositories_file_file_list", repositories_file::list)
            .tag(TAG)
            .about("File repositories")
            .lists::<FileRepository, _>(&repositories_file::FILTERS),
        post(
            LIST,
            "repositories_file_file_create",
            repositories_file::create,
        )
        .tag(TAG)
        .about("Make a file repository")
        .accepts::<FileRepositoryRequest>()
        .answers::<FileRepository>(201),
        get(ONE, "repositories_file_file_read", repositories_file::read)
            .tag(TAG)
            .about("One file repository")
            .answers::<FileRepository>(200),
        put(
            ONE,
            "repositories_file_file_update",
            repositories_file::update,
        )
        .tag(TAG)
        .about("Replace its values")
        .accepts::<FileRepositoryRequest>()
        .answers::<FileRepository>(200)
        .dispatches(),
        patch(
            ONE,
            "repositories_file_file_partial_update",
            repositories_file::partial_update,
        )
        .tag(TAG)
        .about("Change some of its values")
        .accepts_some_of::<FileRepositoryRequest>()
        .answers::<FileRepository>(200)
        .dispatches(),
        delete(
            ONE,
            "repositories_file_file_delete",
            repositories_file::remove,
        )
        .tag(TAG)
        .about("Delete it with its versions, in a task")
        .dispatches(),
    ]
}

fn file_repository_actions() -> Vec<Endpoint> {
    const TAG: &str = "Repositories: File";
    vec![
        post(
            "repositories/file/file/{file_file_repository_href}/modify/",
            "repositories_file_file_modify",
            repositories_file::modify,
        )
        .tag(TAG)
        .about("Add and remove units, in a task")
        .accepts::<Modify>()
        .dispatches(),
        post(
            "repositories/file/file/{file_file_repository_href}/sync/",
            "repositories_file_file_sync",
            repositories_file_sync::sync,
        )
        .tag(TAG)
        .about("Fill it from a remote, in a task")
        .accepts::<Sync>()
        .dispatches(),
        post(
            "repositories/file/file/{file_file_repository_href}/set_label/",
            "repositories_file_file_set_label",
            repositories_file::set_label,
        )
        .tag(TAG)
        .about("Set a label")
        .accepts::<SetLabel>()
        .answers::<SetLabelResponse>(201),
        post(
            "repositories/file/file/{file_file_repository_href}/unset_label/",
            "repositories_file_file_unset_label",
            repositories_file::unset_label,
        )
        .tag(TAG)
        .about("Take a label away")
        .accepts::<UnsetLabel>()
        .answers::<UnsetLabelResponse>(201),
    ]
}

fn versions_and_orphans() -> Vec<Endpoint> {
    vec![
        get("repositories/", "repositories_list", repositories::list)
            .tag("Repositories")
            .about("Repositories of all types")
            .lists::<RepositoryResponse, _>(&repositories::FILTERS),
        post(
            "repositories/reclaim_space/",
            "repositories_reclaim_space_reclaim",
            reclaim::reclaim,
        )
        .tag("Repositories: Reclaim_Space")
        .about("Give up files that can be fetched again, in a task")
        .accepts::<ReclaimRequest>()
        .dispatches(),
        get(
            "repositories/file/file/{file_file_repository_href}/versions/",
            "repositories_file_file_versions_list",
            repository_versions::list,
        )
        .tag("Repositories: File Versions")
        .about("Versions of a file repository")
        .lists::<Version, _>(&repository_versions::FILTERS),
        get(
            "repositories/file/file/{file_file_repository_href}/versions/{file_file_repository_version_href}/",
            "repositories_file_file_versions_read",
            repository_versions::read,
        )
        .tag("Repositories: File Versions")
        .about("One version")
        .answers::<Version>(200),
        delete(
            "repositories/file/file/{file_file_repository_href}/versions/{file_file_repository_version_href}/",
            "repositories_file_file_versions_delete",
            repository_versions::remove,
        )
        .tag("Repositories: File Versions")
        .about("Delete it, in a task; no other version changes")
        .dispatches(),
        post(
            "repositories/file/file/{file_file_repository_href}/versions/{file_file_repository_version_href}/repair/",
            "repositories_file_file_versions_repair",
            repository_versions::repair,
        )
        .tag("Repositories: File Versions")
        .about("Fetch its files anew that are missing or broken, in a task")
        .accepts::<repository_versions::Repair>()
        .dispatches(),
        get(
            "repository_versions/",
            "repository_versions_list",
            repository_versions::list_all,
        )
        .tag("Repository_Versions")
        .about("Versions of all repositories")
        .lists::<Version, _>(&repository_versions::FILTERS),
        post("orphans/cleanup/", "orphans_cleanup_cleanup", orphans::cleanup)
            .tag("Orphans: Cleanup")
            .about("Delete what nothing needs, in a task")
            .accepts::<OrphansCleanup>()
            .dispatches(),
        get("orphans/", "orphans_read", orphans::summary)
            .tag("Orphans")
            .about("What nothing needs, and how much room it takes")
            .answers::<OrphansSummary>(200),
        delete("orphans/", "orphans_delete", orphans::remove)
            .tag("Orphans")
            .about("Delete what nothing needs, in a task")
            .dispatches(),
    ]
}
