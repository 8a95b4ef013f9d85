//! Packages, and the repositories that hold them.

mod paths;
mod refusals;
mod repositories;
mod temporary;
mod units;

use millrace_tests::TestApp;
use millrace_tests::app::files_below;
use millrace_tests::client::Answer;
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

const PACKAGES: &str = "content/rpm/packages/";

fn href(object: &Value) -> String {
    object["pulp_href"].as_str().unwrap().to_owned()
}

/// Posts the file of a package, with these fields beside it.
async fn post(app: &TestApp, bytes: &[u8], fields: &[(&str, &str)]) -> Answer {
    let part = Part::bytes(bytes.to_vec()).file_name("a.rpm");
    let form = Form::new().part("file", part);
    let form = fields.iter().fold(form, |form, (name, value)| {
        form.text((*name).to_owned(), (*value).to_owned())
    });
    let request = app.request(Method::POST, PACKAGES);
    app.send(request.multipart(form)).await
}

/// Makes a unit of a package and waits for it; gives the task.
async fn finished(app: &TestApp, bytes: &[u8], fields: &[(&str, &str)]) -> Value {
    let task = post(app, bytes, fields).await.task();
    app.finished(&task).await
}

/// The unit that a task made, which must have completed.
async fn unit_of(app: &TestApp, task: &Value) -> Value {
    assert_eq!(task["state"], "completed", "{task:#}");
    let made = task["created_resources"].as_array().unwrap();
    app.get(made.last().unwrap().as_str().unwrap())
        .await
        .expect(200)
}

/// Makes a unit of a package; gives it.
async fn unit(app: &TestApp, bytes: &[u8], fields: &[(&str, &str)]) -> Value {
    let task = finished(app, bytes, fields).await;
    unit_of(app, &task).await
}

/// Makes a repository of packages; gives it.
async fn repository(app: &TestApp, name: &str) -> Value {
    app.post("repositories/rpm/rpm/", &json!({"name": name}))
        .await
        .expect(201)
}

/// Soon there are so many files, all of artifacts, and nothing is on its way.
async fn files_are(app: &TestApp, count: usize) {
    eventually(Duration::from_secs(60), async || {
        let files = files_below(&app.media()).len();
        let left = app
            .sql
            .texts(
                "SELECT 'tombstone ' || storage_key FROM tombstone \
                 UNION ALL SELECT 'intent ' || storage_key FROM intent \
                 UNION ALL SELECT 'temporary ' || storage_key FROM temporary_file",
            )
            .await;
        holds(files == count && left.is_empty(), || {
            format!("{files} files, not {count}; {left:?}")
        })
    })
    .await;
    let artifacts = app.sql.number("SELECT count(*) FROM artifact").await;
    assert_eq!(artifacts, i64::try_from(count).unwrap(), "artifacts");
}
