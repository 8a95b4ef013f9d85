//! Which fields of an answer a client wants: `fields` and `exclude_fields` (contract 4.1).

use super::sets::truth;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The fields that a client wants to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    only: BTreeSet<String>,
    without: BTreeSet<String>,
    minimal: bool,
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
            minimal: pairs
                .iter()
                .rfind(|(name, _)| name == "minimal")
                .is_some_and(|(_, value)| truth(value) == Ok(true)),
        }
    }

    /// True where the client wants the short form, if there is one.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.minimal
    }

    /// True where the client wants to see this field, if there is one.
    #[must_use]
    pub fn wants(&self, field: &str) -> bool {
        (self.only.is_empty() || self.only.contains(field)) && !self.without.contains(field)
    }

    /// The answer with the wanted fields; names that it does not have are ignored.
    ///
    /// # Errors
    /// Only where it cannot be written as JSON.
    pub fn of(&self, answer: &impl Serialize) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(answer)?;
        if let Value::Object(object) = &mut value {
            object.retain(|name, _| self.wants(name));
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
