//! `tasks/`: reading, canceling, forgetting.

use super::{
    DELETE_ORPHANS, ORPHANS, TAG, account, complete, delete, file, get, grant, hold_orphans, path,
    post, post_text, spawned, task,
};
use millrace_tests::TestApp;
use millrace_tests::client::{id_of, sleep};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|task| task["task_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn task_list_with_two_tag_values_asks_for_all_of_them_and_only_ungrouped_tasks() {
    let app = TestApp::start().await;
    let all = spawned(&delete(&app, ORPHANS).await);
    let bulk = spawned(&post(&app, DELETE_ORPHANS, &json!([])).await);
    let three = app
        .dispatch(&json!({"name": "pulpcore.app.tasks.test.dummy_task"}))
        .await;
    let three = id_of(&three).to_owned();
    let grouped = spawned(&delete(&app, ORPHANS).await);
    app.sql
        .run(&format!(
            "INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT gen_random_uuid(), pulp_id, 'x' FROM domain; \
             UPDATE task SET task_group = (SELECT pulp_id FROM task_group) WHERE pulp_id = '{grouped}'"
        ))
        .await;
    let list = async |query: &str| get(&app, &format!("tasks/{query}")).await.expect(200);
    let action = "pulp:action:delete_orphans";
    assert_eq!(
        ids(&list("").await),
        [three.as_str(), &bulk, &all],
        "newest first"
    );
    assert_eq!(
        ids(&list(&format!("?tag={TAG}")).await),
        [bulk.as_str(), &all]
    );
    let both = format!("?tag={TAG}&tag={action}");
    assert_eq!(ids(&list(&both).await), [bulk.as_str()]);
    assert_eq!(ids(&list(&format!("{both}&tag=other")).await), [""; 0]);
    assert_eq!(ids(&list("?tag=").await), [""; 0]);
    // Asked for by its id it is there all the same.
    assert_eq!(task(&app, &grouped).await["task_id"], grouped.as_str());
    // What was born in version 3 has its dotted name and no tags.
    let list = list("").await;
    assert_eq!(list[0]["task_type"], "pulpcore.app.tasks.test.dummy_task");
    assert_eq!(list[0]["tags"], json!([]));
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .all(|task| task.get("queue").is_none())
    );
}

#[tokio::test]
async fn a_list_is_whole_unless_a_part_of_it_is_asked_for() {
    let app = TestApp::start().await;
    app.sql
        .run(
            "INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid, \
                               finished_at, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss) \
             SELECT gen_random_uuid(), now() - n % 7 * interval '1 s', now(), d.pulp_id, -n, 'completed', 'x.y', 'default', '', \
                    now(), '', '{}', false, true, false FROM generate_series(1, 450) n, domain d",
        )
        .await;
    let sorted = app
        .sql
        .texts("SELECT pulp_id::text FROM task ORDER BY pulp_created DESC, pulp_id DESC")
        .await;
    let list = get(&app, "tasks/").await.expect(200);
    assert_eq!(ids(&list), sorted, "over several pages, each once");
    for (query, from, to) in [
        ("?limit=3", 0, 3),
        ("?limit=150&skip=10", 10, 160),
        ("?skip=440", 440, 450),
        ("?limit=0", 0, 0),
        ("?skip=1000", 0, 0),
        ("?limit=100", 0, 100),
        ("?skip=350&limit=100", 350, 450),
    ] {
        let list = get(&app, &format!("tasks/{query}")).await.expect(200);
        assert_eq!(ids(&list), &sorted[from..to], "{query}");
    }
    for (query, named) in [
        ("?limit=x", "limit"),
        ("?limit=-1", "limit"),
        ("?skip=", "skip"),
    ] {
        let refused = get(&app, &format!("tasks/{query}")).await.expect(400);
        assert_eq!(refused["property_names"], json!([named]), "{query}");
    }
}

#[tokio::test]
async fn single_task_adds_queue_and_an_unknown_id_is_404_with_resource_id() {
    let app = TestApp::with_workers(1).await;
    let id = spawned(&delete(&app, ORPHANS).await);
    let done = complete(&app, &id).await;
    let worker = done["worker_name"].as_str().unwrap();
    assert_eq!(done["queue"], format!("{worker}.dq"));
    let list = get(&app, "tasks/").await.expect(200);
    let mut without = done.clone();
    without.as_object_mut().unwrap().remove("queue");
    assert_eq!(list[0], without);
    for unknown in [
        "nope",
        &uuid::Uuid::now_v7().to_string(),
        &id.to_uppercase(),
        "\u{e9}",
    ] {
        for answer in [
            get(&app, &format!("tasks/{unknown}/")).await,
            delete(&app, &format!("tasks/{unknown}/")).await,
        ] {
            let missing = answer.expect(404);
            assert_eq!(missing["resources"], json!({"resource_id": unknown}));
            assert_eq!(missing["error"]["code"], "PLP0009");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn task_serialiser_fields_spawned_task_links_and_href() {
    let app = TestApp::with_workers(1).await;
    file(&app, "one").await;
    let id = spawned(&delete(&app, ORPHANS).await);
    let done = complete(&app, &id).await;
    let document = done["id"].as_str().unwrap();
    assert_eq!(document.len(), 24);
    for time in ["start_time", "finish_time"] {
        let text = done[time].as_str().unwrap();
        assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    }
    assert!(done["progress_report"].is_object());
    assert_eq!(
        done,
        json!({
            "_href": format!("/pulp/api/v2/tasks/{id}/"), "_id": {"$oid": document}, "_ns": "task_status",
            "id": document, "task_id": id,
            "task_type": "pulp.server.managers.content.orphan.delete_all_orphans",
            "tags": [TAG], "state": "finished",
            "worker_name": done["worker_name"], "queue": done["queue"],
            "start_time": done["start_time"], "finish_time": done["finish_time"],
            "progress_report": done["progress_report"], "result": {"file": 1}, "spawned_tasks": [],
            "error": null, "exception": null, "traceback": null,
        })
    );
    app.sql
        .run(&format!(
            "UPDATE task SET parent_task = '{id}' WHERE pulp_id = (SELECT pulp_id FROM task WHERE pulp_id <> '{id}' LIMIT 1)"
        ))
        .await;
    let other = spawned(&delete(&app, ORPHANS).await);
    complete(&app, &other).await;
    app.sql
        .run(&format!(
            "UPDATE task SET parent_task = '{id}' WHERE pulp_id = '{other}'"
        ))
        .await;
    let link = json!([{"_href": path(&format!("tasks/{other}/")), "task_id": other}]);
    assert_eq!(task(&app, &id).await["spawned_tasks"], link);
    app.finish().await;
}

#[tokio::test]
async fn cancel_cancels_once_and_returns_null_in_every_state() {
    let app = TestApp::with_workers(1).await;
    let holder = hold_orphans(&app).await;
    let waiting = spawned(&delete(&app, ORPHANS).await);
    let cancel = async |id: &str| {
        let answer = delete(&app, &format!("tasks/{id}/")).await;
        answer.expect(200);
        assert_eq!(answer.text, "null");
    };
    cancel(&waiting).await;
    let canceled = task(&app, &waiting).await;
    assert_eq!(canceled["state"], "canceled");
    assert!(canceled["finish_time"].is_string());
    cancel(&waiting).await;
    assert_eq!(task(&app, &waiting).await, canceled, "untouched");
    // One that runs shows `running` until it has stopped.
    let running = id_of(&holder).to_owned();
    assert_eq!(task(&app, &running).await["state"], "running");
    cancel(&running).await;
    assert_eq!(complete(&app, &running).await["state"], "canceled");
    let done = spawned(&delete(&app, ORPHANS).await);
    complete(&app, &done).await;
    cancel(&done).await;
    assert_eq!(task(&app, &done).await["state"], "finished");
    app.finish().await;
}

#[tokio::test]
async fn a_task_that_is_being_canceled_is_running() {
    let app = TestApp::start().await;
    let id = spawned(&delete(&app, ORPHANS).await);
    app.sql
        .run(&format!(
            "UPDATE task SET state = 'canceling' WHERE pulp_id = '{id}'"
        ))
        .await;
    assert_eq!(task(&app, &id).await["state"], "running");
}

#[tokio::test]
async fn purge_by_state_finished_deletes_those_and_without_a_state_it_is_forbidden() {
    let app = TestApp::with_workers(1).await;
    let finished = spawned(&delete(&app, ORPHANS).await);
    complete(&app, &finished).await;
    let failed = app
        .dispatch(&json!({"name": "pulpcore.app.tasks.test.sleep", "kwargs": {"interval": 0.0}}))
        .await;
    app.finished(&failed).await;
    let failed = id_of(&failed).to_owned();
    app.sql
        .run(&format!(
            "UPDATE task SET state = 'failed' WHERE pulp_id = '{failed}'"
        ))
        .await;
    let holder = hold_orphans(&app).await;
    let canceled = spawned(&delete(&app, ORPHANS).await);
    delete(&app, &format!("tasks/{canceled}/"))
        .await
        .expect(200);

    let refused = delete(&app, "tasks/").await.expect(403);
    assert_eq!(refused["error"]["code"], "PLP1012");
    for state in [
        "canceled",
        "running",
        "waiting",
        "completed",
        "failed",
        "",
        "nope",
    ] {
        let answer = delete(&app, &format!("tasks/?state=finished&state={state}")).await;
        let refused = answer.expect(400);
        assert_eq!(refused["error"]["code"], "PLP1011");
        assert_eq!(refused["error"]["data"], json!({"state": state}));
    }
    assert_eq!(
        app.sql.number("SELECT count(*) FROM task").await,
        4,
        "nothing went"
    );

    let answer = delete(&app, "tasks/?state=finished").await;
    answer.expect(204);
    assert_eq!(answer.text, "");
    get(&app, &format!("tasks/{finished}/")).await.expect(404);
    get(&app, &format!("tasks/{failed}/")).await.expect(200);
    delete(&app, "tasks/?state=skipped&state=error&state=finished")
        .await
        .expect(204);
    get(&app, &format!("tasks/{failed}/")).await.expect(404);
    let list = get(&app, "tasks/").await.expect(200);
    assert_eq!(ids(&list), [canceled.as_str(), id_of(&holder)]);
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn failure_is_an_error_object_and_its_worker_may_be_gone() {
    let app = TestApp::start().await;
    let id = spawned(&delete(&app, ORPHANS).await);
    for (stored, code, text) in [
        (
            json!({"reason": "Worker has gone missing."}),
            "PLP0049",
            "Worker has gone missing.",
        ),
        (
            json!({"description": "[PLP0011] no such thing", "error_code": "PLP0011", "traceback": null}),
            "PLP0011",
            "no such thing",
        ),
        (
            json!({"description": "odd", "traceback": null}),
            "PLP0000",
            "odd",
        ),
        (json!(["odd"]), "PLP0000", ""),
    ] {
        app.sql
            .run(&format!(
                "UPDATE task SET state = 'failed', worker_id = gen_random_uuid(), error = '{stored}' WHERE pulp_id = '{id}'"
            ))
            .await;
        let shown = task(&app, &id).await;
        assert_eq!(shown["state"], "error");
        assert_eq!(
            shown["error"],
            json!({"code": code, "description": text, "data": {}, "sub_errors": []})
        );
        assert_eq!(
            (&shown["worker_name"], &shown["queue"]),
            (&Value::Null, &json!(""))
        );
    }
}

#[tokio::test]
async fn tasks_need_read_to_be_seen_and_delete_to_be_canceled() {
    let app = TestApp::start().await;
    let id = spawned(&delete(&app, ORPHANS).await);
    let one = format!("tasks/{id}/");
    let somebody = account(&app, "somebody").await;
    for rest in ["tasks/", &one, "tasks/search/"] {
        get(&somebody, rest).await.expect(401);
    }
    grant(&app, "somebody", "/v2/tasks/", &["READ"]).await;
    for rest in ["tasks/", &one, "tasks/search/"] {
        get(&somebody, rest).await.expect(200);
    }
    for rest in ["tasks/?state=finished", "tasks/", &one] {
        let refused = delete(&somebody, rest).await.expect(401);
        assert_eq!(refused["error"]["data"]["operation"], "DELETE");
    }
    grant(&app, "somebody", &format!("/v2/tasks/{id}"), &["DELETE"]).await;
    delete(&somebody, &one).await.expect(200);
    delete(&somebody, "tasks/?state=finished").await.expect(401);
}

#[tokio::test]
async fn search_takes_filters_limit_and_skip_and_names_all_else() {
    let app = TestApp::start().await;
    let all = spawned(&delete(&app, ORPHANS).await);
    let bulk = spawned(&post(&app, DELETE_ORPHANS, &json!([])).await);
    let other = app.dispatch(&sleep(0.0, &[])).await;
    let other = id_of(&other).to_owned();
    delete(&app, &format!("tasks/{bulk}/")).await.expect(200);
    let search = async |criteria: Value| {
        let body = json!({"criteria": criteria});
        post(&app, "tasks/search/", &body).await
    };
    let by_id = "pulp.server.managers.content.orphan.delete_orphans_by_id";
    for (criteria, found) in [
        (json!({}), vec![&other, &bulk, &all]),
        (json!({"filters": {"state": "waiting"}}), vec![&other, &all]),
        (
            json!({"filters": {"state": {"$in": ["canceled"]}}, "skip": null}),
            vec![&bulk],
        ),
        (json!({"filters": {"tags": TAG}, "limit": 1}), vec![&bulk]),
        (json!({"filters": {"tags": TAG}, "skip": 1}), vec![&all]),
        (json!({"filters": {"task_id": all}}), vec![&all]),
        (json!({"filters": {"task_type": by_id}}), vec![&bulk]),
        (
            json!({"filters": {"task_type": by_id, "state": "waiting"}}),
            vec![],
        ),
    ] {
        let list = search(criteria.clone()).await.expect(200);
        assert_eq!(ids(&list), found, "{criteria}");
    }
    for (criteria, named) in [
        (json!({"fields": ["x"]}), "fields"),
        (json!({"limit": "x"}), "limit"),
        (json!({"filters": {"odd": "x"}}), "odd"),
        (json!([]), "criteria"),
    ] {
        let refused = search(criteria).await.expect(400);
        assert_eq!(refused["property_names"], json!([named]));
    }
    let query = "tasks/search/?filters=%7B%22state%22:%22canceled%22%7D&limit=5";
    assert_eq!(ids(&get(&app, query).await.expect(200)), [bulk.as_str()]);
    let refused = post_text(&app, "tasks/search/", "").await.expect(400);
    assert_eq!(
        refused["error"]["code"], "PLP1009",
        "an empty body is refused here"
    );
    let refused = post_text(&app, "tasks/search/", "[]").await.expect(400);
    assert_eq!(refused["error"]["data"], json!({"data_type": "dict"}));
}
