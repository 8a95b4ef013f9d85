//! Units that are made from uploads.

use super::{begin, bytes, files_are, href, nothing_of_uploads, put, sha256};
use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

pub(super) async fn create(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form = fields.iter().fold(Form::new(), |form, (name, value)| {
        form.text((*name).to_owned(), (*value).to_owned())
    });
    app.send(app.request(Method::POST, path).multipart(form))
        .await
}

#[tokio::test]
async fn a_unit_is_made_from_an_upload_with_and_without_a_repository() {
    let app = TestApp::with_workers(1).await;
    let zoo = href(&app.repository("zoo").await);
    let (one, two) = (bytes(40), bytes(50));
    let first = begin(&app, one.len()).await;
    put(&app, &first, &one, 0, 15).await.expect(200);
    put(&app, &first, &one, 15, 40).await.expect(200);
    let fields = [("relative_path", "one"), ("upload", first.as_str())];
    let task = create(&app, "content/file/files/", &fields).await.task();
    let task = app.completed(&task).await;
    assert_eq!(task["result"]["sha256"], sha256(&one));
    let made = task["created_resources"].as_array().unwrap();
    assert_eq!(made.len(), 1, "{task:#}");

    let second = begin(&app, two.len()).await;
    put(&app, &second, &two, 0, 50).await.expect(200);
    let prn = app.get(&second).await.expect(200)["prn"].clone();
    let fields = [
        ("relative_path", "two"),
        ("upload", prn.as_str().unwrap()),
        ("repository", &zoo),
    ];
    let task = create(&app, "content/file/files/", &fields).await.task();
    let task = app.completed(&task).await;
    let reserved = &task["reserved_resources_record"];
    assert!(reserved.as_array().unwrap().contains(&prn), "{reserved}");
    let version = app.get(&format!("{zoo}versions/1/")).await.expect(200);
    assert_eq!(
        version["content_summary"]["present"]["file.file"]["count"],
        1
    );
    let unit = app
        .get(task["created_resources"][1].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(unit["sha256"], sha256(&two));
    files_are(&app, 2).await;
    nothing_of_uploads(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn an_upload_that_cannot_be_the_source_is_refused_by_name() {
    let app = TestApp::start().await;
    let upload = begin(&app, 3).await;
    let artifact = app.upload(b"abc".to_vec()).await;
    let gone = format!("/pulp/api/v3/uploads/{}/", uuid::Uuid::now_v7());
    let artifact = href(&artifact);
    let both: &[_] = &[("upload", upload.as_str()), ("artifact", artifact.as_str())];
    for (fields, field) in [
        (&[("upload", gone.as_str())][..], "upload"),
        (&[("upload", artifact.as_str())], "upload"),
        (&[("upload", "x")], "upload"),
        (both, "non_field_errors"),
        (&[], "non_field_errors"),
    ] {
        let fields = [&[("relative_path", "f")], fields].concat();
        let refused = create(&app, "content/file/files/", &fields)
            .await
            .expect(400);
        assert!(refused[field].is_array(), "{field}: {refused}");
        if field == "non_field_errors" {
            let message =
                "Exactly one of 'artifact', 'file', 'file_url', 'upload' must be specified.";
            assert_eq!(refused[field][0], message);
        }
    }
    let form = Form::new()
        .text("relative_path", "f")
        .text("upload", upload.clone())
        .part("file", Part::text("abc").file_name("f"));
    let request = app.request(Method::POST, "content/file/files/");
    let refused = app.send(request.multipart(form)).await.expect(400);
    assert!(refused["non_field_errors"].is_array(), "{refused}");
    // What is made at once is made of what is there already.
    let fields = [("relative_path", "f"), ("upload", upload.as_str())];
    let refused = create(&app, "content/file/files/upload/", &fields)
        .await
        .expect(400);
    assert!(refused["upload"].is_array(), "{refused}");
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn an_incomplete_upload_makes_no_unit_and_is_kept() {
    let app = TestApp::with_workers(1).await;
    let zoo = href(&app.repository("zoo").await);
    let file = bytes(40);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 0, 15).await.expect(200);
    let fields = [
        ("relative_path", "f"),
        ("upload", upload.as_str()),
        ("repository", zoo.as_str()),
    ];
    let task = create(&app, "content/file/files/", &fields).await.task();
    let task: Value = app.finished(&task).await;
    assert_eq!(task["state"], "failed");
    assert_eq!(
        task["error"]["description"],
        "The upload is not complete: bytes 15-39 are missing."
    );
    app.get(&upload).await.expect(200);
    assert_eq!(app.get("content/").await.expect(200)["count"], 0);
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn an_upload_outlives_a_unit_that_may_not_be_added() {
    let app = TestApp::with_workers(1).await;
    let zoo = href(&app.repository("zoo").await);
    let (one, two) = (bytes(40), bytes(50));
    let first = begin(&app, one.len()).await;
    put(&app, &first, &one, 0, 40).await.expect(200);
    let second = begin(&app, two.len()).await;
    put(&app, &second, &two, 0, 50).await.expect(200);
    let add = async |upload: &str, path: &str, overwrite: &str| {
        let fields = [
            ("relative_path", path),
            ("upload", upload),
            ("repository", zoo.as_str()),
            ("overwrite", overwrite),
        ];
        let task = create(&app, "content/file/files/", &fields).await.task();
        app.finished(&task).await
    };
    let task = add(&first, "a", "false").await;
    assert_eq!(task["state"], "completed", "{task:#}");
    let task = add(&second, "a", "false").await;
    assert_eq!(task["state"], "failed", "{task:#}");
    assert!(task["error"].to_string().contains("PLP0023"), "{task:#}");
    app.get(&second).await.expect(200);
    let task = add(&second, "a/b", "true").await;
    assert!(
        task["error"].to_string().contains("Path errors found"),
        "{task:#}"
    );
    app.get(&second).await.expect(200);
    let task = add(&second, "a", "true").await;
    assert_eq!(task["state"], "completed", "{task:#}");
    nothing_of_uploads(&app).await;
    files_are(&app, 2).await;
    app.finish().await;
}
