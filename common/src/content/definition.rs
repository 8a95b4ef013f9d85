//! What a type is, as its definition file says.

use serde::{Deserialize, Serialize};

/// The description of a content type: a JSON file in `types/`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its short name (`file`).
    pub id: String,
    /// Its full name (`file.file`).
    pub pulp_type: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The fields that tell units apart.
    pub unit_key: Vec<String>,
    /// The fields that tell units of one version apart.
    #[serde(default)]
    pub repo_key: Vec<String>,
    /// The fields that units are searched by.
    #[serde(default)]
    pub search_indexes: Vec<String>,
    /// The types whose units it names.
    #[serde(default)]
    pub referenced_types: Vec<String>,
    /// True: its files are never given up to save room.
    #[serde(default)]
    pub protected_from_reclaim: bool,
}

impl Definition {
    /// Reads a definition that is compiled in.
    ///
    /// # Panics
    /// On one that cannot be read: an error of programming, found at start.
    #[expect(
        clippy::expect_used,
        reason = "definitions are compiled in and read at start"
    )]
    pub(super) fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("a definition file that can be read")
    }
}
