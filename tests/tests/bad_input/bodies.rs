//! Bodies that are no JSON, the wrong JSON, too deep, too large, or of the wrong kind.

use super::{Taking, app, endpoints, tables};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

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

fn of_schedule() -> Vec<(&'static str, Vec<Value>)> {
    let nul = json!("a\u{0}b");
    vec![
        ("name", vec![Value::Null, json!(""), json!([]), nul.clone()]),
        ("task_name", vec![Value::Null, json!("x"), nul]),
        ("task_args", vec![json!("x"), json!(["HUGE"]), json!([1])]),
        ("task_kwargs", vec![json!([]), json!({"x": 1})]),
        ("dispatch_interval", vec![json!("x"), json!(5)]),
        ("next_dispatch", vec![json!("x"), json!(5)]),
        ("deadline_seconds", vec![json!("HUGE"), json!(0)]),
    ]
}

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
        "task-schedules/" => of_schedule(),
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
        "repositories/file/file/" => of_repository(json!("there")),
        "tasks/" => of_dispatch(),
        "uploads/" => vec![("size", vec![Value::Null, json!(-1), json!(1.5), json!([])])],
        _ if path.ends_with("commit/") => vec![("sha256", vec![json!(""), json!([]), nul])],
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
            ("base_version", vec![json!(NOBODY), json!(7), json!("x")]),
            ("overwrite", vec![json!("perhaps"), json!([])]),
        ],
        _ if path.ends_with("unset_label/") => vec![(
            "key",
            vec![Value::Null, json!(""), json!([]), nul, json!("missing")],
        )],
        _ if path.ends_with("set_label/") => vec![
            ("key", vec![Value::Null, json!(""), json!({}), nul.clone()]),
            ("value", vec![json!([]), json!({}), nul]),
        ],
        _ if path.contains("/repositories/file/file/") => of_repository(json!("taken")),
        _ if path.contains("/tasks/") || path.contains("/task-groups/") => vec![(
            "state",
            vec![
                Value::Null,
                json!("running"),
                json!("Canceled"),
                json!(""),
                json!(7),
                json!(["canceled"]),
                json!("canceled\u{0}"),
            ],
        )],
        _ => unreachable!("{path}"),
    }
}

/// For making a repository, and for changing one.
fn of_repository(taken: Value) -> Vec<(&'static str, Vec<Value>)> {
    let nul = json!("a\u{0}b");
    vec![
        (
            "name",
            vec![json!(""), Value::Null, json!({}), nul.clone(), taken],
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
                json!({"k": "a\u{0}b"}),
                json!({"a/b": "v"}),
                json!({"k": "(v)"}),
                json!("x"),
            ],
        ),
        (
            "autopublish",
            vec![json!("perhaps"), Value::Null, json!([])],
        ),
        ("description", vec![json!({}), nul.clone()]),
        ("manifest", vec![json!([]), nul]),
        ("remote", vec![json!("x"), json!(NOBODY)]),
    ]
}

/// For dispatching a task; `task_requests` has more of them.
fn of_dispatch() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "name",
            vec![
                Value::Null,
                json!(""),
                json!(7),
                json!("no.such.task"),
                json!("a\u{0}b"),
            ],
        ),
        ("args", vec![json!({}), json!("x"), json!([1])]),
        ("kwargs", vec![json!([]), json!({"odd": 1})]),
        (
            "exclusive_resources",
            vec![
                json!("x"),
                json!([""]),
                json!([null]),
                json!(["shared:x"]),
                json!(["a\u{0}b"]),
            ],
        ),
        ("shared_resources", vec![json!({}), json!([7]), json!([""])]),
        ("task_group", vec![json!("x"), json!(NOBODY), json!(7)]),
        ("immediate", vec![json!("perhaps"), json!([])]),
        ("deferred", vec![json!("perhaps"), json!(false)]),
        ("versions", vec![json!([]), json!({"core": 7})]),
    ]
}

#[tokio::test]
async fn fields_that_do_not_fit_are_refused_by_name_and_change_nothing() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    for e in &endpoints {
        let mut wrong = unfit(&e.path);
        wrong.push(("unknown_field", vec![json!(1)]));
        for (field, values) in wrong {
            for value in values {
                refused(&app, e, field, &value).await;
            }
        }
    }
    // What a task would write into its row some day.
    let failing = Taking {
        method: "POST",
        path: "tasks/".to_owned(),
        good: json!({"name": "pulpcore.app.tasks.test.failing_task"}),
    };
    refused(&app, &failing, "args", &json!(["a\u{0}b"])).await;
    let named = json!({"error_message": "a\u{0}b"});
    refused(&app, &failing, "kwargs", &named).await;
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
    // Arguments are named together, however they were given.
    let named = body.get(field).is_some()
        || (value == "HUGE" && body.get("detail").is_some())
        || (field == "args" && body.get("kwargs").is_some());
    assert!(
        named,
        "{} {} does not name {field}: {body}",
        e.method, e.path
    );
}
