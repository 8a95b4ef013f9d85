//! Query parameters of the document.

use crate::listing::{Filters, Kind, Types};
use millrace_common::content::ContentTypes;
use serde_json::{Value, json};

/// A parameter of an operation.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The parameter object.
    pub object: Value,
    /// The names of types that it takes, which a process knows once its catalog is whole.
    types: Option<Types>,
}

impl Parameter {
    /// A parameter in the query.
    #[must_use]
    pub fn query(name: &str, help: &str, schema: &Value) -> Self {
        Self {
            name: name.to_owned(),
            object: json!({"name": name, "in": "query", "description": help, "schema": schema}),
            types: None,
        }
    }

    /// The parameter object for a process that knows these types.
    #[must_use]
    pub fn described(&self, types: &ContentTypes) -> Value {
        let mut object = self.object.clone();
        if let Some(names) = self.types.map(|which| which.names(types)) {
            let is_list = object.pointer("/schema/items").is_some();
            let at = if is_list { "/schema/items" } else { "/schema" };
            if let Some(Value::Object(schema)) = object.pointer_mut(at) {
                schema.insert("enum".into(), json!(names));
            }
        }
        object
    }

    fn of_types(mut self, kind: Kind) -> Self {
        if let Kind::Type(which) | Kind::TypeList(which) = kind {
            self.types = Some(which);
        }
        self
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
            types: None,
        }
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
            let one = Parameter::query(&filter.name, &filter.help, &schema(filter.kind))
                .of_types(filter.kind);
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
