//! `users/`.

use super::{PASSWORD, account, href, people};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

/// So many tasks of somebody that ended long ago.
async fn old_tasks(app: &TestApp, account: &Value, count: u32) {
    let old = format!(
        "INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid,
                           finished_at, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss, created_by)
         SELECT lpad(to_hex(n), 32, '0')::uuid, '2020-01-01', '2020-01-01', d.pulp_id, -n, 'completed', 'old', 'default', 'cid',
                '2020-01-01', '', '{{}}', false, true, false, {} FROM generate_series(1, {count}) n, domain d",
        account["id"]
    );
    app.sql.run(&old).await;
}

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
async fn nobody_deletes_himself_and_the_last_administrator_stays() {
    let app = TestApp::start().await;
    let admin = "/pulp/api/v3/users/1/";
    app.delete(admin).await.expect(403);
    let refused = app
        .patch(admin, &json!({"is_active": false}))
        .await
        .expect(400);
    assert!(
        refused["is_active"]
            .to_string()
            .contains("last active administrator"),
        "{refused}"
    );
    let bare = app.patch("users/1/", &json!({"password": null})).await;
    let refused = bare.expect(400);
    assert!(
        refused["password"]
            .to_string()
            .contains("left without a password"),
        "{refused}"
    );
    // A second one, who is not active, does not count.
    let second = account(&app, "second").await;
    app.sql
        .run("UPDATE account SET is_superuser = true, is_active = false WHERE username = 'second'")
        .await;
    app.patch(admin, &json!({"is_active": false}))
        .await
        .expect(400);
    app.sql
        .run("UPDATE account SET is_active = true WHERE username = 'second'")
        .await;

    // Of two that delete each other one stays.
    let other = app.client().with("second", PASSWORD);
    let (mine, his) = (app.client(), other.clone());
    let (one, two) = tokio::join!(mine.delete(href(&second)), his.delete(admin));
    let statuses = [one.status.as_u16(), two.status.as_u16()];
    assert!(statuses.contains(&204), "{statuses:?}");
    let left = "SELECT count(*) FROM account WHERE is_superuser AND is_active";
    assert_eq!(app.sql.number(left).await, 1, "{statuses:?}");
    app.finish().await;
}

#[tokio::test]
async fn an_account_goes_and_its_many_tasks_stay() {
    let app = TestApp::start().await;
    let jane = account(&app, "jane").await;
    old_tasks(&app, &jane, 12_000).await;
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    app.post(
        &format!("{}users/", href(&group)),
        &json!({"username": "jane"}),
    )
    .await
    .expect(201);
    let role = json!({"role": "core.task_viewer", "content_object": null});
    app.post(&format!("{}roles/", href(&jane)), &role)
        .await
        .expect(201);
    assert_eq!(app.delete(href(&jane)).await.status, 204);
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM task WHERE created_by IS NULL")
            .await,
        12_000
    );
    // Who made the group owns it.
    let of_others = "role_assignment WHERE account_id <> 1";
    for table in [of_others, "account_group_member"] {
        assert_eq!(
            app.sql
                .number(&format!("SELECT count(*) FROM {table}"))
                .await,
            0,
            "{table}"
        );
    }
    let tasks = app.get("tasks/?limit=1").await.expect(200);
    assert_eq!(tasks["results"][0]["created_by"], Value::Null);
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

#[tokio::test]
async fn an_account_with_very_many_tasks_is_gone_at_once_and_its_tasks_follow() {
    let mut app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .start()
        .await;
    let jane = account(&app, "jane").await;
    old_tasks(&app, &jane, 30_000).await;
    assert_eq!(app.delete(href(&jane)).await.status, 204);
    let named = "SELECT count(*) FROM task WHERE created_by IS NOT NULL";
    assert!(app.sql.number(named).await > 0, "too few tasks");
    app.get(href(&jane)).await.expect(404);
    assert_eq!(app.get("users/").await.expect(200)["count"], 1);
    app.client()
        .with("jane", PASSWORD)
        .get("tasks/")
        .await
        .expect(401);
    // The name is free.
    account(&app, "jane").await;
    app.spawn_worker(&[]);
    let rows = format!(
        "{named} OR EXISTS (SELECT FROM account WHERE id = {})",
        jane["id"]
    );
    millrace_tests::eventually(std::time::Duration::from_secs(60), async || {
        let left = app.sql.number(&rows).await;
        millrace_tests::eventually::holds(left == 0, || format!("{left}"))
    })
    .await;
    app.finish().await;
}
