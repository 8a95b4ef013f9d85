//! Bodies that are no JSON, the wrong JSON, too deep, too large, or of the wrong kind.

use super::{Taking, app, endpoints, tables};
use millrace_tests::app::files_below;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_and_change_nothing() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_field = format!(
        "{{\"name\": {}1{}}}",
        "{\"a\":".repeat(20_000),
        "}".repeat(20_000)
    );
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(300_000));
    for e in &endpoints {
        let method: Method = e.method.parse().unwrap();
        let send = async |media: &str, body: String| {
            let request = app
                .request(method.clone(), &e.path)
                .header("content-type", media)
                .body(body);
            app.send(request).await
        };
        for (what, body, status) in [
            ("malformed", "{\"name\": ".to_owned(), 400),
            ("empty where an object is needed", "[]".to_owned(), 400),
            ("a text", "\"text\"".to_owned(), 400),
            ("a number", "7".to_owned(), 400),
            ("null", "null".to_owned(), 400),
            ("two values", "{} {}".to_owned(), 400),
            (
                "not UTF-8 escaped",
                "{\"name\": \"\\ud800\"}".to_owned(),
                400,
            ),
            ("deep", deep.clone(), 400),
            ("deep in a field", deep_field.clone(), 400),
            ("too large", large.clone(), 413),
        ] {
            let answer = send("application/json", body).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{} {} {what}: {}",
                e.method,
                e.path,
                answer.text
            );
            assert!(
                answer.json().is_object() || answer.json().is_array(),
                "{what}: {}",
                answer.text
            );
        }
        let answer = send("text/plain", e.good.to_string()).await;
        assert_eq!(
            answer.status, 415,
            "{} {}: {}",
            e.method, e.path, answer.text
        );
        assert_eq!(
            answer.json()["detail"],
            "Unsupported media type \"text/plain\" in request."
        );
    }
    assert_eq!(tables(&app.sql).await, before);
}

const NOBODY: &str = "/pulp/api/v3/repositories/file/file/00000000-0000-0000-0000-000000000000/";
const NO_UNIT: &str = "/pulp/api/v3/content/file/files/00000000-0000-0000-0000-000000000000/";

/// Values that do not fit, by field, for the body of one endpoint. `HUGE` becomes a number that no
/// integer of 64 bits holds.
fn unfit(path: &str) -> Vec<(&'static str, Vec<Value>)> {
    let nul = json!("a\u{0}b");
    match path {
        "tasks/purge/" => vec![
            (
                "finished_before",
                vec![json!(5), json!("soon"), json!("2020-13-45"), json!([])],
            ),
            (
                "states",
                vec![
                    json!(["running"]),
                    json!("completed"),
                    json!([7]),
                    json!(["completed\u{0}"]),
                ],
            ),
        ],
        "orphans/cleanup/" => vec![
            (
                "orphan_protection_time",
                vec![json!(-1), json!("HUGE"), json!(1.5), json!("x"), json!([])],
            ),
            (
                "content_hrefs",
                vec![
                    json!("x"),
                    json!(["x"]),
                    json!([7]),
                    json!([NOBODY]),
                    json!([null]),
                ],
            ),
        ],
        "repositories/file/file/" => vec![
            (
                "name",
                vec![json!(""), Value::Null, json!({}), nul, json!("there")],
            ),
            (
                "retain_repo_versions",
                vec![
                    json!(0),
                    json!(-3),
                    json!("HUGE"),
                    json!(2_147_483_648_i64),
                    json!("x"),
                    json!(1.5),
                ],
            ),
            (
                "pulp_labels",
                vec![
                    json!([]),
                    json!({"k": 7}),
                    json!({"k\u{0}": "v"}),
                    json!("x"),
                ],
            ),
            ("autopublish", vec![json!("perhaps")]),
            ("description", vec![json!({})]),
        ],
        _ if path.ends_with("modify/") => vec![
            (
                "add_content_units",
                vec![
                    json!("x"),
                    json!([7]),
                    Value::Null,
                    json!(["x"]),
                    json!([NOBODY]),
                    json!([NO_UNIT]),
                ],
            ),
            ("remove_content_units", vec![json!(["*", NO_UNIT])]),
            ("base_version", vec![json!(NOBODY), json!(7)]),
        ],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn fields_that_do_not_fit_are_refused_by_name_and_change_nothing() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    for e in &endpoints {
        let mut wrong = unfit(&e.path);
        // A task that does not exist is a 404 whatever the body.
        if !e.path.contains("/tasks/0") {
            wrong.push(("unknown_field", vec![json!(1)]));
        }
        for (field, values) in wrong {
            for value in values {
                refused(&app, e, field, &value).await;
            }
        }
    }
    assert_eq!(tables(&app.sql).await, before);
}

async fn refused(app: &TestApp, e: &Taking, field: &str, value: &Value) {
    let mut body = e.good.clone();
    body[field] = value.clone();
    let text = body
        .to_string()
        .replace("\"HUGE\"", "123456789012345678901234567890");
    let request = app
        .request(e.method.parse().unwrap(), &e.path)
        .header("content-type", "application/json")
        .body(text);
    let answer = app.send(request).await;
    let body = answer.json();
    assert_eq!(
        answer.status, 400,
        "{} {} {field} = {value}: {}",
        e.method, e.path, answer.text
    );
    let named = body.get(field).is_some() || (value == "HUGE" && body.get("detail").is_some());
    assert!(
        named,
        "{} {} does not name {field}: {body}",
        e.method, e.path
    );
}

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where to, and the parts of the form.
const BAD_UPLOADS: [(&str, &[(&str, &str)]); 13] = [
    ("artifacts/", &[("nothing", "x")]),
    ("artifacts/", &[("file", "abc"), ("sha256", "xyz")]),
    ("artifacts/", &[("file", "abc"), ("sha256", ZEROS)]),
    ("artifacts/", &[("file", "abc"), ("size", "4")]),
    (
        "artifacts/",
        &[("file", "abc"), ("size", "123456789012345678901234567890")],
    ),
    ("artifacts/", &[("file", "abc"), ("unknown", "4")]),
    ("content/file/files/", &[("file", "abc")]),
    ("content/file/files/", &[("relative_path", "a")]),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "/absolute")],
    ),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "a\u{0}b")],
    ),
    (
        "content/file/files/",
        &[
            ("artifact", "/pulp/api/v3/artifacts/0/"),
            ("relative_path", "a"),
        ],
    ),
    (
        "content/file/files/",
        &[
            ("file", "abc"),
            ("relative_path", "a"),
            ("pulp_labels", "["),
        ],
    ),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "a"), ("repository", "x")],
    ),
];

#[tokio::test]
async fn uploads_that_lack_or_misname_their_parts_leave_no_file() {
    let app = app().await;
    let before = tables(&app.sql).await;
    let form = |parts: &[(&'static str, &str)]| {
        parts
            .iter()
            .fold(reqwest::multipart::Form::new(), |form, (name, value)| {
                let part = reqwest::multipart::Part::text((*value).to_owned());
                form.part(
                    *name,
                    if *name == "file" {
                        part.file_name("f")
                    } else {
                        part
                    },
                )
            })
    };
    for (path, parts) in BAD_UPLOADS {
        let answer = app
            .send(app.request(Method::POST, path).multipart(form(parts)))
            .await;
        assert_eq!(answer.status, 400, "{path} {parts:?}: {}", answer.text);
    }
    let broken = app
        .request(Method::POST, "artifacts/")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nabc");
    assert_eq!(app.send(broken).await.status, 400);
    let nameless = app
        .request(Method::POST, "artifacts/")
        .header("content-type", "multipart/form-data")
        .body("abc");
    assert!([400, 415].contains(&app.send(nameless).await.status.as_u16()));
    // An upload that is given up clears away behind its answer.
    eventually(Duration::from_secs(10), async || {
        let now = tables(&app.sql).await;
        holds(now == before, || now.clone())
    })
    .await;
    eventually(Duration::from_secs(10), async || {
        let files = files_below(&app.media());
        holds(files.is_empty(), || format!("{files:?}"))
    })
    .await;
}
