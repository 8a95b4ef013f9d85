//! `login/`: sessions with a cookie.

use super::{PASSWORD, account, href};
use millrace_tests::TestApp;
use millrace_tests::client::{Answer, Client};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Somebody who has logged in.
struct Session {
    client: Client,
    cookie: String,
    token: String,
}

fn cookie<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let mut cookies = cookies.map(|value| value.to_str().unwrap());
    cookies
        .find(|line| line.starts_with(&format!("{name}=")))
        .unwrap()
}

fn value(cookie: &str) -> String {
    let pair = cookie.split(';').next().unwrap();
    pair.split_once('=').unwrap().1.to_owned()
}

impl Session {
    async fn begin(client: &Client) -> Self {
        let answer = client.send(client.request(Method::POST, "login/")).await;
        answer.expect(201);
        Self {
            client: client.clone(),
            cookie: value(cookie(&answer, "sessionid")),
            token: value(cookie(&answer, "csrftoken")),
        }
    }

    fn without_token(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies = format!("csrftoken={}; sessionid={}", self.token, self.cookie);
        self.client
            .anonymous(method, path)
            .header("cookie", cookies)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.without_token(method, path)
            .header("X-CSRFToken", &self.token)
    }

    async fn get(&self, path: &str) -> Answer {
        self.client
            .send(self.without_token(Method::GET, path))
            .await
    }
}

#[tokio::test]
async fn a_session_stands_for_name_and_password_until_it_is_ended() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    let jane = app.client().with("jane", PASSWORD);
    let answer = app.send(jane.request(Method::POST, "login/")).await;
    let body = answer.expect(201);
    assert_eq!(body["username"], "jane");
    let line = cookie(&answer, "sessionid");
    assert!(
        line.contains("; HttpOnly") && line.contains("SameSite=Lax") && !line.contains("Secure"),
        "{line}"
    );
    assert!(line.contains("Max-Age=1209600"), "{line}");
    assert!(!cookie(&answer, "csrftoken").contains("HttpOnly"));

    let session = Session::begin(&jane).await;
    let me = session.get("login/").await.expect(200);
    assert_eq!(me, body);
    session.get("tasks/").await.expect(200);
    session.get("users/").await.expect(403);
    app.grant("jane", "file.filerepository_creator", None).await;
    let request = session.request(Method::POST, "repositories/file/file/");
    app.send(request.json(&json!({"name": "zoo"})))
        .await
        .expect(201);

    let answer = app.send(session.request(Method::DELETE, "login/")).await;
    assert_eq!(answer.status, 204);
    assert!(cookie(&answer, "sessionid").contains("Max-Age=0"));
    for path in ["login/", "tasks/"] {
        session.get(path).await.expect(401);
    }
    // The database has neither the cookie nor a session of it.
    assert_eq!(
        app.sql.number("SELECT count(*) FROM login_session").await,
        1
    );
    let stored = format!(
        "SELECT count(*) FROM login_session s WHERE s::text LIKE '%{}%'",
        session.cookie
    );
    assert_eq!(app.sql.number(&stored).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_change_without_the_token_of_the_session_is_refused() {
    let app = TestApp::start().await;
    let (session, other) = (
        Session::begin(&app.client()).await,
        Session::begin(&app.client()).await,
    );
    let body = json!({"name": "zoo"});
    let post = || {
        session
            .without_token(Method::POST, "repositories/file/file/")
            .json(&body)
    };
    for (request, what) in [
        (post(), "missing"),
        (post().header("X-CSRFToken", ""), "does not fit"),
        (post().header("X-CSRFToken", "x"), "does not fit"),
        (post().header("X-CSRFToken", &other.token), "does not fit"),
        (
            post().header("X-CSRFToken", &session.cookie),
            "does not fit",
        ),
        (session.without_token(Method::DELETE, "login/"), "missing"),
        (
            session
                .without_token(Method::PATCH, "login/")
                .json(&json!({"first_name": "x"})),
            "missing",
        ),
    ] {
        let refused = app.send(request).await.expect(403);
        let said = refused["detail"].as_str().unwrap();
        assert!(
            said.starts_with("CSRF Failed: ") && said.contains(what),
            "{said}"
        );
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM repository").await, 0);
    session.get("login/").await.expect(200);
    app.send(post().header("X-CSRFToken", &session.token))
        .await
        .expect(201);
    app.finish().await;
}

#[tokio::test]
async fn who_shows_nothing_or_something_else_is_nobody() {
    let app = TestApp::start().await;
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
        let refused = app.send(app.anonymous(method, "login/")).await.expect(401);
        assert_eq!(
            refused["detail"],
            "Authentication credentials were not provided."
        );
    }
    let session = Session::begin(&app.client()).await;
    // A session does not prolong itself.
    app.send(session.request(Method::POST, "login/"))
        .await
        .expect(401);
    for cookie in ["", "x", &"0".repeat(64), &session.token] {
        let request = app
            .anonymous(Method::GET, "tasks/")
            .header("cookie", format!("sessionid={cookie}"));
        app.send(request).await.expect(401);
    }
    app.get("login/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn over_https_cookies_are_for_https() {
    let app = TestApp::start().await;
    let login = |client: &Client| client.request(Method::POST, "login/");
    let proxied = login(&app).header("x-forwarded-proto", "https");
    let answer = app.send(proxied).await;
    assert!(cookie(&answer, "sessionid").contains("; Secure"));
    assert!(cookie(&answer, "csrftoken").contains("; Secure"));
    let strict = TestApp::builder()
        .set("logins.secure_cookies", true)
        .start()
        .await;
    let answer = strict.send(login(&strict)).await;
    assert!(cookie(&answer, "sessionid").contains("; Secure"));
}

#[tokio::test]
async fn everybody_changes_his_own_names_and_with_the_old_password_his_password() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    let jane = app.client().with("jane", PASSWORD);
    let changed = jane
        .patch(
            "login/",
            &json!({"first_name": "Jane", "email": "j@example.org"}),
        )
        .await
        .expect(200);
    assert_eq!(
        changed,
        json!({"username": "jane", "first_name": "Jane", "last_name": "", "email": "j@example.org"})
    );
    for (body, field) in [
        (
            json!({"new_password": "another fine sentence"}),
            "old_password",
        ),
        (
            json!({"new_password": "another fine sentence", "old_password": "wrong"}),
            "old_password",
        ),
        (
            json!({"new_password": "short", "old_password": PASSWORD}),
            "new_password",
        ),
        (
            json!({"new_password": null, "old_password": PASSWORD}),
            "new_password",
        ),
        (json!({"username": "admin"}), "username"),
        (json!({"is_staff": true}), "is_staff"),
        (json!({"is_active": false}), "is_active"),
    ] {
        let refused = jane.patch("login/", &body).await.expect(400);
        assert!(refused.get(field).is_some(), "{body}: {refused}");
    }
    let (one, other) = (Session::begin(&jane).await, Session::begin(&jane).await);
    let body = json!({"new_password": "another fine sentence", "old_password": PASSWORD});
    app.send(one.request(Method::PATCH, "login/").json(&body))
        .await
        .expect(200);
    for session in [&one, &other] {
        session.get("login/").await.expect(401);
    }
    jane.get("tasks/").await.expect(401);
    jane.with("jane", "another fine sentence")
        .get("tasks/")
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn an_administrator_ends_sessions_by_a_new_password_or_by_deactivation() {
    let app = TestApp::start().await;
    let jane = account(&app, "jane").await;
    let mut password = PASSWORD.to_owned();
    for body in [
        json!({"password": "another fine sentence"}),
        json!({"is_active": false}),
    ] {
        let client = app.client().with("jane", &password);
        let sessions = [Session::begin(&client).await, Session::begin(&client).await];
        for session in &sessions {
            session.get("login/").await.expect(200);
        }
        app.patch(href(&jane), &body).await.expect(200);
        for session in &sessions {
            session.get("login/").await.expect(401);
        }
        let log = app
            .get("audit-log/?action=user.update&limit=1")
            .await
            .expect(200);
        assert_eq!(log["results"][0]["details"]["sessions_ended"], 2);
        "another fine sentence".clone_into(&mut password);
    }
    assert_eq!(
        app.sql.number("SELECT count(*) FROM login_session").await,
        0
    );
    // Names alone end none.
    let admin = Session::begin(&app.client()).await;
    app.patch("users/1/", &json!({"first_name": "A"}))
        .await
        .expect(200);
    admin.get("login/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_password_that_changes_meanwhile_begins_no_session() {
    let app = TestApp::start().await;
    account(&app, "jane").await;
    let jane = app.client().with("jane", PASSWORD);
    jane.get("tasks/").await.expect(200);
    let change = app.db.sql().await;
    change
        .run("BEGIN; UPDATE account SET password = 'another' WHERE username = 'jane'")
        .await;
    let login = tokio::spawn(async move { jane.send(jane.request(Method::POST, "login/")).await });
    millrace_tests::eventually(std::time::Duration::from_secs(30), async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                        WHERE datname = current_database() AND wait_event_type = 'Lock' \
                          AND query LIKE 'INSERT INTO login_session%'";
        let waiting = app.sql.number(waiting).await;
        millrace_tests::eventually::holds(waiting == 1, || format!("{waiting}"))
    })
    .await;
    change.run("COMMIT").await;
    login.await.unwrap().expect(401);
    let sessions = "SELECT count(*) FROM login_session";
    assert_eq!(app.sql.number(sessions).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_session_is_over_after_its_time_and_then_swept() {
    let app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .set("api.credential_cache_seconds", 0)
        .workers(1)
        .start()
        .await;
    let (session, other) = (
        Session::begin(&app.client()).await,
        Session::begin(&app.client()).await,
    );
    session.get("login/").await.expect(200);
    app.sql
        .run("UPDATE login_session SET expires = clock_timestamp() - interval '1 second' WHERE created = (SELECT min(created) FROM login_session)")
        .await;
    session.get("login/").await.expect(401);
    millrace_tests::eventually(std::time::Duration::from_secs(30), async || {
        let left = app.sql.number("SELECT count(*) FROM login_session").await;
        millrace_tests::eventually::holds(left == 1, || format!("{left}"))
    })
    .await;
    other.get("login/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn passwords_are_hashed_but_not_of_who_is_known_or_has_a_session() {
    let app = TestApp::builder()
        .set("api.credential_cache_seconds", 0)
        .set("logins.failures", 1000)
        .start()
        .await;
    let session = Session::begin(&app.client()).await;
    let started = std::time::Instant::now();
    for _ in 0..20 {
        session.get("login/").await.expect(200);
    }
    let of_session = started.elapsed();
    let started = std::time::Instant::now();
    for _ in 0..20 {
        app.get("login/").await.expect(200);
    }
    let of_known = started.elapsed();
    let started = std::time::Instant::now();
    for _ in 0..20 {
        let guess = app.client().with("admin", "a guess");
        guess.get("login/").await.expect(401);
    }
    let of_guesses = started.elapsed();
    for fast in [of_session, of_known] {
        assert!(fast * 2 < of_guesses, "{fast:?} against {of_guesses:?}");
    }
    let me: Value = session.get("login/").await.expect(200);
    assert_eq!(me["username"], "admin");
}
