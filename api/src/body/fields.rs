//! The fields of a body, read one by one; what is wrong is collected.

use super::values::{Field, Given, Wrong};
use crate::error::{ApiError, ApiResult};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Sent by browsers' forms; means nothing here.
const IGNORED: [&str; 1] = ["csrfmiddlewaretoken"];

/// Unexpected fields that are named: a client learns nothing from more.
const UNEXPECTED: usize = 100;

/// A type that is read from the fields of a body.
pub trait FromFields: Sized {
    /// Reads every field, then puts the value together. `None` only where a field was wrong.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// The fields of a body that were not read yet, and what was wrong with the others.
#[derive(Debug, Default)]
pub struct Fields {
    given: BTreeMap<String, Given>,
    errors: Map<String, Value>,
}

impl Fields {
    /// The fields of a JSON object.
    #[must_use]
    pub fn from_json(object: Map<String, Value>) -> Self {
        Self {
            given: object
                .into_iter()
                .map(|(name, value)| (name, Given::Json(value)))
                .collect(),
            errors: Map::new(),
        }
    }

    /// The fields of a form; a name may come several times.
    #[must_use]
    pub fn from_form(pairs: Vec<(String, String)>) -> Self {
        let mut given = BTreeMap::new();
        for (name, value) in pairs {
            match given.entry(name).or_insert_with(|| Given::Form(Vec::new())) {
                Given::Form(values) => values.push(value),
                Given::Json(_) => {}
            }
        }
        Self {
            given,
            errors: Map::new(),
        }
    }

    /// True where the client sent this field and it was not read yet.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// A field that must be there and is not null.
    pub fn required<T: Field>(&mut self, name: &str) -> Option<T> {
        match self.nullable::<T>(name)? {
            Some(Some(value)) => Some(value),
            Some(None) => self.refuse(name, "This field may not be null."),
            None => self.refuse(name, "This field is required."),
        }
    }

    /// A field that may be left out but not be null: `Some(None)` where it is left out.
    pub fn optional<T: Field>(&mut self, name: &str) -> Option<Option<T>> {
        match self.nullable::<T>(name)? {
            Some(Some(value)) => Some(Some(value)),
            Some(None) => self.refuse(name, "This field may not be null."),
            None => Some(None),
        }
    }

    /// A field that may be left out or be null: `Some(None)` left out, `Some(Some(None))` null.
    pub fn nullable<T: Field>(&mut self, name: &str) -> Option<Option<Option<T>>> {
        let Some(given) = self.given.remove(name) else {
            return Some(None);
        };
        if given.is_null::<T>() {
            return Some(Some(None));
        }
        match T::read(&given) {
            Ok(value) => Some(Some(Some(value))),
            Err(Wrong(messages)) => {
                self.errors.insert(name.to_owned(), messages);
                None
            }
        }
    }

    /// Refuses the value of a field. Always `None`, to be returned.
    pub fn refuse<T>(&mut self, name: &str, message: impl Into<String>) -> Option<T> {
        self.errors.insert(name.to_owned(), json!([message.into()]));
        None
    }

    /// Answers 400 if a field was wrong, or was sent and not read.
    ///
    /// # Errors
    /// 400 with every such field.
    pub fn check(self) -> ApiResult<()> {
        let mut errors = self.errors;
        let unread = self.given.into_keys();
        for name in unread
            .filter(|name| !IGNORED.contains(&name.as_str()))
            .take(UNEXPECTED)
        {
            errors.entry(name).or_insert(json!(["Unexpected field"]));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::fields(errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, RawText, Text};
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Request {
        name: String,
        note: Option<String>,
        count: Option<i64>,
    }

    impl FromFields for Request {
        fn read(fields: &mut Fields) -> Option<Self> {
            let name = fields.required::<Text>("name");
            let note = fields.nullable::<RawText>("note");
            let count = fields.optional::<i64>("count");
            Some(Self {
                name: name?.0,
                note: note?.flatten().map(|t| t.0),
                count: count?,
            })
        }
    }

    fn json_body(value: Value) -> Result<Request, String> {
        let Value::Object(object) = value else {
            unreachable!()
        };
        Fields::from_json(object)
            .finish()
            .map(|Body(request)| request)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let error = json_body(json!({"note": 5, "count": "x", "foo": 1})).unwrap_err();
        for part in [
            r#""name":["This field is required."]"#,
            r#""note":["Not a valid string."]"#,
            r#""count":["A valid integer is required."]"#,
            r#""foo":["Unexpected field"]"#,
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn null_is_refused_where_it_means_nothing() {
        let error = json_body(json!({"name": null, "count": null})).unwrap_err();
        assert_eq!(error.matches("may not be null").count(), 2, "{error}");
        assert!(json_body(json!({"name": "x", "note": null})).is_ok());
    }

    #[test]
    fn a_form_reads_as_json_does() {
        let pairs = [("name", "x"), ("count", "3"), ("csrfmiddlewaretoken", "y")];
        let pairs = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let Body(request): Body<Request> = Fields::from_form(pairs).finish().unwrap();
        assert_eq!(
            request,
            json_body(json!({"name": "x", "count": 3})).unwrap()
        );
    }
}
