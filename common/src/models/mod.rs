//! Rows and every query on them: one file a table.

pub mod account;
pub mod announcement;
pub mod app_status;
pub mod artifact;
pub mod content;
pub mod content_artifact;
pub mod created_resource;
pub mod intent;
pub mod labels;
pub mod object;
mod predicate;
pub mod progress_report;
pub mod repository;
pub mod repository_content;
pub mod repository_version;
pub mod selection;
pub mod served;
pub mod task;
pub mod task_group;
pub mod task_use;
pub mod tombstone;
pub mod worker_session;

pub use artifact::{Artifact, NewArtifact};
pub use content::{Content, NewContent};
pub use content_artifact::ContentArtifact;
pub use intent::Intent;
pub use labels::Labeled;
pub use repository::{Repository, RepositoryChange};
pub use repository_content::{Membership, PathConflict, RepositoryContent};
pub use repository_version::{CountKind, RepositoryVersion, VersionCount};
pub use served::{Served, ServedFile, ServedPath, ServedPublication, StoredFile};
pub use tombstone::Tombstone;
