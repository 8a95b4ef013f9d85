//! Rows and every query on them: one file a table.

pub mod announcement;
pub mod artifact;
pub mod intent;
pub mod tombstone;

pub use artifact::{Artifact, NewArtifact};
pub use intent::Intent;
pub use tombstone::Tombstone;
