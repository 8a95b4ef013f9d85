//! What bodies may say, and who may send them.

use super::{href, unit};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_unit_is_made_from_json_as_from_a_form() {
    let app = TestApp::with_workers(1).await;
    let artifact = app.upload(b"x".to_vec()).await;
    let body =
        json!({"relative_path": "a/b", "artifact": href(&artifact), "pulp_labels": {"k": "v"}});
    let task = app.post("content/file/files/", &body).await.task();
    let task = app.completed(&task).await;
    assert_eq!(task["result"]["relative_path"], "a/b");
    assert_eq!(task["result"]["pulp_labels"], json!({"k": "v"}));
    let body = json!({"relative_path": "a/b", "file": "x"});
    let refusal = app.post("content/file/files/", &body).await.expect(400);
    assert_eq!(refusal["file"][0], "Unexpected field");
    app.post("content/file/files/", &json!([]))
        .await
        .expect(400);
    app.finish().await;
}

#[tokio::test]
async fn who_may_not_ask_is_told_so_before_what_is_wrong_with_the_body() {
    let app = TestApp::start().await;
    app.sql
        .run("INSERT INTO account (username, password) SELECT 'somebody', password FROM account WHERE username = 'admin'")
        .await;
    for path in ["tasks/", "orphans/cleanup/", "artifacts/"] {
        for body in ["{", "[]", "{\"nothing\": 1}"] {
            let request = app
                .anonymous(Method::POST, path)
                .basic_auth("somebody", Some("test-password"))
                .header("content-type", "application/json")
                .body(body);
            app.send(request).await.expect(403);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn texts_that_no_index_holds_are_refused_by_field() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    // Hex of random bytes shrinks by a half at most.
    let long: String = app.sql.text("SELECT string_agg(encode(sha512(n::text::bytea), 'hex'), '') FROM generate_series(1, 128) n").await;
    let body = json!({"name": long});
    let refusal = app.post("repositories/file/file/", &body).await;
    assert!(
        refusal.expect(400)["name"][0]
            .as_str()
            .unwrap()
            .contains("2000 bytes")
    );
    assert!(app.patch(href(&repository), &body).await.expect(400)["name"].is_array());
    let fits = json!({"name": &long[..2000], "pulp_labels": {&long[..8000]: &long}});
    app.post("repositories/file/file/", &fits).await.expect(201);
    app.finish().await;
}

#[tokio::test]
async fn units_under_an_address_of_another_type_are_refused() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let unit = unit(&app, "a").await;
    let modify = format!("{}modify/", href(&repository));
    let odd = unit.replace("/file/files/", "/rpm/packages/");
    for field in ["add_content_units", "remove_content_units"] {
        let refusal = app.post(&modify, &json!({field: [odd]})).await.expect(400);
        assert_eq!(refusal[field][0], format!("URI not valid: {odd}"));
    }
    let many = json!({"add_content_units": vec![7; 100_000]});
    let refusal = app.post(&modify, &many).await.expect(400);
    assert_eq!(refusal["add_content_units"].as_object().unwrap().len(), 100);
    app.finish().await;
}

#[tokio::test]
async fn labels_are_unset_once_and_the_value_that_goes_is_told() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let unit = unit(&app, "a").await;
    for object in [href(&repository), &unit] {
        let label = json!({"key": "k", "value": "v"});
        let set = app.post(&format!("{object}set_label/"), &label).await;
        assert_eq!(set.expect(201), label);
        let path = format!("{object}unset_label/");
        let body = json!({"key": "k"});
        let ask = || app.post(&path, &body);
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        let (done, refused): (Vec<_>, Vec<_>) = [a, b, c, d]
            .into_iter()
            .partition(|answer| answer.status == 201);
        assert_eq!((done.len(), done[0].json()), (1, label));
        for answer in refused {
            assert!(answer.expect(400)["key"].is_array());
        }
    }
    app.finish().await;
}
