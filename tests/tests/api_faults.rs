//! The API killed, or without a broker: what it accepted still runs, and what it did not accept leaves
//! nothing.

use millrace_tests::client::sleep;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_api_that_never_reaches_the_broker_accepts_tasks_and_workers_find_them() {
    let mut app = TestApp::builder().without_broker().start().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let start = Instant::now();
        tasks.push(app.sleeper(0.0, &[&format!("lane-{}", n % 3)]).await);
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "202 took {:?}",
            start.elapsed()
        );
    }
    let broker = app.vhost.url();
    app.spawn_worker(&[("broker.url", &broker)]);
    for task in &tasks {
        app.completed(task).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn an_api_killed_while_it_accepts_loses_nothing_that_it_answered() {
    let mut app = TestApp::with_workers(2).await;
    let mut accepted = Vec::new();
    for round in 0..4 {
        let mut sending = tokio::task::JoinSet::new();
        for n in 0..30 {
            let client = app.client();
            sending.spawn(async move {
                let request = client
                    .request(reqwest::Method::POST, "tasks/")
                    .json(&sleep(0.0, &[&format!("l{}", n % 4)]));
                client.try_send(request).await.ok()
            });
        }
        let enough = 3 + round * 7;
        while let Some(answer) = sending.join_next().await {
            if let Some(answer) = answer.unwrap() {
                accepted.push(answer.task());
            }
            if accepted.len() % 30 >= enough
                && let Some(mut api) = app.api.take()
            {
                api.kill();
            }
        }
        app.start_api().await;
    }
    assert!(accepted.len() > 20, "{} accepted", accepted.len());
    app.quiet(LONG).await;
    for task in &accepted {
        app.completed(task).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn without_a_broker_the_api_says_degraded_and_recovers_by_itself() {
    let app = TestApp::with_workers(1).await;
    let degraded = async |expected: bool| {
        eventually(LONG, async || {
            let status = app.get("status/").await.expect(200);
            let found = status["degraded"] == true;
            holds(found == expected, || format!("{status:#}"))
        })
        .await;
    };
    degraded(false).await;
    app.vhost.delete().await;
    let task = app.sleeper(0.0, &["a"]).await;
    degraded(true).await;
    app.vhost.make().await;
    degraded(false).await;
    app.completed(&task).await;
    let start = Instant::now();
    eventually(LONG, async || {
        let start = Instant::now();
        let task = app.sleeper(0.0, &["a"]).await;
        app.completed(&task).await;
        holds(start.elapsed() < Duration::from_secs(1), || {
            format!("{:?}", start.elapsed())
        })
    })
    .await;
    println!(
        "at full rate {:?} after the broker was back",
        start.elapsed()
    );
    app.finish().await;
}

#[tokio::test]
async fn two_apis_share_one_database_and_a_restart_keeps_the_first_administrator() {
    let mut app = TestApp::with_workers(1).await;
    let task = app.sleeper(0.0, &[]).await;
    app.completed(&task).await;
    app.api.as_ref().unwrap().signal("TERM");
    let status = app.api.as_mut().unwrap().end(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
    app.start_api().await;
    app.get(&task).await.expect(200);
    assert_eq!(app.sql.number("SELECT count(*) FROM account").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn requests_that_wait_for_a_lane_leave_the_api_to_all_others() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let (href, prn) = (
        repository["pulp_href"].as_str().unwrap(),
        repository["prn"].as_str().unwrap(),
    );
    let lane = format!("millrace_lane_class('{prn}'), millrace_lane_key('{prn}')");
    app.sql
        .run(&format!("BEGIN; SELECT pg_advisory_xact_lock({lane})"))
        .await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, path) = (app.client(), format!("{href}modify/"));
        waiting.spawn(async move { client.post(&path, &serde_json::json!({})).await });
    }
    eventually(LONG, async || {
        let blocked = app.sql.waiting_for_advisory().await;
        holds(blocked >= 2, || format!("{blocked} requests wait"))
    })
    .await;
    for _ in 0..10 {
        let start = Instant::now();
        app.get("tasks/").await.expect(200);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    app.sql.run("COMMIT").await;
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.unwrap();
        match answer.status.as_u16() {
            202 => drop(app.completed(&answer.task()).await),
            status => assert_eq!(status, 503, "{}", answer.text),
        }
    }
    app.finish().await;
}
