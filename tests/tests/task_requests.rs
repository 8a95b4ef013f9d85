//! Requests about tasks: what is listed, and what is refused.

use millrace_tests::client::sleep;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually, lanes};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

const TEST: &str = "pulpcore.app.tasks.test";

#[tokio::test]
async fn tasks_are_filtered_ordered_and_cut_to_fields() {
    let app = TestApp::with_workers(1).await;
    for lane in ["a", "b", "a"] {
        let task = app.sleeper(0.0, &[lane, "both"]).await;
        app.completed(&task).await;
    }
    let shared = app
        .dispatch(&json!({"name": format!("{TEST}.dummy_task"), "shared_resources": ["a"]}))
        .await;
    app.completed(&shared).await;
    for (query, count) in [
        ("", 4),
        ("state=completed", 4),
        ("state__in=failed,canceled", 0),
        ("state__ne=completed", 0),
        ("name=pulpcore.app.tasks.test.dummy_task", 1),
        ("name__contains=sleep", 3),
        ("reserved_resources=a", 3),
        ("reserved_resources__in=a,both", 2),
        ("exclusive_resources=a", 2),
        ("exclusive_resources__in=a,both", 2),
        ("shared_resources=a", 1),
        ("finished_at__gte=2100-01-01", 0),
        ("started_at__isnull=false", 4),
        ("worker=anything", 0),
        (
            "q=name__contains%3Dsleep%20AND%20NOT%20exclusive_resources%3Db",
            2,
        ),
    ] {
        let list = app.get(&format!("tasks/?{query}")).await.expect(200);
        assert_eq!(list["count"], count, "{query}");
    }
    let page = app
        .get("tasks/?limit=2&ordering=pulp_created&fields=name,pulp_href")
        .await
        .expect(200);
    assert_eq!(page["results"][0].as_object().unwrap().len(), 2, "{page:#}");
    let next = page["next"].as_str().unwrap();
    assert!(next.starts_with(app.origin()), "{next}");
    let rest = app
        .get(next.strip_prefix(app.origin()).unwrap())
        .await
        .expect(200);
    assert_eq!(
        (rest["results"].as_array().unwrap().len(), &rest["next"]),
        (2, &Value::Null)
    );
    assert_eq!(rest["results"][1]["pulp_href"], shared);
    for bad in [
        "state=odd",
        "foo=1",
        "ordering=nothing",
        "finished_at__gte=x",
        "pulp_id__in=x",
        "q=a%3D%3D",
    ] {
        app.get(&format!("tasks/?{bad}")).await.expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_dispatched_is_refused_by_field_and_stores_nothing() {
    let app = TestApp::start().await;
    let good = sleep(0.0, &["a"]);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (field, value) in [
        ("name", json!("no.such.task")),
        ("name", json!(7)),
        ("name", Value::Null),
        ("args", json!([1, 2, 3])),
        ("args", json!([1])),
        ("args", json!("x")),
        ("kwargs", json!({"interval": "long"})),
        ("kwargs", json!({"interval": 1, "other": 2})),
        ("kwargs", json!([])),
        ("exclusive_resources", json!([""])),
        ("exclusive_resources", json!(["shared:a"])),
        ("exclusive_resources", json!([7])),
        ("exclusive_resources", json!("a")),
        ("exclusive_resources", json!(["x".repeat(5000)])),
        ("shared_resources", json!([{}])),
        ("shared_resources", json!(["a\u{0}b"])),
        ("versions", json!({"no_component": "1.0"})),
        ("versions", json!([])),
        (
            "task_group",
            json!("/pulp/api/v3/task-groups/00000000-0000-0000-0000-000000000000/"),
        ),
        ("immediate", json!("perhaps")),
        ("unknown", json!(1)),
    ] {
        let answer = app.post("tasks/", &with(field, value.clone())).await;
        let body = answer.expect(400);
        let named = body.as_object().is_some_and(|o| {
            o.contains_key(field) || (field == "args" && o.contains_key("kwargs"))
        });
        assert!(named, "{field} = {value}: {body}");
    }
    let neither = json!({"name": good["name"], "args": [0], "immediate": false, "deferred": false});
    app.post("tasks/", &neither).await.expect(400);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn requests_that_come_at_once_are_recorded_in_fewer_transactions() {
    let mut app = TestApp::with_workers(0).await;
    let (mut tasks, mut transactions) = (0, 0);
    // On a machine that is busy with something else, each may find that its turn does not come, and go alone.
    while tasks == transactions && tasks < 1000 {
        let mut requests = tokio::task::JoinSet::new();
        for n in 0..50 {
            let client = app.client();
            let body = json!({"name": format!("{TEST}.dummy_task"), "exclusive_resources": [format!("lane-{tasks}-{n}")]});
            requests.spawn(async move { client.post("tasks/", &body).await });
        }
        while let Some(answer) = requests.join_next().await {
            answer.unwrap().expect(202);
        }
        tasks += 50;
        assert_eq!(app.sql.number("SELECT count(*) FROM task").await, tasks);
        // Nobody has changed a reservation since.
        let seen = "SELECT count(DISTINCT xmin::text) FROM reservation";
        transactions = app.sql.number(seen).await;
    }
    assert!(transactions < tasks, "{transactions} transactions");
    app.spawn_worker(&[]);
    app.finish().await;
}

#[tokio::test]
async fn a_request_whose_lane_is_held_holds_up_no_other() {
    let mut app = TestApp::with_workers(0).await;
    let on =
        |lane: &str| json!({"name": format!("{TEST}.dummy_task"), "exclusive_resources": [lane]});
    let lock =
        "SELECT pg_advisory_xact_lock(millrace_lane_class('held'), millrace_lane_key('held'))";
    app.sql.run(&format!("BEGIN; {lock}")).await;
    let (client, body) = (app.client(), on("held"));
    let held = tokio::spawn(async move { client.post("tasks/", &body).await });
    eventually(LONG, async || {
        let waits = app.sql.waiting_for_advisory().await;
        holds(waits == 1, || format!("{waits} requests wait"))
    })
    .await;
    for n in 0..10 {
        let body = on(&format!("free-{n}"));
        app.post("tasks/", &body).await.expect(202);
    }
    assert!(!held.is_finished());
    app.sql.run("COMMIT").await;
    held.await.unwrap().expect(202);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 11);
    app.spawn_worker(&[]);
    app.finish().await;
}

#[tokio::test]
async fn a_request_whose_session_is_lost_records_its_task_once_and_says_so() {
    let mut app = TestApp::with_workers(0).await;
    // Long enough to end the session meanwhile.
    lanes::lengthen_dispatch_wait(&app.sql).await;
    let locker = app.db.sql().await;
    locker
        .run("BEGIN; LOCK TABLE reservation IN EXCLUSIVE MODE")
        .await;
    let body = json!({"name": format!("{TEST}.dummy_task"), "exclusive_resources": ["lane"]});
    let client = app.client();
    let request = tokio::spawn(async move { client.post("tasks/", &body).await });
    let mut lost = Vec::new();
    eventually(LONG, async || {
        lost = app.sql.waiting_for("reservation").await;
        holds(lost.len() == 1, || format!("{lost:?} wait"))
    })
    .await;
    let end = format!("SELECT pg_terminate_backend({})::int::bigint", lost[0]);
    assert_eq!(app.sql.number(&end).await, 1);
    let left = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {}",
        lost[0]
    );
    eventually(LONG, async || {
        let left = app.sql.number(&left).await;
        holds(left == 0, || "it has not ended".to_owned())
    })
    .await;
    locker.run("ROLLBACK").await;
    request.await.unwrap().expect(202);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 1);
    app.spawn_worker(&[]);
    app.finish().await;
}
