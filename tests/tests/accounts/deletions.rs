//! Accounts that go, or must not.

use super::{PASSWORD, account, href};
use millrace_tests::TestApp;
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
