//! The life of tasks as a client sees it.

use millrace_tests::client::id_of;
use millrace_tests::process::Process;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TEST: &str = "pulpcore.app.tasks.test";
const DOMAIN: &str = "shared:prn:core.domain:00000000-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_task_that_completed_shows_what_clients_read() {
    let app = TestApp::with_workers(1).await;
    let cid = "0123456789abcdef0123456789abcdef";
    let body = json!({"name": format!("{TEST}.sleep"), "args": [0.1], "exclusive_resources": ["a", "b"], "shared_resources": ["b", "c"]});
    let request = app
        .request(Method::POST, "tasks/")
        .header("Correlation-ID", cid)
        .json(&body);
    let answer = app.send(request).await;
    assert_eq!(answer.headers["correlation-id"], cid);
    let task = app.completed(&answer.task()).await;

    let id = id_of(task["pulp_href"].as_str().unwrap());
    assert_eq!(task["prn"], format!("prn:core.task:{id}"));
    assert_eq!(task["name"], format!("{TEST}.sleep"));
    assert_eq!(task["logging_cid"], cid);
    assert_eq!(task["created_by"], "/pulp/api/v3/users/1/");
    let mut record: Vec<_> = task["reserved_resources_record"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.as_str().unwrap())
        .collect();
    record.sort_unstable();
    assert_eq!(record, ["a", "b", "shared:c", DOMAIN]);
    let null = ["error", "worker", "parent_task", "task_group", "result"];
    assert!(null.iter().all(|field| task[field].is_null()), "{task:#}");
    let empty = [
        "child_tasks",
        "progress_reports",
        "created_resources",
        "created_resource_prns",
    ];
    assert!(
        empty.iter().all(|field| task[field] == json!([])),
        "{task:#}"
    );
    let times = ["pulp_created", "unblocked_at", "started_at", "finished_at"]
        .map(|f| task[f].as_str().unwrap().to_owned());
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(task["pulp_api_version"], "v3");
    app.finish().await;
}

#[tokio::test]
async fn a_failing_task_says_why() {
    let app = TestApp::with_workers(1).await;
    let body = json!({"name": format!("{TEST}.failing_task"), "kwargs": {"error_message": "no luck today"}});
    let task = app.dispatch(&body).await;
    let task = app.finished(&task).await;
    assert_eq!(task["state"], "failed");
    assert_eq!(task["error"]["description"], "no luck today");
    let negative = app.sleeper(-1.0, &[]).await;
    assert_eq!(app.finished(&negative).await["state"], "failed");
    app.finish().await;
}

#[tokio::test]
async fn a_waiting_task_is_canceled_at_once_and_its_lane_moves_on() {
    let app = TestApp::with_workers(1).await;
    let holder = app.sleeper(30.0, &["a"]).await;
    let waiting = app.sleeper(0.0, &["a", "b"]).await;
    let behind = app.sleeper(0.0, &["b"]).await;
    app.in_state(&holder, "running").await;

    let canceled = app.cancel(&waiting).await.expect(200);
    assert_eq!(canceled["state"], "canceled");
    assert!(
        canceled["started_at"].is_null() && canceled["error"].is_null(),
        "{canceled:#}"
    );
    assert!(canceled["finished_at"].is_string());
    app.completed(&behind).await;
    assert_eq!(
        app.cancel(&waiting).await.expect(200)["state"],
        "canceled",
        "again is fine"
    );
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_running_task_is_asked_to_stop_and_ends_as_canceled() {
    let app = TestApp::with_workers(2).await;
    for name in ["sleep", "asleep", "gooey_task"] {
        let body =
            json!({"name": format!("{TEST}.{name}"), "args": [60], "exclusive_resources": ["a"]});
        let task = app.dispatch(&body).await;
        app.in_state(&task, "running").await;
        let start = Instant::now();
        let answer = app.cancel(&task).await.expect(200);
        assert!(
            ["canceling", "canceled"].contains(&answer["state"].as_str().unwrap()),
            "{answer:#}"
        );
        let task = app.finished(&task).await;
        assert_eq!(task["state"], "canceled", "{name}: {task:#}");
        assert!(task["error"].is_null());
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{name} took {:?}",
            start.elapsed()
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn a_final_task_cannot_be_canceled_and_only_a_final_one_deleted() {
    let app = TestApp::with_workers(1).await;
    let done = app.sleeper(0.0, &[]).await;
    app.completed(&done).await;
    let answer = app.cancel(&done).await;
    assert_eq!(answer.expect(409)["state"], "completed");

    let running = app.sleeper(30.0, &["a"]).await;
    app.in_state(&running, "running").await;
    let refused = app.delete(&running).await;
    assert_eq!((refused.status.as_u16(), &*refused.text), (409, ""));
    app.cancel(&running).await.expect(200);
    app.finished(&running).await;
    let deleted = app.delete(&running).await;
    assert_eq!((deleted.status.as_u16(), &*deleted.text), (204, ""));
    assert_eq!(app.delete(&running).await.status, 404);
    assert_eq!(app.get(&running).await.status, 404);
    let nobody = format!("/pulp/api/v3/tasks/{}/", uuid::Uuid::now_v7());
    assert_eq!(app.cancel(&nobody).await.status, 404);
    let other = app
        .patch(&done, &json!({"state": "running"}))
        .await
        .expect(400);
    assert_eq!(
        other["state"][0],
        "The only acceptable value for 'state' is 'canceled'."
    );
    app.finish().await;
}

#[tokio::test]
async fn readers_run_together_and_wait_for_the_writer_before_them() {
    let app = TestApp::with_workers(2).await;
    let writer = app.sleeper(0.5, &["a"]).await;
    let reader = json!({"name": format!("{TEST}.sleep"), "args": [0.5], "shared_resources": ["a"]});
    let (one, other) = (app.dispatch(&reader).await, app.dispatch(&reader).await);
    let last = app.sleeper(0.0, &["a"]).await;
    let [writer, one, other, last] = [
        app.completed(&writer).await,
        app.completed(&one).await,
        app.completed(&other).await,
        app.completed(&last).await,
    ];
    let at = |task: &Value, field: &str| task[field].as_str().unwrap().to_owned();
    for reader in [&one, &other] {
        assert!(at(reader, "started_at") >= at(&writer, "finished_at"));
        assert!(at(&last, "started_at") >= at(reader, "finished_at"));
    }
    assert!(at(&one, "started_at") < at(&other, "finished_at"));
    assert!(at(&other, "started_at") < at(&one, "finished_at"));
    app.finish().await;
}

#[tokio::test]
async fn an_immediate_task_is_final_when_the_request_returns() {
    let app = TestApp::with_workers(1).await;
    let body = |interval: f64, deferred: bool, lane: &str| {
        json!({"name": format!("{TEST}.asleep"), "args": [interval], "immediate": true, "deferred": deferred,
               "exclusive_resources": [lane]})
    };
    // The first announcements may meet queues that are not declared yet.
    let warm = app.dispatch(&body(0.0, true, "warm")).await;
    app.completed(&warm).await;
    let done = app.dispatch(&body(0.1, true, "a")).await;
    assert_eq!(app.task(&done).await["state"], "completed");

    let holder = app.sleeper(4.0, &["b"]).await;
    app.in_state(&holder, "running").await;
    let start = Instant::now();
    let refused = app.dispatch(&body(0.0, false, "b")).await;
    let deferred = app.dispatch(&body(0.0, true, "b")).await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "blocked ones are answered at once"
    );
    let refused = app.task(&refused).await;
    assert_eq!(refused["state"], "canceled");
    assert_eq!(
        refused["error"],
        json!({"reason": "Resources temporarily unavailable."})
    );
    assert_eq!(app.task(&deferred).await["state"], "waiting");
    app.completed(&deferred).await;

    let slow = app.dispatch(&body(60.0, true, "c")).await;
    let slow = app.finished(&slow).await;
    assert_eq!(slow["state"], "failed");
    let why = slow["error"]["description"].as_str().unwrap();
    assert!(
        why.contains("[PLP0024]") && why.contains("timed out after 5 seconds"),
        "{why}"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_immediate_task_that_may_not_wait_is_canceled_when_no_worker_comes() {
    let app = TestApp::start().await;
    let body = json!({"name": format!("{TEST}.asleep"), "args": [0.0], "immediate": true, "deferred": false});
    let task = app.dispatch(&body).await;
    let mut app = app;
    app.spawn_worker(&[]);
    let task = app.finished(&task).await;
    assert_eq!(task["state"], "canceled", "{task:#}");
    app.finish().await;
}

#[tokio::test]
async fn a_group_counts_its_members_and_is_canceled_as_one() {
    let app = TestApp::with_workers(1).await;
    let group = uuid::Uuid::now_v7();
    app.sql
        .run(&format!("INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT '{group}', pulp_id, 'test' FROM domain"))
        .await;
    let href = format!("/pulp/api/v3/task-groups/{group}/");
    let body = json!({"name": format!("{TEST}.dummy_group_task"), "kwargs": {"inbetween": 0.0, "intervals": [30.0, 30.0]},
                      "task_group": href});
    let parent = app.dispatch(&body).await;
    app.completed(&parent).await;
    let group = eventually(Duration::from_secs(20), async || {
        let group = app.get(&href).await.expect(200);
        if group["running"] == 2 {
            Ok(group)
        } else {
            Err(group.to_string())
        }
    })
    .await;
    assert_eq!(
        (&group["completed"], &group["waiting"]),
        (&json!(1), &json!(0)),
        "{group:#}"
    );
    assert_eq!(group["tasks"].as_array().unwrap().len(), 3);
    let children = app
        .get(&format!("tasks/?parent_task={parent}"))
        .await
        .expect(200);
    assert_eq!(children["count"], 2);

    let canceled = app.patch(&href, &json!({"state": "canceled"})).await;
    let canceled = canceled.expect(200);
    assert_eq!(
        (&canceled["running"], &canceled["waiting"]),
        (&json!(0), &json!(0)),
        "{canceled:#}"
    );
    app.quiet(Duration::from_secs(20)).await;
    let group = app.get(&href).await.expect(200);
    assert_eq!(
        (&group["canceled"], &group["completed"]),
        (&json!(2), &json!(1)),
        "{group:#}"
    );
    assert_eq!(app.get("task-groups/").await.expect(200)["count"], 1);
    app.finish().await;
}

#[tokio::test]
async fn purge_deletes_what_ended_before_a_moment_in_the_given_states() {
    let app = TestApp::with_workers(1).await;
    for _ in 0..3 {
        let task = app.sleeper(0.0, &[]).await;
        app.completed(&task).await;
    }
    let failed = app
        .dispatch(&json!({"name": format!("{TEST}.failing_task")}))
        .await;
    app.finished(&failed).await;
    let purge = app
        .post(
            "tasks/purge/",
            &json!({"finished_before": "2000-01-01T00:00:00Z"}),
        )
        .await
        .task();
    app.completed(&purge).await;
    assert_eq!(
        app.get("tasks/?state=completed").await.expect(200)["count"],
        4
    );

    let body = json!({"finished_before": "2100-01-01", "states": ["completed"]});
    let purge = app.post("tasks/purge/", &body).await.task();
    let purge = app.completed(&purge).await;
    let report = |code: &str| {
        let reports = purge["progress_reports"].as_array().unwrap();
        reports
            .iter()
            .find(|r| r["code"] == code)
            .unwrap_or_else(|| panic!("{reports:?}"))
            .clone()
    };
    assert_eq!(report("purge.tasks.key.core.Task")["done"], 4);
    assert_eq!(
        report("purge.tasks.total")["total"],
        report("purge.tasks.total")["done"]
    );
    let left = app.get("tasks/").await.expect(200);
    assert_eq!(left["count"], 2, "{left:#}");
    for body in [
        json!({"states": ["running"]}),
        json!({"finished_before": "yesterday"}),
    ] {
        app.post("tasks/purge/", &body).await.expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_kills_its_worker_fails_and_others_go_on() {
    let mut app = TestApp::with_workers(2).await;
    let lost = app
        .dispatch(&json!({"name": format!("{TEST}.missing_worker"), "exclusive_resources": ["a"]}))
        .await;
    let next = app.sleeper(0.0, &["a"]).await;
    let lost = app.finished(&lost).await;
    assert_eq!(lost["state"], "failed");
    assert_eq!(lost["error"], json!({"reason": "Worker has gone missing."}));
    app.completed(&next).await;
    let ended = app.workers.iter_mut().filter_map(Process::ended).count();
    assert_eq!(ended, 1);
    app.finish().await;
}
