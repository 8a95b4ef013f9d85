//! A crate outside the tree brings tasks and a content type of its own to both programs.

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use serde_json::{Value, json};

#[tokio::test]
async fn a_task_of_a_plug_in_is_dispatched_through_the_api_and_completes_with_its_result() {
    let app = TestApp::builder().plugin().workers(1).start().await;
    let task = app
        .dispatch(&json!({"name": "plugin.tasks.sum", "args": [2], "kwargs": {"b": 40}}))
        .await;
    let task = app.completed(&task).await;
    assert_eq!(task["result"], json!({"sum": 42}));
    let record = task["reserved_resources_record"].as_array().unwrap();
    assert!(record.contains(&json!("plugin:adder")), "{record:?}");

    let large = json!({"name": "plugin.tasks.sum", "args": [i64::MAX, 1]});
    let refused = app.post("tasks/", &large).await.expect(400);
    assert!(
        refused["kwargs"][0].as_str().unwrap().contains("too large"),
        "{refused}"
    );
    let twice = json!({"name": "plugin.tasks.sum", "args": [1, 2], "kwargs": {"a": 1}});
    assert!(
        app.post("tasks/", &twice)
            .await
            .expect(400)
            .get("kwargs")
            .is_some()
    );

    let status = app.get("status/").await.expect(200);
    let components: Vec<_> = status["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["component"].as_str().unwrap())
        .collect();
    assert!(components.contains(&"plugin"), "{components:?}");
    app.finish().await;
}

/// Dispatches the creation of a note from this text; gives the task once it has ended.
async fn note(app: &TestApp, text: &str, more: &Value) -> Value {
    let artifact = app.upload(text.as_bytes().to_vec()).await;
    let mut data = json!({"artifact": id_of(artifact["pulp_href"].as_str().unwrap())});
    let more = more.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(more);
    let task = json!({"name": "pulpcore.app.tasks.base.general_create",
        "kwargs": {"app_label": "plugin", "serializer_name": "NoteSerializer", "data": data}});
    let task = app.dispatch(&task).await;
    app.finished(&task).await
}

#[tokio::test]
async fn a_content_type_of_a_plug_in_is_one_among_the_others() {
    let app = TestApp::builder().plugin().workers(1).start().await;
    let zoo = app.repository("zoo").await;
    let zoo_id = id_of(zoo["pulp_href"].as_str().unwrap());
    let task = note(&app, "Lions\nroar", &json!({"repository": zoo_id})).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    assert_eq!(task["result"], json!({"title": "Lions"}));
    let file = app.unit("f", "file").await;
    app.modify(&zoo, &[file], &[]).await;
    // Both are in the repository, and each has its own count.
    let version = format!("{}versions/2/", zoo["pulp_href"].as_str().unwrap());
    let present = &app.get(&version).await.expect(200)["content_summary"]["present"];
    for kind in ["file.file", "plugin.note"] {
        assert_eq!(present[kind]["count"], 1, "{present}");
        let found = app.get(&format!("content/?pulp_type={kind}")).await;
        assert_eq!(found.expect(200)["count"], 1, "{kind}");
    }
    let notes = app
        .get("content/?pulp_type__in=plugin.note")
        .await
        .expect(200);
    let shown = &notes["results"][0];
    assert!(
        shown["pulp_href"]
            .as_str()
            .unwrap()
            .contains("/content/plugin/notes/")
    );
    assert!(
        shown["prn"]
            .as_str()
            .unwrap()
            .starts_with("prn:plugin.note:")
    );
    let document = app.get("docs/api.json").await.expect(200).to_string();
    assert!(document.contains(r#""enum":["file.file","plugin.note","rpm.package"]"#));

    // The rule of the type holds wherever a unit is added.
    for (text, data) in [
        ("secret\nplans", json!({"repository": zoo_id})),
        ("secret\nways", json!({})),
    ] {
        let task = note(&app, text, &data).await;
        let made = task["created_resources"][0].as_str().map(str::to_owned);
        if let Some(unit) = made {
            let body = json!({"add_content_units": [unit]});
            let modify = format!("{}modify/", zoo["pulp_href"].as_str().unwrap());
            let task = app.post(&modify, &body).await.task();
            let task = app.finished(&task).await;
            assert_eq!(task["error"]["description"], "`secret` is not for others");
        } else {
            assert_eq!(task["error"]["description"], "`secret` is not for others");
        }
        let versions = app
            .sql
            .number("SELECT max(number)::bigint FROM repository_version")
            .await;
        assert_eq!(versions, 2);
    }
    let task = note(&app, "", &json!({})).await;
    assert_eq!(task["error"]["description"], "A note has a title.");
    app.finish().await;
}

async fn keep(app: &TestApp, kwargs: Value) -> Value {
    let task = app
        .dispatch(&json!({"name": "plugin.tasks.keeper", "kwargs": kwargs}))
        .await;
    app.completed(&task).await
}

#[tokio::test]
async fn functions_of_the_namespace_work_within_a_task_of_ones_own() {
    let app = TestApp::builder().plugin().workers(1).start().await;
    let zoo = app.repository("zoo").await;
    let zoo = zoo["pulp_href"].as_str().unwrap();
    let unit = app.unit("lion", "roar").await;
    app.unit("stray", "meow").await;
    let take = json!({"act": "take", "repository": id_of(zoo), "unit": id_of(&unit)});
    let task = keep(&app, take).await;
    assert_eq!(
        task["created_resources"],
        json!([format!("{zoo}versions/1/")])
    );
    let child = task["child_tasks"][0].as_str().unwrap().to_owned();
    let child = app.completed(&child).await;
    assert_eq!(child["result"]["units"], 1, "the stray");
    let record = child["reserved_resources_record"].to_string();
    assert!(
        record.contains(&format!("shared:prn:file.filerepository:{}", id_of(zoo))),
        "{record}"
    );

    app.unit("other", "woof").await;
    let task = keep(&app, json!({"act": "tidy", "repository": id_of(zoo)})).await;
    let result = &task["result"];
    assert_eq!(
        (
            &result["orphans"]["units"],
            &result["orphans"]["artifacts"],
            &result["files"]["units"],
            &result["files"]["artifacts"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(1)),
        "each counts for itself: {result}"
    );

    let remote = json!({"name": "r", "url": "http://host/PULP_MANIFEST"});
    let remote = app.post("remotes/file/file/", &remote).await.expect(201);
    let remote = remote["pulp_href"].as_str().unwrap();
    let rename = json!({"act": "rename", "remote": id_of(remote), "name": "s"});
    assert_eq!(keep(&app, rename).await["result"]["name"], "s");
    keep(
        &app,
        json!({"act": "drop", "remote": id_of(remote), "several": true}),
    )
    .await;
    assert_eq!(app.get(remote).await.status, 404);
    app.finish().await;
}
