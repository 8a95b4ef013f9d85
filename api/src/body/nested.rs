//! Fields that hold several values, and their messages.

use super::values::{Field, Wrong, text_of, wrong};
use millrace_common::tasks::kinds::check_label;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Wrong items of one list that are named: a client learns nothing from more.
const WRONG_ITEMS: usize = 100;

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Any(pub Value);

impl Field for Any {
    const NULL_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        Ok(Self(value.clone()))
    }
    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        nested(values).map(Self)
    }
}

/// A nested value in a form is JSON.
fn nested(values: &[String]) -> Result<Value, Wrong> {
    let text = values.last().map_or("", String::as_str);
    super::json::parse(text.as_bytes()).or_else(|_reason| wrong("Value must be valid JSON."))
}

impl Field for Map<String, Value> {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        value.as_object().cloned().map_or_else(
            || {
                wrong(format!(
                    "Expected a dictionary of items but got type \"{}\".",
                    kind(value)
                ))
            },
            Ok,
        )
    }
    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        Self::from_json(&nested(values)?)
    }
}

impl<T: Field> Field for Vec<T> {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Value::Array(items) = value else {
            return wrong(format!(
                "Expected a list of items but got type \"{}\".",
                kind(value)
            ));
        };
        let (mut read, mut errors) = (Vec::with_capacity(items.len()), Map::new());
        for (i, item) in items.iter().enumerate() {
            let one = if item.is_null() && !T::NULL_IS_VALUE {
                wrong("This field may not be null.")
            } else {
                T::from_json(item)
            };
            match one {
                Ok(item) => read.push(item),
                Err(Wrong(messages)) => {
                    errors.insert(i.to_string(), messages);
                    if errors.len() == WRONG_ITEMS {
                        break;
                    }
                }
            }
        }
        if errors.is_empty() {
            Ok(read)
        } else {
            Err(Wrong(Value::Object(errors)))
        }
    }

    /// One JSON list, or the field once an item.
    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        if let [one] = values
            && one.trim_start().starts_with('[')
        {
            return Self::from_json(&nested(values)?);
        }
        Self::from_json(&values.iter().map(String::as_str).collect())
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Labels of an object (contract 1.15).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, Option<String>>);

impl Field for Labels {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let mut labels = BTreeMap::new();
        for (key, value) in Map::from_json(value)? {
            let value = match value {
                Value::Null => None,
                other => match text_of(&other) {
                    Ok(text) => Some(text),
                    Err(Wrong(messages)) => return Err(Wrong(json!({ key: messages }))),
                },
            };
            if let Err(message) = check_label(&key, value.as_deref()) {
                return wrong(message);
            }
            labels.insert(key, value);
        }
        Ok(Self(labels))
    }
    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        Self::from_json(&nested(values)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::*;

    fn message<T: Field + std::fmt::Debug>(value: Value) -> String {
        T::from_json(&value).unwrap_err().0.to_string()
    }

    #[test]
    fn a_wrong_item_or_label_is_named() {
        assert_eq!(
            message::<Vec<i64>>(json!(["x", 1])),
            r#"{"0":["A valid integer is required."]}"#
        );
        let many = Vec::<i64>::from_json(&json!(vec!["x"; 1000])).unwrap_err();
        assert_eq!(many.0.as_object().unwrap().len(), WRONG_ITEMS);
        assert!(message::<Labels>(json!({"a(": "b"})).contains("invalid characters"));
        assert!(message::<Labels>(json!({"a": "b)"})).contains("parenthesis"));
    }

    #[test]
    fn a_form_gives_lists_by_repetition_or_as_json() {
        let texts = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            Vec::<Text>::from_form(&values)
                .unwrap()
                .into_iter()
                .map(|t| t.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&["a", "b"]), ["a", "b"]);
        assert_eq!(texts(&[r#"["a", "b"]"#]), ["a", "b"]);
    }
}
