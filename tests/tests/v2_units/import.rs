//! `millrace-api import-units`.

use super::{Pulp, rpm, said};
use millrace_tests::TestApp;
use serde_json::{Value, json};

async fn pulp() -> Pulp {
    Pulp::with(TestApp::builder()).await
}

fn erratum(name: &str) -> Value {
    json!({"errata_id": name, "title": "A title"})
}

#[tokio::test]
async fn units_come_in_with_all_their_fields_and_ids() {
    let pulp = pulp().await;
    let id = "d0dc2044-1edc-4298-bf10-a472ea943fe1";
    let path = format!("{}/rpm/.//gwt/a.rpm", pulp.text("content"));
    let mut unit = rpm("gwt", Some(&path));
    for (name, value) in [
        ("_id", json!(id)),
        ("_ns", json!("units_rpm")),
        ("_content_type_id", json!("rpm")),
        ("_last_updated", json!(1_380_000_000)),
        ("changelog", json!([["a", 1, null], {"deep": 1.5}])),
        ("pulp_user_metadata", json!({})),
    ] {
        unit[name] = value;
    }
    pulp.import("rpm", &[unit.clone()]);
    let shown = pulp.orphans("rpm").await.remove(0);
    for (name, value) in unit.as_object().unwrap() {
        if name != "_last_updated" {
            assert_eq!(&shown[name], value, "{name}");
        }
    }
    // Version 3 sees it, as it has the type.
    let package = pulp
        .get(&format!("content/rpm/packages/{id}/"))
        .await
        .expect(200);
    assert_eq!(
        (&package["name"], &package["artifact"]),
        (&json!("gwt"), &Value::Null)
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_bad_line_is_named_with_its_number_and_field_and_nothing_is_imported() {
    let pulp = pulp().await;
    let good = erratum("good").to_string();
    let outside = json!({"errata_id": "a", "_storage_path": "/etc/passwd"}).to_string();
    let up = format!("{}/../../etc", pulp.text("content/t"));
    let up = json!({"errata_id": "a", "_storage_path": up}).to_string();
    for (bad, field) in [
        (r#"{"title": "none"}"#, "`errata_id` is missing"),
        (outside.as_str(), "`_storage_path` must lie below"),
        (&up, "`_storage_path` must not have a part `..`"),
        (
            r#"{"errata_id": "a", "_storage_path": "content/t/a"}"#,
            "`_storage_path` must be an absolute path",
        ),
        (
            r#"{"errata_id": "a", "_id": "507f1f77bcf86cd799439011"}"#,
            "`_id` must be a UUID",
        ),
        (r#"{"errata_id": "a", "_odd": 1}"#, "`_odd` is no field"),
        (
            r#"{"errata_id": "a", "from": "\u0000"}"#,
            "`from` must not hold a NUL",
        ),
        (
            r#"{"errata_id": "a", "errata_id": "b"}"#,
            "`errata_id` is given twice",
        ),
        (r#"{"errata_id": "#, "is no JSON object"),
        ("[]", "is no JSON object"),
    ] {
        let output = pulp.import_text("erratum", &format!("{good}\n\n{bad}\n{good}"), &[]);
        assert!(!output.status.success(), "{bad}");
        let said = said(&output);
        assert!(
            said.contains("line 3: ") && said.contains(field),
            "{bad}: {said}"
        );
    }
    assert_eq!(pulp.units().await, 0);
    // Behind many good ones, too.
    let mut lines: Vec<String> = (1..3000)
        .map(|n| erratum(&n.to_string()).to_string())
        .collect();
    lines.push("{}".to_owned());
    let output = pulp.import_text("erratum", &lines.join("\n"), &[]);
    assert!(
        said(&output).contains("line 3000: `errata_id` is missing"),
        "{}",
        said(&output)
    );
    assert_eq!(pulp.units().await, 0);
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_unit_that_is_there_or_comes_twice_is_named_with_line_and_key() {
    let pulp = pulp().await;
    let output = pulp.try_import("erratum", &[erratum("a"), erratum("b"), erratum("a")], &[]);
    let text = said(&output);
    assert!(
        text.contains(r#"line 3: is the unit of line 1 (errata_id="a")"#),
        "{text}"
    );
    assert_eq!(pulp.units().await, 0);
    pulp.import("erratum", &[erratum("a")]);
    let output = pulp.try_import("erratum", &[erratum("b"), erratum("a")], &[]);
    let text = said(&output);
    assert!(
        text.contains(r#"line 2: is a unit that is there already (errata_id="a")"#),
        "{text}"
    );
    assert_eq!(pulp.units().await, 1);

    let output = pulp.try_import(
        "erratum",
        &[erratum("b"), erratum("a"), erratum("b")],
        &["--skip-existing"],
    );
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("imported 1 units") && text.contains("left out 2"),
        "{text}"
    );
    assert_eq!(pulp.units().await, 2);
    pulp.app.finish().await;
}

#[tokio::test]
async fn an_id_that_is_there_or_comes_twice_is_refused() {
    let pulp = pulp().await;
    let id = uuid::Uuid::new_v4().to_string();
    let with_id = |name: &str| json!({"errata_id": name, "_id": id});
    let output = pulp.try_import("erratum", &[with_id("a"), with_id("b")], &[]);
    let text = said(&output);
    assert!(text.contains("line 2: `_id` is that of line 1"), "{text}");
    pulp.import("erratum", &[with_id("a")]);
    for more in [&[][..], &["--skip-existing"]] {
        let output = pulp.try_import("erratum", &[with_id("c")], more);
        let text = said(&output);
        assert!(
            text.contains("line 1: `_id` is that of a unit that is there already"),
            "{text}"
        );
    }
    assert_eq!(pulp.units().await, 1);
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_package_that_was_uploaded_is_the_unit_of_a_line_with_its_key() {
    let pulp = Pulp::start().await;
    let artifact = pulp.upload(b"text".to_vec()).await;
    pulp.file(&artifact, "a").await;
    let line = json!({"relative_path": "a", "digest": artifact["sha256"]});
    let text = said(&pulp.try_import("file", &[line], &[]));
    assert!(
        text.contains("line 1: is a unit that is there already"),
        "{text}"
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_type_or_file_that_is_not_there_is_named() {
    let pulp = pulp().await;
    let text = said(&pulp.import_text("nope", "", &[]));
    assert!(
        text.contains("there is no type `nope`, only drpm, erratum"),
        "{text}"
    );
    let output = pulp.run_command(&["import-units", "--type", "rpm", "/missing.jsonl"], "");
    assert!(
        said(&output).contains("/missing.jsonl: "),
        "{}",
        said(&output)
    );
    let file = pulp.at("units.jsonl");
    std::fs::write(&file, format!("{}\r\n", erratum("a"))).unwrap();
    let output = pulp.run_command(
        &["import-units", "--type", "erratum", file.to_str().unwrap()],
        "",
    );
    assert!(
        said(&output).contains("imported 1 units of the type erratum"),
        "{}",
        said(&output)
    );
    let help = said(&pulp.run_command(&["import-units", "--help"], ""));
    assert!(
        help.contains("_storage_path") && help.contains("--skip-existing"),
        "{help}"
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_path_that_version_3_would_not_take_is_refused_here_too() {
    let pulp = pulp().await;
    for path in ["/etc/passwd", "a/../../b", "a b"] {
        let unit = json!({"relative_path": path, "digest": "d"});
        let output = pulp.try_import("file", &[unit], &[]);
        let text = said(&output);
        assert!(
            text.contains("line 1: `relative_path` is no path"),
            "{text}"
        );
    }
    assert_eq!(pulp.units().await, 0);
    pulp.import("file", &[json!({"relative_path": "a/b", "digest": "d"})]);
    assert_eq!(pulp.units().await, 1);
    pulp.app.finish().await;
}
