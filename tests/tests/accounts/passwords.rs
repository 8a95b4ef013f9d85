//! When a change of an account counts.

use super::{PASSWORD, account, href};
use millrace_tests::client::Client;
use millrace_tests::eventually::holds;
use millrace_tests::process::Process;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Far below the time that credentials are remembered.
const SOON: Duration = Duration::from_secs(10);

/// Waits until a client is refused, or let in.
async fn until(client: &Client, status: u16) {
    eventually(SOON, async || {
        let answer = client.get("tasks/?limit=1").await;
        holds(answer.status == status, || format!("{}", answer.status))
    })
    .await;
}

async fn two_processes() -> (TestApp, Process, Client) {
    let app = TestApp::builder()
        .set("api.credential_cache_seconds", 3600)
        .start()
        .await;
    let (process, other) = app.another_api(&["serve", "--only", "api"], &[]).await;
    // Both have registered, so both listen.
    eventually(SOON, async || {
        let apis = app
            .sql
            .number("SELECT count(*) FROM app_status WHERE app_type = 'api'")
            .await;
        holds(apis == 2, || format!("{apis}"))
    })
    .await;
    (app, process, other)
}

#[tokio::test]
async fn what_changes_about_an_account_counts_at_once_here_and_soon_everywhere() {
    let (app, _process, other) = two_processes().await;
    let jane = account(&app, "jane").await;
    let (here, there) = (
        app.client().with("jane", PASSWORD),
        other.with("jane", PASSWORD),
    );
    for client in [&here, &there] {
        client.get("tasks/").await.expect(200);
    }
    let new = "another fine sentence";
    app.patch(href(&jane), &json!({"password": new}))
        .await
        .expect(200);
    here.get("tasks/").await.expect(401);
    until(&there, 401).await;
    let (here, there) = (here.with("jane", new), there.with("jane", new));
    for client in [&here, &there] {
        client.get("tasks/").await.expect(200);
    }

    app.patch(href(&jane), &json!({"is_active": false}))
        .await
        .expect(200);
    here.get("tasks/").await.expect(401);
    until(&there, 401).await;
    app.patch(href(&jane), &json!({"is_active": true}))
        .await
        .expect(200);
    here.get("tasks/").await.expect(200);
    there.get("tasks/").await.expect(200);

    assert_eq!(app.delete(href(&jane)).await.status, 204);
    here.get("tasks/").await.expect(401);
    until(&there, 401).await;
    app.finish().await;
}

#[tokio::test]
async fn who_becomes_an_administrator_or_is_none_any_more_notices_without_waiting() {
    let (app, _process, other) = two_processes().await;
    account(&app, "jane").await;
    let there = other.with("jane", PASSWORD);
    there.get("users/").await.expect(403);
    for (is_superuser, status) in [(true, 200), (false, 403)] {
        app.sql
            .run(&format!(
                "UPDATE account SET is_superuser = {is_superuser} WHERE username = 'jane'"
            ))
            .await;
        eventually(SOON, async || {
            let answer = there.get("users/").await;
            holds(answer.status == status, || format!("{}", answer.status))
        })
        .await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_password_from_the_command_line_counts_too_and_is_noted() {
    let (app, _process, other) = two_processes().await;
    account(&app, "jane").await;
    let there = other.with("jane", PASSWORD);
    there.get("tasks/").await.expect(200);
    let set = app.run_command(&["set-password", "jane"], "from the command line\n");
    assert!(set.status.success(), "{set:?}");
    until(&there, 401).await;
    there
        .with("jane", "from the command line")
        .get("tasks/")
        .await
        .expect(200);
    let log = app
        .get("audit-log/?action=user.set_password")
        .await
        .expect(200);
    assert_eq!(log["results"][0]["actor"], Value::Null);
    assert_eq!(log["results"][0]["object"], "jane");
    app.finish().await;
}

#[tokio::test]
async fn the_command_line_takes_no_password_that_the_api_would_not() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    for (password, fault) in [
        ("", "too short"),
        ("short", "too short"),
        ("password1", "too common"),
        ("93847561029", "entirely numeric"),
    ] {
        let set = app.run_command(&["set-password", "jane"], &format!("{password}\n"));
        let said = String::from_utf8_lossy(&set.stderr);
        assert!(!set.status.success() && said.contains(fault), "{said}");
    }
    let jane = app.client().with("jane", PASSWORD);
    jane.get("tasks/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn the_command_line_makes_administrators_but_never_leaves_none() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    let jane = app.client().with("jane", PASSWORD);
    jane.get("users/").await.expect(403);
    let run = |arguments: &[&str]| app.run_command(arguments, "");
    assert!(run(&["make-admin", "jane"]).status.success());
    eventually(SOON, async || {
        let answer = jane.get("users/").await;
        holds(answer.status == 200, || format!("{}", answer.status))
    })
    .await;
    assert!(run(&["make-admin", "--undo", "admin"]).status.success());
    for (arguments, fault) in [
        (
            ["make-admin", "--undo", "jane"],
            "is the last active administrator",
        ),
        (
            ["make-admin", "--undo", "nobody"],
            "there is no account `nobody`",
        ),
    ] {
        let refused = run(&arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(fault), "{said}");
    }
    let log = jane.get("audit-log/?action=user.update").await.expect(200);
    let changes: Vec<(&Value, &Value)> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["object"], &entry["details"]["is_superuser"]))
        .collect();
    let (admin, user) = (Value::from("admin"), Value::from("jane"));
    let (yes, no) = (Value::from(true), Value::from(false));
    assert_eq!(changes, [(&admin, &no), (&user, &yes)]);
    app.finish().await;
}
