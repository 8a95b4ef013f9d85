//! The part of the URL table about repositories and their versions.

use super::labels::{SetLabel, SetLabelResponse, UnsetLabel, UnsetLabelResponse};
use super::object_roles::{self, role_names};
use super::reclaim::{self, ReclaimRequest};
use super::repositories_file_sync::{self, Sync};
use super::repositories_of::{self, Modify, RepositoryCalls};
use super::repository_versions::{self, Repair};
use super::roled::Repositories;
use super::{repositories, repositories::RepositoryResponse};
use crate::route::{Endpoint, delete, get, patch, post, put};
use millrace_common::representation::{FileRepository, RpmRepository, Version};

/// Addresses, operation ids and tags of the repositories of a type: component, name, title.
macro_rules! names {
    ($app:literal, $name:literal, $title:literal) => {
        Names {
            tag: concat!("Repositories: ", $title),
            versions_tag: concat!("Repositories: ", $title, " Versions"),
            list: [
                concat!("repositories/", $app, "/", $name, "/"),
                concat!("repositories_", $app, "_", $name, "_list"),
                concat!("repositories_", $app, "_", $name, "_create"),
            ],
            one: [
                names!(@one $app, $name, ""),
                concat!("repositories_", $app, "_", $name, "_read"),
                concat!("repositories_", $app, "_", $name, "_update"),
                concat!("repositories_", $app, "_", $name, "_partial_update"),
                concat!("repositories_", $app, "_", $name, "_delete"),
            ],
            modify: names!(@action $app, $name, "modify"),
            set_label: names!(@action $app, $name, "set_label"),
            unset_label: names!(@action $app, $name, "unset_label"),
            roles: role_names!(
                names!(@one $app, $name, ""),
                concat!("repositories_", $app, "_", $name),
                concat!("Repositories: ", $title)
            ),
            versions: [
                names!(@one $app, $name, "versions/"),
                concat!("repositories_", $app, "_", $name, "_versions_list"),
            ],
            version: [
                names!(@version $app, $name, ""),
                concat!("repositories_", $app, "_", $name, "_versions_read"),
                concat!("repositories_", $app, "_", $name, "_versions_delete"),
            ],
            repair: [
                names!(@version $app, $name, "repair/"),
                concat!("repositories_", $app, "_", $name, "_versions_repair"),
            ],
        }
    };
    (@one $app:literal, $name:literal, $rest:literal) => {
        concat!(
            "repositories/", $app, "/", $name, "/{", $app, "_", $name, "_repository_href}/", $rest
        )
    };
    (@version $app:literal, $name:literal, $rest:literal) => {
        concat!(
            "repositories/", $app, "/", $name, "/{", $app, "_", $name, "_repository_href}/versions/{",
            $app, "_", $name, "_repository_version_href}/", $rest
        )
    };
    (@action $app:literal, $name:literal, $action:literal) => {
        [
            concat!(
                "repositories/", $app, "/", $name, "/{", $app, "_", $name, "_repository_href}/",
                $action, "/"
            ),
            concat!("repositories_", $app, "_", $name, "_", $action),
        ]
    };
}

/// What the calls of a type are called: an address, then the ids of its operations.
struct Names {
    tag: &'static str,
    versions_tag: &'static str,
    list: [&'static str; 3],
    one: [&'static str; 5],
    modify: [&'static str; 2],
    set_label: [&'static str; 2],
    unset_label: [&'static str; 2],
    roles: object_roles::Names,
    versions: [&'static str; 2],
    version: [&'static str; 3],
    repair: [&'static str; 2],
}

/// Its calls.
pub fn table() -> Vec<Endpoint> {
    let mut table = of_all_types();
    table.extend(of_type::<FileRepository>(&names!("file", "file", "File")));
    table.extend(of_type::<RpmRepository>(&names!("rpm", "rpm", "Rpm")));
    table.push(
        post(
            "repositories/file/file/{file_file_repository_href}/sync/",
            "repositories_file_file_sync",
            repositories_file_sync::sync,
        )
        .tag("Repositories: File")
        .about("Fill it from a remote, in a task")
        .accepts::<Sync>()
        .dispatches(),
    );
    table
}

fn of_all_types() -> Vec<Endpoint> {
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
            "repository_versions/",
            "repository_versions_list",
            repository_versions::list_all,
        )
        .tag("Repository_Versions")
        .about("Versions of all repositories")
        .lists::<Version, _>(&repository_versions::FILTERS),
    ]
}

/// All calls on the repositories of a type.
fn of_type<K: RepositoryCalls>(names: &Names) -> Vec<Endpoint> {
    let mut table = objects::<K>(names);
    table.extend(actions::<K>(names));
    table.extend(versions::<K>(names));
    table.extend(object_roles::calls::<Repositories<K>>(&names.roles));
    table
}

fn objects<K: RepositoryCalls>(names: &Names) -> Vec<Endpoint> {
    let [all, list, create] = names.list;
    let [one, read, update, partial_update, remove] = names.one;
    let tag = names.tag;
    vec![
        get(all, list, repositories_of::list::<K>)
            .tag(tag)
            .about("Repositories of this type")
            .lists::<K, _>(K::filters()),
        post(all, create, repositories_of::create::<K>)
            .tag(tag)
            .about("Make a repository of this type")
            .accepts::<K::Request>()
            .answers::<K>(201),
        get(one, read, repositories_of::read::<K>)
            .tag(tag)
            .about("One repository")
            .answers::<K>(200),
        put(one, update, repositories_of::update::<K>)
            .tag(tag)
            .about("Replace its values")
            .accepts::<K::Request>()
            .answers::<K>(200)
            .dispatches(),
        patch(one, partial_update, repositories_of::partial_update::<K>)
            .tag(tag)
            .about("Change some of its values")
            .accepts_some_of::<K::Request>()
            .answers::<K>(200)
            .dispatches(),
        delete(one, remove, repositories_of::remove::<K>)
            .tag(tag)
            .about("Delete it with its versions, in a task")
            .dispatches(),
    ]
}

fn actions<K: RepositoryCalls>(names: &Names) -> Vec<Endpoint> {
    let [modify, modify_id] = names.modify;
    let [set, set_id] = names.set_label;
    let [unset, unset_id] = names.unset_label;
    vec![
        post(modify, modify_id, repositories_of::modify::<K>)
            .tag(names.tag)
            .about("Add and remove units, in a task")
            .accepts::<Modify>()
            .dispatches(),
        post(set, set_id, repositories_of::set_label::<K>)
            .tag(names.tag)
            .about("Set a label")
            .accepts::<SetLabel>()
            .answers::<SetLabelResponse>(201),
        post(unset, unset_id, repositories_of::unset_label::<K>)
            .tag(names.tag)
            .about("Take a label away")
            .accepts::<UnsetLabel>()
            .answers::<UnsetLabelResponse>(201),
    ]
}

fn versions<K: RepositoryCalls>(names: &Names) -> Vec<Endpoint> {
    let [all, list] = names.versions;
    let [one, read, remove] = names.version;
    let [repair, repair_id] = names.repair;
    let tag = names.versions_tag;
    vec![
        get(all, list, repository_versions::list::<K>)
            .tag(tag)
            .about("Versions of a repository")
            .lists::<Version, _>(&repository_versions::FILTERS),
        get(one, read, repository_versions::read::<K>)
            .tag(tag)
            .about("One version")
            .answers::<Version>(200),
        delete(one, remove, repository_versions::remove::<K>)
            .tag(tag)
            .about("Delete it, in a task; no other version changes")
            .dispatches(),
        post(repair, repair_id, repository_versions::repair::<K>)
            .tag(tag)
            .about("Fetch its files anew that are missing or broken, in a task")
            .accepts::<Repair>()
            .dispatches(),
    ]
}
