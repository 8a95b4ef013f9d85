//! Rows and every query on them: one file a table.

pub mod account;
pub mod announcement;
pub mod app_status;
pub mod artifact;
pub mod created_resource;
pub mod intent;
pub mod object;
pub mod progress_report;
pub mod selection;
pub mod task;
pub mod task_group;
pub mod tombstone;

pub use artifact::{Artifact, NewArtifact};
pub use intent::Intent;
pub use tombstone::Tombstone;
