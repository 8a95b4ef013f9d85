//! A unit as one line of JSON.

use super::place::Place;
use crate::content::{Definition, check_relative_path, key_of};
use crate::models::unit_import::ImportedUnit;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use uuid::Uuid;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, where one is at fault.
    pub field: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl Fault {
    /// That of a field.
    pub fn of(field: &str, what: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            what: what.into(),
        }
    }

    /// That of the whole line.
    pub fn whole(what: impl Into<String>) -> Self {
        Self {
            field: None,
            what: what.into(),
        }
    }
}

/// Fields of a Pulp 2 that say nothing here: what they say follows from other things, or is made anew.
const WITHOUT_MEANING: [&str; 4] = ["_ns", "_href", "_last_updated", "_rev"];

/// Reads a line. The field of the type's units that says where their file lies in a repository must be such a path, as
/// where they are made here. `root`: see [`Place::read`].
///
/// # Errors
/// What is wrong with which field.
pub fn read(
    text: &[u8],
    line: i64,
    (definition, path_field): (&Definition, Option<&str>),
    root: &Path,
) -> Result<ImportedUnit, Fault> {
    let Object(mut fields) = serde_json::from_slice(text).map_err(|error| {
        let text = error.to_string().replace(" at line 1 column ", ", column ");
        Fault::whole(format!("is no JSON object of a unit: {text}"))
    })?;
    let id = take_id(&mut fields)?;
    let path = take_path(&mut fields, root)?;
    drop_meaningless(&mut fields, definition)?;
    for (name, value) in &fields {
        if name.contains('\0') || holds_nul(value) {
            return Err(Fault::of(name, "must not hold a NUL"));
        }
    }
    if let Some((name, value)) = path_field.and_then(|name| fields.get_key_value(name)) {
        let text = value
            .as_str()
            .ok_or_else(|| Fault::of(name, "must be a text"))?;
        check_relative_path(text).map_err(|what| Fault::of(name, format!("is no path: {what}")))?;
    }
    let key = |names: &[String]| -> Result<Option<Vec<u8>>, Fault> {
        let texts: Vec<String> = names
            .iter()
            .map(|name| key_text(&fields, name, definition))
            .collect::<Result<_, _>>()?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(key_of(&texts))
    };
    Ok(ImportedUnit {
        line,
        id,
        natural_key: key(&definition.unit_key)?.unwrap_or_default(),
        repo_key: key(&definition.repo_key)?,
        fields: Value::Object(fields).to_string(),
        path,
    })
}

/// The fields that tell the unit apart, for people.
pub fn shown_key(fields: &Map<String, Value>, definition: &Definition) -> String {
    let shown = definition.unit_key.iter().map(|name| {
        let value = fields.get(name).unwrap_or(&Value::Null);
        format!("{name}={value}")
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn take_id(fields: &mut Map<String, Value>) -> Result<Option<Uuid>, Fault> {
    match fields.remove("_id") {
        None => Ok(None),
        Some(Value::String(text)) => match text.parse::<Uuid>() {
            // Lists of units begin behind this one.
            Ok(id) if id == Uuid::nil() => Err(Fault::of("_id", "must not be zero")),
            // Clients know the unit by this text.
            Ok(id) if id.to_string() == text => Ok(Some(id)),
            _ => Err(Fault::of(
                "_id",
                "must be a UUID in lower case; leave it out for a new one",
            )),
        },
        Some(_) => Err(Fault::of("_id", "must be a text")),
    }
}

fn take_path(fields: &mut Map<String, Value>, root: &Path) -> Result<Option<String>, Fault> {
    let field = "_storage_path";
    match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(path)) => match Place::read(&path, root) {
            Ok(_) => Ok(Some(path)),
            Err(refusal) => Err(Fault::of(field, refusal.to_string())),
        },
        Some(_) => Err(Fault::of(field, "must be a text, or null")),
    }
}

fn drop_meaningless(fields: &mut Map<String, Value>, definition: &Definition) -> Result<(), Fault> {
    let field = "_content_type_id";
    match fields.remove(field) {
        None => {}
        Some(Value::String(id)) if id == definition.id => {}
        Some(other) => {
            let id = &definition.id;
            return Err(Fault::of(field, format!("is {other}, not \"{id}\"")));
        }
    }
    // Old types noted the units that they name as `_<type>_children`.
    let is_meaningless =
        |name: &str| WITHOUT_MEANING.contains(&name) || name.ends_with("_children");
    fields.retain(|name, _| !(name.starts_with('_') && is_meaningless(name)));
    match fields.keys().find(|name| name.starts_with('_')) {
        None => Ok(()),
        Some(name) => Err(Fault::of(name, "is no field that a unit may bring")),
    }
}

/// A text that stands for the value of a field among keys: that of a text is the text itself, as where units are
/// made here.
fn key_text(
    fields: &Map<String, Value>,
    name: &str,
    definition: &Definition,
) -> Result<String, Fault> {
    match fields.get(name) {
        None => Err(Fault::of(name, "is missing")),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) if definition.pulp_type.is_some() => Err(Fault::of(name, "must be a text")),
        // No text holds a NUL.
        Some(other) => Ok(format!("\0{other}")),
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(elements) => elements.iter().any(holds_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// An object that has no member twice.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some(name) = members.next_key::<String>()? {
                    if object.contains_key(&name) {
                        return Err(A::Error::custom(format!("`{name}` is given twice")));
                    }
                    let value = members.next_value()?;
                    object.insert(name, value);
                }
                Ok(Object(object))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ContentTypes, key_of, register_all};

    fn read_as(type_id: &str, text: &str) -> Result<ImportedUnit, Fault> {
        let mut types = ContentTypes::default();
        register_all(&mut types);
        let definition = types.by_id(type_id).unwrap();
        let of = (definition, types.path_field(definition));
        read(text.as_bytes(), 7, of, Path::new("/var/lib/pulp"))
    }

    #[test]
    fn a_unit_has_the_keys_of_one_that_is_made_here() {
        let text = r#"{"_id": "d0dc2044-1edc-4298-bf10-a472ea943fe1", "_ns": "units_rpm", "_last_updated": 1,
            "_content_type_id": "rpm", "_rpm_children": [], "_storage_path": "/var/lib/pulp/content/rpm/.//a.rpm",
            "name": "n", "epoch": "0", "version": "1", "release": "2", "arch": "noarch", "checksumtype": "sha256",
            "checksum": "c", "buildhost": "localhost", "changelog": [1, null, {"deep": true}]}"#;
        let unit = read_as("rpm", &text.replace('\n', " ")).unwrap();
        let repo_key = ["n", "0", "1", "2", "noarch"];
        let key = [&repo_key[..], &["sha256", "c"]].concat();
        assert_eq!(Some(unit.natural_key), key_of(&key));
        assert_eq!(unit.repo_key, key_of(&repo_key));
        assert_eq!(
            unit.id.unwrap().to_string(),
            "d0dc2044-1edc-4298-bf10-a472ea943fe1"
        );
        assert_eq!(
            unit.path.as_deref(),
            Some("/var/lib/pulp/content/rpm/.//a.rpm")
        );
        let fields: Value = serde_json::from_str(&unit.fields).unwrap();
        assert_eq!(fields["changelog"][2]["deep"], true);
        assert!(
            fields
                .as_object()
                .unwrap()
                .keys()
                .all(|name| !name.starts_with('_'))
        );
    }

    #[test]
    fn a_number_in_a_key_is_no_text() {
        let key = |title: &str| {
            let unit = read_as("erratum", &format!(r#"{{"errata_id": {title}}}"#));
            unit.unwrap().natural_key
        };
        assert_ne!(key("1"), key(r#""1""#));
        assert_ne!(key("null"), key(r#""null""#));
        assert_eq!(Some(key(r#""RHBA-1""#)), key_of(&["RHBA-1"]));
    }

    #[test]
    fn a_bad_line_is_refused_by_its_field() {
        let good = r#"{"errata_id": "a", "title": "t"}"#;
        assert_eq!(read_as("erratum", good).unwrap().id, None);
        let with = |member: &str| good.replace('}', &format!(", {member}}}"));
        for (text, field) in [
            (r#"{"title": "t"}"#.to_owned(), "errata_id"),
            (with(r#""_storage_path": "/etc/passwd""#), "_storage_path"),
            (with(r#""_storage_path": 1"#), "_storage_path"),
            (with(r#""_content_type_id": "rpm""#), "_content_type_id"),
            (with(r#""_id": {"$oid": "a"}"#), "_id"),
            (
                with(r#""_id": "00000000-0000-0000-0000-000000000000""#),
                "_id",
            ),
            (with(r#""_id": "507f1f77bcf86cd799439011""#), "_id"),
            (
                with(r#""_id": "D0DC2044-1edc-4298-bf10-a472ea943fe1""#),
                "_id",
            ),
            (with(r#""_odd": 1"#), "_odd"),
            (with(r#""from": ["\u0000"]"#), "from"),
        ] {
            let fault = read_as("erratum", &text).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some(field), "{text}: {fault:?}");
        }
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"errata_id": "a"} x"#,
            r#"{"a": 1, "a": 2}"#,
        ] {
            let fault = read_as("erratum", text).unwrap_err();
            assert_eq!(fault.field, None, "{text}: {fault:?}");
        }
        let text = r#"{"relative_path": 5, "digest": "d"}"#;
        let fault = read_as("file", text).unwrap_err();
        assert_eq!(fault, Fault::of("relative_path", "must be a text"));
        for path in ["", "/a", "a/../b", "a//b", "a b"] {
            let text = format!(r#"{{"relative_path": "{path}", "digest": "d"}}"#);
            let fault = read_as("file", &text).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("relative_path"), "{path}");
        }
        assert!(read_as("file", r#"{"relative_path": "a/b", "digest": "d"}"#).is_ok());
    }
}
