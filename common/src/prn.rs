//! Resource names: `prn:<app>.<model>:<id>` for objects, `pdrn:<domain>:<name>` for well-known things
//! of a domain (contract 0 and 2.2). They are what tasks reserve.

use crate::ids::{
    ArtifactId, ContentId, DistributionId, DomainId, ExportId, ExporterId, PauseId, ProcessId,
    PublicationId, RemoteId, RepositoryId, RoleId, TaskGroupId, TaskId, TaskScheduleId,
    TemporaryFileId, UploadId, VersionId,
};
use std::fmt;
use uuid::Uuid;

/// The name of an object: its model (`core.task`, `file.filerepository`) and its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prn {
    /// `<app>.<model>`, lower case.
    pub model: String,
    /// Usually a UUID; an integer for users and groups.
    pub id: String,
}

impl Prn {
    /// The name of the object with this id.
    pub fn new(model: impl Into<String>, id: impl fmt::Display) -> Self {
        Self {
            model: model.into(),
            id: id.to_string(),
        }
    }

    /// Reads `prn:<app>.<model>:<id>`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (model, id) = text.strip_prefix("prn:")?.split_once(':')?;
        let (app, name) = model.split_once('.')?;
        let word =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        (word(app) && word(name) && !id.is_empty() && !id.contains(':')).then(|| Self {
            model: model.to_owned(),
            id: id.to_owned(),
        })
    }

    /// The id as a UUID, where it is one.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        self.id.parse().ok()
    }
}

impl fmt::Display for Prn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prn:{}:{}", self.model, self.id)
    }
}

/// The lane of everything that cleans up orphans in a domain.
#[must_use]
pub fn orphans(domain: DomainId) -> String {
    format!("pdrn:{domain}:orphans")
}

/// The lane of what gives up files that can be fetched again; who reads files and must not lose them in
/// between shares it.
#[must_use]
pub fn reclaim_space(domain: DomainId) -> String {
    format!("pdrn:{domain}:reclaim_space")
}

/// The lane of everything that changes distributions of a domain.
#[must_use]
pub fn distributions(domain: DomainId) -> String {
    format!("pdrn:{domain}:distributions")
}

/// The lane of everything that writes base paths of a domain.
#[must_use]
pub fn base_paths(domain: DomainId) -> String {
    format!("pdrn:{domain}:distribution.base_path")
}

macro_rules! prns {
    ($($id:ident => $model:literal),+ $(,)?) => {$(
        impl From<$id> for Prn {
            fn from(id: $id) -> Self {
                Self::new($model, id)
            }
        }
    )+};
}

prns! {
    DomainId => "core.domain",
    TaskId => "core.task",
    TaskGroupId => "core.taskgroup",
    TaskScheduleId => "core.taskschedule",
    ProcessId => "core.appstatus",
    ArtifactId => "core.artifact",
    VersionId => "core.repositoryversion",
    UploadId => "core.upload",
    TemporaryFileId => "core.pulptemporaryfile",
    ExporterId => "core.filesystemexporter",
    ExportId => "core.filesystemexport",
    RoleId => "core.role",
    PauseId => "core.pause",
}

/// The PRN of a repository: `file` gives `prn:file.filerepository:<id>` for type `file.file`.
#[must_use]
pub fn repository(pulp_type: &str, id: RepositoryId) -> Prn {
    detail(pulp_type, "repository", id)
}

/// The PRN of a content unit of this type. Its model is named as its type is, but that of files:
/// `prn:file.filecontent:<id>`, `prn:rpm.package:<id>`.
#[must_use]
pub fn content(pulp_type: &str, id: ContentId) -> Prn {
    match pulp_type {
        "file.file" => detail(pulp_type, "content", id),
        _ => Prn::new(pulp_type, id),
    }
}

/// True for what may be the model of a content unit.
#[must_use]
pub fn is_content(model: &str) -> bool {
    let others = ["repository", "remote", "publication", "distribution"];
    !model.starts_with("core.") && !others.iter().any(|other| model.ends_with(other))
}

/// The PRN of a remote of this type.
#[must_use]
pub fn remote(pulp_type: &str, id: RemoteId) -> Prn {
    detail(pulp_type, "remote", id)
}

/// The PRN of a publication of this type.
#[must_use]
pub fn publication(pulp_type: &str, id: PublicationId) -> Prn {
    detail(pulp_type, "publication", id)
}

/// The PRN of a distribution of this type.
#[must_use]
pub fn distribution(pulp_type: &str, id: DistributionId) -> Prn {
    detail(pulp_type, "distribution", id)
}

fn detail(pulp_type: &str, model: &str, id: impl fmt::Display) -> Prn {
    let (app, name) = pulp_type.split_once('.').unwrap_or(("core", pulp_type));
    Prn::new(format!("{app}.{name}{model}"), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prn_reads_back_as_it_was_written() {
        let prn = Prn::from(TaskId::new());
        assert_eq!(Prn::parse(&prn.to_string()), Some(prn));
        assert_eq!(
            repository("file.file", RepositoryId(Uuid::nil())).to_string(),
            "prn:file.filerepository:00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn units_are_told_from_other_objects_by_their_model() {
        for unit in ["file.file", "rpm.package"] {
            assert!(is_content(&content(unit, ContentId::new()).model), "{unit}");
        }
        let others = [
            repository("rpm.rpm", RepositoryId::new()),
            remote("file.file", RemoteId::new()),
            Prn::from(ArtifactId::new()),
        ];
        for other in others {
            assert!(!is_content(&other.model), "{other}");
        }
    }

    #[test]
    fn what_is_no_prn_is_refused() {
        for text in [
            "",
            "prn:",
            "prn:core:1",
            "prn:core.task:",
            "prn:Core.task:1",
            "prn:core.task:1:2",
            "/x/",
        ] {
            assert_eq!(Prn::parse(text), None, "{text}");
        }
    }
}
