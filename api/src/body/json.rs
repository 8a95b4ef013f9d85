//! JSON that the database can hold: bounded depth, numbers of 64 bits, no NUL in texts.

use serde_json::{Map, Value, json};

/// Deepest nesting of a body.
const DEPTH: usize = 64;

/// What the database cannot hold.
pub const NUL: &str = "Null characters are not allowed.";

const WIDE: &str = "A number does not fit 64 bits.";

/// A JSON text that was read.
pub struct Parsed {
    /// Its value.
    pub value: Value,
    /// True where some integer does not fit 64 bits; `value` holds something else there.
    pub is_inexact: bool,
}

/// Reads a JSON text without inexact numbers.
///
/// # Errors
/// What is wrong with it, for `{"detail": …}`.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let parsed = parse_body(bytes)?;
    if parsed.is_inexact {
        return Err(format!("JSON parse error - {WIDE}"));
    }
    Ok(parsed.value)
}

/// Reads a JSON text.
///
/// # Errors
/// What is wrong with it, for `{"detail": …}`.
pub fn parse_body(bytes: &[u8]) -> Result<Parsed, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        format!(
            "JSON parse error - not UTF-8 behind byte {}",
            e.valid_up_to()
        )
    })?;
    if too_deep(text) {
        return Err(format!(
            "JSON parse error - nested deeper than {DEPTH} levels"
        ));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("JSON parse error - {e}"))?;
    Ok(Parsed {
        value,
        is_inexact: has_wide_number(text),
    })
}

/// Every top-level field with a NUL somewhere inside, and those with a number of more than 64 bits
/// where the text has such numbers.
#[must_use]
pub fn field_errors(object: &Map<String, Value>, is_inexact: bool) -> Map<String, Value> {
    let mut errors = Map::new();
    for (name, value) in object {
        if name.contains('\0') || has_nul(value) {
            errors.insert(name.replace('\0', ""), json!([NUL]));
        } else if is_inexact && has_wide(value) {
            errors.insert(name.clone(), json!([WIDE]));
        }
    }
    errors
}

fn has_wide(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            // The first number that a signed integer of 64 bits cannot hold.
            const BEYOND: f64 = 9_223_372_036_854_775_808.0;
            number.as_i64().is_none() && number.as_f64().is_some_and(|n| n.abs() >= BEYOND)
        }
        Value::Array(items) => items.iter().any(has_wide),
        Value::Object(map) => map.values().any(has_wide),
        _ => false,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(k, v)| k.contains('\0') || has_nul(v)),
        _ => false,
    }
}

/// Pieces of a JSON text outside of strings.
fn outside_strings(text: &str) -> impl Iterator<Item = char> + '_ {
    let (mut inside, mut escaped) = (false, false);
    text.chars().filter_map(move |c| {
        if inside {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => inside = false,
                _ => {}
            }
            return None;
        }
        inside = c == '"';
        // A string parts what stands before it from what follows.
        Some(if inside { ' ' } else { c })
    })
}

fn too_deep(text: &str) -> bool {
    let mut depth = 0usize;
    outside_strings(text).any(|c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEPTH
    })
}

/// The parser turns wide integers into inexact floats; a client must not get back another number.
fn has_wide_number(text: &str) -> bool {
    let tokens: String = outside_strings(text)
        .map(|c| {
            if c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E') {
                c
            } else {
                ' '
            }
        })
        .collect();
    tokens
        .split_ascii_whitespace()
        .filter(|token| token.bytes().any(|b| b.is_ascii_digit()))
        .any(|token| {
            if token.contains(['.', 'e', 'E']) {
                !token.parse::<f64>().is_ok_and(f64::is_finite)
            } else {
                token.parse::<i64>().is_err()
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_cannot_hold_is_refused() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        for bad in [
            "",
            "{",
            &deep,
            "9223372036854775808",
            "[-9223372036854775809]",
            "{\"a\": 1e999}",
            "NaN",
        ] {
            let message = parse(bad.as_bytes()).unwrap_err();
            assert!(message.starts_with("JSON parse error - "), "{message}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn brackets_and_digits_inside_texts_do_not_count() {
        let text = format!("{{\"a\\\"{}\": \"99999999999999999999\"}}", "[".repeat(100));
        assert!(parse(text.as_bytes()).is_ok());
        assert_eq!(parse(b"9223372036854775807").unwrap(), i64::MAX);
        assert_eq!(parse(b"[1.5e3,true]").unwrap(), json!([1500.0, true]));
    }

    #[test]
    fn a_nul_is_found_however_deep_and_its_field_named() {
        let Value::Object(object) = json!({"a": [{"b": "x\0"}], "c": "fine"}) else {
            unreachable!()
        };
        assert_eq!(
            Value::Object(field_errors(&object, false)),
            json!({"a": [NUL]})
        );
    }

    #[test]
    fn a_wide_number_is_found_however_deep_and_its_field_named() {
        let text =
            br#"{"a": {"b": [18446744073709551615]}, "c": 5, "d": -1e3, "e": 9223372036854775807}"#;
        let parsed = parse_body(text).unwrap();
        assert!(parsed.is_inexact);
        let errors = field_errors(parsed.value.as_object().unwrap(), true);
        assert_eq!(Value::Object(errors), json!({"a": [WIDE]}));
    }
}
