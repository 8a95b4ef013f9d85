//! What each action on each kind of objects needs: the one table of it (contract 4.16).

use millrace_common::models::permission;
use std::borrow::Cow;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they allow")]
pub enum Action {
    View,
    Create,
    Change,
    Delete,
    /// Dispatch any registered task.
    Dispatch,
    /// Forget tasks that have ended.
    Purge,
    Sync,
    Modify,
    Repair,
    /// Make a unit at once, which is in no repository.
    Upload,
    Label,
    /// Say who else may do something.
    ManageRoles,
}

/// A kind of objects. What is of several types is named by its type (`file.file`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the objects")]
pub enum Object {
    Task,
    TaskGroup,
    TaskSchedule,
    Worker,
    /// A pause of a lane or of a task type.
    Pause,
    Lane,
    Artifact,
    /// Units of all types.
    Content,
    Repository(&'static str),
    /// Versions of repositories of all types.
    Version,
    Orphans,
    Reclaim,
    Exporter,
    Remote(&'static str),
    Publication(&'static str),
    Distribution(&'static str),
    Upload,
    User,
    Group,
    Role,
    AuditLog,
}

/// What an action needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Being an administrator.
    Administrator,
    /// Nothing: what there is to see, or to do it to, is selected by other permissions.
    Nothing,
    /// This permission; on an object of which the kind has permissions to view, that too.
    Permission(Cow<'static, str>),
}

impl Object {
    /// What its actions need. What is not named here is for administrators.
    pub(super) fn need(self, action: Action) -> Need {
        use Action::{
            Change, Create, Delete, Label, ManageRoles, Modify, Purge, Repair, Sync, Upload, View,
        };
        let verb = match (self, action) {
            // Groups are seen, and canceled, by what may be done to their members.
            (Self::TaskGroup, View | Change) | (Self::Task, Purge) => return Need::Nothing,
            // Units and versions are seen by the repositories that they are in; units are made for one.
            (Self::Content, View | Create) | (Self::Version, View) => return Need::Nothing,
            (Self::Content, Upload) => return Need::Permission("file.upload_files".into()),
            (Self::Content, Label) => {
                return Need::Permission("core.manage_content_labels".into());
            }
            // Who makes or changes a schedule dispatches any registered task.
            (Self::TaskSchedule, View) | (Self::Task, View) => "view",
            (Self::Task, Change) => "change",
            (Self::Task, Delete) => "delete",
            (
                Self::Repository(_)
                | Self::Remote(_)
                | Self::Distribution(_)
                | Self::Upload
                | Self::Group,
                Change | Label,
            ) => "change",
            (
                Self::Repository(_)
                | Self::Remote(_)
                | Self::Publication(_)
                | Self::Distribution(_)
                | Self::Upload
                | Self::Group,
                View | Create | Delete,
            ) => match action {
                Create => "add",
                Delete => "delete",
                _ => "view",
            },
            (Self::Repository(_), Sync) => "sync",
            (Self::Repository(_), Modify) => "modify",
            (Self::Repository(_), Repair) => "repair",
            (
                Self::Task
                | Self::TaskSchedule
                | Self::Repository(_)
                | Self::Remote(_)
                | Self::Publication(_)
                | Self::Distribution(_)
                | Self::Upload
                | Self::Group,
                ManageRoles,
            ) => "manage_roles",
            _ => return Need::Administrator,
        };
        Need::Permission(self.permission(verb).into())
    }

    /// The permission to do this to such objects: `view` makes `core.view_task`.
    pub(super) fn permission(self, verb: &str) -> String {
        permission::named(verb, &self.model())
    }

    /// Its model, as names of resources have it: `file.filerepository`.
    #[must_use]
    pub fn model(self) -> Cow<'static, str> {
        let of_type = |pulp_type: &str, model: &str| {
            let (app, name) = pulp_type.split_once('.').unwrap_or(("core", pulp_type));
            Cow::Owned(format!("{app}.{name}{model}"))
        };
        match self {
            Self::Task => "core.task".into(),
            Self::TaskGroup => "core.taskgroup".into(),
            Self::TaskSchedule => "core.taskschedule".into(),
            Self::Worker => "core.appstatus".into(),
            Self::Pause => "core.pause".into(),
            Self::Lane => "core.lane".into(),
            Self::Artifact => "core.artifact".into(),
            Self::Content | Self::Orphans | Self::Reclaim => "core.content".into(),
            Self::Repository(kind) => of_type(kind, "repository"),
            Self::Version => "core.repositoryversion".into(),
            Self::Remote(kind) => of_type(kind, "remote"),
            Self::Publication(kind) => of_type(kind, "publication"),
            Self::Distribution(kind) => of_type(kind, "distribution"),
            Self::Exporter => "core.filesystemexporter".into(),
            Self::Upload => "core.upload".into(),
            Self::User => "auth.user".into(),
            Self::Group => "core.group".into(),
            Self::Role => "core.role".into(),
            Self::AuditLog => "core.auditentry".into(),
        }
    }

    /// What a client is told that there is none of.
    #[must_use]
    pub fn what(self) -> Cow<'static, str> {
        let of_type = |pulp_type: &str, what: &str| {
            let name = pulp_type
                .split_once('.')
                .map_or(pulp_type, |(_, name)| name);
            let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
            Cow::Owned(format!("{}{rest}{what}", first.to_ascii_uppercase()))
        };
        match self {
            Self::Task => "Task".into(),
            Self::TaskGroup => "TaskGroup".into(),
            Self::TaskSchedule => "TaskSchedule".into(),
            Self::Worker => "AppStatus".into(),
            Self::Pause => "Pause".into(),
            Self::Lane => "Lane".into(),
            Self::Artifact => "Artifact".into(),
            Self::Content | Self::Orphans | Self::Reclaim => "Content".into(),
            Self::Repository(kind) => of_type(kind, "Repository"),
            Self::Version => "RepositoryVersion".into(),
            Self::Remote(kind) => of_type(kind, "Remote"),
            Self::Publication(kind) => of_type(kind, "Publication"),
            Self::Distribution(kind) => of_type(kind, "Distribution"),
            Self::Exporter => "FilesystemExporter".into(),
            Self::Upload => "Upload".into(),
            Self::User => "User".into(),
            Self::Group => "Group".into(),
            Self::Role => "Role".into(),
            Self::AuditLog => "AuditEntry".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_common::roles;

    const OBJECTS: [Object; 20] = [
        Object::Task,
        Object::TaskGroup,
        Object::TaskSchedule,
        Object::Worker,
        Object::Artifact,
        Object::Content,
        Object::Repository("file.file"),
        Object::Repository("rpm.rpm"),
        Object::Version,
        Object::Orphans,
        Object::Reclaim,
        Object::Exporter,
        Object::Remote("file.file"),
        Object::Publication("file.file"),
        Object::Distribution("file.file"),
        Object::Upload,
        Object::User,
        Object::Group,
        Object::Role,
        Object::AuditLog,
    ];
    const ACTIONS: [Action; 12] = [
        Action::View,
        Action::Create,
        Action::Change,
        Action::Delete,
        Action::Dispatch,
        Action::Purge,
        Action::Sync,
        Action::Modify,
        Action::Repair,
        Action::Upload,
        Action::Label,
        Action::ManageRoles,
    ];

    #[test]
    fn every_permission_that_is_needed_exists() {
        for object in OBJECTS {
            for action in ACTIONS {
                if let Need::Permission(name) = object.need(action) {
                    assert!(
                        roles::model_of(&name).is_some(),
                        "{object:?} {action:?}: {name}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_has_no_policy_is_for_administrators() {
        for object in [
            Object::Worker,
            Object::Artifact,
            Object::Orphans,
            Object::Reclaim,
            Object::Exporter,
            Object::User,
            Object::Role,
            Object::AuditLog,
        ] {
            for action in ACTIONS {
                assert_eq!(
                    object.need(action),
                    Need::Administrator,
                    "{object:?} {action:?}"
                );
            }
        }
        assert_eq!(Object::Task.need(Action::Dispatch), Need::Administrator);
        for action in [Action::Create, Action::Change, Action::Delete] {
            assert_eq!(Object::TaskSchedule.need(action), Need::Administrator);
        }
        assert_eq!(Object::Upload.need(Action::Sync), Need::Administrator);
    }

    #[test]
    fn a_kind_is_told_by_its_names() {
        let repository = Object::Repository("rpm.rpm");
        assert_eq!(repository.model(), "rpm.rpmrepository");
        assert_eq!(repository.what(), "RpmRepository");
        let needed = repository.need(Action::Sync);
        assert_eq!(needed, Need::Permission("rpm.sync_rpmrepository".into()));
    }
}
