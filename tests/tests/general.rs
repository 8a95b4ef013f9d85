//! The general tasks: by name, for any kind.

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use serde_json::{Value, json};

const BASE: &str = "pulpcore.app.tasks.base.";

fn call(name: &str, args: Value) -> Value {
    json!({"name": format!("{BASE}{name}"), "args": args})
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

async fn remote(app: &TestApp, name: &str) -> Value {
    let body = json!({"name": name, "url": "http://host/PULP_MANIFEST", "rate_limit": 3, "proxy_url": "http://proxy/"});
    app.post("remotes/file/file/", &body).await.expect(201)
}

#[tokio::test]
async fn a_whole_update_makes_null_what_it_does_not_name_and_refuses_what_may_not_be() {
    let app = TestApp::with_workers(1).await;
    let made = remote(&app, "r").await;
    let (id, serializer) = (id_of(href(&made)), "FileRemoteSerializer");
    let data = json!({"name": "r", "url": "http://other/PULP_MANIFEST"});

    let refused = app
        .post(
            "tasks/",
            &call("general_update", json!([id, "file", serializer, data])),
        )
        .await
        .expect(400);
    let text = refused.to_string();
    for field in ["policy", "tls_validation", "pulp_labels"] {
        assert!(text.contains(field), "{text}");
    }
    assert!(!text.contains("rate_limit"), "{text}");
    assert_eq!(
        app.get(href(&made)).await.expect(200),
        made,
        "nothing changed"
    );

    let whole = json!({"name": "r", "url": "http://other/PULP_MANIFEST", "policy": "on_demand",
                       "tls_validation": true, "pulp_labels": {}});
    let task = app
        .dispatch(&call(
            "general_update",
            json!([id, "file", serializer, whole]),
        ))
        .await;
    assert_eq!(app.completed(&task).await["result"], Value::Null);
    let row = app.get(href(&made)).await.expect(200);
    assert_eq!(
        (
            &row["url"],
            &row["rate_limit"],
            &row["proxy_url"],
            &row["policy"]
        ),
        (
            &json!("http://other/PULP_MANIFEST"),
            &Value::Null,
            &Value::Null,
            &json!("on_demand")
        )
    );

    // A part leaves the rest, and its newer name shows the object.
    let part = json!([id, "file", serializer, {"rate_limit": 5}, true]);
    let task = app.dispatch(&call("ageneral_update", part)).await;
    assert_eq!(app.completed(&task).await["result"]["rate_limit"], 5);
    assert_eq!(
        app.get(href(&made)).await.expect(200)["policy"],
        "on_demand"
    );

    // PUT keeps what has no default, as clients of REST know it.
    let answer = app
        .send(app.request(reqwest::Method::PUT, href(&made)).json(&data))
        .await;
    app.completed(&answer.task()).await;
    let row = app.get(href(&made)).await.expect(200);
    assert_eq!(
        (&row["rate_limit"], &row["policy"]),
        (&json!(5), &json!("immediate"))
    );
    app.finish().await;
}

#[tokio::test]
async fn several_objects_go_together_or_not_at_all() {
    let app = TestApp::with_workers(1).await;
    let (first, second) = (remote(&app, "first").await, remote(&app, "second").await);
    let repository = app.repository("zoo").await;
    let remote = |object: &Value| json!([id_of(href(object)), "file", "FileRemoteSerializer"]);
    let gone = json!([
        "0199e6a0-0000-7000-8000-000000000001",
        "file",
        "FileRemoteSerializer"
    ]);
    let zoo = json!([id_of(href(&repository)), "file", "FileRepositorySerializer"]);

    let all = json!([[remote(&first), zoo, gone, remote(&second)]]);
    let task = app.dispatch(&call("general_multi_delete", all)).await;
    let task = app.finished(&task).await;
    assert_eq!(task["state"], "failed");
    for object in [&first, &second, &repository] {
        app.get(href(object)).await.expect(200);
    }

    let there = json!([[remote(&first), zoo, remote(&second)]]);
    let task = app.dispatch(&call("general_multi_delete", there)).await;
    let task = app.completed(&task).await;
    for object in [&first, &second, &repository] {
        assert_eq!(app.get(href(object)).await.status, 404);
        let record = task["reserved_resources_record"].as_array().unwrap();
        assert!(record.contains(&object["prn"]), "{record:?}");
    }

    for (bad, field) in [
        (json!([[["x", "file", "FileRemoteSerializer"]]]), "kwargs"),
        (
            json!([[[id_of(href(&first)), "file", "NoSerializer"]]]),
            "serializer_name",
        ),
        (json!([[remote(&first), remote(&first)]]), "instance_ids"),
    ] {
        let refused = app
            .post("tasks/", &call("general_multi_delete", bad.clone()))
            .await;
        assert!(
            refused.expect(400).get(field).is_some(),
            "{bad}: {}",
            refused.text
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn a_validation_error_of_a_task_carries_the_names_of_its_fields() {
    let app = TestApp::with_workers(1).await;
    let (taken, other) = (remote(&app, "taken").await, remote(&app, "other").await);
    let id = id_of(href(&other));
    let call = call(
        "ageneral_update",
        json!([id, "file", "FileRemoteSerializer", {"name": taken["name"]}, true]),
    );
    let task = app.dispatch(&call).await;
    let task = app.finished(&task).await;
    assert_eq!(
        task["error"]["description"],
        "{\"name\":[\"This field must be unique.\"]}"
    );
    app.finish().await;
}
