//! The document as a whole.

use super::parameters::Parameter;
use super::schema::SchemaDoc;
use crate::error::{ApiError, ApiResult};
use crate::listing::Kind;
use crate::route::{Endpoint, Media};
use crate::v3::href::ROOT;
use millrace_common::VERSION;
use millrace_common::catalog::Catalog;
use millrace_common::content::ContentTypes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a request for the document asks for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Ordinary paths instead of hrefs.
    pub pk_path: bool,
    /// Only these components.
    pub components: Vec<String>,
}

/// The document of a table for a request to this origin (`http://host/`), of a process that knows this catalog. It is made
/// anew each time, which takes a while: call it off the async threads.
///
/// # Errors
/// 400 for a component that does not exist.
pub fn document(
    table: &[Endpoint],
    catalog: &Catalog,
    origin: &str,
    query: &Query,
) -> ApiResult<Value> {
    let versions = catalog.tasks.versions();
    if let Some(unknown) = query.components.iter().find(|c| !versions.contains_key(*c)) {
        return Err(ApiError::field(
            "component",
            format!("`{unknown}` is not a component"),
        ));
    }
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for endpoint in table {
        let bodies = Bodies::of(endpoint);
        schemas.extend(bodies.parts());
        let component = endpoint.path.split('/').nth(1);
        let component = component.filter(|segment| versions.contains_key(*segment));
        let component = component.unwrap_or("core");
        let is_wanted =
            query.components.is_empty() || query.components.iter().any(|c| c == component);
        if endpoint.hidden || !is_wanted {
            continue;
        }
        let (path, placeholders) = if query.pk_path {
            ordinary_path(endpoint.path)
        } else {
            href_path(endpoint.path)
        };
        let object = operation_object(endpoint, &bodies, placeholders, &catalog.content);
        let method = endpoint.method.as_str().to_ascii_lowercase();
        paths.entry(path).or_default().insert(method, object);
    }
    schemas.insert("ErrorResponse".to_owned(), error_schema());
    Ok(json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Millrace",
            "version": VERSION,
            "description": "Repositories of software packages, and the tasks that work on them.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
            "x-pulp-app-versions": versions,
            "x-pulp-domain-enabled": false,
        },
        "servers": [{"url": origin}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basicAuth": {"type": "http", "scheme": "basic"},
                "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            },
        },
    }))
}

/// The schemas of an endpoint, made.
struct Bodies {
    body: Option<(Media, SchemaDoc)>,
    answers: Vec<(u16, Option<SchemaDoc>)>,
}

impl Bodies {
    fn of(endpoint: &Endpoint) -> Self {
        let answers = endpoint.answers.iter();
        Self {
            body: endpoint.body.map(|(media, make)| (media, make())),
            answers: answers
                .map(|(status, make)| (*status, make.map(|make| make())))
                .collect(),
        }
    }

    /// All that they name.
    fn parts(&self) -> impl Iterator<Item = (String, Value)> {
        let answers = self
            .answers
            .iter()
            .filter_map(|(_, schema)| schema.as_ref());
        let all = self.body.iter().map(|(_, schema)| schema).chain(answers);
        all.flat_map(|schema| schema.parts.clone())
    }
}

/// What comes with a status from 400 on (contract 4.1).
fn error_schema() -> Value {
    json!({
        "description": "What is wrong: `detail`, messages by field, or a list of messages.",
        "anyOf": [
            {"type": "object", "additionalProperties": {}},
            {"type": "array", "items": {"type": "string"}},
        ],
    })
}

/// `{x_href}modify/`: the last placeholder stands for everything up to and with itself.
fn href_path(path: &str) -> (String, Vec<String>) {
    match (path.rfind('{'), path.rfind('}')) {
        (Some(open), Some(close)) if open < close => {
            let name = path.get(open + 1..close).unwrap_or_default();
            let rest = path.get(close + 1..).unwrap_or_default();
            let rest = rest.strip_prefix('/').unwrap_or(rest);
            (format!("{{{name}}}{rest}"), vec![name.to_owned()])
        }
        _ => (format!("{ROOT}{path}"), Vec::new()),
    }
}

/// An ordinary path: `{x_href}` becomes `{x_pk}`.
fn ordinary_path(path: &str) -> (String, Vec<String>) {
    let path = path.replace("_href}", "_pk}");
    let names = path
        .split('{')
        .skip(1)
        .filter_map(|piece| piece.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect();
    (format!("{ROOT}{path}"), names)
}

fn operation_object(
    endpoint: &Endpoint,
    bodies: &Bodies,
    placeholders: Vec<String>,
    types: &ContentTypes,
) -> Value {
    let diagnostics = Parameter::header(
        "X-Task-Diagnostics",
        "Diagnostics to record for tasks that this call dispatches.",
        Kind::Texts,
    );
    let mut parameters = vec![diagnostics.described(types)];
    parameters.extend(placeholders.into_iter().map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    ));
    parameters.extend(endpoint.query.iter().map(|p| p.described(types)));
    let mut responses: Map<String, Value> = bodies
        .answers
        .iter()
        .map(|(status, schema)| {
            let mut response = json!({"description": ""});
            if let (Some(schema), Some(response)) = (schema, response.as_object_mut()) {
                let content = json!({"application/json": {"schema": schema.reference()}});
                response.insert("content".into(), content);
            }
            if let (true, Some(response)) = (endpoint.is_stream, response.as_object_mut()) {
                let content = json!({"text/event-stream": {"schema": {"type": "string"}}});
                response.insert("content".into(), content);
            }
            (status.to_string(), response)
        })
        .collect();
    for (statuses, description) in [
        (
            "4XX",
            "The request cannot be accepted; nothing was changed.",
        ),
        (
            "5XX",
            "A fault of the service, or of something that it depends on.",
        ),
    ] {
        let schema = json!({"$ref": "#/components/schemas/ErrorResponse"});
        let content = json!({"application/json": {"schema": schema}});
        let response = json!({"description": description, "content": content});
        responses.insert(statuses.to_owned(), response);
    }
    let mut object = json!({
        "operationId": endpoint.operation,
        "description": endpoint.summary,
        "summary": endpoint.summary,
        "parameters": parameters,
        "tags": [endpoint.tag],
        "responses": responses,
    });
    if let Some(object) = object.as_object_mut() {
        if let Some((media, schema)) = &bodies.body {
            object.insert(
                "requestBody".into(),
                request_body(*media, &schema.reference()),
            );
        }
        if !endpoint.public {
            object.insert(
                "security".into(),
                json!([{"basicAuth": []}, {"cookieAuth": []}]),
            );
        }
    }
    object
}

fn request_body(media: Media, schema: &Value) -> Value {
    let types: &[&str] = match media {
        Media::Any => &[
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ],
        Media::Upload => &["multipart/form-data", "application/x-www-form-urlencoded"],
    };
    let content: Map<String, Value> = types
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "schema": schema })))
        .collect();
    json!({"content": content, "required": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_placeholder_stands_for_the_whole_href() {
        let href = |path| href_path(path).0;
        assert_eq!(href("tasks/"), "/pulp/api/v3/tasks/");
        assert_eq!(href("tasks/{task_href}/"), "{task_href}");
        assert_eq!(href("a/b/{r_href}/modify/"), "{r_href}modify/");
        assert_eq!(href("a/b/{r_href}/versions/{v_href}/"), "{v_href}");
        assert_eq!(href("a/b/{r_href}/versions/"), "{r_href}versions/");
        assert_eq!(
            ordinary_path("a/{r_href}/versions/{v_href}/"),
            (
                "/pulp/api/v3/a/{r_pk}/versions/{v_pk}/".to_owned(),
                vec!["r_pk".to_owned(), "v_pk".to_owned()]
            )
        );
    }
}
