//! What the contract says of the corners of requests.

mod bodies;
mod changes;
mod lists;

use millrace_tests::TestApp;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::Value;

/// Makes a file unit at once; gives its href.
async fn unit(app: &TestApp, path: &str) -> String {
    let artifact = app.upload(path.as_bytes().to_vec()).await;
    let form = Form::new()
        .text("artifact", href(&artifact).to_owned())
        .text("relative_path", path.to_owned());
    let request = app.request(Method::POST, "content/file/files/upload/");
    let unit = app.send(request.multipart(form)).await.expect(201);
    href(&unit).to_owned()
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// The hrefs of a list, in its order.
async fn hrefs(app: &TestApp, list: &str) -> Vec<String> {
    let page = app.get(list).await.expect(200);
    let results = page["results"].as_array().unwrap();
    results.iter().map(|one| href(one).to_owned()).collect()
}
