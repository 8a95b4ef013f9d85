//! Tasks found by what they made, reserved, and belong to, and by when they ran.

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const TEST: &str = "pulpcore.app.tasks.test";

/// The tasks that a query finds, oldest first.
async fn found(app: &TestApp, query: &str) -> Vec<String> {
    app.hrefs(&format!("tasks/?ordering=pulp_created&{query}"))
        .await
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap()
}

#[tokio::test]
async fn tasks_are_found_by_parent_child_and_group() {
    let app = TestApp::with_workers(1).await;
    let group = uuid::Uuid::now_v7();
    app.sql
        .run(&format!("INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT '{group}', pulp_id, 'x' FROM domain"))
        .await;
    let group = format!("/pulp/api/v3/task-groups/{group}/");
    let body = json!({"name": format!("{TEST}.dummy_group_task"), "task_group": group,
                      "kwargs": {"inbetween": 0.0, "intervals": [0.0, 0.0]}});
    let parent = app.dispatch(&body).await;
    let lone = app.sleeper(0.0, &[]).await;
    app.quiet(Duration::from_secs(30)).await;
    let children: Vec<String> = app.task(&parent).await["child_tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(children.len(), 2);
    for child in &children {
        let (child, parent) = (app.task(child).await, app.task(&parent).await);
        assert_eq!(child["parent_task"], parent["pulp_href"]);
        assert_eq!(child["logging_cid"], parent["logging_cid"], "inherited");
    }
    for child in &children {
        for reference in [child.clone(), format!("prn:core.task:{}", id_of(child))] {
            let query = format!("child_tasks={reference}");
            assert_eq!(found(&app, &query).await, [parent.as_str()], "{query}");
        }
    }
    let mut sorted = children.clone();
    sorted.sort_unstable();
    for reference in [parent.clone(), format!("prn:core.task:{}", id_of(&parent))] {
        let mut list = found(&app, &format!("parent_task={reference}")).await;
        list.sort_unstable();
        assert_eq!(list, sorted);
    }
    for none in ["parent_task=null", "parent_task="] {
        let list = found(&app, none).await;
        assert_eq!(list, [parent.as_str(), lone.as_str()], "{none}");
    }
    assert_eq!(found(&app, &format!("task_group={group}")).await.len(), 3);
    assert_eq!(found(&app, "task_group=null").await, [lone.as_str()]);
    let none = Vec::<String>::new();
    assert_eq!(found(&app, &format!("child_tasks={lone}")).await, none);
    assert_eq!(found(&app, &format!("parent_task={lone}")).await, none);
    for bad in ["parent_task=x", "child_tasks=x", "task_group=x"] {
        let refused = app.get(&format!("tasks/?{bad}")).await.expect(400);
        let field = bad.split('=').next().unwrap();
        assert!(refused[field].is_array(), "{bad}: {refused}");
    }
    app.finish().await;
}

#[tokio::test]
async fn tasks_are_found_by_what_they_made() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let artifact = app.upload(b"abc".to_vec()).await;
    let unit = app.file(&artifact, "f").await;
    let making = found(&app, "").await.remove(0);
    let modify = app
        .modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    let version = modify["created_resources"][0].as_str().unwrap();
    let version_prn = modify["created_resource_prns"][0].as_str().unwrap();
    for (reference, task) in [
        (unit.as_str(), making.as_str()),
        (&format!("prn:file.filecontent:{}", id_of(&unit)), &making),
        (version, text(&modify, "pulp_href")),
        (version_prn, text(&modify, "pulp_href")),
    ] {
        let query = format!("created_resources={reference}");
        assert_eq!(found(&app, &query).await, [task], "{query}");
    }
    let other = format!("created_resources={}", text(&repository, "pulp_href"));
    assert_eq!(found(&app, &other).await, Vec::<String>::new());
    for bad in ["x", "/pulp/api/v3/nothing/1/", "prn:x"] {
        let refused = app.get(&format!("tasks/?created_resources={bad}")).await;
        assert!(refused.expect(400)["created_resources"].is_array(), "{bad}");
    }
    app.finish().await;
}

#[tokio::test]
async fn tasks_are_found_by_what_they_reserved_under_any_of_its_names() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let (href, prn) = (text(&repository, "pulp_href"), text(&repository, "prn"));
    let exclusive = app.sleeper(0.0, &[href, "free"]).await;
    let body = json!({"name": format!("{TEST}.dummy_task"), "shared_resources": [prn, "other"]});
    let shared = app.dispatch(&body).await;
    let cleanup = app.post("orphans/cleanup/", &json!({})).await.task();
    for task in [&exclusive, &shared, &cleanup] {
        app.completed(task).await;
    }
    let domain = "prn:core.domain:00000000-0000-7000-8000-000000000001";
    let (e, s, c) = (exclusive.as_str(), shared.as_str(), cleanup.as_str());
    for (query, tasks) in [
        (format!("reserved_resources={href}"), vec![e, s]),
        (format!("reserved_resources={prn}"), vec![e, s]),
        ("reserved_resources=free".to_owned(), vec![e]),
        ("reserved_resources=other".to_owned(), vec![s]),
        ("reserved_resources=nothing".to_owned(), vec![]),
        (format!("reserved_resources={domain}"), vec![e, s, c]),
        (
            "reserved_resources=/api/v3/orphans/cleanup/".to_owned(),
            vec![c],
        ),
        (format!("reserved_resources__in={href},free"), vec![e]),
        (format!("reserved_resources__in={prn},{domain}"), vec![e, s]),
        (format!("reserved_resources__in={href},nothing"), vec![]),
        (format!("exclusive_resources={href}"), vec![e]),
        (format!("exclusive_resources={domain}"), vec![]),
        (format!("exclusive_resources__in={prn},free"), vec![e]),
        (format!("exclusive_resources__in={prn},other"), vec![]),
        (
            "exclusive_resources=/api/v3/orphans/cleanup/".to_owned(),
            vec![c],
        ),
        (format!("shared_resources={href}"), vec![s]),
        (format!("shared_resources={prn}"), vec![s]),
        (format!("shared_resources={domain}"), vec![e, s, c]),
        (format!("shared_resources__in={href},other"), vec![s]),
        ("shared_resources__in=free,other".to_owned(), vec![]),
        (
            format!("q=reserved_resources=\"{prn}\" AND NOT exclusive_resources=free"),
            vec![s],
        ),
    ] {
        assert_eq!(found(&app, &query).await, tasks, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn tasks_are_found_by_state_name_and_correlation_id() {
    let app = TestApp::with_workers(1).await;
    let cid = "0123456789abcdef0123456789abcdef";
    let body = json!({"name": format!("{TEST}.sleep"), "args": [0.0]});
    let request = app.request(Method::POST, "tasks/").json(&body);
    let slept = app.send(request.header("correlation-id", cid)).await.task();
    let dummy = app
        .dispatch(&json!({"name": format!("{TEST}.dummy_task")}))
        .await;
    let failed = app
        .dispatch(&json!({"name": format!("{TEST}.failing_task")}))
        .await;
    app.quiet(Duration::from_secs(30)).await;
    let (s, d, f) = (slept.as_str(), dummy.as_str(), failed.as_str());
    for (query, tasks) in [
        ("state=failed".to_owned(), vec![f]),
        ("state__in=failed,canceled".to_owned(), vec![f]),
        ("state__in=failed,completed".to_owned(), vec![s, d, f]),
        ("state__ne=completed".to_owned(), vec![f]),
        ("state__ne=failed".to_owned(), vec![s, d]),
        (format!("name={TEST}.sleep"), vec![s]),
        (format!("name__ne={TEST}.sleep"), vec![d, f]),
        (
            format!("name__in={TEST}.sleep,{TEST}.dummy_task,x"),
            vec![s, d],
        ),
        (format!("name__in={TEST}"), vec![]),
        ("name__contains=.dummy".to_owned(), vec![d]),
        ("name__contains=DUMMY".to_owned(), vec![]),
        (format!("logging_cid={cid}"), vec![s]),
        ("logging_cid__contains=9abcdef0123".to_owned(), vec![s]),
        ("logging_cid=0123".to_owned(), vec![]),
        ("worker=x".to_owned(), vec![]),
        (format!("pulp_href__in={s},{f}"), vec![s, f]),
        (format!("pulp_id__in={},{}", id_of(d), id_of(f)), vec![d, f]),
        (format!("prn__in=prn:core.task:{}", id_of(s)), vec![s]),
    ] {
        assert_eq!(found(&app, &query).await, tasks, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn tasks_are_found_by_when_they_came_and_went() {
    let app = TestApp::with_workers(1).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let task = app.sleeper(0.01, &["a"]).await;
        tasks.push(app.completed(&task).await);
    }
    let holder = app.sleeper(60.0, &["b"]).await;
    app.in_state(&holder, "running").await;
    let blocked = app.sleeper(0.0, &["b"]).await;
    let hrefs: Vec<&str> = tasks.iter().map(|task| text(task, "pulp_href")).collect();
    let [first, second, third] = hrefs.as_slice() else {
        unreachable!()
    };
    for field in ["pulp_created", "unblocked_at", "started_at", "finished_at"] {
        let at = |n: usize| text(&tasks[n], field);
        for (query, expected) in [
            (format!("{field}={}", at(1)), vec![second]),
            (format!("{field}__lt={}", at(1)), vec![first]),
            (format!("{field}__lte={}", at(1)), vec![first, second]),
            (
                format!("{field}__gt={}&{field}__lte={}", at(1), at(2)),
                vec![third],
            ),
            (
                format!("{field}__gte={}&{field}__lte={}", at(1), at(2)),
                vec![second, third],
            ),
            (
                format!("{field}__range={},{}", at(0), at(1)),
                vec![first, second],
            ),
            (format!("{field}__range={},{}", at(1), at(0)), vec![]),
            (format!("{field}__lt=2000-01-01"), vec![]),
        ] {
            assert_eq!(
                &found(&app, &query).await.iter().collect::<Vec<_>>(),
                &expected,
                "{query}"
            );
        }
    }
    for (query, expected) in [
        ("finished_at__isnull=false", hrefs.clone()),
        ("finished_at__isnull=true", vec![holder.as_str(), &blocked]),
        ("started_at__isnull=true", vec![&blocked]),
        ("unblocked_at__isnull=true", vec![&blocked]),
        ("pulp_created__isnull=true", vec![]),
        (
            "started_at__gt=2000-01-01T00:00:00&finished_at__isnull=true",
            vec![&holder],
        ),
    ] {
        assert_eq!(found(&app, query).await, expected, "{query}");
    }
    app.cancel(&blocked).await.expect(200);
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}
