//! `users/`.

use super::{PASSWORD, account, href, people};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_account_is_made_shown_changed_and_deleted() {
    let app = TestApp::start().await;
    let made = account(&app, "jane").await;
    assert_eq!(href(&made), format!("/pulp/api/v3/users/{}/", made["id"]));
    assert_eq!(made["prn"], format!("prn:auth.user:{}", made["id"]));
    let shown = [
        &made["is_staff"],
        &made["is_active"],
        &made["groups"],
        &made["email"],
    ];
    assert_eq!(shown, [&json!(false), &json!(true), &json!([]), &json!("")]);
    assert_eq!(
        made["hidden_fields"],
        json!([{"name": "password", "is_set": true}])
    );
    assert!(made.get("password").is_none());
    let jane = app.client().with("jane", PASSWORD);
    jane.get("tasks/").await.expect(200);

    let body = json!({"first_name": "Jane", "last_name": "Winter", "email": "j@example.org", "is_staff": true});
    let changed = app.patch(href(&made), &body).await.expect(200);
    assert_eq!(
        (&changed["first_name"], &changed["is_staff"]),
        (&json!("Jane"), &json!(true))
    );
    jane.get("tasks/").await.expect(200);
    // What has a default has it again, what has none stays.
    let put = app
        .request(Method::PUT, href(&made))
        .json(&json!({"username": "janet"}));
    let replaced = app.send(put).await.expect(200);
    assert_eq!(
        (&replaced["username"], &replaced["is_staff"]),
        (&json!("janet"), &json!(false))
    );
    assert_eq!(replaced["email"], "j@example.org");
    assert_eq!(app.get(href(&made)).await.expect(200), replaced);
    app.client()
        .with("janet", PASSWORD)
        .get("tasks/")
        .await
        .expect(200);
    jane.get("tasks/").await.expect(401);

    assert_eq!(app.delete(href(&made)).await.status, 204);
    app.get(href(&made)).await.expect(404);
    app.delete(href(&made)).await.expect(404);
    app.client()
        .with("janet", PASSWORD)
        .get("tasks/")
        .await
        .expect(401);
    app.finish().await;
}

/// Bodies that are refused, the field at fault, and what is said of it.
fn bad_values() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({}), "username", "required"),
        (json!({"username": "a b"}), "username", "valid username"),
        (json!({"username": "a:b"}), "username", "valid username"),
        (
            json!({"username": "n".repeat(151)}),
            "username",
            "150 characters",
        ),
        (json!({"username": "jane"}), "username", "already exists"),
        (json!({"username": null}), "username", "null"),
        (
            json!({"username": "x", "password": "short"}),
            "password",
            "too short",
        ),
        (
            json!({"username": "x", "password": "96325874123"}),
            "password",
            "entirely numeric",
        ),
        (
            json!({"username": "x", "password": "Password1"}),
            "password",
            "too common",
        ),
        (
            json!({"username": "wintertime", "password": "wintertime1"}),
            "password",
            "too similar to the username",
        ),
        (
            json!({"username": "x", "email": "wintertime@example.org", "password": "wintertime1"}),
            "password",
            "email address",
        ),
        (
            json!({"username": "x", "password": ""}),
            "password",
            "blank",
        ),
        (
            json!({"username": "x", "password": 5}),
            "password",
            "valid string",
        ),
        (
            json!({"username": "x", "email": "nowhere"}),
            "email",
            "valid email",
        ),
        (
            json!({"username": "x", "first_name": "n".repeat(151)}),
            "first_name",
            "150 characters",
        ),
        (
            json!({"username": "x", "is_active": "perhaps"}),
            "is_active",
            "boolean",
        ),
        (
            json!({"username": "x", "is_superuser": true}),
            "is_superuser",
            "Unexpected",
        ),
        (json!({"username": "x\u{0}"}), "username", "Null"),
    ]
}

#[tokio::test]
async fn bad_values_are_refused_by_field_and_change_nothing() {
    let app = TestApp::start().await;
    let jane = account(&app, "jane").await;
    let before = people(&app).await;
    for (body, field, message) in bad_values() {
        let refused = app.post("users/", &body).await.expect(400);
        let said = refused[field].to_string();
        assert!(said.contains(message), "{body}: {refused}");
    }
    let refused = app
        .patch(href(&jane), &json!({"username": "admin"}))
        .await
        .expect(400);
    assert!(
        refused["username"].to_string().contains("already exists"),
        "{refused}"
    );
    let refused = app
        .patch(
            href(&jane),
            &json!({"last_name": "wintertime", "password": "wintertime1"}),
        )
        .await
        .expect(400);
    assert!(
        refused["password"].to_string().contains("similar"),
        "{refused}"
    );
    for missing in ["users/4711/", "users/x/", "users/99999999999/"] {
        app.get(missing).await.expect(404);
        app.patch(missing, &json!({})).await.expect(404);
        app.delete(missing).await.expect(404);
    }
    assert_eq!(people(&app).await, before);
    app.finish().await;
}

#[tokio::test]
async fn an_account_without_a_password_lets_nobody_in() {
    let app = TestApp::start().await;
    for (name, body) in [
        ("robot", json!({"username": "robot"})),
        ("other", json!({"username": "other", "password": null})),
    ] {
        let made = app.post("users/", &body).await.expect(201);
        assert_eq!(made["hidden_fields"][0]["is_set"], false);
        for password in ["", "null", PASSWORD] {
            app.client()
                .with(name, password)
                .get("tasks/")
                .await
                .expect(401);
        }
    }
    let jane = account(&app, "jane").await;
    let emptied = app
        .patch(href(&jane), &json!({"password": null}))
        .await
        .expect(200);
    assert_eq!(emptied["hidden_fields"][0]["is_set"], false);
    app.client()
        .with("jane", PASSWORD)
        .get("tasks/")
        .await
        .expect(401);
    app.finish().await;
}

#[tokio::test]
async fn accounts_are_filtered_and_sorted() {
    let app = TestApp::start().await;
    for (name, first, active) in [
        ("ann", "Ann", true),
        ("bob", "Bob", false),
        ("anton", "Tony", true),
    ] {
        let body = json!({"username": name, "first_name": first, "is_active": active, "email": format!("{name}@example.org")});
        app.post("users/", &body).await.expect(201);
    }
    let names = async |query: &str| -> Vec<String> {
        let page = app.get(&format!("users/?{query}")).await.expect(200);
        let results = page["results"].as_array().unwrap();
        results
            .iter()
            .map(|one| one["username"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("").await,
        ["anton", "bob", "ann", "admin"],
        "the newest first"
    );
    for (query, found) in [
        ("username=bob", vec!["bob"]),
        ("username__iexact=BOB", vec!["bob"]),
        ("username__in=bob,ann&ordering=username", vec!["ann", "bob"]),
        (
            "username__contains=an&ordering=-username",
            vec!["anton", "ann"],
        ),
        ("first_name__icontains=TON", vec!["anton"]),
        ("last_name=Nobody", vec![]),
        ("email__contains=bob@", vec!["bob"]),
        ("is_active=false", vec!["bob"]),
        ("is_staff=true", vec![]),
        ("pulp_id__in=1", vec!["admin"]),
        ("pulp_href__in=/pulp/api/v3/users/1/", vec!["admin"]),
        ("prn__in=prn:auth.user:1", vec!["admin"]),
        (
            "q=username%3Dbob%20OR%20username%3Dann&ordering=username",
            vec!["ann", "bob"],
        ),
    ] {
        assert_eq!(names(query).await, found, "{query}");
    }
    for (query, field) in [
        ("pulp_id__in=x", "pulp_id__in"),
        ("pulp_href__in=/pulp/api/v3/groups/1/", "pulp_href__in"),
        ("is_active=perhaps", "is_active"),
        ("ordering=password", "ordering"),
        ("password=x", "errors"),
    ] {
        let refused = app.get(&format!("users/?{query}")).await.expect(400);
        assert!(refused.get(field).is_some(), "{query}: {refused}");
    }
    app.finish().await;
}

#[tokio::test]
async fn people_are_for_administrators() {
    let app = TestApp::start().await;
    let jane = account(&app, "jane").await;
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let role = app.get("roles/?limit=1").await.expect(200)["results"][0].clone();
    let client = app.client().with("jane", PASSWORD);
    let before = people(&app).await;
    let (user, group, role) = (href(&jane), href(&group), href(&role));
    for (method, path) in [
        (Method::GET, "users/"),
        (Method::POST, "users/"),
        (Method::GET, user),
        (Method::PATCH, user),
        (Method::PUT, user),
        (Method::DELETE, user),
        (Method::POST, "groups/"),
        (Method::GET, "roles/"),
        (Method::POST, "roles/"),
        (Method::PATCH, role),
        (Method::DELETE, role),
        (Method::GET, "audit-log/"),
        (Method::GET, &format!("{user}roles/")),
        (Method::POST, &format!("{user}roles/")),
        (Method::POST, &format!("{group}roles/")),
    ] {
        // A body that nobody would accept: who may not send one learns nothing of it.
        let request = client.request(method.clone(), path).json(&json!([]));
        let answer = app.send(request).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        let anonymous = app.send(app.anonymous(method.clone(), path)).await;
        assert_eq!(anonymous.status, 401, "{method} {path}");
    }
    assert_eq!(people(&app).await, before);
    app.finish().await;
}
