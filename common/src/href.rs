//! Addresses of objects in the API, and the names that they stand for.

use crate::ids::{DomainId, ExportId, ExporterId};
use crate::prn::{self, Prn};
use url::Url;
use uuid::Uuid;

/// Where version 3 of the API begins.
pub const ROOT: &str = "/pulp/api/v3/";

/// Collections of objects that are named by their id alone: path and model.
const PLAIN: [(&str, &str); 9] = [
    ("tasks", "core.task"),
    ("task-groups", "core.taskgroup"),
    ("task-schedules", "core.taskschedule"),
    ("workers", "core.appstatus"),
    ("artifacts", "core.artifact"),
    ("uploads", "core.upload"),
    ("pauses", "core.pause"),
    ("roles", "core.role"),
    ("domains", "core.domain"),
];

/// The same for objects that are numbered.
const NUMBERED: [(&str, &str); 2] = [("users", "auth.user"), ("groups", "core.group")];

/// Old paths that clients give as resources, and the names they stand for.
const LEGACY: [(&str, &str); 5] = [
    ("/api/v3/orphans/cleanup/", "orphans"),
    ("/api/v3/repair/", "repair"),
    ("/api/v3/distributions/", "distributions"),
    ("/api/v3/repositories/reclaim_space/", "reclaim_space"),
    ("/api/v3/servers/", "servers"),
];

/// What an href points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An object whose PRN can be told from the href.
    Object(Prn),
    /// A repository version, which has a PRN of its own.
    Version {
        /// The repository.
        repository: Prn,
        /// The number of the version.
        number: i32,
    },
}

/// The path of an href: absolute addresses are cut down to it.
fn path_of(href: &str) -> Option<String> {
    if href.starts_with("http://") || href.starts_with("https://") {
        return Url::parse(href).ok().map(|url| url.path().to_owned());
    }
    href.starts_with('/').then(|| href.to_owned())
}

/// Reads an href. `None`: it is none, or leads to nothing that we know.
#[must_use]
pub fn parse(href: &str) -> Option<Target> {
    let path = path_of(href)?;
    let rest = path.strip_prefix(ROOT)?.strip_suffix('/')?;
    let segments: Vec<&str> = rest.split('/').collect();
    match segments.as_slice() {
        [collection @ ("users" | "groups"), id] => {
            let (_, model) = NUMBERED.iter().find(|(path, _)| path == collection)?;
            let id: i32 = id.parse().ok()?;
            Some(Target::Object(Prn::new(*model, id)))
        }
        [collection, id] => {
            let (_, model) = PLAIN.iter().find(|(path, _)| path == collection)?;
            let id: Uuid = id.parse().ok()?;
            Some(Target::Object(Prn::new(*model, id)))
        }
        ["repositories", app, name, id] => Some(Target::Object(repository_prn(app, name, id)?)),
        ["repositories", app, name, id, "versions", number] => Some(Target::Version {
            repository: repository_prn(app, name, id)?,
            number: number.parse().ok().filter(|n| *n >= 0)?,
        }),
        [
            collection @ ("remotes" | "publications" | "distributions"),
            app,
            name,
            id,
        ] => {
            let id: Uuid = id.parse().ok()?;
            let model = collection.strip_suffix('s')?;
            Some(Target::Object(Prn::new(format!("{app}.{name}{model}"), id)))
        }
        ["exporters", "core", "filesystem", id] => {
            let id: Uuid = id.parse().ok()?;
            Some(Target::Object(ExporterId(id).into()))
        }
        ["exporters", "core", "filesystem", _, "exports", id] => {
            let id: Uuid = id.parse().ok()?;
            Some(Target::Object(ExportId(id).into()))
        }
        [holder @ ("users" | "groups"), _, "roles", id] => {
            let id: Uuid = id.parse().ok()?;
            let model = format!("core.{}role", holder.strip_suffix('s')?);
            Some(Target::Object(Prn::new(model, id)))
        }
        ["content", app, plural, id] => {
            let pulp_type = format!("{app}.{}", plural.strip_suffix('s')?);
            let id: Uuid = id.parse().ok()?;
            Some(Target::Object(prn::content(&pulp_type, id.into())))
        }
        _ => None,
    }
}

fn repository_prn(app: &str, name: &str, id: &str) -> Option<Prn> {
    let id: Uuid = id.parse().ok()?;
    Some(prn::repository(&format!("{app}.{name}"), id.into()))
}

/// The id in a reference to an object that is not a version: href or PRN.
#[must_use]
pub fn reference_id(reference: &str) -> Option<Uuid> {
    if let Some(prn) = Prn::parse(reference) {
        return prn.uuid();
    }
    match parse(reference)? {
        Target::Object(prn) => prn.uuid(),
        Target::Version { .. } => None,
    }
}

/// The number in a reference to an object of this model that has one: href or PRN.
#[must_use]
pub fn reference_number(reference: &str, model: &str) -> Option<i32> {
    let prn = match (Prn::parse(reference), parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        _ => return None,
    };
    prn.id.parse().ok().filter(|_| prn.model == model)
}

/// The address of an object that has roles of its own, by its model and its id (the number of a group).
#[must_use]
pub fn of_object(model: &str, id: impl std::fmt::Display) -> Option<String> {
    let mut plain = PLAIN.iter().chain(&NUMBERED);
    if let Some((collection, _)) = plain.find(|(_, other)| *other == model) {
        return Some(format!("{ROOT}{collection}/{id}/"));
    }
    let (app, name) = model.split_once('.')?;
    ["repository", "remote", "publication", "distribution"]
        .into_iter()
        .find_map(|kind| {
            let collection = match kind {
                "repository" => "repositories".to_owned(),
                kind => format!("{kind}s"),
            };
            let name = name.strip_suffix(kind)?;
            Some(format!("{ROOT}{collection}/{app}/{name}/{id}/"))
        })
}

/// The resource that an old path stands for.
#[must_use]
pub fn legacy_resource(path: &str) -> Option<String> {
    LEGACY
        .iter()
        .find(|(old, _)| *old == path)
        .map(|(_, name)| format!("pdrn:{}:{name}", DomainId::DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199e6a0-0000-7000-8000-000000000001";

    fn object(href: &str) -> String {
        match parse(href) {
            Some(Target::Object(prn)) => prn.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn hrefs_of_all_kinds_are_understood() {
        for (path, prn) in [
            ("tasks", "core.task"),
            ("artifacts", "core.artifact"),
            ("workers", "core.appstatus"),
            ("task-schedules", "core.taskschedule"),
            ("repositories/file/file", "file.filerepository"),
            ("content/file/files", "file.filecontent"),
            ("content/rpm/packages", "rpm.package"),
            ("remotes/file/file", "file.fileremote"),
            ("publications/file/file", "file.filepublication"),
            ("distributions/file/file", "file.filedistribution"),
            ("uploads", "core.upload"),
            ("roles", "core.role"),
            ("domains", "core.domain"),
            ("users/5/roles", "core.userrole"),
            ("groups/5/roles", "core.grouprole"),
            ("exporters/core/filesystem", "core.filesystemexporter"),
            (
                "exporters/core/filesystem/x/exports",
                "core.filesystemexport",
            ),
        ] {
            let href = format!("{ROOT}{path}/{ID}/");
            assert_eq!(object(&href), format!("prn:{prn}:{ID}"));
            assert_eq!(
                object(&format!("https://host:1{href}")),
                format!("prn:{prn}:{ID}")
            );
        }
        let version = format!("{ROOT}repositories/file/file/{ID}/versions/3/");
        assert!(matches!(
            parse(&version),
            Some(Target::Version { number: 3, .. })
        ));
    }

    #[test]
    fn accounts_and_groups_are_numbered() {
        assert_eq!(object("/pulp/api/v3/users/7/"), "prn:auth.user:7");
        assert_eq!(
            reference_number("/pulp/api/v3/groups/7/", "core.group"),
            Some(7)
        );
        assert_eq!(reference_number("prn:core.group:7", "auth.user"), None);
        assert_eq!(parse(&format!("{ROOT}users/{ID}/")), None);
    }

    #[test]
    fn the_address_of_an_object_reads_back() {
        for (model, id) in [
            ("core.task", ID),
            ("core.group", "7"),
            ("file.filerepository", ID),
            ("rpm.rpmrepository", ID),
            ("file.fileremote", ID),
            ("file.filepublication", ID),
            ("file.filedistribution", ID),
        ] {
            let href = of_object(model, id).unwrap();
            assert_eq!(object(&href), format!("prn:{model}:{id}"));
        }
        assert_eq!(of_object("file.filecontent", ID), None);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for bad in [
            "",
            "tasks/x/",
            "/pulp/api/v3/tasks/x/",
            &format!("/pulp/api/v3/tasks/{ID}"),
            &format!("/pulp/api/v3/nothing/{ID}/"),
            &format!("/other/{ID}/"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
