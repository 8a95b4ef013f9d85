//! File units: what is given to make one.

use super::{Data, FieldErrors, Fields};
use crate::content::check_relative_path;
use crate::ids::{ArtifactId, RepositoryId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    pub artifact: ArtifactId,
    /// Where it is added.
    #[serde(default)]
    pub repository: Option<RepositoryId>,
    /// Labels of a new unit; null: none.
    #[serde(default)]
    pub pulp_labels: Value,
    /// False: fail where it would replace another unit of the repository.
    #[serde(default = "yes")]
    pub overwrite: bool,
}

fn yes() -> bool {
    true
}

/// What a body says beside its references to other objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileContentBody {
    /// Where it lies.
    pub relative_path: String,
    /// Labels of a new unit.
    pub pulp_labels: Option<Value>,
    /// False: fail where it would replace another unit of the repository.
    pub overwrite: Option<bool>,
    /// Address or PRN of an artifact.
    pub artifact: Option<String>,
    /// Address or PRN of a repository.
    pub repository: Option<String>,
}

/// Reads a body, whose file, if it has one, was taken out before.
///
/// # Errors
/// What is wrong with which field.
pub fn read(data: Data, has_file: bool) -> Result<FileContentBody, FieldErrors> {
    let named = data.contains_key("relative_path");
    let mut fields = Fields::new(data);
    let body = FileContentBody {
        relative_path: fields.text("relative_path").unwrap_or_default(),
        pulp_labels: fields.labels("pulp_labels"),
        overwrite: fields.boolean("overwrite"),
        artifact: fields.text("artifact"),
        repository: fields.text("repository"),
    };
    if !named {
        fields.require("relative_path");
    } else if !body.relative_path.is_empty()
        && let Err(message) = check_relative_path(&body.relative_path)
    {
        fields.refuse("relative_path", message);
    }
    if has_file == body.artifact.is_some() {
        fields.refuse(
            "non_field_errors",
            "Exactly one of 'artifact', 'file' must be specified.",
        );
    }
    fields.finish(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(value: Value, has_file: bool) -> FieldErrors {
        read(value.as_object().unwrap().clone(), has_file).unwrap_err()
    }

    #[test]
    fn one_source_and_a_canonical_path_are_demanded() {
        let e = errors(json!({"relative_path": "../x"}), false);
        assert_eq!(
            e.0["relative_path"],
            ["Relative path is not in canonical form. ../x"]
        );
        assert!(e.0.contains_key("non_field_errors"));
        let e = errors(json!({"artifact": "/x/"}), true);
        assert_eq!(e.0["relative_path"], ["This field is required."]);
        assert!(e.0.contains_key("non_field_errors"));
    }
}
