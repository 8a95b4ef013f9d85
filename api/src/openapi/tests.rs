//! What the command line client demands of the document (client needs 1 and 2).

use super::Query;
use crate::v3;
use millrace_common::catalog::Catalog;
use serde_json::Value;
use std::collections::BTreeSet;

fn document(query: &Query) -> Value {
    let catalog = Catalog::builtin(false);
    super::document(&v3::table(), &catalog, "http://h/", query).unwrap()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    all
}

fn parameters(operation: &Value, place: &str) -> Vec<String> {
    operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["in"] == place)
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn operation_ids_are_unique_and_every_call_is_documented() {
    let document = document(&Query::default());
    let ids: Vec<String> = operations(&document)
        .iter()
        .map(|(_, _, o)| o["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    let declared = v3::table().iter().filter(|e| !e.hidden).count();
    assert_eq!(ids.len(), declared);
}

#[test]
fn each_operation_has_what_the_client_needs() {
    for (path, method, operation) in operations(&document(&Query::default())) {
        let id = &operation["operationId"];
        assert_eq!(
            path.matches('{').count(),
            parameters(&operation, "path").len(),
            "{id}"
        );
        assert!(path.matches('{').count() <= 1, "{path}");
        assert!(
            parameters(&operation, "header").contains(&"X-Task-Diagnostics".to_owned()),
            "{id}"
        );
        assert!(!operation["tags"][0].as_str().unwrap().is_empty(), "{id}");
        assert!(
            !operation["responses"].as_object().unwrap().is_empty(),
            "{id}"
        );
        for parameter in operation["parameters"].as_array().unwrap() {
            assert!(
                parameter["in"] != "path" || parameter["required"] == true,
                "{id}"
            );
        }
        for response in operation["responses"].as_object().unwrap().values() {
            assert!(response["description"].is_string(), "{id}");
        }
        // A stream of events has no fields to choose from.
        let is_stream = id == "tasks_events";
        if method == "get" && operation.get("security").is_some() && !is_stream {
            let query = parameters(&operation, "query");
            for name in ["fields", "exclude_fields"] {
                assert!(query.contains(&name.to_owned()), "{id} lacks {name}");
            }
            assert_eq!(
                query.iter().collect::<BTreeSet<_>>().len(),
                query.len(),
                "{id}"
            );
        }
    }
}

#[test]
fn lists_are_joined_by_commas_but_field_names_are_repeated() {
    for (_, _, operation) in operations(&document(&Query::default())) {
        for parameter in operation["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" && parameter["schema"]["type"] == "array" {
                let repeated = ["fields", "exclude_fields"].contains(&name);
                assert_eq!(parameter["explode"] != false, repeated, "{name}");
            }
        }
    }
}

#[test]
fn only_standard_keys_are_used_and_all_references_lead_somewhere() {
    let document = document(&Query::default());
    for (_, _, operation) in operations(&document) {
        for key in operation.as_object().unwrap().keys() {
            let known = [
                "operationId",
                "description",
                "summary",
                "parameters",
                "tags",
                "responses",
                "requestBody",
                "security",
            ];
            assert!(known.contains(&key.as_str()), "{key}");
        }
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for piece in text.split("#/components/schemas/").skip(1) {
        let name = piece.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert!(!text.contains("\"examples\":["));
}

#[test]
fn responses_with_an_href_have_a_prn() {
    let document = document(&Query::default());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.ends_with("Response") && schema["properties"].get("pulp_href").is_some() {
            let prn = &schema["properties"]["prn"];
            assert_eq!(
                (&prn["type"], &prn["readOnly"]),
                (&"string".into(), &true.into()),
                "{name}"
            );
        }
    }
}

#[test]
fn ordinary_paths_are_offered_on_request() {
    let query = Query {
        pk_path: true,
        components: vec!["core".to_owned()],
    };
    let document = document(&query);
    assert!(
        document["paths"]
            .get("/pulp/api/v3/tasks/{task_pk}/")
            .is_some()
    );
    let bad = Query {
        components: vec!["nothing".to_owned()],
        ..Query::default()
    };
    let catalog = Catalog::builtin(false);
    assert!(super::document(&v3::table(), &catalog, "http://h/", &bad).is_err());
}

/// The names that clients derive their calls from, for types whose calls come from one table.
#[test]
fn each_type_has_the_same_calls_under_its_own_names() {
    let document = document(&Query::default());
    let all = operations(&document);
    let path_of = |id: &str| {
        let found = all.iter().find(|(_, _, o)| o["operationId"] == id);
        found.map_or_else(|| panic!("{id} is not there"), |(path, ..)| path.clone())
    };
    for (names, unit) in [("file_files", "file_file"), ("rpm_packages", "rpm_package")] {
        for action in ["list", "create"] {
            path_of(&format!("content_{names}_{action}"));
        }
        for (action, rest) in [
            ("read", ""),
            ("set_label", "set_label/"),
            ("unset_label", "unset_label/"),
        ] {
            let path = path_of(&format!("content_{names}_{action}"));
            assert_eq!(path, format!("{{{unit}_content_href}}{rest}"));
        }
    }
    for name in ["file_file", "rpm_rpm"] {
        for action in [
            "list",
            "create",
            "read",
            "update",
            "partial_update",
            "delete",
        ] {
            path_of(&format!("repositories_{name}_{action}"));
        }
        let modify = path_of(&format!("repositories_{name}_modify"));
        assert_eq!(modify, format!("{{{name}_repository_href}}modify/"));
        for (action, rest) in [("read", ""), ("delete", ""), ("repair", "repair/")] {
            let path = path_of(&format!("repositories_{name}_versions_{action}"));
            assert_eq!(path, format!("{{{name}_repository_version_href}}{rest}"));
        }
    }
    assert!(!document.to_string().contains("repositories_rpm_rpm_sync"));
}

/// The names of types come from the catalog.
#[test]
fn lists_of_all_types_take_the_types_that_there_are() {
    let document = document(&Query::default());
    let types = |id: &str, name: &str| {
        let all = operations(&document);
        let (_, _, list) = all.iter().find(|(_, _, o)| o["operationId"] == id).unwrap();
        let parameters = list["parameters"].as_array().unwrap();
        let one = parameters.iter().find(|p| p["name"] == name).unwrap();
        one["schema"].clone()
    };
    let units = serde_json::json!(["file.file", "rpm.package"]);
    assert_eq!(types("content_list", "pulp_type")["enum"], units);
    assert_eq!(
        types("content_list", "pulp_type__in")["items"]["enum"],
        units
    );
    let repositories = serde_json::json!(["file.file", "rpm.rpm"]);
    assert_eq!(
        types("repositories_list", "pulp_type")["enum"],
        repositories
    );
}

/// A field that refuses null must not be declared as taking it: the client drops what it may not send.
#[test]
fn only_what_takes_null_is_declared_so() {
    let document = document(&Query::default());
    let schemas = &document["components"]["schemas"];
    for (name, fields) in [
        (
            "file.FileRepository",
            ["autopublish", "pulp_labels"].as_slice(),
        ),
        ("file.FileContent", &["overwrite", "pulp_labels"]),
        ("rpm.Package", &["overwrite", "pulp_labels"]),
        ("rpm.RpmRepository", &["pulp_labels"]),
        (
            "RepositoryAddRemoveContent",
            &["add_content_units", "remove_content_units", "overwrite"],
        ),
        ("Purge", &["finished_before", "states"]),
    ] {
        let required = schemas[name]["required"].to_string();
        for field in fields {
            let schema = &schemas[name]["properties"][field];
            assert!(schema.is_object(), "{name}.{field}");
            assert!(
                !schema.to_string().contains("null"),
                "{name}.{field}: {schema}"
            );
            assert!(!required.contains(field), "{name}.{field}: {required}");
        }
    }
    let args = &schemas["TaskDispatch"]["properties"]["args"];
    assert!(args["items"].get("type").is_none(), "{args}");
}
