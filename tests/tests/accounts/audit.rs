//! The audit log.

use super::{PASSWORD, account, href};
use millrace_tests::TestApp;
use serde_json::{Value, json};

const CID: &str = "0123456789abcdef0123456789abcdef";

/// Changes of all kinds; gives the address of the account, and the name of the group, that they are about.
async fn change_all(app: &TestApp) -> [String; 2] {
    let jane = account(app, "jane").await;
    let body = json!({"password": "another fine sentence", "email": "j@example.org"});
    let request = app
        .request(reqwest::Method::PATCH, href(&jane))
        .header("correlation-id", CID);
    app.send(request.json(&body)).await.expect(200);
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let members = format!("{}users/", href(&group));
    app.post(&members, &json!({"username": "jane"}))
        .await
        .expect(201);
    // What changes nothing is no change.
    app.post(&members, &json!({"username": "jane"}))
        .await
        .expect(201);
    app.patch(href(&jane), &json!({"email": "j@example.org"}))
        .await
        .expect(200);
    app.delete(&format!("{members}{}/", jane["id"])).await;
    let role = json!({"name": "mine", "permissions": ["core.view_task"]});
    let role = app.post("roles/", &role).await.expect(201);
    app.patch(href(&role), &json!({"permissions": []}))
        .await
        .expect(200);
    let held = json!({"role": "mine", "content_object": null});
    let held = app
        .post(&format!("{}roles/", href(&jane)), &held)
        .await
        .expect(201);
    app.delete(href(&held)).await;
    app.delete(href(&role)).await;
    app.patch(href(&group), &json!({"name": "other"}))
        .await
        .expect(200);
    app.delete(href(&group)).await;
    app.client()
        .with("jane", "another fine sentence")
        .patch("login/", &json!({"first_name": "J"}))
        .await
        .expect(200);
    app.delete(href(&jane)).await;
    [&jane["pulp_href"], &group["prn"]].map(|text| text.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_change_is_noted_with_who_what_and_when_and_without_secrets() {
    let app = TestApp::start().await;
    let [user, group] = change_all(&app).await;
    let log = app.get("audit-log/?ordering=id").await.expect(200);
    let entries: Vec<String> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                e["actor"].as_str().unwrap_or("-"),
                e["action"].as_str().unwrap(),
                e["object"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            "- user.create admin",
            "admin user.create jane",
            "admin user.update jane",
            "admin group.create zoo",
            &format!("admin assignment.create {group}"),
            "admin group.add_user zoo",
            "admin group.remove_user zoo",
            "admin role.create mine",
            "admin role.update mine",
            &format!("admin assignment.create {user}"),
            &format!("admin assignment.delete {user}"),
            "admin role.delete mine",
            "admin group.update zoo",
            &format!("- assignment.delete {group}"),
            "admin group.delete other",
            "jane user.update jane",
            "admin user.delete jane",
        ]
    );
    let update = &log["results"][2];
    assert_eq!(
        update["details"],
        json!({"password": "set", "email": "j@example.org"})
    );
    assert_eq!(update["logging_cid"], CID);
    for secret in ["argon2", PASSWORD, "another fine sentence", "test-password"] {
        assert!(!log.to_string().contains(secret), "{secret}");
    }
    let text = app.api.as_ref().unwrap().log();
    assert!(text.contains("user.update jane by admin"), "{text}");
    assert!(!text.contains("another fine sentence"));
    app.finish().await;
}

#[tokio::test]
async fn what_goes_with_an_object_a_role_or_a_group_is_noted() {
    let app = TestApp::with_workers(1).await;
    account(&app, "jane").await;
    let details = async |action: &str, object: &str| -> Value {
        let query = format!("audit-log/?action={action}&object={object}&limit=1");
        let page = app.get(&query).await.expect(200);
        page["results"][0]["details"].clone()
    };
    // With an object, whoever deletes it.
    let zoo = app.repository("zoo").await;
    app.grant("jane", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    let task = app.delete(href(&zoo)).await.task();
    app.completed(&task).await;
    let prn = zoo["prn"].as_str().unwrap();
    assert_eq!(
        details("assignment.delete", prn).await,
        json!({"role": "file.filerepository_viewer", "users": ["jane"], "groups": [], "deleted_with": prn})
    );
    // With a group: it is called as clients know it.
    let group = app.group("keepers", &["jane"]).await;
    let prn = group["prn"].as_str().unwrap();
    let add = json!({"role": "core.group_viewer", "users": ["jane"]});
    app.post(&format!("{}add_role/", href(&group)), &add)
        .await
        .expect(201);
    assert_eq!(
        details("assignment.create", prn).await,
        json!({"role": "core.group_viewer", "users": ["jane"], "groups": []})
    );
    let role = json!({"name": "mine", "permissions": ["core.view_task"], "description": "d"});
    let role = app.post("roles/", &role).await.expect(201);
    let held = json!({"role": "mine", "content_object": null});
    app.post(&format!("{}roles/", href(&group)), &held)
        .await
        .expect(201);
    app.grant("jane", "mine", None).await;
    app.delete(href(&role)).await;
    assert_eq!(
        details("role.delete", "mine").await,
        json!({"permissions": ["core.view_task"], "description": "d", "users": ["jane"],
               "groups": ["keepers"], "assignments": 2})
    );
    let held = json!({"role": "core.task_viewer", "content_object": null});
    app.post(&format!("{}roles/", href(&group)), &held)
        .await
        .expect(201);
    app.delete(href(&group)).await;
    assert_eq!(
        details("group.delete", "keepers").await,
        json!({"id": group["id"], "users": ["jane"], "roles": ["core.task_viewer"], "assignments": 1})
    );
    assert_eq!(
        details("assignment.delete", prn).await["users"],
        json!(["jane"])
    );
    app.finish().await;
}

#[tokio::test]
async fn the_log_is_filtered_and_only_read() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    account(&app, "john").await;
    app.sql
        .run("UPDATE audit_entry SET at = '2020-01-01' WHERE object = 'john'")
        .await;
    let objects = async |query: &str| -> Vec<Value> {
        let page = app.get(&format!("audit-log/?{query}")).await.expect(200);
        page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["object"].clone())
            .collect()
    };
    assert_eq!(
        objects("").await,
        ["john", "jane", "admin"],
        "the newest first"
    );
    for (query, found) in [
        ("actor=admin", vec!["john", "jane"]),
        ("actor=nobody", vec![]),
        ("action=user.create&object=jane", vec!["jane"]),
        ("action__in=user.delete,user.update", vec![]),
        ("at__range=2019-12-31,2020-01-02", vec!["john"]),
        ("at__gte=2021-01-01&actor=admin", vec!["jane"]),
    ] {
        assert_eq!(objects(query).await, found, "{query}");
    }
    app.get("audit-log/?at__lt=soon").await.expect(400);
    app.post("audit-log/", &json!({})).await.expect(405);
    app.delete("audit-log/1/").await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn what_is_refused_is_not_noted() {
    let app = TestApp::start().await;
    let count = async || app.sql.number("SELECT count(*) FROM audit_entry").await;
    let before = count().await;
    app.post("users/", &json!({"username": "admin"}))
        .await
        .expect(400);
    app.post(
        "roles/",
        &json!({"name": "core.task_owner", "permissions": []}),
    )
    .await
    .expect(400);
    app.patch("users/1/", &json!({"is_active": false}))
        .await
        .expect(400);
    app.delete("users/1/").await.expect(403);
    assert_eq!(count().await, before);
    app.finish().await;
}
