//! A crate outside the tree brings a task of its own to both programs.

use millrace_tests::TestApp;
use serde_json::json;

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
