//! A broker that is there and does not serve: frozen, or with an alarm. Nothing else may wait for it.

use millrace_common::tasking::Resources;
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::{TestApp, Vhost, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

async fn own_broker() -> (Instance, Vhost) {
    let broker = tokio::task::spawn_blocking(|| Instance::rabbitmq(&[]))
        .await
        .unwrap();
    let vhost = Vhost::create_on(&broker.broker_url(), &broker.management_url()).await;
    (broker, vhost)
}

#[tokio::test]
async fn a_dead_worker_is_missed_at_once_although_the_broker_hangs() {
    let (broker, vhost) = own_broker().await;
    let mut app = TestApp::builder()
        .plugin()
        .without_api()
        .vhost(vhost)
        .workers(2)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let task = dispatcher.task(
        "plugin.tasks.ledger_once",
        serde_json::json!({"steps": 10_000, "pause_ms": 50}),
        Resources::exclusive("a"),
    );
    let lost = dispatcher.dispatch(&[task]).await[0].id;
    app.until_noted(lost, "start").await;
    let holder = app.worker_of(lost).await;
    broker.run("freeze-rabbitmq").await;
    // Announced, and lost sight of: what the janitor then asks the broker is not answered.
    for n in 0..5 {
        dispatcher
            .ledger(1, 0, Resources::exclusive(format!("b{n}")))
            .await;
    }
    // The time in which a janitor that waits for the broker would begin to.
    tokio::time::sleep(Duration::from_secs(7)).await;
    app.workers[holder].kill();
    app.until(lost, "failed", Duration::from_secs(10)).await;

    broker.run("thaw-rabbitmq").await;
    app.quiet(SOON * 2).await;
    app.sql
        .run(&format!("DELETE FROM task WHERE pulp_id = '{lost}'"))
        .await;
    app.assert_completed_once().await;
    app.finish().await;
}

#[tokio::test]
async fn while_the_broker_has_an_alarm_tasks_are_accepted_and_run_when_it_is_over() {
    let (broker, vhost) = own_broker().await;
    let app = TestApp::builder()
        .plugin()
        .vhost(vhost)
        .workers(1)
        .start()
        .await;
    let mut dispatcher = app.dispatcher().await;
    let first = dispatcher.ledger(1, 0, Resources::exclusive("a")).await;
    app.until(first, "completed", SOON).await;

    broker.run("alarm-rabbitmq").await;
    let mut accepted = Vec::new();
    for n in 0..20 {
        accepted.push(app.sleeper(0.0, &[&format!("lane-{n}")]).await);
    }
    // Longer than a publisher waits for a confirmation.
    tokio::time::sleep(Duration::from_secs(12)).await;
    app.sleeper(0.0, &["one more"]).await;
    let status = app.get("status/").await.expect(200);
    assert_eq!(status["degraded"], true, "{status:#}");
    assert_eq!(
        app.row(millrace_tests::client::id_of(&accepted[0])).await.0,
        "waiting"
    );
    // A connection that is blocked is kept: new ones would pile up.
    let connections = app.vhost.connections().await;
    assert!(connections <= 5, "{connections} connections");

    broker.run("calm-rabbitmq").await;
    app.quiet(SOON).await;
    for task in accepted {
        app.completed(&task).await;
    }
    eventually(SOON, async || {
        let status = app.get("status/").await.expect(200);
        holds(status["degraded"] == false, || format!("{status:#}"))
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn an_api_killed_between_commit_and_publish_has_lost_nothing() {
    let (broker, vhost) = own_broker().await;
    let mut app = TestApp::builder().vhost(vhost).workers(1).start().await;
    let first = app.sleeper(0.0, &["a"]).await;
    app.completed(&first).await;
    // What the API commits now it can publish to nobody.
    broker.run("freeze-rabbitmq").await;
    let mut accepted = Vec::new();
    for n in 0..20 {
        accepted.push(app.sleeper(0.0, &[&format!("lane-{}", n % 3)]).await);
    }
    app.api.take().unwrap().kill();
    let announced =
        "SELECT count(*) FROM task WHERE announced_at IS NOT NULL AND state = 'waiting'";
    assert_eq!(app.sql.number(announced).await, 0);

    // What had come as far as the broker's machine is lost with it.
    broker.run("wipe-rabbitmq").await;
    app.vhost.make().await;
    app.quiet(SOON).await;
    app.start_api().await;
    for task in accepted {
        app.completed(&task).await;
    }
    app.finish().await;
}
