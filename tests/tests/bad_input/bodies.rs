//! Bodies that are no JSON, the wrong JSON, too deep, too large, or of the wrong kind.

use super::{app, endpoints, tables};
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

#[tokio::test]
async fn fields_that_do_not_fit_are_refused_by_name_and_change_nothing() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    let nobody = "/pulp/api/v3/repositories/file/file/00000000-0000-0000-0000-000000000000/";
    for e in &endpoints {
        let method: Method = e.method.parse().unwrap();
        let refused = async |field: &str, value: Value| {
            let mut body = e.good.clone();
            body[field] = value;
            let text = body
                .to_string()
                .replace("\"HUGE\"", "123456789012345678901234567890");
            let request = app
                .request(method.clone(), &e.path)
                .header("content-type", "application/json")
                .body(text);
            let answer = app.send(request).await;
            let body = answer.json();
            assert_eq!(
                answer.status, 400,
                "{} {} {field}: {}",
                e.method, e.path, answer.text
            );
            assert!(
                body.get(field).is_some(),
                "{} {} does not name {field}: {body}",
                e.method,
                e.path
            );
        };
        let path = e.path.as_str();
        // A task that does not exist is a 404 whatever the body; its fields are tried on others.
        if !path.contains("/tasks/0") {
            refused("unknown_field", json!(1)).await;
        }
        match path {
            "tasks/purge/" => {
                for value in [json!(5), json!("soon"), json!("2020-13-45"), json!([])] {
                    refused("finished_before", value).await;
                }
                for value in [
                    json!(["running"]),
                    json!("completed"),
                    json!([7]),
                    json!(["completed\u{0}"]),
                ] {
                    refused("states", value).await;
                }
            }
            "orphans/cleanup/" => {
                for value in [json!(-1), json!("HUGE"), json!(1.5), json!("x"), json!([])] {
                    refused("orphan_protection_time", value).await;
                }
                for value in [
                    json!("x"),
                    json!(["x"]),
                    json!([7]),
                    json!([nobody]),
                    json!([null]),
                ] {
                    refused("content_hrefs", value).await;
                }
            }
            "repositories/file/file/" => {
                for value in [
                    json!(""),
                    Value::Null,
                    json!({}),
                    json!("a\u{0}b"),
                    json!("there"),
                ] {
                    refused("name", value).await;
                }
                for value in [
                    json!(0),
                    json!(-3),
                    json!("HUGE"),
                    json!(2_147_483_648_i64),
                    json!("x"),
                    json!(1.5),
                ] {
                    refused("retain_repo_versions", value).await;
                }
                for value in [
                    json!([]),
                    json!({"k": 7}),
                    json!({"k\u{0}": "v"}),
                    json!("x"),
                ] {
                    refused("pulp_labels", value).await;
                }
                refused("autopublish", json!("perhaps")).await;
                refused("description", json!({})).await;
            }
            _ if path.ends_with("modify/") => {
                for value in [
                    json!("x"),
                    json!([7]),
                    Value::Null,
                    json!(["x"]),
                    json!([nobody]),
                    json!([
                        "/pulp/api/v3/content/file/files/00000000-0000-0000-0000-000000000000/"
                    ]),
                ] {
                    refused("add_content_units", value).await;
                }
                refused("remove_content_units", json!(["*", nobody])).await;
                refused("base_version", json!(nobody)).await;
                refused("base_version", json!(7)).await;
            }
            _ => {}
        }
    }
    assert_eq!(tables(&app.sql).await, before);
}

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
    let zeros = "0".repeat(64);
    for (path, parts, status) in [
        ("artifacts/", vec![("nothing", "x")], 400),
        ("artifacts/", vec![("file", "abc"), ("sha256", "xyz")], 400),
        ("artifacts/", vec![("file", "abc"), ("sha256", &zeros)], 400),
        ("artifacts/", vec![("file", "abc"), ("size", "4")], 400),
        (
            "artifacts/",
            vec![("file", "abc"), ("size", "123456789012345678901234567890")],
            400,
        ),
        ("artifacts/", vec![("file", "abc"), ("unknown", "4")], 400),
        ("content/file/files/", vec![("file", "abc")], 400),
        ("content/file/files/", vec![("relative_path", "a")], 400),
        (
            "content/file/files/",
            vec![("file", "abc"), ("relative_path", "/absolute")],
            400,
        ),
        (
            "content/file/files/",
            vec![("file", "abc"), ("relative_path", "a\u{0}b")],
            400,
        ),
        (
            "content/file/files/",
            vec![
                ("artifact", "/pulp/api/v3/artifacts/0/"),
                ("relative_path", "a"),
            ],
            400,
        ),
        (
            "content/file/files/",
            vec![
                ("file", "abc"),
                ("relative_path", "a"),
                ("pulp_labels", "["),
            ],
            400,
        ),
        (
            "content/file/files/",
            vec![("file", "abc"), ("relative_path", "a"), ("repository", "x")],
            400,
        ),
    ] {
        let answer = app
            .send(app.request(Method::POST, path).multipart(form(&parts)))
            .await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{path} {parts:?}: {}",
            answer.text
        );
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
    assert_eq!(tables(&app.sql).await, before);
    millrace_tests::eventually(std::time::Duration::from_secs(10), async || {
        let files = millrace_tests::app::files_below(&app.media());
        millrace_tests::eventually::holds(files.is_empty(), || format!("{files:?}"))
    })
    .await;
}
