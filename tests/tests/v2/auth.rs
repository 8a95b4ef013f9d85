//! Who is let in, and what the others are told.

use super::{DELETE_ORPHANS, ORPHANS, account, get, path, post_text, tasks_in};
use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use reqwest::Method;
use serde_json::{Value, json};

#[track_caller]
fn assert_refused(answer: &Answer, code: &str, why: &str, text: &str, data: &Value) {
    let body = answer.expect(401);
    assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"pulp\"");
    assert_eq!(
        answer.headers["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(
        body,
        json!({
            "_href": body["_href"], "http_request_method": body["http_request_method"], "http_status": 401,
            "error_message": text, "exception": null, "traceback": null, "auth_error_code": why,
            "error": {"code": code, "description": text, "data": data, "sub_errors": []},
        })
    );
}

#[tokio::test]
async fn bodies_of_401_no_usable_credentials() {
    let app = TestApp::start().await;
    for header in [
        None,
        Some("Basic"),
        Some("Basic !!!"),
        Some("Bearer x"),
        Some("Basic YWRtaW4="),
    ] {
        let mut request = app.anonymous(Method::GET, &path(ORPHANS));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = app.send(request).await;
        let text = "Authentication failed.";
        assert_refused(
            &answer,
            "PLP0025",
            "authentication_failed",
            text,
            &json!({}),
        );
        assert_eq!(answer.json()["_href"], path(ORPHANS).as_str());
        assert_eq!(answer.json()["http_request_method"], "GET");
    }
}

#[tokio::test]
async fn bodies_of_401_bad_password_or_unknown_user() {
    let app = TestApp::start().await;
    app.sql
        .run(
            "INSERT INTO account (username, password, is_superuser, is_active) \
             SELECT 'gone', password, true, false FROM account WHERE username = 'admin'",
        )
        .await;
    for (user, password) in [
        ("admin", "wrong"),
        ("nobody", "x"),
        ("gone", "test-password"),
    ] {
        let request = app
            .anonymous(Method::DELETE, &path(ORPHANS))
            .basic_auth(user, Some(password));
        let answer = app.send(request).await;
        let text =
            format!("Authentication with username {user} failed: invalid username or password");
        let why = "invalid_username_or_password";
        assert_refused(&answer, "PLP0030", why, &text, &json!({"user": user}));
    }
    assert_eq!(tasks_in(&app).await, 0);
}

#[tokio::test]
async fn bodies_of_401_unauthorised_user_refused() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    for (method, operation) in [(Method::GET, "READ"), (Method::DELETE, "DELETE")] {
        for rest in [
            ORPHANS,
            "content/orphans/file/",
            "content/orphans/nope/",
            "content/orphans/x/y/",
        ] {
            let answer = app
                .send(somebody.request(method.clone(), &path(rest)))
                .await;
            let text = format!("Permission denied: user somebody cannot perform {operation}.");
            let data = json!({"user": "somebody", "operation": operation});
            assert_refused(&answer, "PLP0026", "permission_denied", &text, &data);
        }
    }
    assert_eq!(tasks_in(&app).await, 0);
}

#[tokio::test]
async fn bodies_of_401_unknown_pre_authenticated_user() {
    let app = TestApp::builder()
        .set("api.remote_user_header", "x-remote-user")
        .start()
        .await;
    account(&app, "somebody").await;
    let ask = async |user: &str| {
        let request = app.anonymous(Method::GET, &path(ORPHANS));
        app.send(request.header("X-Remote-User", user)).await
    };
    let text =
        "Authentication with username nobody failed: preauthenticated remote user is missing.";
    let why = "pre_auth_remote_user_missing";
    assert_refused(
        &ask("nobody").await,
        "PLP0029",
        why,
        text,
        &json!({"user": "nobody"}),
    );
    ask("admin").await.expect(200);
    let refused = ask("somebody").await.expect(401);
    assert_eq!(
        refused["error"]["code"], "PLP0026",
        "known, and no more than others"
    );
    // The first way decides: what else is sent does not count.
    let request = app.request(Method::GET, &path(ORPHANS));
    let answer = app.send(request.header("X-Remote-User", "nobody")).await;
    assert_eq!(answer.expect(401)["error"]["code"], "PLP0029");
    get(&app, ORPHANS).await.expect(200);
}

#[tokio::test]
async fn a_pre_authenticated_user_counts_only_where_the_settings_say_so() {
    for settings in [
        vec![],
        vec![
            ("api.remote_user_header", "x-remote-user"),
            ("api.remote_user_from", "192.0.2.1"),
        ],
    ] {
        let builder = settings
            .into_iter()
            .fold(TestApp::builder(), |builder, (key, value)| {
                builder.set(key, value)
            });
        let app = builder.start().await;
        let request = app.anonymous(Method::GET, &path(ORPHANS));
        let answer = app.send(request.header("X-Remote-User", "admin")).await;
        assert_eq!(answer.expect(401)["error"]["code"], "PLP0025");
    }
}

#[tokio::test]
async fn a_word_behind_the_credentials_is_stripped() {
    let app = TestApp::start().await;
    let request = app
        .anonymous(Method::GET, &path(ORPHANS))
        .header("authorization", "Basic YWRtaW46dGVzdC1wYXNzd29yZA==, Basic");
    app.send(request).await.expect(200);
}

#[tokio::test]
async fn authentication_and_authorisation_come_before_the_body_and_before_what_exists() {
    let app = TestApp::start().await;
    let somebody = account(&app, "somebody").await;
    let anonymous = app.anonymous(Method::POST, &path(DELETE_ORPHANS)).body("{");
    assert_eq!(
        app.send(anonymous).await.expect(401)["error"]["code"],
        "PLP0025"
    );
    let refused = post_text(&somebody, DELETE_ORPHANS, "{").await.expect(401);
    assert_eq!(refused["error"]["code"], "PLP0026");
    let grants = "permissions/actions/grant_to_user/";
    let refused = post_text(&somebody, grants, "{").await.expect(401);
    assert_eq!(refused["error"]["code"], "PLP0026");
    // Known types and unknown ones look alike to who may not look.
    let told = async |rest: &str| {
        let mut body = get(&somebody, rest).await.expect(401);
        body["_href"] = Value::Null;
        body
    };
    assert_eq!(
        told("content/orphans/file/").await,
        told("content/orphans/nope/").await
    );
    assert_eq!(told("tasks/x/").await, told("tasks/").await);
}

#[tokio::test]
async fn who_guesses_passwords_is_told_to_wait_in_the_envelope_of_this_dialect() {
    let app = TestApp::builder()
        .set("logins.failures", 2)
        .set("logins.lock_seconds", 600)
        .set("logins.lock_max_seconds", 600)
        .start()
        .await;
    account(&app, "somebody").await;
    let guess = async || {
        let request = app.anonymous(Method::GET, &path(ORPHANS));
        app.send(request.basic_auth("somebody", Some("wrong")))
            .await
    };
    guess().await.expect(401);
    guess().await.expect(401);
    let answer = guess().await;
    let refused = answer.expect(429);
    assert_eq!(refused["http_status"], 429);
    assert_eq!(refused["error"]["code"], "PLP0000");
    let seconds: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=600).contains(&seconds), "{seconds}");
}
