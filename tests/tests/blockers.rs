//! Why a task waits, and what there is in the lanes.

use millrace_tests::client::{Client, id_of, sleep};
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

async fn why(client: &Client, task: &str) -> Value {
    client.get(&format!("{task}blockers/")).await.expect(200)
}

/// Waits until the verdict is this one; gives the whole answer.
async fn verdict(client: &Client, task: &str, wanted: &str) -> Value {
    eventually(SOON, async || {
        let why = why(client, task).await;
        let found = why["verdict"] == wanted;
        if found { Ok(why) } else { Err(why.to_string()) }
    })
    .await
}

fn of<'a>(why: &'a Value, resource: &str) -> &'a Value {
    let resources = why["resources"].as_array().unwrap();
    let found = resources.iter().find(|entry| entry["resource"] == resource);
    found.unwrap_or_else(|| panic!("{resource} in {why}"))
}

#[tokio::test]
async fn a_blocked_task_shows_who_is_in_front_in_each_lane() {
    let app = TestApp::with_workers(1).await;
    let holder = app.sleeper(60.0, &["a"]).await;
    let holder_state = app.in_state(&holder, "running").await;
    let mut reader = sleep(0.0, &["b"]);
    reader["shared_resources"] = json!(["a"]);
    let reader = app.dispatch(&reader).await;
    let last = app.sleeper(0.0, &["a", "b", "c"]).await;

    let shown = why(&app, &last).await;
    assert_eq!(
        (&shown["verdict"], &shown["state"]),
        (&json!("lanes"), &json!("waiting"))
    );
    assert!(
        shown["message"]
            .as_str()
            .unwrap()
            .contains("2 earlier tasks in the lane of a"),
        "{shown}"
    );
    let a = of(&shown, "a");
    assert_eq!(
        (&a["position"], &a["in_front_count"], &a["mode"]),
        (&json!(3), &json!(2), &json!("exclusive"))
    );
    assert_eq!(
        (&a["holder_count"], &a["holders"][0]["task"]),
        (&json!(1), &json!(holder))
    );
    assert_eq!(a["holders"][0]["since"], holder_state["started_at"]);
    assert!(
        a["holders"][0]["worker"].is_string() && a["holders"][0]["worker_name"] == "worker-1",
        "{a}"
    );
    assert_eq!(
        (&a["in_front"][0]["task"], &a["in_front"][0]["state"]),
        (&json!(holder), &json!("running"))
    );
    assert_eq!(
        (&a["in_front"][1]["task"], &a["in_front"][1]["mode"]),
        (&json!(reader), &json!("shared"))
    );
    let b = of(&shown, "b");
    assert_eq!(
        (&b["position"], &b["holders"], &b["blocked"]),
        (&json!(2), &json!([]), &json!(true))
    );
    let c = of(&shown, "c");
    assert_eq!((&c["position"], &c["blocked"]), (&json!(1), &json!(false)));
    // A reader waits for writers only.
    let shown = why(&app, &reader).await;
    let a = of(&shown, "a");
    assert_eq!(
        (&a["in_front_count"], &a["mode"]),
        (&json!(1), &json!("shared"))
    );

    let (well, text) = app.printed(&["why", &last]);
    assert!(
        well && text.contains("2 earlier tasks") && text.contains(&holder),
        "{text}"
    );
    let (_, text) = app.printed(&["why", "--json", id_of(&last)]);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["resources"], why(&app, &last).await["resources"]);

    let shown = why(&app, &holder).await;
    assert_eq!(
        (&shown["verdict"], &of(&shown, "a")["position"]),
        (&json!("not_waiting"), &json!(1))
    );
    app.cancel(&holder).await.expect(200);
    app.completed(&last).await;
    let shown = why(&app, &last).await;
    assert_eq!(
        (&shown["verdict"], &shown["resources"]),
        (&json!("not_waiting"), &json!([]))
    );
    app.get("tasks/0199e6a0-0000-7000-8000-000000000001/blockers/")
        .await
        .expect(404);
    app.get("tasks/x/blockers/").await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn who_may_see_a_task_learns_how_many_are_in_front_and_not_what() {
    let app = TestApp::with_workers(1).await;
    let holder = app.sleeper(60.0, &["a"]).await;
    app.in_state(&holder, "running").await;
    let last = app.sleeper(0.0, &["a"]).await;
    let somebody = app.somebody().await;
    let refused = somebody.get(&format!("{last}blockers/")).await;
    assert_eq!(refused.status, 404, "{}", refused.text);
    app.grant("somebody", "core.task_viewer", Some(&last)).await;
    let shown = why(&somebody, &last).await;
    let a = of(&shown, "a");
    for entry in [&a["holders"][0], &a["in_front"][0]] {
        for field in ["task", "name", "worker", "worker_name"] {
            assert_eq!(entry[field], Value::Null, "{entry}");
        }
        assert!(
            entry["since"].is_string() && entry["state"] == "running",
            "{entry}"
        );
    }
    assert!(!shown.to_string().contains(id_of(&holder)), "{shown}");
    app.cancel(&holder).await.expect(200);
    app.completed(&last).await;
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_may_run_tells_what_is_missing() {
    let app = TestApp::builder()
        .workers(1)
        .set("worker.slots.default", 1)
        .start()
        .await;
    let busy = app.sleeper(60.0, &["a"]).await;
    app.in_state(&busy, "running").await;
    let task = app.sleeper(0.0, &["b"]).await;
    let shown = verdict(&app, &task, "no_free_worker").await;
    assert!(
        shown["announced_at"].is_string() && shown["online_workers"] == 1,
        "{shown}"
    );
    assert_eq!(shown["queue"]["messages"], 1);
    let set = async |what: &str| {
        let id = id_of(&task);
        app.sql
            .run(&format!("UPDATE task SET {what} WHERE pulp_id = '{id}'"))
            .await;
    };
    set("announced_at = NULL, announce_no = announce_no + 1, announce_after = clock_timestamp() + interval '1 h'").await;
    verdict(&app, &task, "unpublished").await;
    set("not_before = clock_timestamp() + interval '1 h'").await;
    let shown = verdict(&app, &task, "deferred").await;
    assert!(shown["not_before"].is_string(), "{shown}");
    set("versions = '{\"core\": \"99.0\"}'").await;
    let shown = verdict(&app, &task, "no_worker").await;
    assert!(
        shown["message"].as_str().unwrap().contains("99.0"),
        "{shown}"
    );
    assert_eq!(
        (&shown["online_workers"], &shown["able_workers"]),
        (&json!(1), &json!(0))
    );
    app.cancel(&task).await.expect(200);
    app.cancel(&busy).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_class_that_nobody_serves_and_a_fleet_without_workers_are_told() {
    let mut app = TestApp::start().await;
    let task = app.sleeper(0.0, &["a"]).await;
    let shown = verdict(&app, &task, "no_worker").await;
    assert!(
        shown["message"].as_str().unwrap().contains("start one"),
        "{shown}"
    );
    app.spawn_worker(&[("worker.slots.default", "0")]);
    app.workers_online(1).await;
    let shown = verdict(&app, &task, "no_worker").await;
    assert!(
        shown["message"].as_str().unwrap().contains("`default`"),
        "{shown}"
    );
    app.spawn_worker(&[]);
    app.completed(&task).await;
    app.finish().await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_told() {
    let mut app = TestApp::builder().without_broker().start().await;
    app.spawn_worker(&[]);
    app.workers_online(1).await;
    let task = app.sleeper(0.0, &["a"]).await;
    let shown = verdict(&app, &task, "broker_unreachable").await;
    assert_eq!(shown["queue"], Value::Null);
    let (well, text) = app.printed(&["why", &task]);
    assert!(well && text.contains("(broker_unreachable)"), "{text}");
}

#[tokio::test]
async fn lanes_show_their_holders_and_those_who_wait() {
    let app = TestApp::with_workers(1).await;
    let holder = app.sleeper(60.0, &["deep", "side"]).await;
    app.in_state(&holder, "running").await;
    let first = app.sleeper(0.0, &["deep"]).await;
    app.sleeper(0.0, &["deep"]).await;
    app.post("pauses/", &json!({"resource": "side", "reason": "why not"}))
        .await
        .expect(201);
    let lanes = app.get("lanes/?resource=deep").await.expect(200);
    assert_eq!(lanes["count"], 1);
    let lane = &lanes["results"][0];
    assert_eq!(
        (&lane["mode"], &lane["waiting"], &lane["paused"]),
        (&json!("exclusive"), &json!(2), &json!(false))
    );
    assert_eq!(
        (&lane["holder_count"], &lane["holders"][0]["task"]),
        (&json!(1), &json!(holder))
    );
    assert_eq!(lane["oldest_wait"], app.task(&first).await["pulp_created"]);
    let paused = app.get("lanes/?paused=true").await.expect(200);
    assert_eq!(
        (&paused["count"], &paused["results"][0]["resource"]),
        (&json!(1), &json!("side"))
    );
    assert_eq!(
        (
            &paused["results"][0]["pause_reason"],
            &paused["results"][0]["waiting"]
        ),
        (&json!("why not"), &json!(0))
    );
    // The longest queue first, then by name; every task shares the domain.
    let all = app.get("lanes/").await.expect(200);
    let names: Vec<&str> = all["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["resource"].as_str().unwrap())
        .collect();
    assert_eq!((names[0], names[2], names.len()), ("deep", "side", 3));
    assert_eq!(
        (&all["results"][1]["mode"], &all["results"][1]["waiting"]),
        (&json!("shared"), &json!(2))
    );
    let contains = app
        .get("lanes/?resource__contains=ee&paused=false&mode=exclusive")
        .await
        .expect(200);
    assert_eq!(contains["count"], 1);
    for wrong in ["paused=odd", "mode=odd", "ordering=odd"] {
        app.get(&format!("lanes/?{wrong}")).await.expect(400);
    }
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn many_lanes_and_a_deep_one_are_shown_quickly() {
    let app = TestApp::start().await;
    app.sql
        .run(
            "INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, \
                    logging_cid, unblocked_at, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss) \
             SELECT gen_random_uuid(), now(), now(), '00000000-0000-7000-8000-000000000001', nextval('task_ticket'), \
                    'waiting', 'x', 'none', '', CASE WHEN n <= 20001 THEN now() END, '', \
                    ARRAY[CASE WHEN n <= 20000 THEN 'lane-' || n ELSE 'deep' END], false, true, false \
               FROM generate_series(1, 50000) n; \
             INSERT INTO reservation SELECT r, t.ticket, t.pulp_id, true, t.unblocked_at IS NOT NULL \
               FROM task t, unnest(t.reserved_resources_record) r; \
             ANALYZE task; ANALYZE reservation",
        )
        .await;
    let began = Instant::now();
    let lanes = app.get("lanes/?limit=50").await.expect(200);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(lanes["count"], 20_001);
    let deep = &lanes["results"][0];
    assert_eq!(
        (&deep["resource"], &deep["waiting"], &deep["mode"]),
        (&json!("deep"), &json!(30_000), &json!("idle"))
    );
    let last = app
        .sql
        .text("SELECT pulp_id::text FROM task ORDER BY ticket DESC LIMIT 1")
        .await;
    let began = Instant::now();
    let shown = why(&app, &format!("/pulp/api/v3/tasks/{last}/")).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let deep = of(&shown, "deep");
    // Nobody counts further.
    assert_eq!(
        (&deep["position"], &deep["in_front_count"]),
        (&json!(10_001), &json!(10_000))
    );
    assert_eq!(deep["in_front"].as_array().unwrap().len(), 10);
}
