//! The part of the URL table about remotes.

use super::labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use super::object_roles::role_calls;
use super::remotes::{self, RemoteResponse};
use super::remotes_file::{self, FileRemoteRequest};
use super::roled::FileRemotes;
use crate::route::{Endpoint, delete, get, patch, post, put};
use millrace_common::representation::FileRemote;

const LIST: &str = "remotes/file/file/";
const ONE: &str = "remotes/file/file/{file_file_remote_href}/";
const TAG: &str = "Remotes: File";

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = vec![
        get("remotes/", "remotes_list", remotes::list)
            .tag("Remotes")
            .about("Remotes of all types")
            .lists::<RemoteResponse, _>(&remotes::FILTERS),
        get(LIST, "remotes_file_file_list", remotes_file::list)
            .tag(TAG)
            .about("File remotes")
            .lists::<FileRemote, _>(&remotes_file::FILTERS),
        post(LIST, "remotes_file_file_create", remotes_file::create)
            .tag(TAG)
            .about("Make a file remote")
            .accepts::<FileRemoteRequest>()
            .answers::<FileRemote>(201),
        get(ONE, "remotes_file_file_read", remotes_file::read)
            .tag(TAG)
            .about("One file remote")
            .answers::<FileRemote>(200),
        put(ONE, "remotes_file_file_update", remotes_file::update)
            .tag(TAG)
            .about("Replace its values")
            .accepts::<FileRemoteRequest>()
            .answers::<FileRemote>(200)
            .dispatches(),
        patch(
            ONE,
            "remotes_file_file_partial_update",
            remotes_file::partial_update,
        )
        .tag(TAG)
        .about("Change some of its values")
        .accepts_some_of::<FileRemoteRequest>()
        .answers::<FileRemote>(200)
        .dispatches(),
        delete(ONE, "remotes_file_file_delete", remotes_file::remove)
            .tag(TAG)
            .about("Delete it, in a task")
            .dispatches(),
        post(
            "remotes/file/file/{file_file_remote_href}/set_label/",
            "remotes_file_file_set_label",
            remotes_file::set_label,
        )
        .tag(TAG)
        .about("Set a label")
        .accepts::<SetLabel>()
        .answers::<SetLabelResponse>(201),
        post(
            "remotes/file/file/{file_file_remote_href}/unset_label/",
            "remotes_file_file_unset_label",
            remotes_file::unset_label,
        )
        .tag(TAG)
        .about("Take a label away")
        .accepts::<UnsetLabel>()
        .answers::<UnsetLabelResponse>(201),
    ];
    table.extend(role_calls!(
        FileRemotes,
        "remotes/file/file/{file_file_remote_href}/",
        "remotes_file_file",
        TAG
    ));
    table
}
