//! Remotes: where content comes from (contract 4.8).

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::upstream::Authority;
use reqwest::Method;
use serde_json::{Value, json};

const LIST: &str = "remotes/file/file/";

async fn made(app: &TestApp, body: Value) -> Value {
    app.post(LIST, &body).await.expect(201)
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

fn is_set(remote: &Value, field: &str) -> Value {
    let hidden = remote["hidden_fields"].as_array().unwrap();
    let found = hidden.iter().find(|one| one["name"] == field);
    found.unwrap()["is_set"].clone()
}

#[tokio::test]
async fn a_remote_is_made_shown_changed_and_deleted() {
    let app = TestApp::with_workers(1).await;
    let remote = made(&app, json!({"name": "r", "url": "http://h/PULP_MANIFEST"})).await;
    let id = id_of(href(&remote)).to_owned();
    assert_eq!(remote["prn"], format!("prn:file.fileremote:{id}"));
    assert_eq!(remote["policy"], "immediate");
    assert_eq!(remote["tls_validation"], true);
    assert_eq!(app.get(href(&remote)).await.expect(200), remote);
    let same = json!({"name": "r", "url": "http://h/PULP_MANIFEST"});
    assert_eq!(app.patch(href(&remote), &same).await.status, 200);
    let change = json!({"policy": "on_demand", "max_retries": 0, "total_timeout": 1.5,
                        "headers": [{"X-A": "b"}]});
    let task = app.patch(href(&remote), &change).await.task();
    let shown = app.completed(&task).await["result"].clone();
    assert_eq!(shown["policy"], "on_demand");
    assert_eq!(shown["total_timeout"], 1.5);
    assert_eq!(shown["headers"], json!([{"X-A": "b"}]));
    let put = app.request(Method::PUT, href(&remote)).json(&same);
    app.completed(&app.send(put).await.task()).await;
    let shown = app.get(href(&remote)).await.expect(200);
    assert_eq!(
        (&shown["policy"], &shown["max_retries"]),
        (&json!("immediate"), &json!(0))
    );
    let task = app.delete(href(&remote)).await.task();
    app.completed(&task).await;
    app.get(href(&remote)).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn secrets_are_stored_as_tokens_and_never_shown() {
    let mut app = TestApp::with_workers(1).await;
    let body = json!({"name": "r", "url": "http://h/", "username": " u ", "password": "hush",
                      "proxy_url": "http://p:1", "proxy_username": "pu", "proxy_password": "hush"});
    let remote = made(&app, body.clone()).await;
    assert!(!remote.to_string().contains("hush"), "{remote}");
    assert_eq!(is_set(&remote, "password"), true);
    assert_eq!(is_set(&remote, "client_key"), false);
    let stored = app.sql.text("SELECT password FROM remote").await;
    assert!(stored.starts_with("v1."), "{stored}");
    assert_eq!(app.patch(href(&remote), &body).await.status, 200);
    let task = app
        .patch(href(&remote), &json!({"password": "other"}))
        .await
        .task();
    assert!(!app.completed(&task).await.to_string().contains("other"));
    let task = app
        .patch(href(&remote), &json!({"username": null, "password": ""}))
        .await
        .task();
    let shown = app.completed(&task).await["result"].clone();
    assert_eq!(is_set(&shown, "password"), false);
    assert_eq!(is_set(&shown, "proxy_password"), true);
    // Listing does without the key; a secret that cannot be compared counts as changed.
    let key = app.dir().join("other-key");
    std::fs::write(&key, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    app.set("secrets.key_files", key.to_str().unwrap());
    app.api = None;
    app.workers.clear();
    app.start_api().await;
    let listed = app.get("remotes/").await.expect(200);
    assert_eq!(is_set(&listed["results"][0], "proxy_password"), true);
    let same = json!({"proxy_password": "hush"});
    app.patch(href(&remote), &same).await.expect(202);
}

type Fault = (Value, &'static str, &'static str);

fn faults_of_addresses() -> Vec<Fault> {
    let with = "The remote url contains username or password. \
                Please use remote username or password instead.";
    vec![
        (json!({"name": "r"}), "url", "This field is required."),
        (
            json!({"url": "http://h/"}),
            "name",
            "This field is required.",
        ),
        (json!({"url": "http://u:p@h/"}), "url", with),
        (json!({"url": "http://u@h/"}), "url", with),
        (json!({"url": "nothing"}), "url", "Enter a valid URL."),
        (json!({"url": "ftp://h/"}), "url", "Enter a valid URL."),
        (
            json!({"url": "file://x/y"}),
            "url",
            "The path 'x/y' needs to be an absolute pathname.",
        ),
    ]
}

fn faults_of_values() -> Vec<Fault> {
    vec![
        (
            json!({"policy": "lazy"}),
            "policy",
            "\"lazy\" is not a valid choice.",
        ),
        (
            json!({"proxy_url": "http://u:p@h:1"}),
            "proxy_url",
            "proxy_url must not contain credentials",
        ),
        (
            json!({"proxy_username": "u", "proxy_password": "p"}),
            "non_field_errors",
            "proxy credentials cannot be specified without a proxy",
        ),
        (
            json!({"proxy_url": "http://h:1", "proxy_password": "p"}),
            "non_field_errors",
            "proxy username and password can only be specified together",
        ),
        (
            json!({"ca_cert": "a-string"}),
            "ca_cert",
            "No ca_cert specified in string 'a-string'",
        ),
        (
            json!({"client_cert": "x"}),
            "client_cert",
            "No client_cert specified in string 'x'",
        ),
        (
            json!({"max_retries": -1}),
            "max_retries",
            "Ensure this value is greater than or equal to 0.",
        ),
        (
            json!({"download_concurrency": 0}),
            "download_concurrency",
            "Ensure this value is greater than or equal to 1.",
        ),
        (
            json!({"total_timeout": -1}),
            "total_timeout",
            "Ensure this value is greater than or equal to 0.0.",
        ),
        (
            json!({"total_timeout": "x"}),
            "total_timeout",
            "A valid number is required.",
        ),
        (
            json!({"headers": {"a": "b"}}),
            "headers",
            "Expected a list of items.",
        ),
        (
            json!({"headers": [{"a b": "c"}]}),
            "headers",
            "`a b` is not a header with a value.",
        ),
        (
            json!({"tls_validation": "maybe"}),
            "tls_validation",
            "Must be a valid boolean.",
        ),
        (json!({"foo": 1}), "foo", "Unexpected field"),
    ]
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field_and_stores_nothing() {
    let mut app = TestApp::start().await;
    let allowed = app.dir().join("in");
    app.set("remotes.allowed_import_paths", allowed.to_str().unwrap());
    app.api = None;
    app.start_api().await;
    let (inside, outside) = (allowed.join("x"), app.dir().join("inner/x"));
    let elsewhere = (
        json!({"url": format!("file://{}", outside.display())}),
        "url",
        format!(
            "The path '{}' does not start with any of the allowed import paths",
            outside.display()
        ),
    );
    let faults = faults_of_addresses().into_iter().chain(faults_of_values());
    let faults = faults.map(|(body, field, message)| (body, field, message.to_owned()));
    for (body, field, message) in faults.chain([elsewhere]) {
        let mut whole = body.clone();
        let object = whole.as_object_mut().unwrap();
        if field != "url" || message != "This field is required." {
            object.entry("url").or_insert(json!("http://h/"));
        }
        if field != "name" {
            object.entry("name").or_insert(json!("r"));
        }
        let error = app.post(LIST, &whole).await.expect(400);
        assert_eq!(error[field], json!([message]), "{body}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM remote").await, 0);
    let url = format!("FILE://{}", inside.display());
    made(&app, json!({"name": "r", "url": url})).await;
    let error = app
        .post(LIST, &json!({"name": "r", "url": "http://h/"}))
        .await
        .expect(400);
    assert_eq!(error["name"], json!(["This field must be unique."]));
}

#[tokio::test]
async fn certificates_lose_their_comments() {
    let app = TestApp::start().await;
    let pem = Authority::new().certificate();
    let text = format!("# ours\n{pem}\nSubject: x\n{pem}");
    let remote = made(
        &app,
        json!({"name": "r", "url": "https://h/", "ca_cert": text}),
    )
    .await;
    let shown = remote["ca_cert"].as_str().unwrap().replace('\r', "");
    assert!(
        !shown.contains("ours") && !shown.contains("Subject"),
        "{shown}"
    );
    assert_eq!(shown.matches("BEGIN CERTIFICATE").count(), 2);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let body = json!({"name": "s", "url": "https://h/", "ca_cert": broken});
    let error = app.post(LIST, &body).await.expect(400);
    let text = error["ca_cert"][0].as_str().unwrap();
    assert!(
        text.starts_with("Invalid ca_cert specified, error "),
        "{text}"
    );
}

#[tokio::test]
async fn remotes_are_found_by_name_label_type_and_reference() {
    let app = TestApp::start().await;
    let a = made(
        &app,
        json!({"name": "aa", "url": "http://h/", "pulp_labels": {"k": "v"}}),
    )
    .await;
    let b = made(&app, json!({"name": "ab", "url": "http://h/"})).await;
    let (a, b) = (href(&a).to_owned(), href(&b).to_owned());
    for (list, found) in [
        ("remotes/file/file/?name=aa".to_owned(), vec![&a]),
        (
            "remotes/file/file/?name__contains=a&ordering=name".into(),
            vec![&a, &b],
        ),
        ("remotes/?pulp_label_select=k%3Dv".into(), vec![&a]),
        (
            "remotes/?pulp_type=file.file&ordering=-name".into(),
            vec![&b, &a],
        ),
        (
            format!("remotes/?prn__in=prn:file.fileremote:{}", id_of(&b)),
            vec![&b],
        ),
        ("remotes/?q=name%3Dab%20OR%20name%3Dzz".into(), vec![&b]),
    ] {
        assert_eq!(
            app.hrefs(&list).await,
            found.into_iter().cloned().collect::<Vec<_>>(),
            "{list}"
        );
    }
    app.get("remotes/?pulp_type=x.y").await.expect(400);
    app.get("remotes/file/file/?pulp_type=file.file")
        .await
        .expect(400);
    let label = json!({"key": "l", "value": "w"});
    app.post(&format!("{b}set_label/"), &label)
        .await
        .expect(201);
    assert_eq!(
        app.hrefs("remotes/?pulp_label_select=l").await,
        std::slice::from_ref(&b)
    );
    app.post(&format!("{b}unset_label/"), &json!({"key": "l"}))
        .await
        .expect(201);
    app.post(&format!("{b}unset_label/"), &json!({"key": "l"}))
        .await
        .expect(400);
}

#[tokio::test]
async fn a_repository_names_its_remote_until_that_is_gone() {
    let app = TestApp::with_workers(1).await;
    let remote = made(&app, json!({"name": "r", "url": "http://h/"})).await;
    let body = json!({"name": "a", "remote": href(&remote)});
    let repository = app.post("repositories/file/file/", &body).await.expect(201);
    assert_eq!(repository["remote"], href(&remote));
    assert_eq!(repository["last_sync_details"], json!({}));
    let other = app.repository("b").await;
    let body = json!({"remote": remote["prn"]});
    let task = app.patch(href(&other), &body).await.task();
    assert_eq!(
        app.completed(&task).await["result"]["remote"],
        href(&remote)
    );
    assert_eq!(app.patch(href(&other), &body).await.status, 200);
    let task = app
        .patch(href(&other), &json!({"remote": null}))
        .await
        .task();
    app.completed(&task).await;
    for (filter, found) in [
        (href(&remote).to_owned(), href(&repository)),
        ("null".into(), href(&other)),
        (String::new(), href(&other)),
    ] {
        for list in ["repositories/", "repositories/file/file/"] {
            let hrefs = app.hrefs(&format!("{list}?remote={filter}")).await;
            assert_eq!(hrefs, [found], "{list} {filter}");
        }
    }
    for (reference, message) in [
        (json!("nothing"), "Invalid hyperlink - No URL match."),
        (
            repository["pulp_href"].clone(),
            "Invalid hyperlink - Incorrect URL match.",
        ),
        (
            json!("prn:file.fileremote:0199e6a0-0000-7000-8000-000000000001"),
            "Invalid hyperlink - Object does not exist.",
        ),
        (json!(5), "Invalid hyperlink - Object does not exist."),
    ] {
        let error = app
            .patch(href(&other), &json!({"remote": reference}))
            .await
            .expect(400);
        assert_eq!(error["remote"], json!([message]));
    }
    let task = app.delete(href(&remote)).await.task();
    app.completed(&task).await;
    let shown = app.get(href(&repository)).await.expect(200);
    assert_eq!(shown["remote"], Value::Null);
    app.finish().await;
}
