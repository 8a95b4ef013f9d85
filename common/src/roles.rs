//! The permissions that there are, and the roles that are built in (contract 4.16).
//!
//! A permission is called `<app>.<codename>`, where the codename is `<action>_<model>` but for a few with a name of
//! their own. `millrace-api migrate` puts the built-in roles into their table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What may be done to the objects of any model.
const ALWAYS: [&str; 4] = ["add", "view", "change", "delete"];

/// A model, and the permissions that its objects have beyond [`ALWAYS`].
struct Model {
    /// As in names of resources: `file.filerepository`.
    name: &'static str,
    /// Further actions: `sync` makes `file.sync_filerepository`.
    actions: &'static [&'static str],
    /// Further codenames, as they are.
    codenames: &'static [&'static str],
}

/// A model whose objects have roles of their own.
const fn owned(name: &'static str, actions: &'static [&'static str]) -> Model {
    Model {
        name,
        actions,
        codenames: &[],
    }
}

const ROLES: &[&str] = &["manage_roles"];
const REPOSITORY: &[&str] = &["manage_roles", "sync", "modify", "repair"];

const MODELS: &[Model] = &[
    owned("auth.user", ROLES),
    owned("core.appstatus", &[]),
    owned("core.artifact", &[]),
    Model {
        name: "core.content",
        actions: &[],
        codenames: &["manage_content_labels"],
    },
    owned("core.domain", ROLES),
    owned("core.filesystemexport", &[]),
    owned("core.filesystemexporter", &[]),
    owned("core.group", ROLES),
    owned("core.repositoryversion", &[]),
    owned("core.role", &[]),
    Model {
        name: "core.task",
        actions: ROLES,
        codenames: &["view_task_profile_artifacts"],
    },
    owned("core.taskgroup", &[]),
    owned("core.taskschedule", ROLES),
    owned("core.upload", ROLES),
    Model {
        name: "file.filecontent",
        actions: &[],
        codenames: &["upload_files"],
    },
    owned("file.filedistribution", ROLES),
    owned("file.filepublication", ROLES),
    owned("file.fileremote", ROLES),
    owned("file.filerepository", REPOSITORY),
    owned("rpm.package", &[]),
    owned("rpm.rpmrepository", REPOSITORY),
];

/// Every permission, and the model that it is about.
static PERMISSIONS: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for model in MODELS {
        let Some((app, name)) = model.name.split_once('.') else {
            continue;
        };
        for action in ALWAYS.iter().chain(model.actions) {
            all.insert(format!("{app}.{action}_{name}"), model.name);
        }
        for codename in model.codenames {
            all.insert(format!("{app}.{codename}"), model.name);
        }
    }
    all
});

/// The model that a permission is about (`file.filerepository` for `file.sync_filerepository`); `None`: there is no
/// such permission.
#[must_use]
pub fn model_of(permission: &str) -> Option<&'static str> {
    PERMISSIONS.get(permission).copied()
}

/// All permissions, sorted.
pub fn permissions() -> impl Iterator<Item = &'static str> {
    PERMISSIONS.keys().map(String::as_str)
}

/// All permissions about a model, sorted: `core.task`.
pub fn permissions_on(model: &str) -> impl Iterator<Item = &'static str> {
    PERMISSIONS
        .iter()
        .filter(move |(_, about)| **about == model)
        .map(|(permission, _)| permission.as_str())
}

/// A role that is there from the start, and that no client changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// `<app>.<noun>_<who>`.
    pub name: String,
    /// What its holders may do, in a few words.
    pub description: String,
    /// `<app>.<codename>`, sorted.
    pub permissions: Vec<String>,
}

impl BuiltIn {
    fn new(name: &str, description: &str, permissions: &[&str]) -> Self {
        let mut permissions: Vec<String> = permissions.iter().map(|p| (*p).to_owned()).collect();
        permissions.sort_unstable();
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            permissions,
        }
    }
}

/// Models with the roles creator, owner and viewer, the noun of their descriptions, and what an owner may do.
const OWNED: [(&str, &str, &[&str]); 9] = [
    (
        "core.domain",
        "domain",
        &["view", "change", "delete", "manage_roles"],
    ),
    (
        "core.group",
        "group",
        &["view", "change", "delete", "manage_roles"],
    ),
    (
        "core.upload",
        "upload",
        &["view", "change", "delete", "manage_roles"],
    ),
    (
        "file.filedistribution",
        "file distribution",
        &["view", "change", "delete", "manage_roles"],
    ),
    (
        "file.filepublication",
        "file publication",
        &["view", "delete", "manage_roles"],
    ),
    (
        "file.fileremote",
        "file remote",
        &["view", "change", "delete", "manage_roles"],
    ),
    (
        "file.filerepository",
        "file repository",
        &[
            "view",
            "change",
            "delete",
            "manage_roles",
            "modify",
            "repair",
            "sync",
        ],
    ),
    (
        "rpm.rpmrepository",
        "rpm repository",
        &[
            "view",
            "change",
            "delete",
            "manage_roles",
            "modify",
            "repair",
            "sync",
        ],
    ),
    // Nobody creates one by hand.
    (
        "core.taskschedule",
        "task schedule",
        &["view", "manage_roles"],
    ),
];

/// The built-in role that who makes an object of this model gets on it: `file.filerepository_owner`.
#[must_use]
pub fn owner_role(model: &str) -> Option<String> {
    let has_owner = model == "core.task" || OWNED.iter().any(|(name, ..)| *name == model);
    has_owner.then(|| format!("{model}_owner"))
}

/// All built-in roles, sorted by name.
#[must_use]
pub fn built_in() -> Vec<BuiltIn> {
    let mut all = vec![
        BuiltIn::new(
            "core.content_labeler",
            "Sets and removes labels of content.",
            &["core.manage_content_labels"],
        ),
        BuiltIn::new(
            "core.task_owner",
            "Sees, cancels and deletes a task, and says who else may.",
            &[
                "core.view_task",
                "core.change_task",
                "core.delete_task",
                "core.manage_roles_task",
            ],
        ),
        BuiltIn::new("core.task_viewer", "Sees a task.", &["core.view_task"]),
        BuiltIn::new(
            "core.task_user_dispatcher",
            "Held by whoever dispatched a task, on that task.",
            &["core.add_task"],
        ),
        BuiltIn::new(
            "file.file_uploader",
            "Uploads files.",
            &["file.upload_files"],
        ),
    ];
    for (model, noun, actions) in OWNED {
        let Some((app, name)) = model.split_once('.') else {
            continue;
        };
        let permission = |action: &str| format!("{app}.{action}_{name}");
        let owner: Vec<String> = actions.iter().map(|action| permission(action)).collect();
        let owner: Vec<&str> = owner.iter().map(String::as_str).collect();
        if model != "core.taskschedule" {
            let what = format!("Makes objects of the kind {noun}.");
            all.push(BuiltIn::new(
                &format!("{model}_creator"),
                &what,
                &[&permission("add")],
            ));
        }
        let what = format!("Does all to a {noun}, and says who else may.");
        all.push(BuiltIn::new(&format!("{model}_owner"), &what, &owner));
        let what = format!("Sees a {noun}.");
        all.push(BuiltIn::new(
            &format!("{model}_viewer"),
            &what,
            &[&permission("view")],
        ));
    }
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_tells_its_model() {
        assert_eq!(
            model_of("file.sync_filerepository"),
            Some("file.filerepository")
        );
        assert_eq!(model_of("core.manage_roles_task"), Some("core.task"));
        assert_eq!(model_of("file.upload_files"), Some("file.filecontent"));
        for unknown in ["", "core", "core.task", "core.fly_task", "file.view_task"] {
            assert_eq!(model_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn built_in_roles_have_known_permissions_and_names_of_their_own() {
        let roles = built_in();
        for role in &roles {
            assert!(
                !role.permissions.is_empty() && role.permissions.is_sorted(),
                "{}",
                role.name
            );
            for permission in &role.permissions {
                assert!(
                    model_of(permission).is_some(),
                    "{permission} of {}",
                    role.name
                );
            }
        }
        assert!(roles.windows(2).all(|pair| pair[0].name < pair[1].name));
        let named = |name: &str| roles.iter().any(|role| role.name == name);
        for name in [
            "file.filerepository_creator",
            "file.filepublication_owner",
            "core.task_user_dispatcher",
            "core.taskschedule_viewer",
            "core.domain_creator",
            "core.group_viewer",
        ] {
            assert!(named(name), "{name}");
        }
        assert!(!named("core.taskschedule_creator"));
    }

    #[test]
    fn the_role_of_an_owner_is_built_in() {
        let roles = built_in();
        for model in [
            "core.task",
            "file.filerepository",
            "rpm.rpmrepository",
            "core.upload",
        ] {
            let owner = owner_role(model).unwrap();
            assert!(roles.iter().any(|role| role.name == owner), "{owner}");
        }
        assert_eq!(owner_role("core.artifact"), None);
    }
}
