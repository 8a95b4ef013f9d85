//! What a type is, as its definition file says.

use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// The component in the row types of what is only described here.
pub const IMPORTED: &str = "pulp2";

/// The description of a content type: a JSON file in `types/`. A key that is not listed here is refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its short name (`file`).
    pub id: String,
    /// Its full name (`file.file`); absent: no units of it are made here.
    #[serde(default)]
    pub pulp_type: Option<String>,
    /// Its name for people.
    pub display_name: String,
    /// What it is for; null, but not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub description: Option<String>,
    /// The fields that tell units apart. A single name may stand alone.
    #[serde(deserialize_with = "one_or_many")]
    pub unit_key: Vec<String>,
    /// The fields that tell units of one version apart.
    #[serde(default)]
    pub repo_key: Vec<String>,
    /// The fields, or tuples of fields, that units are searched by.
    #[serde(default)]
    pub search_indexes: Vec<SearchIndex>,
    /// The types, by id, whose units it names.
    #[serde(default)]
    pub referenced_types: Vec<String>,
    /// The types of repositories that hold its units.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// True: its files are never given up to save room.
    #[serde(default)]
    pub protected_from_reclaim: bool,
}

/// What units are searched by at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum SearchIndex {
    /// A field.
    Field(String),
    /// Several fields together.
    Fields(Vec<String>),
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

impl Definition {
    /// Reads a definition file.
    ///
    /// # Errors
    /// What is wrong, and in which definition as far as that can be told.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        let named = |error: serde_json::Error| {
            let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
            let id = value.as_ref().and_then(|v| v.get("id")?.as_str());
            format!("content type `{}`: {error}", id.unwrap_or("?"))
        };
        let read: Self = serde_json::from_str(json).map_err(named)?;
        read.check()?;
        Ok(read)
    }

    /// Reads a file of further types: a set of them (`{"types": [...]}`, as plug-ins of Pulp 2 bring it), or one.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(super) fn read_file(json: &str) -> Result<Vec<Self>, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Set {
            types: Vec<Definition>,
        }
        let value: serde_json::Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
        if value.get("types").is_none() {
            if value.get("id").is_none() {
                return Err("missing field `types`".to_owned());
            }
            return Ok(vec![Self::read(json)?]);
        }
        let set: Set = serde_json::from_str(json).map_err(|e| e.to_string())?;
        set.types.iter().try_for_each(Self::check)?;
        Ok(set.types)
    }

    /// The type that rows of its units have: its full name, or one that follows from its id, as such units come
    /// from a Pulp 2 only.
    #[must_use]
    pub fn row_type(&self) -> Cow<'_, str> {
        match &self.pulp_type {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("{IMPORTED}.{}", self.id)),
        }
    }

    /// What can be told without the other definitions (contract 2, 3.1).
    fn check(&self) -> Result<(), String> {
        let refuse = |what: String| Err(format!("content type `{}`: {what}", self.id));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if self.id.is_empty() || !self.id.chars().all(fits) {
            return refuse("an id has letters, digits, `_`, `.` and `-`".into());
        }
        if self.unit_key.is_empty() {
            return refuse("`unit_key` names no field".into());
        }
        if self.unit_key.iter().any(String::is_empty) {
            return refuse("`unit_key` names a field without a name".into());
        }
        let component = self
            .pulp_type
            .as_deref()
            .and_then(|name| name.split_once('.'));
        if component.is_some_and(|(component, _)| component == IMPORTED) {
            return refuse(format!(
                "`pulp_type` is of `{IMPORTED}`, which is kept for types that are only described"
            ));
        }
        for name in self.pulp_type.iter().chain(&self.repositories) {
            if !is_type_name(name) {
                return refuse(format!("`{name}` is not `<component>.<name>`"));
            }
        }
        Ok(())
    }
}

/// True for `<component>.<name>`, of which addresses and resource names are made.
fn is_type_name(name: &str) -> bool {
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    name.split_once('.')
        .is_some_and(|(component, name)| word(component) && word(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_does_not_fit_is_refused_by_name() {
        let good = r#"{"id": "a", "display_name": "A", "description": null, "unit_key": "n"}"#;
        assert_eq!(Definition::read(good).unwrap().unit_key, ["n"]);
        for (bad, said) in [
            (r#"{"id": "a"}"#, "`a`: missing field"),
            (
                &good.replace(r#""description": null, "#, ""),
                "missing field `description`",
            ),
            (
                &good.replace("}", r#", "pulp_type": "pulp2.a"}"#),
                "`pulp2`, which is kept",
            ),
            (&good.replace("}", r#", "odd": 1}"#), "unknown field `odd`"),
            (&good.replace(r#""n""#, "[]"), "`unit_key` names no field"),
            (&good.replace(r#""id": "a""#, r#""id": "a b""#), "`a b`"),
            (
                &good.replace("}", r#", "pulp_type": "A.b"}"#),
                "`A.b` is not",
            ),
            ("{", "`?`"),
        ] {
            let error = Definition::read(bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }

    #[test]
    fn a_file_holds_one_definition_or_a_set() {
        let one = r#"{"id": "a", "display_name": "A", "description": null, "unit_key": ["n"]}"#;
        assert_eq!(Definition::read_file(one).unwrap().len(), 1);
        let set = format!(
            r#"{{"types": [{one}, {}]}}"#,
            one.replace("\"a\"", "\"type-2\"")
        );
        let read = Definition::read_file(&set).unwrap();
        let names: Vec<_> = read.iter().map(|one| one.row_type().into_owned()).collect();
        assert_eq!(names, ["pulp2.a", "pulp2.type-2"]);
        for (bad, said) in [
            ("{}".to_owned(), "missing field `types`"),
            ("[]".to_owned(), "missing field `types`"),
            (
                r#"{"types": [], "odd": 1}"#.to_owned(),
                "unknown field `odd`",
            ),
            (
                set.replace("unit_key", "unit_kee"),
                "unknown field `unit_kee`",
            ),
            (set.replace("\"a\"", "\"a b\""), "`a b`"),
            ("{".to_owned(), "line 1"),
        ] {
            let error = Definition::read_file(&bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
