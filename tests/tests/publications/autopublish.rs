//! Repositories that publish every version.

use super::{LIST, href, line, manifest};
use millrace_tests::TestApp;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

async fn press(app: &TestApp, body: Value) -> Value {
    app.post("repositories/file/file/", &body).await.expect(201)
}

#[tokio::test]
async fn every_version_comes_with_its_publication() {
    let app = TestApp::with_workers(1).await;
    let body = json!({"name": "press", "autopublish": true, "manifest": "LIST"});
    let repository = press(&app, body).await;
    assert_eq!(app.hrefs(LIST).await, Vec::<String>::new());
    let unit = app.unit("a", "one").await;
    let task = app
        .modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    let published = app.get(LIST).await.expect(200)["results"][0].clone();
    let version = format!("{}versions/1/", href(&repository));
    assert_eq!(
        task["created_resources"],
        json!([version, href(&published)])
    );
    assert_eq!(published["repository_version"], version);
    assert_eq!(published["manifest"], "LIST");
    assert_eq!(manifest(&app, &published, "LIST").await, [line("a", "one")]);

    // Without a version there is none.
    let task = app.modify(&repository, &[unit], &[]).await;
    assert_eq!(task["created_resources"], json!([]));
    assert_eq!(app.hrefs(LIST).await.len(), 1);

    let artifact = app.upload(b"two".to_vec()).await;
    let form = Form::new()
        .text("artifact", href(&artifact).to_owned())
        .text("relative_path", "b")
        .text("repository", href(&repository).to_owned());
    let request = app.request(Method::POST, "content/file/files/");
    let task = app.send(request.multipart(form)).await.task();
    let task = app.completed(&task).await;
    let published = app.get(LIST).await.expect(200)["results"][0].clone();
    assert_eq!(
        task["created_resources"],
        json!([
            format!("{}versions/2/", href(&repository)),
            href(&published),
            task["result"]["pulp_href"]
        ])
    );
    let expected = [line("b", "two"), line("a", "one")];
    assert_eq!(manifest(&app, &published, "LIST").await, expected);
    app.finish().await;
}

#[tokio::test]
async fn a_version_that_cannot_be_published_is_not_made() {
    let app = TestApp::with_workers(1).await;
    let repository = press(&app, json!({"name": "press", "autopublish": true})).await;
    let unit = app.unit("away", "one").await;
    app.sql
        .run("UPDATE content_artifact SET artifact_id = NULL")
        .await;
    let path = format!("{}modify/", href(&repository));
    let task = app
        .post(&path, &json!({"add_content_units": [unit]}))
        .await
        .task();
    let task = app.finished(&task).await;
    let text = task["error"]["description"].as_str().unwrap();
    assert!(text.contains("'away' cannot be published"), "{task:#}");
    let shown = app.get(href(&repository)).await.expect(200);
    let first = format!("{}versions/0/", href(&repository));
    assert_eq!(shown["latest_version_href"], first);
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM repository_content")
            .await,
        0
    );
    app.finish().await;
}
