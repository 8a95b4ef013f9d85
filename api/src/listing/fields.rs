//! Which fields of an answer a client wants: `fields` and `exclude_fields` (contract 4.1).

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The fields that a client wants to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    only: BTreeSet<String>,
    without: BTreeSet<String>,
}

impl Wanted {
    /// Reads the parameters; both comma lists and repeated keys are understood.
    #[must_use]
    pub fn from_pairs(pairs: &[(String, String)]) -> Self {
        let named = |wanted: &str| {
            pairs
                .iter()
                .filter(|(name, _)| name == wanted)
                .flat_map(|(_, value)| value.split(','))
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Self {
            only: named("fields"),
            without: named("exclude_fields"),
        }
    }

    /// Keeps these fields, unless the client asked for others.
    #[must_use]
    pub fn or_only(mut self, fields: &[&str]) -> Self {
        if self.only.is_empty() {
            self.only = fields.iter().map(ToString::to_string).collect();
        }
        self
    }

    /// The answer with the wanted fields; names that it does not have are ignored.
    ///
    /// # Errors
    /// Only where it cannot be written as JSON.
    pub fn of(&self, answer: &impl Serialize) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(answer)?;
        if let Value::Object(object) = &mut value {
            object.retain(|name, _| {
                (self.only.is_empty() || self.only.contains(name)) && !self.without.contains(name)
            });
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_come_repeated_or_joined() {
        let pairs = [
            ("fields", "a,b"),
            ("fields", "c"),
            ("exclude_fields", "b,x"),
        ];
        let wanted = Wanted::from_pairs(&pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let answer = json!({"a": 1, "b": 2, "c": 3, "d": 4});
        assert_eq!(wanted.of(&answer).unwrap(), json!({"a": 1, "c": 3}));
    }
}
