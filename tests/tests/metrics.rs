//! What programs count, and that dashboard and alerts name nothing else.

use millrace_tests::app::free_port;
use millrace_tests::client::{id_of, metric, scrape, sleep};
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A test's API and workers, and where their metrics are.
struct Watched {
    app: TestApp,
    api: String,
    workers: Vec<String>,
}

async fn watched() -> Watched {
    let api = format!("127.0.0.1:{}", free_port());
    let app = TestApp::builder()
        .set("api.metrics_listen", &api)
        .start()
        .await;
    Watched {
        app,
        api,
        workers: Vec::new(),
    }
}

impl Watched {
    async fn add_worker(&mut self) {
        let health = format!("127.0.0.1:{}", free_port());
        self.app.spawn_worker(&[("worker.health_listen", &health)]);
        eventually(LONG, async || {
            let answer = reqwest::get(format!("http://{health}/livez")).await;
            answer.map_err(|e| e.to_string())
        })
        .await;
        self.workers.push(health);
        self.app.workers_online(self.workers.len()).await;
    }

    /// Waits until a metric of a process has at least this value.
    async fn until(&self, address: &str, name: &str, value: f64) {
        eventually(LONG, async || {
            let seen = metric(address, name).await;
            holds(seen >= value, || format!("{name} is {seen}"))
        })
        .await;
    }
}

/// Names in a text that begin with `millrace_`.
fn names(text: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    text.split(part)
        .filter(|word| word.starts_with("millrace_"))
        .map(str::to_owned)
        .collect()
}

/// The name under which HELP and TYPE stand.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}

fn file(path: &str) -> String {
    let path = format!("{}/../deploy/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_are_there_and_every_metric_says_what_it_is() {
    let mut watched = watched().await;
    watched.add_worker().await;
    let app = &watched.app;
    let task = app.sleeper(0.0, &["lane"]).await;
    app.completed(&task).await;
    let failing = "pulpcore.app.tasks.test.failing_task";
    let failed = app.dispatch(&json!({"name": failing})).await;
    assert_eq!(app.finished(&failed).await["state"], "failed");
    let waits = app.sleeper(30.0, &["long"]).await;
    app.in_state(&waits, "running").await;
    let behind = app.sleeper(0.0, &["long"]).await;
    watched
        .until(&watched.api, "millrace_waiting_tasks", 1.0)
        .await;
    let seen = [
        scrape(&watched.api).await,
        scrape(&watched.workers[0]).await,
    ];
    for text in &seen {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let end = line.find(['{', ' ']).unwrap();
            let name = family(&line[..end]);
            for kind in ["HELP", "TYPE"] {
                assert!(text.contains(&format!("# {kind} {name} ")), "{kind} {name}");
            }
        }
    }
    let there = names(&seen.concat());
    for path in ["grafana/millrace.json", "prometheus/alerts.yaml"] {
        let named = names(&file(path));
        assert!(named.len() > 10, "{path}");
        let missing: Vec<_> = named.iter().filter(|name| !there.contains(*name)).collect();
        assert!(missing.is_empty(), "{path}: {missing:?}");
    }
    app.cancel(&waits).await;
    app.completed(&behind).await;
}

#[tokio::test]
async fn every_alert_has_a_summary_and_says_what_to_do() {
    let alerts = file("prometheus/alerts.yaml");
    let count = |what: &str| alerts.matches(what).count();
    assert!(count("- alert: ") > 10);
    for key in ["expr: ", "summary: ", "action: ", "severity: "] {
        assert_eq!(count(key), count("- alert: "), "{key}");
    }
}

#[tokio::test]
async fn what_happens_is_counted_where_it_happens() {
    let mut watched = watched().await;
    // Its queue is gone under a publisher that knows of no such thing.
    let first = watched.app.sleeper(0.0, &["a"]).await;
    watched
        .until(&watched.api, "millrace_announcements_confirmed_total", 1.0)
        .await;
    watched
        .app
        .vhost
        .delete_queue("millrace.tasks.default")
        .await;
    let second = watched.app.sleeper(0.0, &["b"]).await;
    watched
        .until(&watched.api, "millrace_announcements_returned_total", 1.0)
        .await;
    let runnable = "millrace_runnable_tasks{class=\"default\"}";
    watched.until(&watched.api, runnable, 2.0).await;
    watched.add_worker().await;
    for task in [&first, &second] {
        watched.app.completed(task).await;
    }
    let health = watched.workers[0].clone();
    let name = "pulpcore.app.tasks.test.sleep";
    let of_type = |metric: &str| format!("{metric}{{name=\"{name}\"}}");
    for metric in [
        of_type("millrace_task_run_seconds_count"),
        of_type("millrace_task_wait_seconds_count"),
        of_type("millrace_task_blocked_seconds_count"),
        format!("millrace_tasks_ended_total{{name=\"{name}\",state=\"completed\"}}"),
        "millrace_claims_total".to_owned(),
        "millrace_slots{class=\"default\"}".to_owned(),
    ] {
        watched.until(&health, &metric, 2.0).await;
    }
    let dispatched = of_type("millrace_tasks_dispatched_total");
    watched.until(&watched.api, &dispatched, 2.0).await;
    watched
        .until(&watched.api, "millrace_workers_online", 1.0)
        .await;

    // Somebody holds what a task reserves.
    let held = watched.app.db.sql().await;
    held.run("SELECT pg_advisory_lock(millrace_resource_key('held'))")
        .await;
    let refused = watched.app.sleeper(0.0, &["held"]).await;
    watched
        .until(&health, "millrace_lock_refusals_total", 1.0)
        .await;
    held.run("SELECT pg_advisory_unlock_all()").await;
    watched.app.completed(&refused).await;

    // A worker dies, and the other one notices.
    let lost = watched.app.sleeper(60.0, &["lost"]).await;
    watched.app.in_state(&lost, "running").await;
    watched.add_worker().await;
    watched.app.workers[0].kill();
    watched
        .until(&watched.workers[1], "millrace_rescues_total", 1.0)
        .await;
    assert_eq!(watched.app.finished(&lost).await["state"], "failed");
    assert_eq!(
        metric(&watched.workers[1], "millrace_sweep_repairs_total").await,
        0.0
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_no_path_or_method_of_a_client_is_a_label() {
    let watched = watched().await;
    let app = &watched.app;
    let id = uuid::Uuid::now_v7();
    app.get(&format!("tasks/{id}/")).await.expect(404);
    app.get("/no/such/path-of-a-client/").await.expect(404);
    app.get("/pulp/content/no-such-place/file")
        .await
        .expect(404);
    let odd = reqwest::Method::from_bytes(b"FROBNICATE").unwrap();
    app.send(app.request(odd, "tasks/")).await.expect(405);
    let text = scrape(&watched.api).await;
    for labels in [
        "route=\"/pulp/api/v3/tasks/{task_href}/\",method=\"GET\",status=\"4xx\"",
        "route=\"none\",method=\"GET\",status=\"4xx\"",
        "route=\"/pulp/content/{path}\",method=\"GET\",status=\"4xx\"",
        "route=\"/pulp/api/v3/tasks/\",method=\"other\",status=\"4xx\"",
    ] {
        let line = format!("millrace_http_request_seconds_count{{{labels}}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }
    for odd in [
        id.to_string().as_str(),
        "FROBNICATE",
        "no-such",
        "path-of-a-client",
    ] {
        assert!(!text.contains(odd), "{odd}");
    }
    // The public address has none of it.
    app.get("/metrics").await.expect(404);
}

#[tokio::test]
async fn gauges_of_the_database_are_those_of_the_tasks_and_are_not_asked_for_at_every_scrape() {
    let watched = watched().await;
    let app = &watched.app;
    let first = app.sleeper(0.0, &["lane"]).await;
    for _ in 0..3 {
        app.dispatch(&sleep(0.0, &["lane"])).await;
    }
    let runnable = "millrace_runnable_tasks{class=\"default\"}";
    eventually(LONG, async || {
        let seen = (
            metric(&watched.api, "millrace_waiting_tasks").await,
            metric(&watched.api, runnable).await,
        );
        holds(seen == (4.0, 1.0), || format!("{seen:?}"))
    })
    .await;
    // What was read a moment ago is shown again, however often somebody asks.
    app.cancel(&first).await.expect(200);
    let cost = "SELECT count(*) FROM task WHERE state = 'waiting'";
    assert_eq!(app.sql.number(cost).await, 3, "{}", id_of(&first));
    for _ in 0..20 {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '% metrics'";
        scrape(&watched.api).await;
        assert_eq!(app.sql.number(sessions).await, 1);
    }
    watched.until_waiting(3.0).await;
}

impl Watched {
    async fn until_waiting(&self, value: f64) {
        eventually(LONG, async || {
            let seen = metric(&self.api, "millrace_waiting_tasks").await;
            holds((seen - value).abs() < 0.5, || format!("{seen} wait"))
        })
        .await;
    }
}
