//! Giving and taking roles on objects, and what one may do oneself.

use super::*;

const VIEWER: &str = "file.filerepository_viewer";

#[tokio::test]
async fn roles_on_an_object_are_given_and_taken() {
    let app = TestApp::start().await;
    let zoo = app.repository("zoo").await;
    let owner = app.person("owner").await;
    let guest = app.person("guest").await;
    app.group("keepers", &["guest"]).await;
    app.grant("owner", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    let of = |call: &str| format!("{}{call}/", href(&zoo));

    let add = json!({"role": VIEWER, "users": ["guest"], "groups": ["keepers"]});
    assert_eq!(owner.post(&of("add_role"), &add).await.expect(201), add);
    let roles = owner.get(&of("list_roles")).await.expect(200);
    assert_eq!(
        roles,
        json!({"roles": [
            {"role": "file.filerepository_owner", "users": ["admin", "owner"], "groups": []},
            {"role": VIEWER, "users": ["guest"], "groups": ["keepers"]},
        ]})
    );
    let mine = guest.get(&of("my_permissions")).await.expect(200);
    assert_eq!(mine, json!({"permissions": ["file.view_filerepository"]}));
    let mine = app.get(&of("my_permissions")).await.expect(200);
    let mine = mine["permissions"].as_array().unwrap();
    for verb in [
        "view",
        "change",
        "delete",
        "sync",
        "modify",
        "repair",
        "manage_roles",
    ] {
        assert!(
            mine.contains(&json!(format!("file.{verb}_filerepository"))),
            "{verb}: {mine:?}"
        );
    }
    // Held twice: it is gone when both are.
    let user = json!({"role": VIEWER, "users": ["guest"]});
    owner.post(&of("remove_role"), &user).await.expect(201);
    guest.get(href(&zoo)).await.expect(200);
    let group = json!({"role": VIEWER, "groups": ["keepers"]});
    owner.post(&of("remove_role"), &group).await.expect(201);
    guest.get(href(&zoo)).await.expect(404);
    let noted = app
        .sql
        .texts(
            "SELECT actor || ' ' || action || ' ' || (details ->> 'users') || (details ->> 'groups') \
               FROM audit_entry WHERE object LIKE 'prn:file.filerepository:%' AND actor = 'owner' ORDER BY id",
        )
        .await;
    assert_eq!(
        noted,
        [
            r#"owner assignment.create ["guest"]["keepers"]"#,
            r#"owner assignment.delete ["guest"][]"#,
            r#"owner assignment.delete []["keepers"]"#,
        ]
    );
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_told_by_its_field_and_changes_nothing() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let task = app
        .patch(href(&zoo), &json!({"description": "d"}))
        .await
        .task();
    app.completed(&task).await;
    app.person("guest").await;
    app.group("keepers", &[]).await;
    let of = |call: &str| format!("{}{call}/", href(&zoo));
    let held = json!({"role": VIEWER, "users": ["guest"]});
    app.post(&of("add_role"), &held).await.expect(201);
    let rows =
        "SELECT (SELECT count(*) FROM role_assignment) * 1000 + (SELECT count(*) FROM audit_entry)";
    let before = app.sql.number(rows).await;
    let user = ["guest"];
    for (call, body, field) in [
        (
            "add_role",
            json!({"role": "no.such", "users": user}),
            "role",
        ),
        ("add_role", json!({"users": user}), "role"),
        (
            "add_role",
            json!({"role": VIEWER, "users": ["nobody", "guest"]}),
            "users",
        ),
        (
            "add_role",
            json!({"role": VIEWER, "users": "guest"}),
            "users",
        ),
        (
            "add_role",
            json!({"role": VIEWER, "groups": ["nobody"]}),
            "groups",
        ),
        (
            "add_role",
            json!({"role": VIEWER, "users": ["admin", "guest"]}),
            "users",
        ),
        (
            "add_role",
            json!({"role": "file.fileremote_viewer", "users": user}),
            "role",
        ),
        ("add_role", json!({"role": VIEWER, "odd": 1}), "odd"),
        (
            "remove_role",
            json!({"role": VIEWER, "groups": ["keepers"]}),
            "groups",
        ),
        (
            "remove_role",
            json!({"role": VIEWER, "users": ["admin", "guest"]}),
            "users",
        ),
        (
            "remove_role",
            json!({"role": "file.filerepository_creator", "users": user}),
            "users",
        ),
    ] {
        let refused = app.post(&of(call), &body).await.expect(400);
        assert!(refused[field].is_array(), "{call} {body}: {refused}");
        assert_eq!(refused.as_object().unwrap().len(), 1, "{refused}");
    }
    for call in ["add_role", "remove_role"] {
        let body = json!({"role": "core.task_user_dispatcher", "users": user});
        let refused = app.post(&format!("{task}{call}/"), &body).await.expect(400);
        assert!(refused["role"].is_array(), "{refused}");
    }
    assert_eq!(app.sql.number(rows).await, before);
    app.finish().await;
}

#[tokio::test]
async fn the_permissions_of_a_role_count_at_once() {
    let app = TestApp::start().await;
    let guest = app.person("guest").await;
    let zoo = app.repository("zoo").await;
    let body = json!({"name": "mine", "permissions": ["file.view_fileremote"]});
    let role = app.post("roles/", &body).await.expect(201);
    app.grant("guest", "mine", None).await;
    guest.get(href(&zoo)).await.expect(404);
    let more = json!({"permissions": ["file.view_filerepository"]});
    app.patch(href(&role), &more).await.expect(200);
    guest.get(href(&zoo)).await.expect(200);
    app.delete(href(&role)).await.expect(204);
    guest.get(href(&zoo)).await.expect(404);
    app.finish().await;
}
