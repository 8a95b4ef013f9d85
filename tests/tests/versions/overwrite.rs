//! `overwrite=false`: what would take another unit's place is refused.

use super::Zoo;
use super::sets::{href, newest, numbers};
use millrace_tests::client::id_of;
use serde_json::{Value, json};

fn assert_refused(task: &Value, incoming: &str, existing: &str) {
    assert_eq!(task["state"], "failed", "{task:#}");
    assert_eq!(task["error"]["error_code"], "PLP0023");
    let pair = format!("{}->{}", id_of(incoming), id_of(existing));
    let text = format!(
        "[PLP0023] Content overwrite rejected: new content of type 'file.file' would overwrite 1 \
         existing content unit(s) in the repository with the same unique key. Conflicting content \
         (incoming->existing): [{pair}]"
    );
    assert_eq!(task["error"]["description"], text);
    assert_eq!(task["created_resources"], json!([]));
}

#[tokio::test]
async fn what_would_take_a_place_is_refused_where_that_is_not_wanted() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    let newer = &zoo.app.unit("a", "newer").await;
    let with = |mut body: Value| {
        body["overwrite"] = json!(false);
        body
    };
    let task = zoo
        .modify(with(json!({"add_content_units": [newer, c]})))
        .await;
    assert_refused(&task, newer, a);
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1]);

    // Neither the unit itself is in the way, nor one that is about to go.
    let body = with(json!({"add_content_units": [a, c]}));
    zoo.made(body, 2, &[a, b, c], (1, 0)).await;
    let body = with(json!({"add_content_units": [newer], "remove_content_units": [a]}));
    zoo.made(body, 3, &[newer, b, c], (1, 1)).await;
    let body = with(json!({"add_content_units": [a], "remove_content_units": ["*"]}));
    zoo.made(body, 4, &[a], (1, 3)).await;

    // The base version counts, where there is one: 3 holds the newer one, the newest does not.
    let body = with(json!({"base_version": zoo.version(3), "add_content_units": [a]}));
    assert_refused(&zoo.modify(body).await, a, newer);
    let body = with(json!({"base_version": zoo.version(0), "add_content_units": [newer]}));
    zoo.made(body, 5, &[newer], (1, 1)).await;
    // A star takes what the newest version holds, so `a` of version 2 stays in the way.
    let body = with(
        json!({"base_version": zoo.version(2), "add_content_units": [newer],
                           "remove_content_units": ["*"]}),
    );
    assert_refused(&zoo.modify(body).await, newer, a);
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_unit_made_in_a_repository_may_be_refused_a_place_too() {
    let zoo = Zoo::open().await;
    let artifact = zoo.app.upload(b"newer".to_vec()).await;
    let newer = zoo.app.file(&artifact, "a").await;
    let create = async |overwrite: &str| {
        let form = reqwest::multipart::Form::new()
            .text("artifact", href(&artifact).to_owned())
            .text("relative_path", "a")
            .text("overwrite", overwrite.to_owned())
            .text("repository", href(&zoo.repository).to_owned());
        let request = zoo
            .app
            .request(reqwest::Method::POST, "content/file/files/");
        let task = zoo.app.send(request.multipart(form)).await.task();
        zoo.app.finished(&task).await
    };
    assert_refused(&create("false").await, &newer, &zoo.a);
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1]);
    let task = create("true").await;
    assert_eq!(task["created_resources"], json!([zoo.version(2), newer]));
    let counts = newest(&zoo.app, &zoo.repository).await.counts();
    assert_eq!(counts, (1, 1, 2));
    zoo.app.finish().await;
}
