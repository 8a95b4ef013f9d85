//! The definitions for operators who declare what there is, and the rights that remain needed.

use super::manifests::read;
use millrace_tests::client::sleep;
use millrace_tests::{TestApp, Vhost};
use serde_json::Value;

/// Without what differs from one virtual host to another, in one order.
fn topology(definitions: &Value) -> Vec<String> {
    let kinds = ["exchanges", "queues", "bindings", "policies"];
    let mut all: Vec<String> = kinds
        .into_iter()
        .flat_map(|kind| definitions[kind].as_array().into_iter().flatten())
        .map(|item| {
            let mut item = item.clone();
            item.as_object_mut().unwrap().remove("vhost");
            item.to_string()
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn the_shipped_definitions_are_what_the_programs_declare() {
    let shipped: Value = serde_json::from_str(&read("deploy/rabbitmq/definitions.json")).unwrap();
    let vhost = Vhost::create().await;
    vhost.import(shipped.clone()).await;
    assert_eq!(topology(&vhost.definitions().await), topology(&shipped));
    // The rights that docs/OPERATIONS.md names.
    vhost.permit(r"^millrace\.").await;
    // Whoever declared one of them otherwise would be refused, and nothing would run.
    let app = TestApp::builder()
        .set("broker.queue_type", "quorum")
        .vhost(vhost)
        .workers(1)
        .start()
        .await;
    let task = app.dispatch(&sleep(0.0, &[])).await;
    app.completed(&task).await;
    assert_eq!(topology(&app.vhost.definitions().await), topology(&shipped));
    app.finish().await;
}
