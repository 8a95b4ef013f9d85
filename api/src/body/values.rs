//! The types of single fields, and their messages.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use millrace_common::tasking::TaskState;
use serde_json::{Value, json};

/// A field as it was sent.
#[derive(Clone, Debug)]
pub enum Given {
    /// In a JSON body.
    Json(Value),
    /// In a form, as often as it was sent.
    Form(Vec<String>),
}

/// What is wrong with a field: a list of messages, or an object of such lists by index or key.
#[derive(Debug)]
pub struct Wrong(pub Value);

/// One message.
pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(json!([message.into()])))
}

/// A type of field.
pub trait Field: Sized {
    /// True for texts, where an empty form value is a text and not a null.
    const EMPTY_IS_VALUE: bool = false;
    /// True where null is a value like any other.
    const NULL_IS_VALUE: bool = false;

    /// Reads a JSON value.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_json(value: &Value) -> Result<Self, Wrong>;

    /// Reads a form value. Nested values come as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        let text = values.last().map_or("", String::as_str);
        Self::from_json(&Value::String(text.to_owned()))
    }

    /// Reads a field.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(given: &Given) -> Result<Self, Wrong> {
        match given {
            Given::Json(value) => Self::from_json(value),
            Given::Form(values) => Self::from_form(values),
        }
    }
}

impl Given {
    /// True for null, which a form says by an empty value.
    #[must_use]
    pub fn is_null<T: Field>(&self) -> bool {
        match self {
            Self::Json(value) => !T::NULL_IS_VALUE && value.is_null(),
            Self::Form(values) => !T::EMPTY_IS_VALUE && values.iter().all(String::is_empty),
        }
    }
}

pub(super) fn text_of(value: &Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) if text.contains('\0') => wrong(super::json::NUL),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => wrong("Not a valid string."),
    }
}

/// A text that is not blank; space around it is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl Field for Text {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        if value.is_number() {
            return wrong("Not a valid string.");
        }
        let text = text_of(value)?.trim().to_owned();
        if text.is_empty() {
            return wrong("This field may not be blank.");
        }
        Ok(Self(text))
    }
}

/// Any text, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawText(pub String);

impl Field for RawText {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        if value.is_number() {
            return wrong("Not a valid string.");
        }
        text_of(value).map(Self)
    }
}

impl Field for i64 {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map_or_else(|| wrong("A valid integer is required."), Ok)
    }
}

impl Field for i32 {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let wide = i64::from_json(value)?;
        Self::try_from(wide).or_else(|_reason| {
            wrong(if wide < 0 {
                format!(
                    "Ensure this value is greater than or equal to {}.",
                    Self::MIN
                )
            } else {
                format!("Ensure this value is less than or equal to {}.", Self::MAX)
            })
        })
    }
}

impl Field for bool {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let read = match value {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
                "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        read.map_or_else(|| wrong("Must be a valid boolean."), Ok)
    }
}

/// Reads RFC 3339, a time without a zone (UTC), or a date (its midnight). Years have four digits, as
/// clients write them: the database would not hold all that can be read.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    read_time(text.trim()).filter(|time| (1..=9999).contains(&time.year()))
}

fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .map(|date| date.and_time(NaiveTime::MIN).and_utc())
}

impl Field for DateTime<Utc> {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        value.as_str().and_then(parse_time).map_or_else(
            || {
                wrong(
                    "Datetime has wrong format. Use one of these formats instead: \
                     YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
                )
            },
            Ok,
        )
    }
}

/// One of a type's words.
pub trait Choice: Sized {
    /// The value of this word.
    fn from_word(word: &str) -> Option<Self>;
}

impl Choice for TaskState {
    fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

impl<T: Choice> Field for T {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        value
            .as_str()
            .and_then(T::from_word)
            .map_or_else(|| wrong(format!("\"{shown}\" is not a valid choice.")), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: Field + std::fmt::Debug>(value: Value) -> String {
        T::from_json(&value).unwrap_err().0.to_string()
    }

    #[test]
    fn a_wrong_value_gets_the_message_of_its_type() {
        assert_eq!(
            message::<Text>(json!("  ")),
            r#"["This field may not be blank."]"#
        );
        assert_eq!(message::<Text>(json!(5)), r#"["Not a valid string."]"#);
        assert_eq!(
            message::<bool>(json!("maybe")),
            r#"["Must be a valid boolean."]"#
        );
        assert_eq!(
            message::<TaskState>(json!("lost")),
            r#"["\"lost\" is not a valid choice."]"#
        );
        assert!(message::<i32>(json!(3_000_000_000_i64)).contains("less than or equal"));
        assert!(message::<DateTime<Utc>>(json!("yesterday")).contains("wrong format"));
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02 03:04:05",
        ] {
            assert_eq!(
                parse_time(text).unwrap().to_rfc3339(),
                "2026-01-02T03:04:05+00:00"
            );
        }
        assert!(parse_time("2026-01-02").is_some());
        for far in ["-5000-01-01", "0000-12-31", "+10000-01-01T00:00:00"] {
            assert_eq!(parse_time(far), None, "{far}");
        }
    }
}
