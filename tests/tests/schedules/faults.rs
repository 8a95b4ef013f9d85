//! Schedules that are broken, and workers that race for one or die over it.

use super::{SOON, TEST, href, id, made, system, until};
use millrace_tests::app::free_port;
use millrace_tests::client::metric;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};

/// Holds the lane of the domain: nothing is dispatched meanwhile.
const HOLD: &str =
    "BEGIN; SELECT pg_advisory_xact_lock(millrace_lane_class(r), millrace_lane_key(r))
    FROM (SELECT 'prn:core.domain:' || pulp_id FROM domain) d(r)";

/// The worker that waits for a lock, by its place.
async fn waiting_worker(app: &TestApp) -> usize {
    let other = app.db.sql().await;
    eventually(SOON, async || {
        let names = other
            .texts(
                "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND wait_event = 'advisory'",
            )
            .await;
        let place = names.iter().find_map(|name| {
            let name = name.strip_prefix("millrace-worker ")?;
            app.workers.iter().position(|worker| worker.name == name)
        });
        place.ok_or_else(|| format!("{names:?}"))
    })
    .await
}

/// Waits until the workers have looked around so many times more.
async fn passes(app: &TestApp, count: usize) {
    for _ in 0..count {
        let last = app.sql.text("SELECT last_pass FROM janitor").await;
        eventually(SOON, async || {
            let now = app.sql.text("SELECT last_pass FROM janitor").await;
            holds(now != last, || "no pass".to_owned())
        })
        .await;
    }
}

#[tokio::test]
async fn a_due_time_is_one_task_whoever_races_for_it() {
    let mut app = system(0).await;
    app.set("worker.janitor_ms", "100");
    for n in 0..30 {
        made(&app, &format!("s{n}"), json!({})).await;
    }
    for _ in 0..3 {
        app.spawn_worker(&[]);
    }
    app.sql.run(HOLD).await;
    app.workers_online(3).await;
    waiting_worker(&app).await;
    // The others find it due as well, and leave it to who has it.
    passes(&app, 10).await;
    app.sql.run("COMMIT").await;
    eventually(SOON, async || {
        let open = "SELECT count(*) FROM task_schedule WHERE next_dispatch IS NOT NULL";
        let open = app.sql.number(open).await;
        holds(open == 0, || format!("{open} are due"))
    })
    .await;
    passes(&app, 3).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 30);
    let last = "SELECT count(DISTINCT last_task) FROM task_schedule";
    assert_eq!(app.sql.number(last).await, 30);
    app.finish().await;
}

#[tokio::test]
async fn a_worker_that_dies_while_it_dispatches_leaves_the_time_to_others() {
    let mut app = system(2).await;
    app.sql.run(HOLD).await;
    let schedule = made(&app, "hourly", json!({"dispatch_interval": "01:00:00"})).await;
    let dying = waiting_worker(&app).await;
    app.workers[dying].kill();
    // What it had written is gone with it, and another one has its turn.
    let other = app.db.sql().await;
    eventually(SOON, async || {
        let gone = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'millrace-worker {}'",
            app.workers[dying].name
        );
        holds(other.number(&gone).await == 0, || "still there".into())
    })
    .await;
    assert_eq!(waiting_worker(&app).await, 1 - dying);
    app.sql.run("COMMIT").await;
    until(&app, &schedule, "last_task IS NOT NULL").await;
    passes(&app, 2).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn broken_schedules_say_why_and_are_in_nobodys_way() {
    let mut app = system(0).await;
    let health = format!("127.0.0.1:{}", free_port());
    app.spawn_worker(&[("worker.health_listen", &health)]);
    let paused = |name: &'static str| made(&app, name, json!({"next_dispatch": null}));
    let (unknown, damaged, unfitting) = (
        paused("unknown").await,
        paused("damaged").await,
        paused("unfitting").await,
    );
    for (schedule, change) in [
        (&unknown, "task_name = 'no.such.task'".to_owned()),
        (&damaged, "enc_args = 'v1.00000000.AAAA'".to_owned()),
        (&unfitting, format!("task_name = '{TEST}.sleep'")),
    ] {
        let id = id(schedule);
        app.sql
            .run(&format!(
                "UPDATE task_schedule SET {change}, next_dispatch = '2001-01-01', dispatch_interval = 1 WHERE pulp_id = '{id}'"
            ))
            .await;
    }
    let good = made(&app, "good", json!({})).await;
    until(&app, &good, "last_task IS NOT NULL").await;
    for (schedule, reason) in [
        (&unknown, "The task type is not registered."),
        (&damaged, "The arguments cannot be decrypted."),
        (&unfitting, "The arguments do not fit the task type."),
    ] {
        until(&app, schedule, "last_error IS NOT NULL").await;
        let shown = app.get(href(schedule)).await.expect(200);
        assert_eq!(shown["last_error"], reason);
        assert_eq!(shown["last_task"], Value::Null);
        // Still due, and not tried again at every pass.
        until(
            &app,
            schedule,
            "next_dispatch = '2001-01-01' AND not_before > clock_timestamp()",
        )
        .await;
    }
    passes(&app, 3).await;
    for reason in ["cannot be decrypted", "do not fit"] {
        let tries = app.workers[0].log().matches(reason).count();
        assert_eq!(tries, 1, "{reason}");
    }
    let dispatched = metric(&health, "millrace_schedules_dispatched_total").await;
    assert!(dispatched > 0.5, "{dispatched}");
    let put_off = metric(&health, "millrace_schedules_put_off_total").await;
    assert!(put_off > 2.5, "{put_off}");
    // Mended, it goes on at once.
    let mended = json!({"task_args": [0], "task_kwargs": {}, "dispatch_interval": null});
    for schedule in [&damaged, &unfitting] {
        let mut mended = mended.clone();
        mended["task_name"] = json!(format!("{TEST}.sleep"));
        let shown = app.patch(href(schedule), &mended).await.expect(200);
        assert_eq!(shown["last_error"], Value::Null);
        until(&app, schedule, "last_task IS NOT NULL").await;
    }
    app.delete(href(&unknown)).await.expect(204);
    app.finish().await;
}

#[tokio::test]
async fn stored_arguments_that_nobody_can_read_are_replaced_as_a_whole() {
    let app = system(0).await;
    let schedule = made(&app, "damaged", json!({"next_dispatch": null})).await;
    app.sql
        .run("UPDATE task_schedule SET enc_args = 'v1.00000000.AAAA'")
        .await;
    let some = json!({"task_kwargs": {}});
    let refusal = app.patch(href(&schedule), &some).await.expect(400);
    assert!(refusal["task_kwargs"].is_array(), "{refusal}");
    app.patch(href(&schedule), &json!({"name": "x"}))
        .await
        .expect(200);
    let all = json!({"task_args": [], "task_kwargs": {}});
    app.patch(href(&schedule), &all).await.expect(200);
    app.patch(href(&schedule), &some).await.expect(200);
    app.finish().await;
}
