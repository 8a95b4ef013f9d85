//! Types that the settings name beside the built-in ones.

use super::{Pulp, rpm, said};
use millrace_tests::TestApp;
use serde_json::{Value, json};
use tempfile::TempDir;

fn definition(id: &str) -> Value {
    json!({"id": id, "display_name": id, "description": null, "unit_key": ["name", "checksum", "size"]})
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[tokio::test]
async fn further_types_are_read_from_a_directory_and_their_units_come_in() {
    let iso = json!({"types": [definition("iso"), definition("type-2")]}).to_string();
    let one = definition("one.more").to_string();
    let dir = directory(&[
        ("iso.json", &iso),
        ("one.json", &one),
        ("README", "no JSON"),
    ]);
    let builder = TestApp::builder().workers(1);
    let pulp = Pulp::with(builder.set("units.definitions", dir.path().display())).await;
    let types = pulp.get("/pulp/api/v2/plugins/types/").await.expect(200);
    let ids: Vec<_> = types
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    for id in ["iso", "type-2", "one.more", "rpm"] {
        assert!(ids.contains(&&json!(id)), "{id} in {ids:?}");
    }
    let unit = json!({"name": "a", "checksum": "c", "size": 5,
                      "_storage_path": pulp.write("content/units/type-2/ab/c/a")});
    pulp.import("type-2", &[unit]);
    pulp.import("rpm", &[rpm("a", None)]);
    assert_eq!(pulp.orphans("type-2").await[0]["size"], 5);
    assert_eq!(pulp.orphans("iso").await.len(), 0);
    assert_eq!(pulp.remove_all().await, json!({"rpm": 1, "type-2": 1}));
    assert!(!pulp.is("content/units/type-2"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_fault_refuses_the_start_and_names_file_and_key() {
    let mut app = TestApp::builder().without_api().start().await;
    let mut odd = definition("iso");
    odd["odd"] = json!(1);
    let set = |types: &[Value]| json!({ "types": types }).to_string();
    let mut away = definition("iso");
    away["referenced_types"] = json!(["rpm", "gone"]);
    for (text, faults) in [
        (set(&[odd]), ["iso.json", "`odd`"]),
        ("{".to_owned(), ["iso.json", "line 1"]),
        ("{}".to_owned(), ["iso.json", "`types`"]),
        (
            set(&[definition("rpm")]),
            ["iso.json", "`rpm` is defined twice"],
        ),
        (
            set(&[definition("a"), definition("a")]),
            ["iso.json", "`a` is defined twice"],
        ),
        (set(&[definition("a b")]), ["iso.json", "`a b`"]),
        (set(&[away]), ["`iso`", "`gone`, which is not defined"]),
    ] {
        let dir = directory(&[("iso.json", &text)]);
        app.set("units.definitions", dir.path().to_str().unwrap());
        for arguments in [&["check-config"][..], &["serve"]] {
            let output = app.run_command(arguments, "");
            assert!(!output.status.success(), "{text}");
            for fault in faults {
                assert!(
                    said(&output).contains(fault),
                    "{fault} in {}",
                    said(&output)
                );
            }
        }
    }
    let dir = directory(&[]);
    app.set(
        "units.definitions",
        dir.path().join("missing").to_str().unwrap(),
    );
    let output = app.run_command(&["check-config"], "");
    assert!(said(&output).contains("missing: "), "{}", said(&output));
}
