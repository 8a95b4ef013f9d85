//! Paths, methods, redirects: what is answered before anybody is asked who he is.

use super::{DELETE_ORPHANS, ORPHANS, file, get, path};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

/// Every path with one argument or none, and what may be done there.
const RESOURCES: [(&str, &str); 14] = [
    ("status/", "GET, HEAD, OPTIONS"),
    (ORPHANS, "GET, DELETE, HEAD, OPTIONS"),
    ("content/orphans/file/", "GET, DELETE, HEAD, OPTIONS"),
    ("content/orphans/file/x/", "GET, DELETE, HEAD, OPTIONS"),
    (DELETE_ORPHANS, "POST, OPTIONS"),
    ("plugins/types/", "GET, HEAD, OPTIONS"),
    ("plugins/types/file/", "GET, HEAD, OPTIONS"),
    ("tasks/", "GET, DELETE, HEAD, OPTIONS"),
    ("tasks/search/", "GET, POST, HEAD, OPTIONS"),
    ("tasks/x/", "GET, DELETE, HEAD, OPTIONS"),
    ("permissions/actions/grant_to_user/", "POST, OPTIONS"),
    ("permissions/actions/grant_to_role/", "POST, OPTIONS"),
    ("permissions/actions/revoke_from_user/", "POST, OPTIONS"),
    ("permissions/actions/revoke_from_role/", "POST, OPTIONS"),
];

#[tokio::test]
async fn options_and_other_methods_say_what_is_allowed_without_asking_who_is_there() {
    let app = TestApp::start().await;
    for (resource, allowed) in RESOURCES {
        for (method, status) in [(Method::OPTIONS, 200), (Method::PATCH, 405)] {
            let answer = app
                .send(app.anonymous(method.clone(), &path(resource)))
                .await;
            assert_eq!(answer.status.as_u16(), status, "{method} {resource}");
            assert_eq!(answer.headers["allow"], allowed, "{method} {resource}");
            assert_eq!(answer.text, "", "{method} {resource}");
        }
    }
    let answer = app
        .send(app.anonymous(Method::GET, &path(DELETE_ORPHANS)))
        .await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn slash_redirect_comes_before_authentication_and_keeps_the_query() {
    let app = TestApp::start().await;
    for (resource, _) in RESOURCES {
        let bare = path(resource.trim_end_matches('/'));
        for (method, status) in [
            (Method::GET, 301),
            (Method::HEAD, 301),
            (Method::POST, 308),
            (Method::DELETE, 308),
        ] {
            let request = app.anonymous(method.clone(), &format!("{bare}?tag=a%20b&x"));
            let answer = app.send(request).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {bare}");
            assert_eq!(
                answer.headers["location"].to_str().unwrap(),
                format!("{bare}/?tag=a%20b&x")
            );
            assert_eq!(answer.text, "", "{method} {bare}");
        }
    }
    let answer = app.send(app.anonymous(Method::GET, &path("tasks"))).await;
    assert_eq!(answer.headers["location"], "/pulp/api/v2/tasks/");
}

#[tokio::test]
async fn the_404_handler_answers_null_without_asking_who_is_there() {
    let app = TestApp::start().await;
    for unknown in [
        "nope/",
        "nope",
        "",
        "content/",
        "content/orphans/a/b/c/",
        "content/orphans//",
        "content/orphans/a%2Fb/",
        "content/orphans/a%2fb",
        "content%2Forphans/",
        "content/actions/",
        "content/units/rpm/",
        "permissions/actions/grant_to_everybody/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            let answer = app.send(app.anonymous(method, &path(unknown))).await;
            assert_eq!(answer.status, 404, "{unknown}");
            assert_eq!(answer.text, "null", "{unknown}");
            assert_eq!(
                answer.headers["content-type"],
                "application/json; charset=utf-8"
            );
        }
    }
    // And what is not of this dialect is none of its business.
    let other = app.send(app.anonymous(Method::GET, "/pulp/api/v2x/")).await;
    assert_eq!(other.expect(404), json!({"detail": "Not found."}));
}

#[tokio::test]
async fn routes_resolve_to_the_right_handler_with_the_right_captures() {
    let app = TestApp::start().await;
    let captured = async |rest: &str| get(&app, rest).await.expect(404)["resources"].clone();
    for name in ["type-2", "a_type", "a.type", "a b", "ü", "a%b"] {
        let encoded = name.replace('%', "%25").replace(' ', "%20");
        assert_eq!(
            captured(&format!("{ORPHANS}{encoded}/")).await,
            json!({"content_type_id": name})
        );
        assert_eq!(
            captured(&format!("{ORPHANS}{encoded}/u-1_2/")).await,
            json!({"content_type": name, "content_unit": "u-1_2"})
        );
        let missing = json!({"type": name});
        assert_eq!(
            captured(&format!("plugins/types/{encoded}/")).await,
            missing
        );
        let missing = json!({"resource_id": name});
        assert_eq!(captured(&format!("tasks/{encoded}/")).await, missing);
    }
    assert!(get(&app, ORPHANS).await.expect(200).is_object());
    assert!(
        get(&app, "content/orphans/file/")
            .await
            .expect(200)
            .is_array()
    );
    let answer = super::post(&app, DELETE_ORPHANS, &json!({"x": 1})).await;
    assert_eq!(answer.expect(400)["error"]["code"], "PLP1015");
    // A path that is one of its own is no id.
    assert!(get(&app, "tasks/search/").await.expect(200).is_array());
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let app = TestApp::start().await;
    let unit = file(&app, "one").await;
    let one = format!("content/orphans/file/{unit}/");
    for (resource, status) in [
        ("status/", 200),
        (ORPHANS, 200),
        ("content/orphans/file/", 200),
        ("content/orphans/nope/", 404),
        (&one, 200),
        ("plugins/types/", 200),
        ("tasks/", 200),
        ("tasks/nope/", 404),
    ] {
        let head = app.send(app.request(Method::HEAD, &path(resource))).await;
        assert_eq!(head.status.as_u16(), status, "{resource}");
        assert_eq!(head.text, "", "{resource}");
        let get = get(&app, resource).await;
        for name in ["content-type", "content-length"] {
            // A refusal names the method.
            if name == "content-length" && status != 200 {
                continue;
            }
            assert_eq!(
                head.headers.get(name),
                get.headers.get(name),
                "{name} of {resource}"
            );
        }
        let other = app.send(app.anonymous(Method::HEAD, &path(resource))).await;
        let open = if resource == "status/" { 200 } else { 401 };
        assert_eq!(other.status.as_u16(), open, "{resource}");
    }
}

#[tokio::test]
async fn query_strings_accept_headers_and_the_type_of_a_body_do_not_count() {
    let app = TestApp::start().await;
    let unit = file(&app, "one").await;
    for resource in [
        ORPHANS.to_owned(),
        "content/orphans/file/".to_owned(),
        format!("content/orphans/file/{unit}/"),
    ] {
        let plain = get(&app, &resource).await.expect(200);
        let odd = format!("{resource}?limit=0&count=x&_id=%00&fields=");
        assert_eq!(get(&app, &odd).await.expect(200), plain, "{resource}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "odd"] {
        let request = app
            .request(Method::POST, &path(DELETE_ORPHANS))
            .header("content-type", kind)
            .header("accept", "text/html")
            .body("[]");
        app.send(request).await.expect(202);
    }
    let answer = get(&app, &format!("{ORPHANS}nope/?a=b")).await;
    let body: Value = answer.expect(404);
    assert_eq!(body["_href"], "/pulp/api/v2/content/orphans/nope/?a=b");
}
