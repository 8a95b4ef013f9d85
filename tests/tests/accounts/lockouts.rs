//! Wrong passwords in a row.

use super::{PASSWORD, account};
use millrace_tests::TestApp;
use millrace_tests::client::{Answer, Client};
use reqwest::Method;
use serde_json::json;

async fn guess(client: &Client, name: &str, guess: u32) -> Answer {
    client
        .with(name, &format!("guess {guess}"))
        .get("tasks/")
        .await
}

/// Seconds for which names are locked, by their rows.
async fn locks(app: &TestApp) -> Vec<String> {
    app.sql
        .texts(
            "SELECT coalesce(round(extract(epoch FROM locked_until - last))::text, '-') FROM login_failure \
              WHERE username_hash IN (sha256('jane'), sha256('nobody')) ORDER BY 1",
        )
        .await
}

/// A request for tasks that a proxy passes on from an address.
async fn from(client: &Client, address: &str) -> Answer {
    let request = client.request(Method::GET, "tasks/");
    client
        .send(request.header("x-forwarded-for", address))
        .await
}

/// Lets the time of all locks pass.
async fn pass(app: &TestApp) {
    app.sql
        .run("UPDATE login_failure SET locked_until = clock_timestamp()")
        .await;
}

#[tokio::test]
async fn after_five_wrong_passwords_a_name_is_locked_whether_it_is_known_or_not() {
    let app = TestApp::builder()
        .set("logins.lock_seconds", 60)
        .start()
        .await;
    account(&app, "jane").await;
    for name in ["jane", "nobody"] {
        for n in 0..5 {
            let refused = guess(&app, name, n).await.expect(401);
            assert_eq!(refused["detail"], "Invalid username/password.", "{name}");
        }
        for n in 5..8 {
            let refused = guess(&app, name, n).await;
            assert_eq!(refused.status, 429, "{name}: {}", refused.text);
            let seconds: u64 = refused.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            let said = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                said.contains("Too many wrong passwords") && said.contains(&seconds.to_string()),
                "{said}"
            );
        }
    }
    // Nor is the right one looked at, and nobody else is locked out.
    let jane = app.client().with("jane", PASSWORD);
    assert_eq!(jane.get("tasks/").await.status, 429);
    app.get("tasks/").await.expect(200);
    assert_eq!(locks(&app).await, ["60", "60"]);
    let names = "SELECT count(*) FROM login_failure f WHERE f::text LIKE '%jane%' OR length(username_hash) <> 32";
    assert_eq!(app.sql.number(names).await, 0);

    pass(&app).await;
    jane.get("tasks/").await.expect(200);
    let left = locks(&app).await.len();
    assert_eq!(left, 1, "a success ends the row of its name");
    app.finish().await;
}

#[tokio::test]
async fn each_further_wrong_password_locks_for_twice_as_long_up_to_a_limit() {
    let app = TestApp::builder()
        .set("logins.failures", 2)
        .set("logins.lock_max_seconds", 5)
        .start()
        .await;
    guess(&app, "jane", 0).await.expect(401);
    assert_eq!(locks(&app).await, ["-"]);
    for (n, seconds) in [(1, "1"), (2, "2"), (3, "4"), (4, "5"), (5, "5")] {
        guess(&app, "jane", n).await.expect(401);
        assert_eq!(locks(&app).await, [seconds], "failure {n}");
        pass(&app).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn who_is_known_is_not_shut_out_by_what_others_guess() {
    // Nothing is remembered of him but that he is known.
    let app = TestApp::builder()
        .set("api.credential_cache_seconds", 0)
        .set("logins.lock_seconds", 300)
        .start()
        .await;
    account(&app, "jane").await;
    let jane = app.client().with("jane", PASSWORD);
    jane.get("tasks/").await.expect(200);
    for n in 0..6 {
        guess(&app, "jane", n).await;
    }
    assert_eq!(guess(&app, "jane", 6).await.status, 429);
    jane.get("tasks/").await.expect(200);
    // Which does not open the door for those others.
    assert_eq!(guess(&app, "jane", 7).await.status, 429);
    app.finish().await;
}

#[tokio::test]
async fn many_guesses_at_once_are_counted() {
    let app = TestApp::builder()
        .set("logins.lock_seconds", 300)
        .start()
        .await;
    let guesses = (0..40).map(|n| {
        let client = app.client();
        tokio::spawn(async move { guess(&client, "admin", n).await.status.as_u16() })
    });
    let mut looked_at = 0;
    for answer in futures_util::future::join_all(guesses).await {
        match answer.unwrap() {
            401 => looked_at += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    // As many as are looked at side by side may be beyond the limit.
    assert!((5..=7).contains(&looked_at), "{looked_at}");
    app.finish().await;
}

#[tokio::test]
async fn one_s_own_old_password_is_not_to_be_guessed_either() {
    let app = TestApp::builder()
        .set("logins.lock_seconds", 300)
        .start()
        .await;
    let mut statuses = Vec::new();
    for n in 0..6 {
        let body =
            json!({"old_password": format!("guess {n}"), "new_password": "another fine sentence"});
        let request = app.request(Method::PATCH, "login/").json(&body);
        statuses.push(app.send(request).await.status.as_u16());
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429]);
    app.finish().await;
}

#[tokio::test]
async fn old_failures_are_swept() {
    let app = TestApp::builder()
        .set("worker.sweep_seconds", 1)
        .workers(1)
        .start()
        .await;
    for name in ["old", "new", "locked"] {
        guess(&app, name, 0).await.expect(401);
    }
    app.sql
        .run(
            "DELETE FROM login_failure WHERE username_hash NOT IN (sha256('old'), sha256('new'), sha256('locked'));
             UPDATE login_failure SET last = clock_timestamp() - interval '2 hours' WHERE username_hash <> sha256('new');
             UPDATE login_failure SET locked_until = clock_timestamp() + interval '1 hour' WHERE username_hash = sha256('locked')",
        )
        .await;
    millrace_tests::eventually(std::time::Duration::from_secs(30), async || {
        let left = app.sql.number("SELECT count(*) FROM login_failure").await;
        millrace_tests::eventually::holds(left == 2, || format!("{left}"))
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn who_comes_from_elsewhere_is_let_in_now_and_then_although_the_name_is_locked() {
    let app = TestApp::builder()
        .set("api.proxies", "127.0.0.1")
        .set("logins.lock_seconds", 300)
        .set("logins.spare_seconds", 600)
        .start()
        .await;
    account(&app, "jane").await;
    let (jane, other) = (
        app.client().with("jane", PASSWORD),
        app.client().with("jane", "a guess"),
    );
    for _ in 0..5 {
        from(&other, "192.0.2.1").await.expect(401);
    }
    from(&other, "192.0.2.1").await.expect(429);
    // Not from where the guesses came, whoever it is.
    from(&jane, "192.0.2.1").await.expect(429);
    from(&jane, "192.0.2.2").await.expect(200);
    // One that is right does not open the door for the others, and only one is looked at.
    from(&other, "192.0.2.1").await.expect(429);
    let refused = from(&other, "192.0.2.3").await;
    assert_eq!(refused.status, 429);
    let seconds = refused.headers["retry-after"].to_str().unwrap();
    assert!((1..=300).contains(&seconds.parse().unwrap()), "{seconds}");
    // Nobody else is locked out.
    from(&app, "192.0.2.1").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn failures_are_forgotten_while_nobody_guesses() {
    let app = TestApp::builder()
        .set("logins.lock_max_seconds", 60)
        .start()
        .await;
    account(&app, "jane").await;
    for n in 0..5 {
        guess(&app, "jane", n).await.expect(401);
    }
    let failures = async || {
        app.sql
            .number("SELECT max(failures) FROM login_failure")
            .await
    };
    let quiet = async |seconds: u32| {
        app.sql
            .run(&format!(
                "UPDATE login_failure SET locked_until = clock_timestamp() - interval '{seconds} s', \
                                          last = clock_timestamp() - interval '1 hour'"
            ))
            .await;
    };
    assert_eq!(failures().await, 5);
    quiet(59).await;
    guess(&app, "jane", 5).await.expect(401);
    assert_eq!(failures().await, 6);
    quiet(121).await;
    guess(&app, "jane", 6).await.expect(401);
    assert_eq!(failures().await, 2, "a quarter of six, and one");
    guess(&app, "jane", 7).await.expect(401);
    app.finish().await;
}

#[tokio::test]
async fn a_flood_of_guesses_is_in_nobody_else_s_way() {
    let app = TestApp::builder()
        .set("api.proxies", "127.0.0.1")
        .set("api.credential_cache_seconds", 0)
        .start()
        .await;
    account(&app, "jane").await;
    account(&app, "john").await;
    let (jane, john) = (
        app.client().with("jane", PASSWORD),
        app.client().with("john", PASSWORD),
    );
    from(&jane, "192.0.2.1").await.expect(200);
    let flood: Vec<_> = (0..600)
        .map(|n| {
            let client = app.client().with(&format!("nobody{n}"), "a guess");
            tokio::spawn(async move { from(&client, "192.0.2.1").await.status.as_u16() })
        })
        .collect();
    // Its first guesses have been looked at: the rest waits.
    millrace_tests::eventually(std::time::Duration::from_secs(30), async || {
        let looked_at = app.sql.number("SELECT count(*) FROM login_failure").await;
        millrace_tests::eventually::holds(looked_at > 0, || format!("{looked_at}"))
    })
    .await;
    // Who is known waits for nobody, where he comes from too; nor does who comes from elsewhere.
    from(&jane, "192.0.2.1").await.expect(200);
    from(&john, "192.0.2.2").await.expect(200);
    let mut refused = 0;
    for answer in futures_util::future::join_all(flood).await {
        match answer.unwrap() {
            401 => {}
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "the flood was none");
    app.finish().await;
}
