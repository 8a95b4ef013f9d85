//! Removals that are disturbed.

use super::{NAMES, Pulp, rpm};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{Sql, TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Errata with a file each.
fn errata(pulp: &Pulp, count: usize) {
    let unit = |n: usize| {
        let path = pulp.write(&format!("content/t/{}/{n}", n / 100));
        json!({"errata_id": n.to_string(), "_storage_path": path})
    };
    let units: Vec<Value> = (0..count).map(unit).collect();
    pulp.import("erratum", &units);
}

/// Holds what removals of files wait for, until it is dropped.
async fn hold_files(pulp: &Pulp) -> Sql {
    let session = pulp.db.sql().await;
    let hold = "SELECT pg_advisory_lock(hashtextextended('unit storage', 7121))";
    session.run(hold).await;
    session
}

/// Waits until a removal has deleted some units and is about to remove their files.
async fn until_between(pulp: &Pulp) {
    eventually(SOON, async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                          AND application_name LIKE '%unit storage' AND wait_event = 'advisory'";
        let waiting = pulp.sql.number(waiting).await;
        holds(waiting > 0, || "no removal waits".into())
    })
    .await;
}

#[tokio::test]
async fn unit_re_associated_between_202_and_execution() {
    let pulp = Pulp::start().await;
    let (used, gone) = (
        pulp.write("content/rpm/used"),
        pulp.write("content/rpm/gone"),
    );
    pulp.import("rpm", &[rpm("used", Some(&used)), rpm("gone", Some(&gone))]);
    let unit = pulp
        .get("content/rpm/packages/?name=used")
        .await
        .expect(200);
    let unit = unit["results"][0]["pulp_href"].as_str().unwrap().to_owned();
    let zoo = pulp
        .post("repositories/rpm/rpm/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let lane = "SELECT 'pdrn:' || pulp_id || ':orphans' FROM domain WHERE name = 'default'";
    let holder = pulp.sleeper(600.0, &[&pulp.sql.text(lane).await]).await;
    pulp.in_state(&holder, "running").await;
    let removal = pulp
        .delete("/pulp/api/v2/content/orphans/rpm/")
        .await
        .expect(202);
    let removal = removal["spawned_tasks"][0]["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    pulp.modify(&zoo, &[unit], &[]).await;
    pulp.cancel(&holder).await.expect(200);
    let task = pulp
        .completed(&format!("/pulp/api/v3/tasks/{removal}/"))
        .await;
    assert_eq!(task["result"], json!({"rpm": 1}));
    assert!(pulp.is("content/rpm/used") && !pulp.is("content/rpm/gone"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn cancel_while_running() {
    let pulp = Pulp::start().await;
    errata(&pulp, 3000);
    let holder = hold_files(&pulp).await;
    let task = pulp.begin("delete_all_orphans", json!({})).await;
    until_between(&pulp).await;
    pulp.cancel(&task).await;
    assert_eq!(pulp.finished(&task).await["state"], "canceled");
    drop(holder);
    // What was deleted goes as a whole, with its files; the rest stays so.
    pulp.sql
        .run("UPDATE unit_tombstone SET not_before = now()")
        .await;
    pulp.until_removed().await;
    let left = pulp.units().await;
    assert!(left > 0 && left < 3000, "{left}");
    assert_eq!(pulp.files(), usize::try_from(left).unwrap());
    assert_eq!(pulp.remove_all().await, json!({ "erratum": left }));
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}

#[tokio::test]
async fn worker_killed_mid_batch_between_delete_and_unlink() {
    let mut pulp = Pulp::start().await;
    errata(&pulp, 5000);
    let holder = hold_files(&pulp).await;
    let task = pulp.begin("delete_all_orphans", json!({})).await;
    until_between(&pulp).await;
    let left = pulp.units().await;
    assert!(left > 0 && left < 5000, "{left}");
    pulp.app.workers[0].kill();
    drop(holder);
    pulp.app.spawn_worker(&[]);
    let ended = pulp.finished_within(&task, SOON).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    assert_eq!(ended["result"], json!({"erratum": 5000}), "of all runs");
    assert_eq!(pulp.row(id_of(&task)).await.1, 2, "two runs");
    assert_eq!(super::done(&ended, "clean-up.storage"), Some(5000));
    assert_eq!(super::done(&ended, "clean-up.failed"), Some(0));
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}

#[tokio::test]
async fn the_same_message_delivered_twice() {
    let mut pulp = Pulp::with(TestApp::builder()).await;
    errata(&pulp, 100);
    let task = pulp.begin("delete_all_orphans", json!({})).await;
    let message = json!({"v": 1, "id": id_of(&task), "name": format!("{NAMES}delete_all_orphans"),
        "class": "default", "versions": {}, "number": 1, "announced_at": "2026-01-01T00:00:00Z"});
    let (message, url) = (message.to_string(), pulp.vhost.url());
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    pulp.app.spawn_worker(&[]);
    for _ in 0..20 {
        let (queue, options) = (
            "millrace.tasks.default".into(),
            BasicPublishOptions::default(),
        );
        let properties = BasicProperties::default();
        let sent = channel.basic_publish("".into(), queue, options, message.as_bytes(), properties);
        sent.await.unwrap();
    }
    assert_eq!(
        pulp.completed(&task).await["result"],
        json!({"erratum": 100})
    );
    assert_eq!(pulp.row(id_of(&task)).await.1, 1, "one run");
    assert_eq!(pulp.files(), 0);
    pulp.app.finish().await;
}
