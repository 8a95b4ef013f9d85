//! Grants, and the walk from a path up to the root.

use super::{DELETE_ORPHANS, ORPHANS, account, delete, get, grant, post};
use millrace_tests::TestApp;
use millrace_tests::client::Client;
use serde_json::{Value, json};

async fn change(client: &Client, verb: &str, body: &Value) -> millrace_tests::client::Answer {
    post(client, &format!("permissions/actions/{verb}/"), body).await
}

#[tokio::test]
async fn a_grant_covers_all_below_it_and_nothing_beside_it() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    let may = async |rest: &str| get(&somebody, rest).await.status != 401;
    grant(&app, "somebody", "/v2/content/orphans/file/", &["READ"]).await;
    assert!(may("content/orphans/file/").await && may("content/orphans/file/x/").await);
    assert!(!may(ORPHANS).await && !may("content/orphans/rpm/").await);
    assert!(
        !may("content/orphans/files/").await,
        "segments, not letters"
    );
    grant(&app, "somebody", "/v2/content/orphans", &["READ"]).await;
    assert!(may(ORPHANS).await && may("content/orphans/rpm/").await);
    assert!(!may("tasks/").await && !may("plugins/types/").await);
    delete(&somebody, ORPHANS).await.expect(401);
    grant(&app, "somebody", "/", &["READ"]).await;
    assert!(may("tasks/").await && may("plugins/types/").await);
    assert_eq!(
        delete(&somebody, ORPHANS).await.expect(401)["error"]["data"]["operation"],
        "DELETE"
    );
    let body = json!({"login": "somebody", "resource": "/", "operations": ["CREATE", "UPDATE", "EXECUTE"]});
    change(&app, "grant_to_user", &body).await.expect(200);
    let refused = change(&somebody, "grant_to_user", &body).await.expect(401);
    assert_eq!(refused["error"]["code"], "PLP0026");
}

#[tokio::test]
async fn a_grant_and_a_request_mean_the_same_path_however_they_are_spelled() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    let read = async |rest: &str| get(&somebody, rest).await.status.as_u16();
    grant(&app, "somebody", "/v2/content/orphans/%66ile/", &["READ"]).await;
    for path in ["content/orphans/file/", "content/orphans/%66ile/"] {
        assert_eq!(read(path).await, 200, "{path}");
    }
    // What no request is compared with is refused.
    for resource in ["/content/orphans/", "/v3/tasks/", "/v2/%ff/"] {
        let body = json!({"login": "somebody", "resource": resource, "operations": ["READ"]});
        let refused = change(&app, "grant_to_user", &body).await.expect(400);
        assert_eq!(refused["property_names"], json!(["resource"]), "{resource}");
    }
}

#[tokio::test]
async fn a_grant_on_content_covers_the_bulk_action_and_one_on_orphans_does_not() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    grant(&app, "somebody", "/v2/content/orphans/", &["DELETE"]).await;
    delete(&somebody, ORPHANS).await.expect(202);
    post(&somebody, DELETE_ORPHANS, &json!([]))
        .await
        .expect(401);
    grant(&app, "somebody", "/v2/content/", &["DELETE"]).await;
    post(&somebody, DELETE_ORPHANS, &json!([]))
        .await
        .expect(202);
}

#[tokio::test]
async fn a_grant_is_taken_back_on_its_own_path_only() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    grant(&app, "somebody", "/v2/content/", &["READ", "DELETE"]).await;
    grant(&app, "somebody", "/v2/content/orphans/", &["READ"]).await;
    let revoke = async |resource: &str, operations: &[&str]| {
        let body = json!({"login": "somebody", "resource": resource, "operations": operations});
        let answer = change(&app, "revoke_from_user", &body).await;
        assert_eq!(answer.expect(200), Value::Null);
    };
    revoke("/v2/content/", &["READ"]).await;
    get(&somebody, ORPHANS).await.expect(200);
    revoke("/pulp/api/v2/content/orphans/", &["READ"]).await;
    get(&somebody, ORPHANS).await.expect(401);
    delete(&somebody, ORPHANS).await.expect(202);
    revoke("/v2/content/", &["DELETE", "READ", "EXECUTE"]).await;
    delete(&somebody, ORPHANS).await.expect(401);
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM permission_grant")
            .await,
        0
    );
}

#[tokio::test]
async fn a_grant_to_a_role_is_one_to_those_who_hold_it_everywhere() {
    let app = TestApp::start().await;
    let (direct, member) = (account(&app, "direct").await, account(&app, "member").await);
    let (object, domain) = (account(&app, "object").await, account(&app, "domain").await);
    app.sql
        .run(
            "INSERT INTO role (pulp_id, name) VALUES (gen_random_uuid(), 'cleaners'); \
             INSERT INTO account_group (name) VALUES ('crew'); \
             INSERT INTO account_group_member SELECT g.id, a.id FROM account_group g, account a WHERE a.username = 'member'; \
             INSERT INTO role_assignment (pulp_id, role_id, account_id, group_id, pulp_domain, object_model, object_id) \
             SELECT gen_random_uuid(), r.pulp_id, who.account, who.crew, who.domain, who.model, who.object FROM role r, ( \
                SELECT id AS account, NULL::integer AS crew, NULL::uuid AS domain, NULL AS model, NULL::uuid AS object FROM account WHERE username = 'direct' \
                UNION ALL SELECT NULL, id, NULL, NULL, NULL FROM account_group \
                UNION ALL SELECT a.id, NULL, d.pulp_id, NULL, NULL FROM account a, domain d WHERE a.username = 'domain' \
                UNION ALL SELECT id, NULL, NULL, 'core.task', gen_random_uuid() FROM account WHERE username = 'object' \
             ) who WHERE r.name = 'cleaners'",
        )
        .await;
    for client in [&direct, &member, &object, &domain] {
        get(client, ORPHANS).await.expect(401);
    }
    let body =
        json!({"role_id": "cleaners", "resource": "/v2/content/orphans/", "operations": ["READ"]});
    let answer = change(&app, "grant_to_role", &body).await;
    assert_eq!(answer.expect(200), Value::Null);
    for client in [&direct, &member] {
        get(client, ORPHANS).await.expect(200);
        delete(client, ORPHANS).await.expect(401);
    }
    for client in [&object, &domain] {
        get(client, ORPHANS).await.expect(401);
    }
    change(&app, "revoke_from_role", &body).await.expect(200);
    get(&direct, ORPHANS).await.expect(401);
}

#[tokio::test]
async fn grants_are_counted_once_and_each_change_is_in_the_audit_log() {
    let app = TestApp::start().await;
    account(&app, "somebody").await;
    grant(&app, "somebody", "v2/tasks", &["READ", "READ", "DELETE"]).await;
    grant(&app, "somebody", "/v2/tasks/", &["READ"]).await;
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM permission_grant")
            .await,
        2
    );
    let body = json!({"login": "somebody", "resource": "/v2/tasks/", "operations": ["DELETE"]});
    change(&app, "revoke_from_user", &body).await.expect(200);
    change(&app, "revoke_from_user", &body).await.expect(200);
    let log = "SELECT actor || ' ' || action || ' ' || object || ' ' || details FROM audit_entry \
               WHERE action LIKE 'permission.%' ORDER BY id";
    assert_eq!(
        app.sql.texts(log).await,
        [
            r#"admin permission.grant /v2/tasks/ {"login": "somebody", "operations": ["READ", "DELETE"]}"#,
            r#"admin permission.revoke /v2/tasks/ {"login": "somebody", "operations": ["DELETE"]}"#,
        ]
    );
}

#[tokio::test]
async fn a_request_that_names_nobody_or_nothing_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    account(&app, "somebody").await;
    let verbs = [
        "grant_to_user",
        "revoke_from_user",
        "grant_to_role",
        "revoke_from_role",
    ];
    for verb in verbs {
        let whose = if verb.ends_with("user") {
            "login"
        } else {
            "role_id"
        };
        let body = json!({whose: "nope", "resource": "/", "operations": ["READ"]});
        let missing = change(&app, verb, &body).await.expect(404);
        assert_eq!(missing["resources"], json!({whose: "nope"}));
        for (field, odd) in [
            (whose, json!(null)),
            (whose, json!(5)),
            (whose, json!("")),
            (whose, json!("a\0")),
            ("resource", json!("")),
            ("resource", json!("/a\0/")),
            ("resource", json!("/a//b/")),
            ("resource", json!("/x".repeat(600))),
            ("operations", json!([])),
            ("operations", json!(["read"])),
            ("operations", json!(["READ", 1])),
            ("operations", json!("READ")),
        ] {
            let mut body = body.clone();
            body[field] = odd.clone();
            let refused = change(&app, verb, &body).await.expect(400);
            assert_eq!(refused["error"]["code"], "PLP0015");
            assert_eq!(refused["property_names"], json!([field]), "{odd}");
        }
        let refused = change(&app, verb, &json!({})).await.expect(400);
        assert_eq!(
            refused["property_names"],
            json!([whose, "resource", "operations"])
        );
        let refused = change(&app, verb, &json!([])).await.expect(400);
        assert_eq!(refused["error"]["code"], "PLP1015");
    }
    // The role of Pulp 2's administrators is a mark of the account here.
    let body = json!({"role_id": "super-users", "resource": "/", "operations": ["READ"]});
    let refused = change(&app, "grant_to_role", &body).await.expect(400);
    assert_eq!(refused["property_names"], json!(["role_id"]));
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM permission_grant")
            .await,
        0
    );
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM audit_entry WHERE action LIKE 'permission.%'")
            .await,
        0
    );
}

#[tokio::test]
async fn non_super_user_on_super_only_call_refused_before_permission_lookup() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    grant(
        &app,
        "somebody",
        "/",
        &["CREATE", "READ", "UPDATE", "DELETE", "EXECUTE"],
    )
    .await;
    let body = json!({"login": "somebody", "resource": "/", "operations": ["READ"]});
    for verb in [
        "grant_to_user",
        "grant_to_role",
        "revoke_from_user",
        "revoke_from_role",
    ] {
        let refused = change(&somebody, verb, &body).await.expect(401);
        assert_eq!(refused["auth_error_code"], "permission_denied");
    }
}

#[tokio::test]
async fn a_path_that_is_odd_is_refused_and_not_a_fault() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    for rest in [
        "content/orphans/%00/",
        "tasks/%ff/",
        &format!("tasks/{}/", "x".repeat(5000)),
    ] {
        let answer = get(&somebody, rest).await;
        assert_eq!(answer.status, 401, "{rest}: {}", answer.text);
        let answer = get(&app, rest).await;
        assert!(
            [404, 200].contains(&answer.status.as_u16()),
            "{rest}: {}",
            answer.text
        );
    }
}
