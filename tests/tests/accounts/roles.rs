//! `roles/`, and those that are built in.

use super::{href, people};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn names(page: &Value) -> BTreeSet<&str> {
    let results = page["results"].as_array().unwrap();
    results
        .iter()
        .map(|role| role["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted() {
    let app = TestApp::start().await;
    let body = json!({"name": "reader", "permissions": ["file.view_filerepository", "core.view_task", "core.view_task"]});
    let role = app.post("roles/", &body).await.expect(201);
    assert_eq!(
        role["permissions"],
        json!(["core.view_task", "file.view_filerepository"])
    );
    assert_eq!(
        (&role["description"], &role["locked"]),
        (&Value::Null, &json!(false))
    );
    assert!(role["prn"].as_str().unwrap().starts_with("prn:core.role:"));
    let changed = app
        .patch(href(&role), &json!({"description": "Reads."}))
        .await
        .expect(200);
    assert_eq!(
        (&changed["description"], &changed["permissions"]),
        (&json!("Reads."), &role["permissions"])
    );
    assert_ne!(changed["pulp_last_updated"], role["pulp_last_updated"]);
    let put = app
        .request(Method::PUT, href(&role))
        .json(&json!({"name": "nobody", "permissions": []}));
    let replaced = app.send(put).await.expect(200);
    assert_eq!(
        (&replaced["description"], &replaced["permissions"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(app.delete(href(&role)).await.status, 204);
    app.get(href(&role)).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_named_and_changes_nothing() {
    let app = TestApp::start().await;
    let role = app
        .post("roles/", &json!({"name": "mine", "permissions": []}))
        .await
        .expect(201);
    let before = people(&app).await;
    for (body, field, message) in [
        (json!({}), "name", "required"),
        (json!({"name": "x"}), "permissions", "required"),
        (json!({"name": "mine", "permissions": []}), "name", "unique"),
        (
            json!({"name": "x", "permissions": "core.view_task"}),
            "permissions",
            "list",
        ),
        (
            json!({"name": "x", "permissions": ["core.view_task", "core.fly_task"]}),
            "permissions",
            "core.fly_task",
        ),
        (
            json!({"name": "x", "permissions": [], "locked": true}),
            "locked",
            "Unexpected",
        ),
    ] {
        let refused = app.post("roles/", &body).await.expect(400);
        assert!(
            refused[field].to_string().contains(message),
            "{body}: {refused}"
        );
    }
    app.patch(href(&role), &json!({"permissions": ["x"]}))
        .await
        .expect(400);
    assert_eq!(people(&app).await, before);
    app.finish().await;
}

#[tokio::test]
async fn built_in_roles_are_there_and_nobody_changes_them() {
    let app = TestApp::start().await;
    let page = app.get("roles/?locked=true&limit=100").await.expect(200);
    let names = names(&page);
    for name in [
        "file.filerepository_creator",
        "file.filerepository_owner",
        "file.filerepository_viewer",
        "file.fileremote_owner",
        "file.filepublication_viewer",
        "file.filedistribution_creator",
        "file.file_uploader",
        "core.task_owner",
        "core.task_viewer",
        "core.task_user_dispatcher",
        "core.taskschedule_owner",
        "core.upload_creator",
        "core.domain_viewer",
        "core.group_owner",
        "core.content_labeler",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let owner = app
        .get("roles/?name=file.filerepository_owner")
        .await
        .expect(200)["results"][0]
        .clone();
    for permission in [
        "sync",
        "modify",
        "repair",
        "manage_roles",
        "view",
        "change",
        "delete",
    ] {
        let permission = json!(format!("file.{permission}_filerepository"));
        assert!(
            owner["permissions"]
                .as_array()
                .unwrap()
                .contains(&permission),
            "{permission}"
        );
    }
    let before = people(&app).await;
    let body = json!({"name": "x", "permissions": []});
    for request in [
        app.request(Method::PATCH, href(&owner)).json(&body),
        app.request(Method::PUT, href(&owner)).json(&body),
        app.request(Method::DELETE, href(&owner)),
    ] {
        assert_eq!(
            app.send(request).await.expect(403),
            json!({"detail": "The role is locked."})
        );
    }
    assert_eq!(people(&app).await, before);
    app.finish().await;
}

#[tokio::test]
async fn a_migration_brings_built_in_roles_to_what_the_program_knows() {
    let app = TestApp::start().await;
    let before = app.get("roles/?name=core.task_owner").await.expect(200)["results"][0].clone();
    app.sql
        .run(
            "UPDATE role SET permissions = '{core.view_task}', locked = false WHERE name = 'core.task_owner';
             DELETE FROM role WHERE name = 'core.task_viewer';
             INSERT INTO role (pulp_id, name, permissions, locked) VALUES (gen_random_uuid(), 'core.old', '{core.view_task}', true)",
        )
        .await;
    for _ in 0..2 {
        let migrated = app.run_command(&["migrate"], "");
        assert!(migrated.status.success(), "{migrated:?}");
    }
    let noted: Vec<String> = app
        .sql
        .texts(
            "SELECT action || ' ' || object || ' ' || (details ->> 'locked') FROM audit_entry \
              WHERE action LIKE 'role.%' AND actor IS NULL ORDER BY object",
        )
        .await;
    assert_eq!(
        noted,
        [
            "role.update core.old false",
            "role.update core.task_owner true",
            "role.create core.task_viewer true",
        ],
        "each change once"
    );
    let after = app.get("roles/?name=core.task_owner").await.expect(200)["results"][0].clone();
    assert_eq!(
        (&after["permissions"], &after["locked"]),
        (&before["permissions"], &json!(true))
    );
    assert_eq!(href(&after), href(&before), "who holds it holds it still");
    assert_eq!(
        app.get("roles/?name=core.task_viewer&locked=true")
            .await
            .expect(200)["count"],
        1
    );
    // One that is built in no more is a role like any other.
    let old = app.get("roles/?name=core.old").await.expect(200)["results"][0].clone();
    assert_eq!(old["locked"], false);
    assert_eq!(app.delete(href(&old)).await.status, 204);
    app.finish().await;
}

#[tokio::test]
async fn roles_are_filtered_by_what_they_permit() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    for (name, permissions) in [
        (
            "mixed",
            json!(["file.view_filerepository", "core.view_task"]),
        ),
        ("pure", json!(["file.view_filerepository"])),
        ("empty", json!([])),
    ] {
        app.post("roles/", &json!({"name": name, "permissions": permissions}))
            .await
            .expect(201);
    }
    let found = async |query: &str| {
        app.get(&format!("roles/?locked=false&{query}"))
            .await
            .expect(200)
    };
    for (query, wanted) in [
        (
            "contains_permission=file.view_filerepository".to_owned(),
            vec!["mixed", "pure"],
        ),
        (
            "contains_permission=core.view_task&contains_permission=file.view_filerepository"
                .to_owned(),
            vec!["mixed", "pure"],
        ),
        (
            "contains_permission=core.view_task".to_owned(),
            vec!["mixed"],
        ),
        (
            format!("for_object_type={}", href(&repository)),
            vec!["pure"],
        ),
        ("name__startswith=e".to_owned(), vec!["empty"]),
        ("name__in=pure,empty".to_owned(), vec!["empty", "pure"]),
    ] {
        let page = found(&query).await;
        assert_eq!(names(&page), wanted.into_iter().collect(), "{query}");
    }
    app.get("roles/?for_object_type=nothing").await.expect(400);
    app.finish().await;
}
