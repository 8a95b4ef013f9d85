//! Schedules: what dispatches tasks at their times.

mod faults;
mod requests;

use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const TEST: &str = "pulpcore.app.tasks.test";
const SOON: Duration = Duration::from_secs(20);
/// The schedules of the settings are none of these tests' business.
const NO_ORPHANS: (&str, &str) = ("tasks.orphan_cleanup_interval", "0");

async fn system(workers: usize) -> TestApp {
    TestApp::builder()
        .set(NO_ORPHANS.0, NO_ORPHANS.1)
        .workers(workers)
        .start()
        .await
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

fn id(object: &Value) -> &str {
    millrace_tests::client::id_of(href(object))
}

/// A schedule of a task that does nothing, with more fields.
async fn made(app: &TestApp, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "task_name": format!("{TEST}.dummy_task")});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    app.post("task-schedules/", &body).await.expect(201)
}

/// Waits until a condition on the row of a schedule holds.
async fn until(app: &TestApp, schedule: &Value, condition: &str) {
    let id = id(schedule);
    eventually(SOON, async || {
        let row = format!("FROM task_schedule s WHERE pulp_id = '{id}'");
        let met = format!("SELECT count(*) {row} AND ({condition})");
        if app.sql.number(&met).await == 1 {
            return Ok(());
        }
        Err(app.sql.text(&format!("SELECT row_to_json(s) {row}")).await)
    })
    .await;
}

#[tokio::test]
async fn a_schedule_dispatches_at_its_time_and_moves_on() {
    let app = system(1).await;
    let schedule = made(&app, "often", json!({"dispatch_interval": "00:00:02"})).await;
    eventually(SOON, async || {
        let ended = "SELECT count(*) FROM task WHERE state = 'completed'";
        holds(app.sql.number(ended).await >= 3, || "not yet".into())
    })
    .await;
    let stop = json!({"next_dispatch": null});
    app.patch(href(&schedule), &stop).await.expect(200);
    app.quiet(SOON).await;
    // Each a fresh request's, of nobody, soon after its time, and two seconds behind the one before.
    let odd = app
        .sql
        .texts(
            "SELECT pulp_id::text FROM (
                 SELECT *, count(*) OVER (PARTITION BY logging_cid) AS of_cid,
                        pulp_created - lag(pulp_created) OVER (ORDER BY pulp_created) AS pause FROM task) t
              WHERE created_by IS NOT NULL OR of_cid > 1 OR cardinality(reserved_resources_record) <> 1
                 OR pause NOT BETWEEN interval '0.3 s' AND interval '10 s'",
        )
        .await;
    assert_eq!(odd, Vec::<String>::new());
    let shown = app.get(href(&schedule)).await.expect(200);
    assert_eq!(shown["next_dispatch"], Value::Null);
    let last = shown["last_task"].as_str().unwrap();
    assert_eq!(app.hrefs("tasks/").await[0], last);
    app.finish().await;
}

#[tokio::test]
async fn a_schedule_is_dispatched_soon_after_its_time_and_never_before() {
    let app = system(1).await;
    let due: String = app
        .sql
        .text("SELECT to_char((clock_timestamp() + interval '3 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        .await;
    let schedule = made(&app, "later", json!({"next_dispatch": due})).await;
    assert_eq!(schedule["next_dispatch"], due);
    until(&app, &schedule, "last_task IS NOT NULL").await;
    let late = app
        .sql
        .number(&format!(
            "SELECT (extract(epoch FROM pulp_created - '{due}') * 1000)::bigint FROM task"
        ))
        .await;
    assert!((0..4000).contains(&late), "{late} ms late");
    app.finish().await;
}

#[tokio::test]
async fn a_schedule_without_an_interval_dispatches_once() {
    let app = system(1).await;
    let schedule = made(&app, "once", json!({})).await;
    until(&app, &schedule, "next_dispatch IS NULL").await;
    // Two more passes, by a schedule that takes them.
    made(&app, "others", json!({"dispatch_interval": "00:00:01"})).await;
    eventually(SOON, async || {
        holds(
            app.sql.number("SELECT count(*) FROM task").await >= 3,
            || "not yet".into(),
        )
    })
    .await;
    let others = app.hrefs("task-schedules/?name=others").await;
    app.delete(&others[0]).await.expect(204);
    let task = app.get(href(&schedule)).await.expect(200);
    let task = task["last_task"].as_str().unwrap().to_owned();
    assert_eq!(app.hrefs("tasks/?ordering=pulp_created").await[0], task);
    assert_eq!(
        app.get(href(&schedule)).await.expect(200)["last_task"],
        task
    );
    app.quiet(SOON).await;
    // Its task may go; the schedule stays.
    app.delete(&task).await.expect(204);
    let shown = app.get(href(&schedule)).await.expect(200);
    assert_eq!(shown["last_task"], Value::Null);
    assert_eq!(shown["next_dispatch"], Value::Null);
    app.finish().await;
}

#[tokio::test]
async fn runs_that_were_missed_are_one_and_the_rhythm_stays() {
    let mut app = system(0).await;
    let schedule = made(
        &app,
        "hourly",
        json!({"dispatch_interval": "01:00:00", "next_dispatch": "2001-02-03T04:05:06Z"}),
    )
    .await;
    app.spawn_worker(&[]);
    until(&app, &schedule, "last_task IS NOT NULL").await;
    until(
        &app,
        &schedule,
        "next_dispatch > clock_timestamp() AND next_dispatch <= clock_timestamp() + interval '1 hour' \
         AND extract(epoch FROM next_dispatch - '2001-02-03T04:05:06Z')::bigint % 3600 = 0",
    )
    .await;
    app.quiet(SOON).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_schedule_waits_for_its_last_task() {
    let app = system(1).await;
    let more = json!({"dispatch_interval": "00:00:01", "task_name": format!("{TEST}.sleep"), "task_args": [3]});
    let schedule = made(&app, "slow", more).await;
    eventually(SOON, async || {
        let count = app.sql.number("SELECT count(*) FROM task").await;
        let open = "SELECT count(*) FROM task WHERE state IN ('waiting', 'running')";
        assert!(app.sql.number(open).await <= 1, "two at once");
        holds(count >= 3, || format!("{count}"))
    })
    .await;
    app.delete(href(&schedule)).await.expect(204);
    app.finish().await;
}

#[tokio::test]
async fn a_task_of_a_schedule_has_the_resources_of_its_type_and_a_deadline() {
    let mut app = system(0).await;
    let more = json!({"task_name": "pulpcore.app.tasks.orphan.orphan_cleanup",
        "task_kwargs": {"orphan_protection_time": 5}, "deadline_seconds": 600});
    let schedule = made(&app, "orphans", more).await;
    assert_eq!(schedule["deadline_seconds"], 600);
    assert!(
        schedule.get("task_kwargs").is_none(),
        "arguments are not shown"
    );
    let stored = app.sql.text("SELECT enc_args FROM task_schedule").await;
    assert!(
        !stored.contains("orphan_protection_time"),
        "nor stored readable"
    );
    app.spawn_worker(&[]);
    until(&app, &schedule, "last_task IS NOT NULL").await;
    let shown = app.get(href(&schedule)).await.expect(200);
    let task = app.completed(shown["last_task"].as_str().unwrap()).await;
    let record = task["reserved_resources_record"].as_array().unwrap();
    assert!(
        record
            .iter()
            .any(|name| name.as_str().unwrap().ends_with(":orphans")),
        "{record:?}"
    );
    let seconds = app
        .sql
        .number("SELECT extract(epoch FROM deadline - pulp_created) FROM task")
        .await;
    assert!((590..=610).contains(&seconds), "{seconds}");
    app.finish().await;
}

#[tokio::test]
async fn the_settings_keep_schedules_of_their_own() {
    let mut app = TestApp::builder()
        .set("tasks.task_protection_time", 60)
        .workers(1)
        .start()
        .await;
    let list = app.get("task-schedules/?ordering=name").await.expect(200);
    let names: Vec<_> = list["results"].as_array().unwrap().iter().collect();
    assert_eq!(
        names
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect::<Vec<_>>(),
        [
            "Clean up stale content periodically",
            "Clean up stale tasks periodically"
        ]
    );
    assert_eq!(names[0]["dispatch_interval"], "1 00:00:00");
    assert_eq!(names[1]["dispatch_interval"], "01:00:00");
    let tasks = names[1].clone();
    // The first run is an interval away.
    until(
        &app,
        &tasks,
        "next_dispatch > clock_timestamp() + interval '50 min'",
    )
    .await;
    let old = app.sleeper(0.0, &[]).await;
    let young = app.sleeper(0.0, &[]).await;
    app.completed(&old).await;
    app.completed(&young).await;
    app.sql
        .run(&format!(
            "UPDATE task SET finished_at = finished_at - interval '61 min' WHERE pulp_id = '{}';
             UPDATE task_schedule SET next_dispatch = clock_timestamp() WHERE pulp_id = '{}'",
            millrace_tests::client::id_of(&old),
            id(&tasks)
        ))
        .await;
    until(&app, &tasks, "last_task IS NOT NULL").await;
    app.quiet(SOON).await;
    app.get(&old).await.expect(404);
    app.get(&young).await.expect(200);
    app.assert_no_failures().await;

    // A worker with the same settings changes nothing; one with others does.
    let before = app.get(href(&tasks)).await.expect(200)["next_dispatch"].clone();
    app.spawn_worker(&[]);
    app.workers_online(2).await;
    let after = app.get(href(&tasks)).await.expect(200)["next_dispatch"].clone();
    assert_eq!(before, after);
    app.spawn_worker(&[("tasks.task_protection_time", "30"), NO_ORPHANS]);
    until(&app, &tasks, "dispatch_interval = 1800").await;
    app.spawn_worker(&[("tasks.task_protection_time", "0"), NO_ORPHANS]);
    eventually(SOON, async || {
        let left = kept(&app).await;
        holds(left.is_empty(), || format!("{left:?}"))
    })
    .await;
    app.finish().await;
}

/// The four that the settings keep, by the beginning of their names.
async fn kept(app: &TestApp) -> Vec<Value> {
    let list = app.get("task-schedules/?ordering=name").await.expect(200);
    list["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_schedules_of_the_settings_spare_what_is_young() {
    let app = TestApp::builder()
        .set("tasks.task_protection_time", 60)
        .set("tasks.upload_protection_time", 60)
        .set("tasks.tmpfile_protection_time", 60)
        .workers(1)
        .start()
        .await;
    let old = "UPDATE {} SET pulp_created = pulp_created - interval '1 day', \
               pulp_last_updated = pulp_last_updated - interval '1 day'";
    app.post("uploads/", &json!({"size": 4})).await.expect(201);
    let temporary = "INSERT INTO temporary_file (pulp_id, pulp_domain, storage_key, size, sha256) \
        SELECT gen_random_uuid(), pulp_id, 'artifact/00/' || NAME, 3, repeat('0', 64) FROM domain";
    app.sql.run(&temporary.replace("NAME", "'old'")).await;
    let artifact = app.upload(b"old".to_vec()).await;
    app.file(&artifact, "old").await;
    for table in ["upload", "temporary_file", "artifact", "content"] {
        let has_update = format!(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = '{table}' AND column_name = 'pulp_last_updated'"
        );
        let statement = old.replace("{}", table);
        let statement = match app.sql.number(&has_update).await {
            0 => statement.split_once(", ").unwrap().0.to_owned(),
            _ => statement,
        };
        app.sql.run(&statement).await;
    }
    app.sql
        .run("UPDATE content SET timestamp_of_interest = timestamp_of_interest - interval '30 days'; \
              UPDATE artifact SET timestamp_of_interest = timestamp_of_interest - interval '30 days'")
        .await;
    app.post("uploads/", &json!({"size": 5})).await.expect(201);
    app.sql.run(&temporary.replace("NAME", "'young'")).await;
    let artifact = app.upload(b"young".to_vec()).await;
    let young = app.file(&artifact, "young").await;
    let task = app.sleeper(0.0, &[]).await;
    app.completed(&task).await;

    let schedules = kept(&app).await;
    assert_eq!(schedules.len(), 4);
    app.sql
        .run("UPDATE task_schedule SET next_dispatch = clock_timestamp()")
        .await;
    for schedule in &schedules {
        until(&app, schedule, "last_task IS NOT NULL").await;
    }
    app.quiet(SOON).await;
    app.assert_no_failures().await;
    assert_eq!(app.sql.texts("SELECT size::text FROM upload").await, ["5"]);
    let left = "SELECT storage_key FROM temporary_file";
    assert_eq!(app.sql.texts(left).await, ["artifact/00/young"]);
    let left = "SELECT fields ->> 'relative_path' FROM content";
    assert_eq!(app.sql.texts(left).await, ["young"]);
    app.get(&young).await.expect(200);
    app.get(&task).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_start_of_a_worker_respects_what_an_administrator_did() {
    let name = "Clean up stale tasks periodically";
    let mut app = TestApp::builder()
        .set("tasks.task_protection_time", 60)
        .set(NO_ORPHANS.0, NO_ORPHANS.1)
        .workers(1)
        .start()
        .await;
    let managed = kept(&app).await.remove(0);
    assert_eq!(managed["name"], name);
    // It is stopped, and stays so, unless the settings have another interval.
    let stop = json!({"next_dispatch": null, "name": name});
    app.patch(href(&managed), &stop).await.expect(200);
    app.spawn_worker(&[]);
    app.workers_online(2).await;
    until(&app, &managed, "next_dispatch IS NULL").await;
    app.spawn_worker(&[("tasks.task_protection_time", "30")]);
    until(&app, &managed, "next_dispatch > clock_timestamp()").await;

    // Its name is its own.
    let other = made(&app, "mine", json!({"next_dispatch": null})).await;
    let free = "Clean up stale uploads periodically";
    for taken in [name, free] {
        let task = format!("{TEST}.dummy_task");
        let body = json!({"name": taken, "task_name": task});
        let put = app.request(reqwest::Method::PUT, href(&other)).json(&body);
        for refusal in [
            app.post("task-schedules/", &body).await,
            app.patch(href(&other), &json!({"name": taken})).await,
            app.send(put).await,
        ] {
            let refusal = refusal.expect(400);
            assert!(refusal["name"].is_array(), "{refusal}");
        }
    }
    let refusal = app.patch(href(&managed), &json!({"name": "x"})).await;
    assert!(refusal.expect(400)["name"].is_array());

    // What somebody made under such a name all the same is nobody else's.
    app.sql
        .run(&format!(
            "UPDATE task_schedule SET name = '{free}' WHERE name = 'mine'"
        ))
        .await;
    let before = app.get(href(&other)).await.expect(200);
    app.spawn_worker(&[("tasks.upload_protection_time", "60")]);
    app.spawn_worker(&[("tasks.upload_protection_time", "0")]);
    app.workers_online(5).await;
    assert_eq!(app.get(href(&other)).await.expect(200), before);
    app.finish().await;
}
