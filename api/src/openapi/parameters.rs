//! Query parameters of the document.

use crate::listing::{Filters, Kind};
use serde_json::{Value, json};

/// A parameter of an operation.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The parameter object.
    pub object: Value,
}

impl Parameter {
    fn query(name: &str, help: &str, schema: &Value) -> Self {
        Self {
            name: name.to_owned(),
            object: json!({"name": name, "in": "query", "description": help, "schema": schema}),
        }
    }

    /// A list that goes into one value, separated by commas.
    fn joined(mut self) -> Self {
        if let Some(object) = self.object.as_object_mut() {
            object.insert("style".into(), "form".into());
            object.insert("explode".into(), false.into());
        }
        self
    }

    /// A header parameter.
    #[must_use]
    pub fn header(name: &str, help: &str, required: bool, schema: &Value) -> Self {
        let mut object =
            json!({"name": name, "in": "header", "description": help, "schema": schema});
        if required && let Some(object) = object.as_object_mut() {
            object.insert("required".into(), true.into());
        }
        Self {
            name: name.to_owned(),
            object,
        }
    }
}

fn schema(kind: Kind) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    match kind {
        Kind::Text | Kind::Reference => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Words(words) => json!({"type": "string", "enum": words}),
        Kind::Texts => list(schema(Kind::Text)),
        Kind::Times => list(schema(Kind::Time)),
        Kind::Integers => list(schema(Kind::Integer)),
        Kind::Uuids => list(schema(Kind::Uuid)),
        Kind::WordList(words) => list(schema(Kind::Words(words))),
    }
}

/// What every GET takes: which fields to answer with.
#[must_use]
pub fn read_parameters() -> Vec<Parameter> {
    let names = json!({"type": "array", "items": {"type": "string"}});
    vec![
        Parameter::query("fields", "Only these fields.", &names),
        Parameter::query("exclude_fields", "All but these fields.", &names),
    ]
}

/// `minimal`.
#[must_use]
pub fn minimal_parameter() -> Parameter {
    Parameter::query("minimal", "The short form.", &schema(Kind::Boolean))
}

/// What a list takes.
#[must_use]
pub fn list_parameters<T>(filters: &Filters<T>) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = filters
        .iter()
        .map(|filter| {
            let one = Parameter::query(&filter.name, &filter.help, &schema(filter.kind));
            if filter.kind.is_list() {
                one.joined()
            } else {
                one
            }
        })
        .collect();
    let names: Vec<&str> = filters.sort_names().collect();
    let help = format!("Sort by these, `-` for descending: {}.", names.join(", "));
    let number = json!({"type": "integer"});
    parameters.push(Parameter::query("ordering", &help, &schema(Kind::Texts)).joined());
    parameters.push(Parameter::query(
        "q",
        "Filters joined by NOT, AND, OR and parentheses: `name=a OR name=b`.",
        &schema(Kind::Text),
    ));
    parameters.push(Parameter::query("limit", "Results a page.", &number));
    parameters.push(Parameter::query(
        "offset",
        "Results in front of the page.",
        &number,
    ));
    if filters.has_minimal() {
        parameters.push(minimal_parameter());
    }
    parameters.extend(read_parameters());
    parameters.sort_by(|a, b| a.name.cmp(&b.name));
    parameters
}
