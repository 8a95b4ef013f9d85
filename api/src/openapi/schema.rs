//! Schemas: derived by utoipa, renamed and wrapped as clients expect them.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Makes a schema: few processes are ever asked for the document, and it is large.
pub type MakeSchema = fn() -> SchemaDoc;

/// A named schema and those that it refers to.
#[derive(Clone, Debug)]
pub struct SchemaDoc {
    /// Its name under `components.schemas`.
    pub name: String,
    /// It and every schema that it refers to, by name.
    pub parts: BTreeMap<String, Value>,
}

impl SchemaDoc {
    /// The schema of a type.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let mut referred = Vec::new();
        T::schemas(&mut referred);
        referred.push((T::name().into_owned(), T::schema()));
        let parts = referred
            .into_iter()
            .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
            .map(|(name, schema)| (name, plain(schema)))
            .collect();
        Self {
            name: T::name().into_owned(),
            parts,
        }
    }

    /// The same with every field optional, under the name of a partial update.
    #[must_use]
    pub fn patched(mut self) -> Self {
        let mut schema = self.parts.remove(&self.name).unwrap_or_default();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
        if !self.name.starts_with("Patched") {
            self.name = format!("Patched{}", self.name);
        }
        self.parts.insert(self.name.clone(), schema);
        self
    }

    /// A page of such objects.
    #[must_use]
    pub fn paginated(mut self) -> Self {
        let item = self.reference();
        self.name = format!("Paginated{}List", self.name);
        let link = |offset: u32| {
            json!({
                "type": ["string", "null"], "format": "uri",
                "example": format!("http://api.example.org/accounts/?offset={offset}&limit=100"),
            })
        };
        let schema = json!({
            "type": "object",
            "required": ["count", "results"],
            "properties": {
                "count": {"type": "integer", "example": 123},
                "next": link(400),
                "previous": link(200),
                "results": {"type": "array", "items": item},
            },
        });
        self.parts.insert(self.name.clone(), schema);
        self
    }

    /// A reference to it.
    #[must_use]
    pub fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{}", self.name) })
    }
}

/// Drops what strict readers of the document stumble over: `examples` as a list.
fn plain(schema: Value) -> Value {
    match schema {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(key, value)| !(key == "examples" && value.is_array()))
                .map(|(key, value)| (key, plain(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        other => other,
    }
}
