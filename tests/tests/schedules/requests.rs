//! Requests about schedules.

use super::{TEST, href, made, system};
use serde_json::{Value, json};

#[tokio::test]
async fn a_schedule_is_made_listed_changed_and_deleted() {
    let app = system(0).await;
    let schedule = made(
        &app,
        "nightly",
        json!({"dispatch_interval": "1 02:03:04", "next_dispatch": "2100-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(schedule["name"], "nightly");
    assert_eq!(schedule["dispatch_interval"], "1 02:03:04");
    assert_eq!(schedule["next_dispatch"], "2100-01-01T00:00:00.000000Z");
    for field in ["last_task", "last_error", "deadline_seconds"] {
        assert_eq!(schedule[field], Value::Null);
    }
    let paused = made(&app, "paused", json!({"next_dispatch": null})).await;
    assert_eq!(paused["next_dispatch"], Value::Null);
    for (query, found) in [
        ("", vec![href(&paused), href(&schedule)]),
        ("name=nightly", vec![href(&schedule)]),
        ("name__contains=ause", vec![href(&paused)]),
        ("task_name=no.such", vec![]),
        (
            "task_name__contains=dummy&ordering=name",
            vec![href(&schedule), href(&paused)],
        ),
    ] {
        let list = app.hrefs(&format!("task-schedules/?{query}")).await;
        assert_eq!(list, found, "{query}");
    }
    let by_prn = format!(
        "task-schedules/?prn__in={}",
        schedule["prn"].as_str().unwrap()
    );
    assert_eq!(app.hrefs(&by_prn).await, [href(&schedule)]);
    app.get("task-schedules/?enc_args=x").await.expect(400);

    let change = json!({"dispatch_interval": null, "deadline_seconds": 5});
    let changed = app.patch(href(&schedule), &change).await.expect(200);
    assert_eq!(changed["dispatch_interval"], Value::Null);
    assert_eq!(changed["deadline_seconds"], 5);
    assert_eq!(changed["next_dispatch"], schedule["next_dispatch"]);
    let whole = json!({"name": "daily", "task_name": format!("{TEST}.sleep"), "task_args": [0]});
    let request = app.request(reqwest::Method::PUT, href(&schedule));
    let replaced = app.send(request.json(&whole)).await.expect(200);
    assert_eq!(replaced["name"], "daily");
    assert_eq!(replaced["deadline_seconds"], Value::Null);
    assert_eq!(replaced["next_dispatch"], schedule["next_dispatch"]);
    assert_eq!(app.get(href(&schedule)).await.expect(200), replaced);

    app.delete(href(&schedule)).await.expect(204);
    app.get(href(&schedule)).await.expect(404);
    app.delete(href(&schedule)).await.expect(404);
    app.patch(href(&schedule), &json!({})).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_refused_by_field_and_changes_nothing() {
    let app = system(0).await;
    let other = made(&app, "taken", json!({"next_dispatch": null})).await;
    let good = json!({"name": "good", "task_name": format!("{TEST}.sleep"), "task_args": [0],
        "next_dispatch": null});
    let schedule = app.post("task-schedules/", &good).await.expect(201);
    let rows = "SELECT string_agg(s::text, ';' ORDER BY name) FROM task_schedule s";
    let before = app.sql.text(rows).await;
    for (field, value) in [
        ("name", json!("taken")),
        ("name", json!("")),
        ("name", json!(7)),
        ("name", Value::Null),
        ("name", json!("x\u{0}")),
        ("name", json!("x".repeat(2001))),
        ("task_name", json!("no.such.task")),
        ("task_name", Value::Null),
        ("task_args", json!([1, 2, 3])),
        ("task_args", json!({})),
        ("task_args", Value::Null),
        ("task_kwargs", json!({"interval": 1})),
        ("task_kwargs", json!({"other": 1})),
        ("task_kwargs", json!([])),
        ("dispatch_interval", json!("00:00:00")),
        ("dispatch_interval", json!("-1 00:00:00")),
        ("dispatch_interval", json!("99999 00:00:00")),
        ("dispatch_interval", json!("daily")),
        ("dispatch_interval", json!(60)),
        ("next_dispatch", json!("tomorrow")),
        ("next_dispatch", json!("-0001-01-01T00:00:00Z")),
        ("deadline_seconds", json!(0)),
        ("deadline_seconds", json!(3_000_000_000_i64)),
        ("last_task", Value::Null),
        ("unknown", json!(1)),
    ] {
        let mut whole = good.clone();
        whole["name"] = json!("better");
        whole[field] = value.clone();
        let some = json!({field: value});
        let put = app.request(reqwest::Method::PUT, href(&schedule));
        for refusal in [
            app.post("task-schedules/", &whole).await,
            app.patch(href(&schedule), &some).await,
            app.send(put.json(&whole)).await,
        ] {
            let body = refusal.expect(400);
            assert!(body[field].is_array(), "{field} = {value}: {body}");
        }
    }
    let refusal = app.post("task-schedules/", &json!({})).await.expect(400);
    assert!(refusal["name"].is_array() && refusal["task_name"].is_array());
    // Arguments that fitted the type before.
    let purge = json!({"task_name": "pulpcore.app.tasks.purge.purge", "task_args": [],
        "task_kwargs": {"states": ["running"]}});
    let refusal = app.patch(href(&other), &purge).await.expect(400);
    assert!(refusal["task_kwargs"].is_array(), "{refusal}");
    let another = json!({"task_name": format!("{TEST}.dummy_task")});
    let refusal = app.patch(href(&schedule), &another).await.expect(400);
    assert!(refusal["task_args"].is_array(), "{refusal}");
    assert_eq!(app.sql.text(rows).await, before);
    app.finish().await;
}

#[tokio::test]
async fn viewers_see_schedules_and_administrators_change_them() {
    let app = system(0).await;
    let schedule = made(&app, "mine", json!({"next_dispatch": null})).await;
    let somebody = app.somebody().await;
    app.grant("somebody", "core.taskschedule_viewer", None)
        .await;
    assert_eq!(
        somebody.get("task-schedules/").await.expect(200)["count"],
        1
    );
    somebody.get(href(&schedule)).await.expect(200);
    let body = json!({"name": "theirs", "task_name": format!("{TEST}.dummy_task")});
    let put = somebody.request(reqwest::Method::PUT, href(&schedule));
    for refusal in [
        somebody.post("task-schedules/", &body).await,
        somebody.post("task-schedules/", &json!([])).await,
        somebody.patch(href(&schedule), &body).await,
        somebody.send(put.json(&body)).await,
        somebody.delete(href(&schedule)).await,
    ] {
        refusal.expect(403);
    }
    assert_eq!(app.get(href(&schedule)).await.expect(200)["name"], "mine");
    app.finish().await;
}
