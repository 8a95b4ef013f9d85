//! Paths, methods and query parameters.

use super::{app, endpoints, tables};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// All lists, one of them with a question.
async fn lists(app: &TestApp) -> Vec<String> {
    let repository = app.repository("listed").await;
    let versions = repository["versions_href"].as_str().unwrap();
    let mut all: Vec<String> = [
        "tasks/",
        "task-groups/",
        "workers/",
        "artifacts/",
        "content/",
        "content/file/files/",
        "repositories/",
        "repositories/file/file/",
        "uploads/",
        "repository_versions/",
        "tasks/?state=completed",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(versions.strip_prefix("/pulp/api/v3/").unwrap().to_owned());
    all
}

#[tokio::test]
async fn a_page_of_a_billion_is_cut_and_says_what_is_next() {
    let app = millrace_tests::TestApp::builder()
        .set("api.page_limit", 3)
        .start()
        .await;
    for n in 0..5 {
        app.repository(&format!("r{n}")).await;
    }
    let page = app
        .get("repositories/file/file/?limit=1000000000")
        .await
        .expect(200);
    assert_eq!(
        (&page["count"], page["results"].as_array().unwrap().len()),
        (&5.into(), 3)
    );
    let next = page["next"].as_str().unwrap();
    let rest = app
        .get(next.strip_prefix(app.origin()).unwrap())
        .await
        .expect(200);
    assert_eq!(
        (rest["results"].as_array().unwrap().len(), &rest["next"]),
        (2, &Value::Null)
    );
    for limit in ["0", "-1", "x", "123456789012345678901234567890", ""] {
        app.get(&format!("repositories/file/file/?limit={limit}"))
            .await
            .expect(200);
    }
    for offset in [
        "99",
        "9223372036854775807",
        "123456789012345678901234567890",
    ] {
        let list = format!("repositories/file/file/?offset={offset}");
        let beyond = app.get(&list).await.expect(200);
        assert_eq!(
            (&beyond["results"], &beyond["next"]),
            (&serde_json::json!([]), &Value::Null),
            "{offset}"
        );
    }
}

#[tokio::test]
async fn filters_that_cannot_work_are_refused_by_name() {
    let app = app().await;
    for list in lists(&app).await {
        let sign = if list.contains('?') { '&' } else { '?' };
        let answer = app.get(&format!("{list}{sign}foo=1")).await;
        assert_eq!(
            answer.expect(400)["errors"][0],
            "Invalid Filter: 'foo'",
            "{list}"
        );
    }
    for (query, field) in [
        ("name__regex=(", "name__regex"),
        ("name__iregex=%5B", "name__iregex"),
        ("name=a%00b", "name"),
        ("pulp_id__in=1,2", "pulp_id__in"),
        ("prn__in=prn:x", "prn__in"),
        ("retain_repo_versions=many", "retain_repo_versions"),
        (
            "retain_repo_versions__gt=123456789012345678901234567890",
            "retain_repo_versions__gt",
        ),
        ("pulp_label_select=!a=b", "pulp_label_select"),
        ("with_content=x", "with_content"),
        ("q=nothing%3D1", "q"),
        ("q=name%3D(", "q"),
        ("ordering=nothing", "ordering"),
    ] {
        let answer = app.get(&format!("repositories/file/file/?{query}")).await;
        let body = answer.expect(400);
        assert!(body.get(field).is_some(), "{query}: {body}");
    }
}

#[tokio::test]
async fn moments_that_are_none_are_refused_by_name() {
    let app = app().await;
    for (query, field) in [
        ("pulp_created__gt=yesterday", "pulp_created__gt"),
        ("pulp_created__range=2020-01-01", "pulp_created__range"),
        ("started_at__lte=2020-13-01", "started_at__lte"),
        ("finished_at__isnull=perhaps", "finished_at__isnull"),
        ("created_resources=prn:x", "created_resources"),
    ] {
        let answer = app.get(&format!("tasks/?{query}")).await;
        let body = answer.expect(400);
        assert!(body.get(field).is_some(), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_runaway_expression_is_stopped_and_the_next_request_served() {
    let app = millrace_tests::TestApp::builder()
        .set("database.statement_timeout_ms", 700)
        .start()
        .await;
    // An odd number of letters is never three words twice, and back references cannot tell in linear time.
    app.repository(&"a".repeat(1001)).await;
    let runaway = r"^(a+)(a+)(a+)\1\2\3$";
    for filter in ["name__regex", "name__iregex"] {
        let url = reqwest::Url::parse_with_params("http://x/", [(filter, runaway)]).unwrap();
        let start = std::time::Instant::now();
        let answer = app
            .get(&format!("repositories/file/file/?{}", url.query().unwrap()))
            .await;
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(700) && took < Duration::from_secs(5),
            "{took:?}: {}",
            answer.text
        );
        assert!(answer.expect(400).get(filter).is_some(), "{}", answer.text);
    }
    app.get("repositories/file/file/").await.expect(200);
}

#[tokio::test]
async fn a_missing_slash_is_redirected_with_method_and_query() {
    let app = app().await;
    for list in lists(&app).await {
        let (path, query) = list
            .split_once('?')
            .map_or((&*list, String::new()), |(p, q)| (p, format!("?{q}")));
        let bare = path.trim_end_matches('/');
        for (method, status) in [
            (Method::GET, 301),
            (Method::HEAD, 301),
            (Method::POST, 308),
            (Method::PATCH, 308),
        ] {
            let answer = app
                .send(app.request(method.clone(), &format!("{bare}{query}")))
                .await;
            assert_eq!(answer.status.as_u16(), status, "{method} {bare}");
            let to = answer.headers["location"].to_str().unwrap();
            assert!(to.ends_with(&format!("/pulp/api/v3/{path}{query}")), "{to}");
        }
    }
    assert_eq!(
        app.get("no/such/thing").await.status,
        404,
        "nothing is behind that slash either"
    );
}

#[tokio::test]
async fn wrong_methods_are_named_and_what_is_not_offered_is_not_found() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    for (method, path) in [
        ("POST", "status/"),
        ("PUT", "tasks/"),
        ("DELETE", "tasks/"),
        ("POST", "workers/"),
        ("DELETE", "repositories/file/file/"),
        ("POST", "repositories/"),
        ("PATCH", "artifacts/"),
        ("DELETE", "content/file/files/"),
        ("GET", "orphans/cleanup/"),
        ("GET", "tasks/purge/"),
    ] {
        let answer = app.send(app.request(method.parse().unwrap(), path)).await;
        assert_eq!(
            answer.expect(405)["detail"],
            format!("Method \"{method}\" not allowed."),
            "{path}"
        );
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
    }
    for path in [
        "nothing/",
        "tasks/x/",
        "repositories/file/file/x/",
        "repositories/deb/apt/",
        "artifacts/0/",
        "domains/",
        "repositories/file/file/00000000-0000-0000-0000-000000000000/versions/1/",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        assert!(
            answer.json()["detail"].is_string(),
            "{path}: {}",
            answer.text
        );
    }
    assert!(!endpoints.is_empty());
    assert_eq!(tables(&app.sql).await, before);
}

#[tokio::test]
async fn nobody_gets_in_without_the_right_password() {
    let app = app().await;
    let anonymous = app.send(app.anonymous(Method::GET, "tasks/")).await;
    assert_eq!(
        anonymous.expect(401)["detail"],
        "Authentication credentials were not provided."
    );
    assert_eq!(anonymous.headers["www-authenticate"], "Basic realm=\"api\"");
    for (user, password) in [
        ("admin", "wrong"),
        ("nobody", "test-password"),
        ("admin", ""),
        ("a\u{e9}:", "x"),
    ] {
        let request = app
            .anonymous(Method::GET, "tasks/")
            .basic_auth(user, Some(password));
        let answer = app.send(request).await;
        assert_eq!(
            answer.expect(401)["detail"],
            "Invalid username/password.",
            "{user}"
        );
    }
    for header in [
        "Basic",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Bearer x",
        "Basic ",
    ] {
        let request = app
            .anonymous(Method::GET, "tasks/")
            .header("authorization", header);
        assert_eq!(app.send(request).await.status, 401, "{header}");
    }
    for path in ["status/", "livez/", "docs/api.json", "docs/"] {
        assert_eq!(
            app.send(app.anonymous(Method::GET, path)).await.status,
            200,
            "{path}"
        );
    }
}
