//! Who may do what, and how answers are asked for.

use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_is_for_administrators_is_refused_to_others_and_changes_nothing() {
    let app = TestApp::start().await;
    let artifact = app.upload(b"abc".to_vec()).await;
    let artifact = artifact["pulp_href"].as_str().unwrap();
    let worker = format!("/pulp/api/v3/workers/{}/", uuid::Uuid::now_v7());
    let somebody = app.somebody().await;
    let tables = "SELECT (SELECT count(*) FROM task) + 10 * (SELECT count(*) FROM artifact) \
                  + 100 * (SELECT count(*) FROM intent)";
    let before = app.sql.number(tables).await;
    let form = || {
        let part = reqwest::multipart::Part::text("other").file_name("f");
        reqwest::multipart::Form::new().part("file", part)
    };
    let task = json!({"name": "pulpcore.app.tasks.test.dummy_task"});
    for request in [
        somebody.request(Method::POST, "tasks/").json(&task),
        somebody.request(Method::GET, "workers/"),
        somebody.request(Method::GET, &worker),
        somebody.request(Method::GET, "artifacts/"),
        somebody.request(Method::GET, artifact),
        somebody.request(Method::DELETE, artifact),
        somebody
            .request(Method::POST, "artifacts/")
            .multipart(form()),
        somebody
            .request(Method::POST, "orphans/cleanup/")
            .json(&json!({})),
        somebody.request(Method::DELETE, "orphans/"),
    ] {
        let what = format!("{request:?}");
        let answer = app.send(request).await;
        assert_eq!(
            answer.expect(403),
            json!({"detail": "You do not have permission to perform this action."}),
            "{what}"
        );
    }
    assert_eq!(app.sql.number(tables).await, before);
    // And nobody deletes an artifact.
    assert_eq!(app.delete(artifact).await.status, 403);
    app.get(artifact).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn lists_are_for_everybody_and_show_only_what_one_may_see() {
    let app = TestApp::with_workers(1).await;
    let somebody = app.somebody().await;
    for list in ["tasks/", "task-groups/", "content/", "repositories/"] {
        assert_eq!(somebody.get(list).await.expect(200)["count"], 0, "{list}");
    }
    // A unit that is made must come into a repository that its maker names.
    let post = async || {
        let part = reqwest::multipart::Part::text("text").file_name("f");
        let form = reqwest::multipart::Form::new()
            .text("relative_path", "f")
            .part("file", part);
        let request = somebody.request(Method::POST, "content/file/files/");
        app.send(request.multipart(form)).await
    };
    post().await.expect(403);
    let zoo = app.repository("zoo").await;
    app.grant(
        "somebody",
        "file.filerepository_owner",
        zoo["pulp_href"].as_str(),
    )
    .await;
    let refused = post().await.expect(400);
    assert_eq!(
        refused,
        json!(["Destination upload repository was not provided."])
    );
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn an_account_that_is_no_longer_active_is_let_in_no_more() {
    let app = TestApp::start().await;
    let somebody = app.somebody().await;
    app.sql
        .run("UPDATE account SET is_active = false WHERE username = 'somebody'")
        .await;
    let refused = somebody.get("tasks/").await.expect(401);
    assert_eq!(refused["detail"], "Invalid username/password.");
    app.get("tasks/").await.expect(200);
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_told_so() {
    let app = TestApp::start().await;
    let get = async |path: &str, accept: &str| {
        app.send(app.request(Method::GET, path).header("accept", accept))
            .await
    };
    for path in ["tasks/", "status/", "repositories/file/file/"] {
        for accept in [
            "text/html",
            "application/xml, text/plain",
            "application/json;q=0",
        ] {
            assert_eq!(
                get(path, accept).await.expect(406),
                json!({"detail": "Could not satisfy the request Accept header."}),
                "{path} {accept}"
            );
        }
        for accept in ["application/json", "text/html, */*;q=0.1", "application/*"] {
            let answer = get(path, accept).await;
            answer.expect(200);
            assert_eq!(answer.headers["content-type"], "application/json");
        }
    }
    let body = json!({"name": "new"});
    let request = app
        .request(Method::POST, "repositories/file/file/")
        .header("accept", "text/html");
    app.send(request.json(&body)).await.expect(406);
    assert_eq!(app.sql.number("SELECT count(*) FROM repository").await, 0);
}

#[tokio::test]
async fn head_and_options_follow_get() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let repository = repository["pulp_href"].as_str().unwrap();
    let somebody = app.somebody().await;
    for (path, allow) in [
        ("tasks/", "GET, HEAD, OPTIONS, POST"),
        ("status/", "GET, HEAD, OPTIONS"),
        ("orphans/cleanup/", "OPTIONS, POST"),
        (repository, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ] {
        let answer = app.send(app.request(Method::OPTIONS, path)).await;
        answer.expect(200);
        let mut methods: Vec<&str> = answer.headers["allow"]
            .to_str()
            .unwrap()
            .split(", ")
            .collect();
        methods.sort_unstable();
        assert_eq!(methods.join(", "), allow, "{path}");
    }
    for path in ["tasks/", "workers/", "status/", repository] {
        let (get, head) = (
            app.get(path).await,
            app.send(app.request(Method::HEAD, path)).await,
        );
        assert_eq!(
            (head.status, head.text.as_str()),
            (get.status, ""),
            "{path}"
        );
        assert_eq!(head.headers["content-type"], "application/json", "{path}");
    }
    let missing = format!("/pulp/api/v3/tasks/{}/", uuid::Uuid::now_v7());
    let head = app.send(app.request(Method::HEAD, &missing)).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (404, ""));
    let head = somebody.request(Method::HEAD, "workers/");
    assert_eq!(app.send(head).await.status, 403);
    for method in [Method::HEAD, Method::OPTIONS] {
        let anonymous = app.send(app.anonymous(method.clone(), "tasks/")).await;
        assert_eq!(anonymous.status, 401, "{method}");
        let public = app.send(app.anonymous(method, "status/")).await;
        assert_eq!(public.status, 200);
    }
}

#[tokio::test]
async fn a_correlation_id_is_echoed_and_a_malformed_one_replaced() {
    let app = TestApp::with_workers(1).await;
    let post = async |cid: Option<&str>| {
        let task = json!({"name": "pulpcore.app.tasks.test.dummy_task"});
        let mut request = app.request(Method::POST, "tasks/").json(&task);
        if let Some(cid) = cid {
            request = request.header("correlation-id", cid);
        }
        let answer = app.send(request).await;
        let echoed = answer.headers["correlation-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let task = app.task(&answer.task()).await;
        assert_eq!(task["logging_cid"], echoed, "the task inherits it");
        echoed
    };
    for good in [
        "0123456789abcdef0123456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdef",
    ] {
        assert_eq!(post(Some(good)).await, good);
    }
    let mut made = std::collections::BTreeSet::new();
    let long = "a".repeat(64);
    for bad in [None, Some(""), Some("x"), Some("' OR 1=1"), Some(&*long)] {
        let cid = post(bad).await;
        assert_eq!(cid.len(), 32, "{cid}");
        assert!(cid.chars().all(|c| c.is_ascii_hexdigit()), "{cid}");
        assert!(made.insert(cid), "each request has one of its own");
    }
    // Refusals carry it too, also those that no handler sees.
    let cid = "0123456789abcdef0123456789abcdef";
    for (method, path) in [(Method::GET, "nothing/"), (Method::PUT, "tasks/")] {
        let request = app.request(method, path).header("correlation-id", cid);
        assert_eq!(app.send(request).await.headers["correlation-id"], cid);
    }
    let anonymous = app
        .anonymous(Method::GET, "tasks/")
        .header("correlation-id", cid);
    assert_eq!(app.send(anonymous).await.headers["correlation-id"], cid);
    app.finish().await;
}
