//! Units whose file a task fetches from an address.

use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use millrace_tests::upstream::{Reply, Upstream, sha256};
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

fn form(fields: &[(&str, &str)]) -> Form {
    let text = |form: Form, (name, value): &(&str, &str)| {
        form.text((*name).to_owned(), (*value).to_owned())
    };
    fields.iter().fold(Form::new(), text)
}

async fn create(app: &TestApp, fields: &[(&str, &str)]) -> Answer {
    let request = app.request(Method::POST, "content/file/files/");
    app.send(request.multipart(form(fields))).await
}

#[tokio::test]
async fn a_task_fetches_the_file_and_makes_the_unit() {
    let app = TestApp::with_workers(1).await;
    let upstream = Upstream::start().await;
    let login = "Basic dTpodXNo".to_owned();
    upstream.script(
        "/f",
        [Reply::Needs(
            "authorization".into(),
            login,
            b"text".to_vec(),
        )],
    );
    let repository = app.repository("a").await;
    let url = upstream.url("/f");
    let repository = repository["pulp_href"].as_str().unwrap();
    let config = json!({"username": "u", "password": "hush"}).to_string();
    let fields = [
        ("relative_path", "p"),
        ("file_url", url.as_str()),
        ("repository", repository),
        ("downloader_config", config.as_str()),
    ];
    let task = create(&app, &fields).await.task();
    let task = app.completed(&task).await;
    assert_eq!(task["result"]["sha256"], sha256(b"text"));
    assert_eq!(task["created_resources"].as_array().unwrap().len(), 2);
    assert!(!task.to_string().contains("hush"));
    let task = create(&app, &fields[..2]).await.task();
    let task = app.finished(&task).await;
    let text = task["error"]["description"].as_str().unwrap();
    assert_eq!(text, format!("401 Unauthorized, url='{url}'"));
    app.finish().await;
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused_by_field() {
    let app = TestApp::start().await;
    let of = |pairs: &[(&str, &str)]| {
        let mut all = vec![("relative_path", "p")];
        all.extend(pairs);
        all.into_iter()
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect::<Vec<_>>()
    };
    let exactly = "Exactly one of 'artifact', 'file', 'file_url', 'upload' must be specified.";
    for (fields, field, message) in [
        (of(&[("file_url", "x")]), "file_url", "Enter a valid URL."),
        (
            of(&[("file_url", "file:///etc/passwd")]),
            "file_url",
            "The path '/etc/passwd' does not start with any of the allowed import paths",
        ),
        (
            of(&[
                ("file_url", "http://h/"),
                ("downloader_config", "{\"x\": 1}"),
            ]),
            "downloader_config",
            "x: Unexpected field",
        ),
        (
            of(&[("downloader_config", "{}")]),
            "non_field_errors",
            exactly,
        ),
        (
            of(&[("file_url", "http://h/"), ("artifact", "/x/")]),
            "non_field_errors",
            exactly,
        ),
    ] {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let error = create(&app, &fields).await.expect(400);
        assert_eq!(error[field], json!([message]), "{fields:?}");
    }
    let fields = [("relative_path", "p"), ("file_url", "http://h/")];
    let at_once = app
        .request(Method::POST, "content/file/files/upload/")
        .multipart(form(&fields));
    let error: Value = app.send(at_once).await.expect(400);
    assert!(
        error["file_url"][0]
            .as_str()
            .unwrap()
            .contains("content/file/files/"),
        "{error}"
    );
}
