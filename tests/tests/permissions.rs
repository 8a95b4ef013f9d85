//! What somebody who is no administrator sees and may do: by the roles that he holds.

mod content;
mod objects;
mod roles;
mod tasks;
mod walk;

use millrace_tests::TestApp;
use millrace_tests::client::Client;
use serde_json::{Value, json};

const REPOSITORIES: &str = "repositories/file/file/";
const REMOTES: &str = "remotes/file/file/";
const PUBLICATIONS: &str = "publications/file/file/";
const DISTRIBUTIONS: &str = "distributions/file/file/";

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

async fn remote(client: &Client, name: &str) -> Value {
    let body = json!({"name": name, "url": "http://localhost/PULP_MANIFEST"});
    client.post(REMOTES, &body).await.expect(201)
}

/// What somebody without a role is told of every address of an object.
async fn is_hidden(client: &Client, list: &str, object: &str) {
    assert_eq!(client.hrefs(list).await, Vec::<String>::new(), "{list}");
    let answer = client.get(object).await.expect(404);
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.ends_with(" matches the given query."), "{detail}");
}

async fn published(app: &TestApp, repository: &str) -> String {
    let body = json!({"repository": repository});
    let task = app.post(PUBLICATIONS, &body).await.task();
    let task = app.completed(&task).await;
    task["created_resources"][0].as_str().unwrap().to_owned()
}
