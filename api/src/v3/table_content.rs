//! The part of the URL table about content: artifacts, units, orphans.

use super::units_of::{self, UnitCalls};
use super::{artifacts, content, content_file, labels, orphans, uploads};
use crate::route::{Endpoint, delete, get, post, put};
use artifacts::{ArtifactRequest, ArtifactResponse};
use content::MultipleArtifactContentResponse;
use content_file::FileContentUploadRequest;
use labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use millrace_common::representation::{FileContent, RpmPackage};
use orphans::{OrphansCleanup, OrphansSummary};
use uploads::{
    UploadChunkRequest, UploadCommitRequest, UploadDetailResponse, UploadRequest, UploadResponse,
};

/// Addresses, operation ids and tag of the units of a type: component, name, title.
macro_rules! names {
    ($app:literal, $name:literal, $title:literal) => {
        Names {
            tag: concat!("Content: ", $title),
            all: [
                concat!("content/", $app, "/", $name, "s/"),
                concat!("content_", $app, "_", $name, "s_list"),
                concat!("content_", $app, "_", $name, "s_create"),
            ],
            one: names!(@one $app, $name, "", "read"),
            set_label: names!(@one $app, $name, "set_label/", "set_label"),
            unset_label: names!(@one $app, $name, "unset_label/", "unset_label"),
        }
    };
    (@one $app:literal, $name:literal, $rest:literal, $action:literal) => {
        [
            concat!(
                "content/", $app, "/", $name, "s/{", $app, "_", $name, "_content_href}/", $rest
            ),
            concat!("content_", $app, "_", $name, "s_", $action),
        ]
    };
}

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
    let mut table = vec![
        get("content/", "content_list", content::list)
            .tag("Content")
            .about("Units of all types")
            .lists::<MultipleArtifactContentResponse, _>(&content::FILTERS),
        post(
            "content/file/files/upload/",
            "content_file_files_upload",
            content_file::upload,
        )
        .tag("Content: Files")
        .about("Make a file unit at once")
        .accepts_upload::<FileContentUploadRequest>()
        .answers::<FileContent>(201),
    ];
    table.extend(units::<FileContent>(&names!("file", "file", "Files")));
    table.extend(units::<RpmPackage>(&names!("rpm", "package", "Packages")));
    table
}

/// What the calls of a type are called: an address, then the ids of its operations.
struct Names {
    tag: &'static str,
    all: [&'static str; 3],
    one: [&'static str; 2],
    set_label: [&'static str; 2],
    unset_label: [&'static str; 2],
}

/// All calls on the units of a type.
fn units<K: UnitCalls>(names: &Names) -> Vec<Endpoint> {
    let [all, list, create] = names.all;
    let [one, read] = names.one;
    let [set, set_id] = names.set_label;
    let [unset, unset_id] = names.unset_label;
    let tag = names.tag;
    vec![
        get(all, list, units_of::list::<K>)
            .tag(tag)
            .about("Units of this type")
            .lists::<K, _>(K::filters()),
        post(all, create, units_of::create::<K>)
            .tag(tag)
            .about("Make a unit of this type, in a task")
            .accepts_upload::<K::Request>()
            .dispatches(),
        get(one, read, units_of::read::<K>)
            .tag(tag)
            .about("One unit")
            .answers::<K>(200),
        post(set, set_id, units_of::set_label::<K>)
            .tag(tag)
            .about("Set a label")
            .accepts::<SetLabel>()
            .answers::<SetLabelResponse>(201),
        post(unset, unset_id, units_of::unset_label::<K>)
            .tag(tag)
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
