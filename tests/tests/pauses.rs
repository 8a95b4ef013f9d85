//! Lanes and task types that are paused: nothing of them starts, nothing loses its place, and nothing is left
//! standing when the pause ends.

use millrace_tests::client::{Client, id_of, sleep};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const SLEEP: &str = "pulpcore.app.tasks.test.sleep";
const DUMMY: &str = "pulpcore.app.tasks.test.dummy_task";

async fn pause(client: &Client, body: &Value) -> String {
    let made = client.post("pauses/", body).await.expect(201);
    made["pulp_href"].as_str().unwrap().to_owned()
}

async fn resume(client: &Client, pause: &str) {
    client.delete(pause).await.expect(204);
}

/// Waits until so many tasks were found paused when they were to be claimed.
async fn held(app: &TestApp, count: i64) {
    let held = "SELECT count(*) FROM task WHERE state = 'waiting' AND pause_id IS NOT NULL AND not_before = 'infinity'";
    eventually(SOON, async || {
        let found = app.sql.number(held).await;
        holds(found == count, || format!("{found} are held"))
    })
    .await;
}

/// The order in which these tasks started.
async fn started(app: &TestApp, tasks: &[String]) -> Vec<String> {
    let mut starts = Vec::new();
    for task in tasks {
        let ended = app.completed(task).await;
        starts.push((
            ended["started_at"].as_str().unwrap().to_owned(),
            task.clone(),
        ));
    }
    starts.sort();
    starts.into_iter().map(|(_, task)| task).collect()
}

#[tokio::test]
async fn a_paused_lane_stands_while_others_move_and_keeps_its_order() {
    let app = TestApp::with_workers(1).await;
    let running = app.sleeper(2.0, &["a"]).await;
    app.in_state(&running, "running").await;
    let stop = pause(&app, &json!({"resource": "a", "reason": "repair"})).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(app.sleeper(0.0, &["a"]).await);
    }
    let mut sharing = sleep(0.0, &[]);
    sharing["shared_resources"] = json!(["a"]);
    waiting.push(app.dispatch(&sharing).await);
    // What ran goes on to its end; only the first of those behind it comes to be claimed.
    app.completed(&running).await;
    held(&app, 1).await;
    let other = app.sleeper(0.0, &["b"]).await;
    app.completed(&other).await;
    for task in &waiting {
        assert_eq!(app.task(task).await["state"], "waiting");
    }
    let why = app
        .get(&format!("{}blockers/", waiting[2]))
        .await
        .expect(200);
    assert_eq!(why["verdict"], "paused");
    assert!(why["message"].as_str().unwrap().contains("repair"), "{why}");
    assert_eq!(why["pauses"][0]["name"], "a");
    resume(&app, &stop).await;
    assert_eq!(started(&app, &waiting).await, waiting);
    app.finish().await;
}

#[tokio::test]
async fn a_task_type_is_paused_in_all_lanes() {
    let app = TestApp::with_workers(2).await;
    let stop = pause(&app, &json!({"task_name": SLEEP})).await;
    let mut waiting = Vec::new();
    for n in 0..6 {
        waiting.push(app.sleeper(0.0, &[&format!("lane-{n}")]).await);
    }
    held(&app, 6).await;
    let dummy = app.dispatch(&json!({"name": DUMMY})).await;
    app.completed(&dummy).await;
    resume(&app, &stop).await;
    for task in &waiting {
        app.completed(task).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn two_pauses_hold_a_task_until_both_have_ended() {
    let app = TestApp::with_workers(1).await;
    let name = pause(&app, &json!({"task_name": SLEEP})).await;
    let lane = pause(&app, &json!({"resource": "a"})).await;
    let task = app.sleeper(0.0, &["a"]).await;
    held(&app, 1).await;
    let by = "SELECT pause_id::text FROM task WHERE state = 'waiting'";
    let first = app.sql.text(by).await;
    let (first, second) = if name.contains(&first) {
        (name, lane)
    } else {
        (lane, name)
    };
    resume(&app, &first).await;
    // Released, announced, and held by the other.
    eventually(SOON, async || {
        let by = app
            .sql
            .text("SELECT coalesce(pause_id::text, '') FROM task")
            .await;
        holds(second.contains(&by) && !by.is_empty(), || by.clone())
    })
    .await;
    assert_eq!(app.task(&task).await["state"], "waiting");
    resume(&app, &second).await;
    app.completed(&task).await;
    app.finish().await;
}

#[tokio::test]
async fn a_paused_task_can_be_canceled_and_has_its_deadline() {
    let app = TestApp::with_workers(1).await;
    let stop = pause(&app, &json!({"resource": "a"})).await;
    let first = app.sleeper(0.0, &["a"]).await;
    held(&app, 1).await;
    app.cancel(&first).await.expect(200);
    let moment = "SELECT to_char((clock_timestamp() + interval '3 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let mut late = sleep(0.0, &["a"]);
    late["deadline"] = json!(app.sql.text(moment).await);
    let late = app.dispatch(&late).await;
    let late = app.finished(&late).await;
    assert_eq!(late["state"], "canceled");
    assert_eq!(
        late["error"]["reason"],
        "The deadline of the task has passed."
    );
    let last = app.sleeper(0.0, &["a"]).await;
    resume(&app, &stop).await;
    app.completed(&last).await;
    app.finish().await;
}

#[tokio::test]
async fn a_request_for_an_immediate_task_does_not_wait_for_the_end_of_a_pause() {
    let app = TestApp::builder()
        .workers(1)
        .set("api.immediate_wait_ms", 60_000)
        .start()
        .await;
    let stop = pause(&app, &json!({"task_name": DUMMY})).await;
    let asked = Instant::now();
    let task = app
        .dispatch(&json!({"name": DUMMY, "immediate": true}))
        .await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(app.task(&task).await["state"], "waiting");
    // One that may not be deferred is given up as ever.
    let now = app
        .dispatch(&json!({"name": DUMMY, "immediate": true, "deferred": false}))
        .await;
    let now = app.finished(&now).await;
    assert_eq!(now["state"], "canceled");
    assert_eq!(now["error"]["reason"], "Resources temporarily unavailable.");
    resume(&app, &stop).await;
    app.completed(&task).await;
    app.finish().await;
}

#[tokio::test]
async fn whoever_dies_between_the_end_of_a_pause_and_the_release_leaves_nothing_standing() {
    let app = TestApp::with_workers(1).await;
    pause(&app, &json!({"resource": "a"})).await;
    let task = app.sleeper(0.0, &["a"]).await;
    held(&app, 1).await;
    app.sql.run("DELETE FROM pause").await;
    app.completed(&task).await;
    app.finish().await;
}

#[tokio::test]
async fn pausing_and_resuming_at_random_moments_leaves_nothing_standing_and_keeps_the_order() {
    let app = TestApp::with_workers(2).await;
    let client = app.client();
    let dispatching = tokio::spawn(async move {
        let mut tasks = Vec::new();
        for n in 0..120_usize {
            let lane = format!("lane-{}", n % 4);
            tasks.push(client.dispatch(&sleep(0.0, &[&lane])).await);
        }
        tasks
    });
    let mut rounds = 0;
    while !dispatching.is_finished() || rounds < 20 {
        let by_name = pause(&app, &json!({"task_name": SLEEP})).await;
        let by_lane = pause(&app, &json!({"resource": format!("lane-{}", rounds % 4)})).await;
        tokio::time::sleep(Duration::from_millis(rounds % 7 * 10)).await;
        let (first, second) = if rounds % 2 == 0 {
            (by_name, by_lane)
        } else {
            (by_lane, by_name)
        };
        resume(&app, &first).await;
        resume(&app, &second).await;
        rounds += 1;
    }
    let tasks = dispatching.await.unwrap();
    for lane in 0..4 {
        let own: Vec<String> = tasks.iter().skip(lane).step_by(4).cloned().collect();
        assert_eq!(started(&app, &own).await, own, "lane {lane}");
    }
    let held = "SELECT count(*) FROM task WHERE pause_id IS NOT NULL OR not_before IS NOT NULL";
    assert_eq!(app.sql.number(held).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_wrong_pause_names_the_field_and_changes_nothing() {
    let app = TestApp::start().await;
    let long = "x".repeat(1025);
    pause(&app, &json!({"resource": "taken"})).await;
    pause(&app, &json!({"task_name": SLEEP})).await;
    for (body, field) in [
        (json!({}), "resource"),
        (json!({"resource": ""}), "resource"),
        (json!({"resource": long}), "resource"),
        (json!({"resource": "shared:a"}), "resource"),
        (json!({"resource": "a\0b"}), "resource"),
        (json!({"resource": ["a"]}), "resource"),
        (json!({"resource": "taken"}), "resource"),
        (
            json!({"resource": "/pulp/api/v3/repositories/file/file/0199e6a0-0000-7000-8000-000000000001/versions/1/"}),
            "resource",
        ),
        (json!({"task_name": "unknown"}), "task_name"),
        (json!({"task_name": SLEEP}), "task_name"),
        (json!({"resource": "a", "task_name": DUMMY}), "task_name"),
        (json!({"resource": "a", "reason": 7}), "reason"),
        (json!({"resource": "a", "until": "noon"}), "until"),
    ] {
        let refusal = app.post("pauses/", &body).await.expect(400);
        assert!(refusal.get(field).is_some(), "{body}: {refusal}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM pause").await, 2);
    let gone = "/pulp/api/v3/pauses/0199e6a0-0000-7000-8000-000000000001/";
    app.get(gone).await.expect(404);
    app.delete(gone).await.expect(404);
}

#[tokio::test]
async fn pauses_are_for_administrators_and_audited() {
    let app = TestApp::start().await;
    let repository = app.repository("r").await;
    let (href, prn) = (
        &repository["pulp_href"],
        repository["prn"].as_str().unwrap(),
    );
    let made = pause(&app, &json!({"resource": href, "reason": "disk"})).await;
    let shown = app.get(&made).await.expect(200);
    assert_eq!(
        (&shown["kind"], &shown["name"]),
        (&json!("resource"), &json!(prn))
    );
    assert_eq!(shown["paused_by"], "admin");
    pause(&app, &json!({"task_name": SLEEP})).await;
    let listed = app.get("pauses/?kind=task").await.expect(200);
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["results"][0]["name"], SLEEP);
    let somebody = app.somebody().await;
    for path in ["pauses/", &made, "lanes/"] {
        somebody.get(path).await.expect(403);
    }
    somebody
        .post("pauses/", &json!({"resource": "x"}))
        .await
        .expect(403);
    somebody.delete(&made).await.expect(403);
    resume(&app, &made).await;
    let log = "SELECT action || ' ' || object || ' ' || coalesce(actor, '-') FROM audit_entry WHERE action LIKE 'pause.%' ORDER BY id";
    let wanted = [
        format!("pause.create {prn} admin"),
        format!("pause.create {SLEEP} admin"),
        format!("pause.delete {prn} admin"),
    ];
    assert_eq!(app.sql.texts(log).await, wanted);
}

#[tokio::test]
async fn the_command_line_pauses_and_resumes() {
    let app = TestApp::with_workers(1).await;
    let (well, text) = app.printed(&["pause", "--resource", "a", "--reason", "by hand"]);
    assert!(well, "{text}");
    let task = app.sleeper(0.0, &["a"]).await;
    held(&app, 1).await;
    let (well, text) = app.printed(&["why", &task]);
    assert!(
        well && text.contains("by hand") && text.contains("(paused)"),
        "{text}"
    );
    for wrong in [
        &["pause", "--resource", "a"][..],
        &["pause", "--task-name", "unknown"],
        &["pause"],
        &["resume", "--resource", "b"],
        &["resume", "--resource", "a", "--task-name", SLEEP],
        &["why", "nothing"],
    ] {
        let (well, text) = app.printed(wrong);
        assert!(!well, "{wrong:?}: {text}");
    }
    let (well, text) = app.printed(&["resume", "--resource", "a"]);
    assert!(well, "{text}");
    app.completed(&task).await;
    assert_eq!(id_of(&task).len(), 36);
    app.finish().await;
}
