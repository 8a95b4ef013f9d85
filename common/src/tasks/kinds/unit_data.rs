//! Units that are made from one file each: what is given to make one (contract 4.9). The REST layer and the
//! tasks read it with the same code, whatever the type.

use super::{Data, FieldErrors, Fields};
use crate::content::{UnitKind, check_relative_path};
use crate::ids::{ArtifactId, RepositoryId, UploadId};
use crate::prn::Prn;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What a unit is made from, its references resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UnitData {
    /// Where its file lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_path: Option<String>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactId>,
    /// The file in pieces, instead; it becomes an artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadId>,
    /// An address of the file, instead; it becomes an artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_url: Option<String>,
    /// What it takes to reach that address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloader_config: Option<Map<String, Value>>,
    /// Where it is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryId>,
    /// Labels of a new unit.
    pub pulp_labels: Map<String, Value>,
    /// False: fail where it would replace another unit of the repository.
    pub overwrite: bool,
}

/// Reads what a unit of this kind is made from; `has_file` says that its file comes with it. References
/// are PRNs or ids.
///
/// # Errors
/// What is wrong with which field.
pub fn read(kind: &UnitKind, data: &Data, has_file: bool) -> Result<UnitData, FieldErrors> {
    let mut fields = Fields::new(data.clone());
    let has_path = fields.has("relative_path");
    let unit = UnitData {
        relative_path: path(&mut fields, kind.needs_path),
        artifact: reference(&mut fields, "artifact", "core.artifact").map(ArtifactId),
        upload: reference(&mut fields, "upload", "core.upload").map(UploadId),
        file_url: address(&mut fields),
        downloader_config: fields.nullable_dictionary("downloader_config").flatten(),
        repository: reference(&mut fields, "repository", "repository").map(RepositoryId),
        pulp_labels: labels(&mut fields),
        overwrite: fields.boolean("overwrite").unwrap_or(true),
    };
    if kind.needs_path && !has_path {
        fields.require("relative_path");
    }
    let fields = fields.checked()?;
    one_source(data, has_file)?;
    if unit.file_url.is_none() && unit.downloader_config.is_some() {
        let message = "Only applicable when providing a 'file_url'.";
        return Err(FieldErrors::one("downloader_config", message));
    }
    fields.finish(unit)
}

/// The fields of a unit that is to be made.
const FIELDS: [&str; 8] = [
    "relative_path",
    "artifact",
    "upload",
    "file_url",
    "downloader_config",
    "repository",
    "pulp_labels",
    "overwrite",
];

/// Sees that a unit is made from one file, whatever its references lead to.
///
/// # Errors
/// Fields that no unit has; else that the files are several, or none.
pub fn one_source(data: &Data, has_file: bool) -> Result<(), FieldErrors> {
    let mut others = data.clone();
    others.retain(|field, _| !FIELDS.contains(&field.as_str()));
    Fields::new(others).finish(())?;
    let is_given = |field: &&str| data.get(*field).is_some_and(|v| !v.is_null() && *v != "");
    let named = ["artifact", "upload", "file_url"]
        .iter()
        .filter(|field| is_given(field));
    if named.count() + usize::from(has_file) == 1 {
        return Ok(());
    }
    let message = "Exactly one of 'artifact', 'file', 'file_url', 'upload' must be specified.";
    Err(FieldErrors::one("non_field_errors", message))
}

fn path(fields: &mut Fields, is_needed: bool) -> Option<String> {
    let path = if is_needed {
        fields.text("relative_path")
    } else {
        fields.nullable_text("relative_path").flatten()
    }?;
    match check_relative_path(&path) {
        Ok(()) => Some(path),
        Err(message) => {
            fields.refuse("relative_path", message);
            None
        }
    }
}

fn address(fields: &mut Fields) -> Option<String> {
    let is_blank = |value: &Value| value.as_str().is_some_and(str::is_empty);
    if fields.peek("file_url").is_some_and(is_blank) {
        fields.take("file_url");
    }
    fields.nullable_text("file_url").flatten()
}

fn labels(fields: &mut Fields) -> Map<String, Value> {
    match fields.labels("pulp_labels") {
        Some(Value::Object(labels)) => labels,
        _ => Map::new(),
    }
}

/// An object whose model ends like this, by PRN or id, or none.
fn reference(fields: &mut Fields, field: &str, model: &str) -> Option<Uuid> {
    let value = fields.take(field)?;
    let text = match &value {
        Value::Null => return None,
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => text.trim(),
        _ => {
            fields.refuse(field, "Not a valid string.");
            return None;
        }
    };
    if let Ok(id) = text.parse() {
        return Some(id);
    }
    let prn = Prn::parse(text);
    let fault = match &prn {
        Some(prn) if !prn.model.ends_with(model) => "Invalid hyperlink - Incorrect URL match.",
        _ => "Invalid hyperlink - No URL match.",
    };
    let id = prn
        .filter(|prn| prn.model.ends_with(model))
        .and_then(|prn| prn.uuid());
    if id.is_none() {
        fields.refuse(field, fault);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::file::File;
    use serde_json::json;

    fn read_file(value: Value) -> Result<UnitData, String> {
        let data = value.as_object().unwrap();
        read(&UnitKind::of::<File>(), data, false).map_err(|e| e.to_string())
    }

    #[test]
    fn every_wrong_field_is_said_by_name() {
        let error = read_file(json!({
            "relative_path": "a//b", "artifact": "x", "upload": "prn:core.artifact:1",
            "overwrite": "maybe", "pulp_labels": [], "odd": 1,
        }))
        .unwrap_err();
        for said in [
            r#""relative_path":["Relative path is not"#,
            r#""artifact":["Invalid hyperlink - No URL match."]"#,
            r#""upload":["Invalid hyperlink - Incorrect URL match."]"#,
            r#""overwrite":["Must be a valid boolean."]"#,
            r#""pulp_labels":["Expected a dictionary"#,
            r#""odd":["Unexpected field"]"#,
        ] {
            assert!(error.contains(said), "{said} in {error}");
        }
        let error = read_file(json!({})).unwrap_err();
        assert!(error.contains(r#""relative_path":["This field is required."]"#));
    }

    #[test]
    fn labels_of_a_wrong_shape_are_refused() {
        let unit = |labels: Value| {
            read_file(json!({
                "relative_path": "a", "artifact": Uuid::nil(), "pulp_labels": labels,
            }))
        };
        for good in [json!({}), json!({"k": "v", "l": null})] {
            assert!(unit(good).is_ok());
        }
        for bad in [json!([]), json!("x"), json!({"k": 1}), json!({"k(": "v"})] {
            assert!(unit(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_one_source_and_what_is_written_reads_back() {
        let id = Uuid::nil();
        for bad in [
            json!({"relative_path": "a"}),
            json!({"relative_path": "a", "artifact": id, "upload": id}),
        ] {
            assert!(read_file(bad).unwrap_err().contains("Exactly one of"));
        }
        let unit = read_file(json!({
            "relative_path": "a", "artifact": format!("prn:core.artifact:{id}"),
            "repository": format!("prn:rpm.rpmrepository:{id}"), "overwrite": "false",
        }))
        .unwrap();
        assert!(!unit.overwrite && unit.artifact == Some(ArtifactId(id)));
        assert_eq!(read_file(json!(unit)), Ok(unit));
    }
}
