//! File units: what is given to make one.

use crate::ids::{ArtifactId, RepositoryId, UploadId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The component that file units belong to.
pub const APP_LABEL: &str = "file";
/// The name of their validator.
pub const SERIALIZER: &str = "FileContentSerializer";

/// What a file unit is made from, its references resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileContentData {
    /// Where it lies.
    pub relative_path: String,
    /// The file.
    #[serde(default)]
    pub artifact: Option<ArtifactId>,
    /// The file in pieces, instead; it becomes an artifact.
    #[serde(default)]
    pub upload: Option<UploadId>,
    /// An address of the file, instead; it becomes an artifact.
    #[serde(default)]
    pub file_url: Option<String>,
    /// What it takes to reach that address.
    #[serde(default)]
    pub downloader_config: Option<Map<String, Value>>,
    /// Where it is added.
    #[serde(default)]
    pub repository: Option<RepositoryId>,
    /// Labels of a new unit; null: none.
    #[serde(default)]
    pub pulp_labels: Option<BTreeMap<String, Option<String>>>,
    /// False: fail where it would replace another unit of the repository.
    #[serde(default = "yes")]
    pub overwrite: bool,
}

fn yes() -> bool {
    true
}
