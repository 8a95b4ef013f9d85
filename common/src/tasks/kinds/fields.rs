//! Reading the fields of a body: typed values, and the texts that clients know for what is wrong.

use crate::download::SECONDS;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with which field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(pub BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// One field, one text.
    #[must_use]
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Adds a text.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0
            .entry(field.to_owned())
            .or_default()
            .push(message.into());
    }

    /// Fails when there is any.
    ///
    /// # Errors
    /// The texts.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&self.0).unwrap_or_default();
        f.write_str(&text)
    }
}

impl std::error::Error for FieldErrors {}

/// The fields of a body that is being read. Each may be asked for once; what nobody asked for is
/// refused at the end.
pub struct Fields {
    data: Map<String, Value>,
    errors: FieldErrors,
}

impl Fields {
    /// Reads this body.
    #[must_use]
    pub fn new(mut data: Map<String, Value>) -> Self {
        data.remove("csrfmiddlewaretoken");
        Self {
            data,
            errors: FieldErrors::default(),
        }
    }

    /// True where the field was given and not read yet.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.data.contains_key(field)
    }

    /// A field as it is, which stays to be read.
    #[must_use]
    pub fn peek(&self, field: &str) -> Option<&Value> {
        self.data.get(field)
    }

    /// Takes a field as it is.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.data.remove(field)
    }

    /// Notes what is wrong with a field.
    pub fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.errors.add(field, message);
    }

    /// Notes that a field is missing.
    pub fn require(&mut self, field: &str) {
        self.refuse(field, "This field is required.");
    }

    /// A text that is neither null nor blank.
    pub fn text(&mut self, field: &str) -> Option<String> {
        let value = self.take(field)?;
        if value.is_null() {
            self.refuse(field, "This field may not be null.");
            return None;
        }
        self.words(field, &value)
    }

    /// A text that is not blank, or null.
    pub fn nullable_text(&mut self, field: &str) -> Option<Option<String>> {
        let value = self.take(field)?;
        if value.is_null() {
            return Some(None);
        }
        self.words(field, &value).map(Some)
    }

    fn words(&mut self, field: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.refuse(field, "Not a valid string.");
                return None;
            }
        };
        if text.contains('\0') {
            self.refuse(field, "Null characters are not allowed.");
            return None;
        }
        if text.is_empty() {
            self.refuse(field, "This field may not be blank.");
            return None;
        }
        Some(text)
    }

    /// A text that is taken as it is, or null. A blank one is none.
    pub fn secret(&mut self, field: &str) -> Option<Option<String>> {
        match self.take(field)? {
            Value::Null => Some(None),
            Value::String(text) if text.contains('\0') => {
                self.refuse(field, "Null characters are not allowed.");
                None
            }
            Value::String(text) => Some(Some(text).filter(|text| !text.is_empty())),
            Value::Number(number) => Some(Some(number.to_string())),
            _ => {
                self.refuse(field, "Not a valid string.");
                None
            }
        }
    }

    /// One of these words.
    pub fn choice(&mut self, field: &str, words: &[&str]) -> Option<String> {
        let value = self.take(field)?;
        if value.is_null() {
            self.refuse(field, "This field may not be null.");
            return None;
        }
        let word = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        self.refuse(field, format!("\"{word}\" is not a valid choice."));
        None
    }

    /// A number of seconds, not negative and not beyond [`SECONDS`], or null.
    pub fn nullable_seconds(&mut self, field: &str) -> Option<Option<f64>> {
        let value = self.take(field)?;
        let number = match &value {
            Value::Null => return Some(None),
            Value::String(text) if text.is_empty() => return Some(None),
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        match number.filter(|number: &f64| number.is_finite()) {
            None => self.refuse(field, "A valid number is required."),
            Some(number) if number < 0.0 => {
                self.refuse(field, "Ensure this value is greater than or equal to 0.0.");
            }
            Some(number) if number > SECONDS => {
                let message = format!("Ensure this value is less than or equal to {SECONDS:.1}.");
                self.refuse(field, message);
            }
            Some(number) => return Some(Some(number)),
        }
        None
    }

    /// An integer of at least 1, or null.
    pub fn nullable_count(&mut self, field: &str) -> Option<Option<i32>> {
        self.nullable_integer(field, 1)
    }

    /// An integer of at least this, or null.
    pub fn nullable_integer(&mut self, field: &str, least: i32) -> Option<Option<i32>> {
        let value = self.take(field)?;
        let number = match &value {
            Value::Null => return Some(None),
            Value::String(text) if text.is_empty() => return Some(None),
            Value::String(text) => text.trim().parse::<i128>().ok(),
            Value::Number(number) => number.as_i128(),
            _ => None,
        };
        match number {
            None => self.refuse(field, "A valid integer is required."),
            Some(n) if n < i128::from(least) => {
                let message = format!("Ensure this value is greater than or equal to {least}.");
                self.refuse(field, message);
            }
            Some(n) => match i32::try_from(n) {
                Ok(n) => return Some(Some(n)),
                Err(_) => self.refuse(
                    field,
                    format!("Ensure this value is less than or equal to {}.", i32::MAX),
                ),
            },
        }
        None
    }

    /// True or false, also as the words that forms hold.
    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        let value = self.take(field)?;
        let word = match &value {
            Value::Bool(value) => return Some(*value),
            Value::Null => {
                self.refuse(field, "This field may not be null.");
                return None;
            }
            Value::Number(number) => number.to_string(),
            Value::String(word) => word.trim().to_ascii_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => {
                self.refuse(field, "Must be a valid boolean.");
                None
            }
        }
    }

    /// Values by key, or null. A form holds them as JSON text.
    pub fn nullable_dictionary(&mut self, field: &str) -> Option<Option<Map<String, Value>>> {
        let value = match self.take(field)? {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            value => value,
        };
        let kind = match value {
            Value::Object(object) => return Some(Some(object)),
            Value::Null => return Some(None),
            Value::Array(_) => "list",
            Value::Bool(_) => "bool",
            Value::Number(_) => "int",
            Value::String(_) => "str",
        };
        let message = format!("Expected a dictionary of items but got type \"{kind}\".");
        self.refuse(field, message);
        None
    }

    /// Labels: texts by key, a text may be null (contract 1.15). A form holds them as JSON text.
    pub fn labels(&mut self, field: &str) -> Option<Value> {
        let Some(labels) = self.nullable_dictionary(field)? else {
            self.refuse(field, "This field may not be null.");
            return None;
        };
        for (key, value) in &labels {
            let fault = match value {
                Value::String(text) => check_label(key, Some(text)).err(),
                Value::Null => check_label(key, None).err(),
                _ => Some("Not a valid string.".into()),
            };
            if let Some(fault) = fault {
                self.refuse(field, fault);
                return None;
            }
        }
        Some(Value::Object(labels))
    }

    /// Goes on where nothing was wrong so far; what nobody asked for counts.
    ///
    /// # Errors
    /// As [`Fields::finish`].
    pub fn checked(self) -> Result<Self, FieldErrors> {
        if self.errors.0.is_empty() && self.data.is_empty() {
            return Ok(self);
        }
        self.finish(()).map(|()| Self::new(Map::new()))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Everything that is wrong, fields that nobody asked for included.
    pub fn finish<T>(mut self, value: T) -> Result<T, FieldErrors> {
        // A hundred names are enough to learn from.
        for field in self.data.keys().take(100) {
            self.errors.add(field, "Unexpected field");
        }
        self.errors.into_result(value)
    }
}

/// Checks one label.
///
/// # Errors
/// The text that the client reads.
pub fn check_label(key: &str, value: Option<&str>) -> Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | '-');
    if key.is_empty() || !key.chars().all(fits) {
        return Err(format!(
            "Key '{key}' contains invalid characters. Only alphanumerics, underscores, spaces, \
             hyphens, and dots are allowed."
        ));
    }
    match value {
        Some(text) if text.contains(['(', ')']) => {
            Err(format!("Key '{key}' contains value with parenthesis."))
        }
        Some(text) if text.contains('\0') => Err("Null characters are not allowed.".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        Fields::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn forms_and_json_give_the_same_values() {
        for body in [
            json!({"b": true, "n": 3, "l": {"k": "v"}}),
            json!({"b": "true", "n": "3", "l": "{\"k\": \"v\"}"}),
        ] {
            let mut f = fields(body);
            assert_eq!(f.boolean("b"), Some(true));
            assert_eq!(f.nullable_count("n"), Some(Some(3)));
            assert_eq!(f.labels("l"), Some(json!({"k": "v"})));
            f.finish(()).unwrap();
        }
    }

    #[test]
    fn seconds_that_no_clock_counts_are_refused() {
        let mut f = fields(json!({"a": 1e8, "b": 1e19, "c": "1e300"}));
        assert_eq!(f.nullable_seconds("a"), Some(Some(1e8)));
        assert_eq!(f.nullable_seconds("b"), None);
        assert_eq!(f.nullable_seconds("c"), None);
        let errors = f.finish(()).unwrap_err();
        let message = "Ensure this value is less than or equal to 100000000.0.";
        assert_eq!(errors.0["b"], [message]);
        assert_eq!(errors.0["c"], [message]);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut f = fields(json!({"name": " ", "n": 0, "b": "maybe", "x": 1, "l": {"a(": "b"}}));
        f.text("name");
        f.nullable_count("n");
        f.boolean("b");
        f.labels("l");
        let errors = f.finish(()).unwrap_err();
        assert_eq!(errors.0["name"], ["This field may not be blank."]);
        assert_eq!(
            errors.0["n"],
            ["Ensure this value is greater than or equal to 1."]
        );
        assert_eq!(errors.0["b"], ["Must be a valid boolean."]);
        assert_eq!(errors.0["x"], ["Unexpected field"]);
        assert!(errors.0["l"][0].starts_with("Key 'a(' contains invalid characters."));
    }
}
