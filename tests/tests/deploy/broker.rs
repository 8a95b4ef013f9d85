//! The definitions for operators who declare what there is, and the rights that remain needed.

use super::manifests::read;
use millrace_tests::client::sleep;
use millrace_tests::stack::Instance;
use millrace_tests::vhost::standard_definitions;
use millrace_tests::{TestApp, Vhost, eventually};
use serde_json::{Value, json};
use std::time::Duration;

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

fn shipped() -> Value {
    serde_json::from_str(&read("deploy/rabbitmq/definitions.json")).unwrap()
}

#[tokio::test]
async fn a_broker_of_the_stack_has_what_is_shipped_and_a_wiped_one_nothing() {
    let broker = tokio::task::spawn_blocking(|| Instance::rabbitmq(&[]));
    let broker = broker.await.unwrap();
    let declared = async || topology(&standard_definitions(&broker.management_url()).await);
    assert_eq!(declared().await, topology(&shipped()));
    broker.run("restart-rabbitmq").await;
    assert_eq!(declared().await, topology(&shipped()));
    broker.run("wipe-rabbitmq").await;
    assert_eq!(declared().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_shipped_definitions_are_what_the_programs_declare() {
    let shipped = shipped();
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

#[tokio::test]
async fn who_looks_at_a_queue_sees_what_the_tasks_in_it_need() {
    let mut app = TestApp::with_workers(1).await;
    let first = app.dispatch(&sleep(0.0, &[])).await;
    app.completed(&first).await;
    app.workers.clear();
    let mut body = sleep(0.0, &["zoo"]);
    body["shared_resources"] = json!(["shop"]);
    let task = app.dispatch(&body).await;
    let id = millrace_tests::client::id_of(&task);
    // That of the first task may have come back: the worker was killed before it acknowledged it.
    let message = eventually(Duration::from_secs(30), async || {
        let messages = app.vhost.messages("millrace.tasks.default").await;
        let about = |message: &&Value| message["payload"].as_str().unwrap().contains(id);
        let message = messages.iter().find(about).cloned();
        message.ok_or_else(|| format!("{messages:#?}"))
    })
    .await;
    let properties = &message["properties"];
    assert!(properties.to_string().contains(id), "{properties:#}");
    let headers = &properties["headers"];
    assert_eq!(
        headers["x-exclusive-resources"],
        json!(["zoo"]),
        "{headers:#}"
    );
    // Beside the domain, which all share.
    let shared = headers["x-shared-resources"].as_array().unwrap();
    assert!(shared.contains(&json!("shop")), "{headers:#}");
    app.spawn_worker(&[]);
    app.completed(&task).await;
    app.finish().await;
}
