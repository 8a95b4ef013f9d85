//! Query parameters of the document.

use crate::listing::{Filters, Kind};
use millrace_common::content::ContentTypes;
use serde_json::{Map, Value, json};

/// A parameter of an operation.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    help: String,
    place: &'static str,
    kind: Kind,
    required: bool,
    /// True for a list that goes into one value, separated by commas.
    joined: bool,
}

impl Parameter {
    /// A parameter in the query.
    #[must_use]
    pub fn query(name: &str, help: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            help: help.to_owned(),
            place: "query",
            kind,
            required: false,
            joined: false,
        }
    }

    /// A parameter in a header.
    #[must_use]
    pub fn header(name: &str, help: &str, kind: Kind) -> Self {
        Self {
            place: "header",
            ..Self::query(name, help, kind)
        }
    }

    /// The same, that must be there.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// The parameter object for a process that knows these types.
    #[must_use]
    pub fn described(&self, types: &ContentTypes) -> Value {
        let mut schema = schema(self.kind);
        if let Kind::Type(which) | Kind::TypeList(which) = self.kind {
            let one = match schema.get_mut("items") {
                Some(items) => items,
                None => &mut schema,
            };
            if let Value::Object(one) = one {
                one.insert("enum".into(), json!(which.names(types)));
            }
        }
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
        set("name", json!(self.name));
        set("in", json!(self.place));
        set("description", json!(self.help));
        set("schema", schema);
        if self.required {
            set("required", json!(true));
        }
        if self.joined {
            set("style", json!("form"));
            set("explode", json!(false));
        }
        Value::Object(object)
    }
}

fn schema(kind: Kind) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    match kind {
        Kind::Text | Kind::Reference | Kind::Type(_) => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Words(words) => json!({"type": "string", "enum": words}),
        Kind::Texts | Kind::TypeList(_) => list(schema(Kind::Text)),
        Kind::Times => list(schema(Kind::Time)),
        Kind::Integers => list(schema(Kind::Integer)),
        Kind::Uuids => list(schema(Kind::Uuid)),
        Kind::WordList(words) => list(schema(Kind::Words(words))),
    }
}

/// What every GET takes: which fields to answer with.
#[must_use]
pub fn read_parameters() -> Vec<Parameter> {
    vec![
        Parameter::query("fields", "Only these fields.", Kind::Texts),
        Parameter::query("exclude_fields", "All but these fields.", Kind::Texts),
    ]
}

/// `minimal`.
#[must_use]
pub fn minimal_parameter() -> Parameter {
    Parameter::query("minimal", "The short form.", Kind::Boolean)
}

/// What a list takes.
#[must_use]
pub fn list_parameters<T>(filters: &Filters<T>) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = filters
        .iter()
        .map(|filter| {
            let one = Parameter::query(&filter.name, &filter.help, filter.kind);
            if filter.kind.is_list() {
                one.joined()
            } else {
                one
            }
        })
        .collect();
    let names: Vec<&str> = filters.sort_names().collect();
    let help = format!("Sort by these, `-` for descending: {}.", names.join(", "));
    parameters.push(Parameter::query("ordering", &help, Kind::Texts).joined());
    parameters.push(Parameter::query(
        "q",
        "Filters joined by NOT, AND, OR and parentheses: `name=a OR name=b`.",
        Kind::Text,
    ));
    parameters.push(Parameter::query("limit", "Results a page.", Kind::Integer));
    parameters.push(Parameter::query(
        "offset",
        "Results in front of the page.",
        Kind::Integer,
    ));
    if filters.has_minimal() {
        parameters.push(minimal_parameter());
    }
    parameters.extend(read_parameters());
    parameters.sort_by(|a, b| a.name.cmp(&b.name));
    parameters
}
