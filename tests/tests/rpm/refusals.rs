//! Files that are no packages, and requests that make no sense.

use super::{PACKAGES, files_are, finished, href, post, repository};
use millrace_tests::TestApp;
use millrace_tests::packages::Recipe;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

#[tokio::test]
async fn a_file_that_is_no_whole_package_is_refused_and_nothing_stays_of_it() {
    let app = TestApp::with_workers(1).await;
    let good = Recipe::new("gwt", "1").build();
    let mut changed = good.clone();
    let last = changed.len() - 200;
    changed[last] ^= 1;
    let mut header = good.clone();
    let name = good.windows(4).position(|bytes| bytes == b"gwt\0").unwrap();
    let name = name
        + 1
        + good[name + 1..]
            .windows(4)
            .position(|b| b == b"gwt\0")
            .unwrap();
    header[name] = b'h';
    for (what, bytes, said) in [
        (
            "text",
            b"Not a package.".to_vec(),
            "The file is no RPM package.",
        ),
        ("nothing", Vec::new(), "The file is no RPM package."),
        ("a lead", good[..96].to_vec(), "96 bytes are not its whole"),
        (
            "half a header",
            good[..1000].to_vec(),
            "1000 bytes are not its whole",
        ),
        (
            "half a payload",
            good[..last].to_vec(),
            "bytes are not its whole",
        ),
        (
            "another payload",
            changed,
            "its payload is not what its header says",
        ),
        ("another name", header, "The RPM package is damaged: "),
        (
            "sources",
            Recipe::new("gwt", "1").build_source(),
            "gwt-1-1.fc16 is a source package",
        ),
    ] {
        let task = finished(&app, &bytes, &[]).await;
        assert_eq!(task["state"], "failed", "{what}");
        let error = task["error"]["description"].as_str().unwrap();
        assert!(error.contains(said), "{what}: {error}");
    }
    files_are(&app, 0).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn an_upload_that_is_no_package_stays_an_upload() {
    let app = TestApp::with_workers(1).await;
    let upload = json!({"size": 4});
    let upload = href(&app.post("uploads/", &upload).await.expect(201));
    let part = reqwest::multipart::Part::text("text").file_name("p");
    let request = app
        .request(Method::PUT, &upload)
        .header("Content-Range", "bytes 0-3/4");
    app.send(request.multipart(Form::new().part("file", part)))
        .await
        .expect(200);
    let request = app.request(Method::POST, PACKAGES);
    let form = Form::new().text("upload", upload.clone());
    let task = app.send(request.multipart(form)).await.task();
    let task = app.finished(&task).await;
    assert_eq!(task["error"]["description"], "The file is no RPM package.");
    app.get(&upload).await.expect(200);
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field_and_changes_nothing() {
    let app = TestApp::start().await;
    let package = Recipe::new("gwt", "1").build();
    let files = href(&app.repository("files").await);
    let zoo = href(&repository(&app, "zoo").await);
    let gone = format!(
        "/pulp/api/v3/repositories/rpm/rpm/{}/",
        uuid::Uuid::now_v7()
    );
    for (fields, field) in [
        (&[("relative_path", "a//b")][..], "relative_path"),
        (&[("repository", files.as_str())], "non_field_errors"),
        (&[("repository", gone.as_str())], "repository"),
        (&[("repository", "x")], "repository"),
        (&[("artifact", zoo.as_str())], "non_field_errors"),
        (&[("pulp_labels", "[]")], "pulp_labels"),
        (&[("overwrite", "maybe")], "overwrite"),
        (&[("file_url", "http://h/f")], "non_field_errors"),
        (&[("downloader_config", "{}")], "downloader_config"),
        (&[("odd", "1")], "odd"),
    ] {
        let refused = post(&app, &package, fields).await.expect(400);
        assert!(refused[field].is_array(), "{field}: {refused}");
    }
    let wrong = json!({"artifact": zoo});
    let wrong = app.request(Method::POST, PACKAGES).json(&wrong);
    let refused = app.send(wrong).await.expect(400);
    let message = "Invalid hyperlink - Incorrect URL match.";
    assert_eq!(refused, json!({"artifact": [message]}));
    let none = app
        .request(Method::POST, PACKAGES)
        .json(&json!({"relative_path": "a"}));
    let refused = app.send(none).await.expect(400);
    let message = "Exactly one of 'artifact', 'file', 'file_url', 'upload' must be specified.";
    assert_eq!(refused, json!({"non_field_errors": [message]}));
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = app.send(app.request(method, PACKAGES)).await;
        answer.expect(405);
    }
    let somebody = app.somebody().await;
    // Who may modify no repository at all is not asked for one.
    app.grant("somebody", "file.filerepository_owner", Some(&files))
        .await;
    let part = reqwest::multipart::Part::bytes(package).file_name("f");
    let request = somebody.request(Method::POST, PACKAGES);
    let refused = somebody
        .send(request.multipart(Form::new().part("file", part)))
        .await;
    let message = "Destination upload repository was not provided.";
    assert_eq!(refused.expect(400), json!([message]));
    for table in ["task", "content", "temporary_file", "artifact"] {
        let rows = format!("SELECT count(*) FROM {table}");
        assert_eq!(app.sql.number(&rows).await, 0, "{table}");
    }
    files_are(&app, 0).await;
    app.finish().await;
}

/// What somebody dispatches by name is checked by the same validator.
#[tokio::test]
async fn a_dispatch_by_name_names_the_fields_that_do_not_fit() {
    let app = TestApp::start().await;
    let id = uuid::Uuid::now_v7();
    let task = |kind: &str, data: Value| {
        json!({"name": "pulpcore.app.tasks.base.general_create",
               "args": ["rpm", kind, data]})
    };
    for (body, field, said) in [
        (
            task(
                "PackageSerializer",
                json!({"artifact": id, "odd": 1, "overwrite": "maybe"}),
            ),
            "data",
            &["odd", "overwrite"][..],
        ),
        (
            task("PackageSerializer", json!({})),
            "data",
            &["Exactly one of"],
        ),
        (
            task("OddSerializer", json!({})),
            "serializer_name",
            &["`OddSerializer`"],
        ),
        (
            json!({"name": "pulpcore.app.tasks.base.general_create_from_temp_file",
                   "args": ["rpm", "PackageSerializer", id, {"artifact": id}]}),
            "data",
            &["Exactly one of"],
        ),
    ] {
        let refused = app.post("tasks/", &body).await.expect(400);
        let text = refused[field][0].as_str().unwrap_or_default();
        for word in said {
            assert!(text.contains(word), "{word}: {refused}");
        }
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}
