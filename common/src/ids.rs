//! Typed identifiers: a UUID (version 7 when made here) that says what it identifies.

use diesel_derive_newtype::DieselNewType;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DieselNewType,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier; later ones sort behind earlier ones.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A domain: the owner of every object.
    DomainId,
    /// A task.
    TaskId,
    /// A group of tasks.
    TaskGroupId,
    /// What dispatches tasks again and again.
    TaskScheduleId,
    /// One run of a task: the fencing token of all its writes.
    ClaimId,
    /// A running process (a worker, an API).
    ProcessId,
    /// A stored file.
    ArtifactId,
    /// A content unit of any type.
    ContentId,
    /// A repository of any type.
    RepositoryId,
    /// A version of a repository.
    VersionId,
    /// A place that content is fetched from.
    RemoteId,
    /// A version made ready to be served.
    PublicationId,
    /// What is served under a path.
    DistributionId,
    /// A file that comes in pieces.
    UploadId,
    /// A file that waits for a task.
    TemporaryFileId,
    /// Where versions and publications are exported to.
    ExporterId,
    /// A run of an exporter.
    ExportId,
    /// A role.
    RoleId,
    /// What keeps tasks from starting.
    PauseId,
    /// A role that an account or a group holds.
    AssignmentId,
}

impl DomainId {
    /// The domain that always exists, called `default`.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
}
