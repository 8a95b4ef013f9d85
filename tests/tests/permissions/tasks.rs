//! Tasks, groups of tasks and schedules.

use super::*;
use millrace_tests::client::sleep;

/// Somebody who makes a repository and renames it: that task is his.
async fn renamed(client: &Client, name: &str) -> String {
    let repository = client.repository(name).await;
    let body = json!({"description": "d"});
    client.patch(href(&repository), &body).await.task()
}

#[tokio::test]
async fn everybody_sees_his_own_tasks() {
    let app = TestApp::with_workers(1).await;
    let (one, other) = (app.person("one").await, app.person("other").await);
    for name in ["one", "other"] {
        app.grant(name, "file.filerepository_creator", None).await;
    }
    let (mine, theirs) = (renamed(&one, "a").await, renamed(&other, "b").await);
    for task in [&mine, &theirs] {
        app.completed(task).await;
    }
    for (client, own, foreign) in [(&one, &mine, &theirs), (&other, &theirs, &mine)] {
        for list in ["tasks/", "tasks/?minimal=true", "tasks/?state=completed"] {
            assert_eq!(client.hrefs(list).await, [own.as_str()], "{list}");
        }
        client.get(own).await.expect(200);
        for hidden in [
            client.get(foreign).await,
            client.cancel(foreign).await,
            client.delete(foreign).await,
            client.get(&format!("{foreign}my_permissions/")).await,
        ] {
            assert_eq!(
                hidden.expect(404),
                json!({"detail": "No Task matches the given query."})
            );
        }
    }
    let roles = one.get(&format!("{mine}list_roles/")).await.expect(200);
    assert_eq!(
        roles["roles"],
        json!([{"role": "core.task_owner", "users": ["one"], "groups": []},
               {"role": "core.task_user_dispatcher", "users": ["one"], "groups": []}])
    );
    assert_eq!(one.cancel(&mine).await.status, 409);

    // Whom the owner shows it to sees it, and may do no more.
    let add = json!({"role": "core.task_viewer", "users": ["other"]});
    one.post(&format!("{mine}add_role/"), &add)
        .await
        .expect(201);
    other.get(&mine).await.expect(200);
    assert_eq!(other.hrefs("tasks/").await.len(), 2);
    other.cancel(&mine).await.expect(403);
    other.delete(&mine).await.expect(403);
    one.delete(&mine).await.expect(204);
    other.get(&mine).await.expect(404);
    let left = "SELECT count(*) FROM role_assignment WHERE object_model = 'core.task'";
    assert_eq!(app.sql.number(left).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_purge_takes_what_its_dispatcher_may_delete() {
    let app = TestApp::with_workers(1).await;
    let (one, all) = (app.person("one").await, app.person("all").await);
    app.grant("one", "file.filerepository_creator", None).await;
    let mine = renamed(&one, "a").await;
    let shared = app.dispatch(&sleep(0.0, &[])).await;
    let theirs = app.dispatch(&sleep(0.0, &[])).await;
    for task in [&mine, &shared, &theirs] {
        app.completed(task).await;
    }
    app.grant("one", "core.task_owner", Some(&shared)).await;
    let body = json!({"finished_before": "2100-01-01T00:00:00Z"});
    let purge = one.post("tasks/purge/", &body).await.task();
    let purge = one.completed(&purge).await;
    let reports = purge["progress_reports"].as_array().unwrap();
    let tasks = reports
        .iter()
        .find(|r| r["code"] == "purge.tasks.key.core.Task")
        .unwrap();
    assert_eq!(
        (&tasks["total"], &tasks["done"]),
        (&json!(2), &json!(2)),
        "{tasks}"
    );
    for gone in [&mine, &shared] {
        app.get(gone).await.expect(404);
    }
    app.get(&theirs).await.expect(200);
    app.grant("all", "core.task_owner", None).await;
    let purge = all.post("tasks/purge/", &body).await.task();
    all.completed(&purge).await;
    app.get(&theirs).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn a_group_is_seen_by_its_tasks_and_canceled_by_who_may_cancel_all() {
    let app = TestApp::start().await;
    let group = uuid::Uuid::now_v7();
    app.sql
        .run(&format!(
            "INSERT INTO task_group (pulp_id, pulp_domain, description) \
             SELECT '{group}', pulp_id, 'g' FROM domain"
        ))
        .await;
    let path = format!("/pulp/api/v3/task-groups/{group}/");
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let mut body = sleep(0.0, &[]);
        body["task_group"] = json!(path);
        tasks.push(app.dispatch(&body).await);
    }
    let one = app.person("one").await;
    is_hidden(&one, "task-groups/", &path).await;
    one.cancel(&path).await.expect(404);
    app.grant("one", "core.task_owner", Some(&tasks[0])).await;
    assert_eq!(one.hrefs("task-groups/").await, [path.as_str()]);
    let shown = one.get(&path).await.expect(200);
    assert_eq!(shown["waiting"], 1, "what he sees is counted");
    assert_eq!(app.get(&path).await.expect(200)["waiting"], 2);
    assert_eq!(shown["tasks"].as_array().unwrap().len(), 1, "{shown}");
    one.cancel(&path).await.expect(403);
    app.grant("one", "core.task_owner", Some(&tasks[1])).await;
    assert_eq!(one.cancel(&path).await.expect(200)["canceled"], 2);
    app.finish().await;
}

#[tokio::test]
async fn schedules_are_shown_to_their_viewers_and_made_by_administrators() {
    let app = TestApp::start().await;
    let one = app.person("one").await;
    let body = json!({"name": "mine", "task_name": "pulpcore.app.tasks.test.dummy_task",
                      "next_dispatch": null});
    let schedule = app.post("task-schedules/", &body).await.expect(201);
    is_hidden(&one, "task-schedules/", href(&schedule)).await;
    let add = json!({"role": "core.taskschedule_viewer", "users": ["one"]});
    app.post(&format!("{}add_role/", href(&schedule)), &add)
        .await
        .expect(201);
    assert_eq!(one.hrefs("task-schedules/").await, [href(&schedule)]);
    one.delete(href(&schedule)).await.expect(403);
    one.post("task-schedules/", &body).await.expect(403);
    app.finish().await;
}

#[tokio::test]
async fn a_filter_does_not_tell_whether_a_hidden_object_exists() {
    let app = TestApp::with_workers(1).await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let remote = remote(&app, "there").await;
    let upload = app.post("uploads/", &json!({"size": 5})).await.expect(201);
    let unit = app.unit("cat", "c").await;
    let artifact = app.upload(b"abc".to_vec()).await;
    let one = app.person("one").await;
    app.grant("one", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    let version = |of: &Value, number: u32| format!("{}versions/{number}/", href(of));
    let made = |object: &str| format!("tasks/?created_resources={object}");
    let farm_version = version(&farm, 0);
    for hidden in [
        href(&farm),
        &farm_version,
        href(&remote),
        href(&upload),
        &unit,
        href(&artifact),
    ] {
        app.get(&made(hidden)).await.expect(200);
        let refused = one.get(&made(hidden)).await.expect(400);
        let message = format!("URI not valid: {hidden}");
        assert_eq!(refused, json!({"created_resources": [message]}));
    }
    one.get(&made(&version(&farm, 9))).await.expect(400);
    one.get(&made(&version(&zoo, 9))).await.expect(400);
    assert_eq!(one.hrefs(&made(&version(&zoo, 0))).await.len(), 0);
    assert_eq!(one.hrefs(&made(href(&zoo))).await.len(), 0);
    app.finish().await;
}
