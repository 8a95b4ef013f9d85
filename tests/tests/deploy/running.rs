//! What is asked of the running programs: paths of probes and metrics.

use super::manifests::{compose, texts};
use super::overlays::overlays;
use millrace_tests::app::free_port;
use millrace_tests::{TestApp, eventually, stack};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::process::Command;

type Asked = (String, String);

/// Programs, and the paths that they are asked for.
fn paths() -> BTreeSet<Asked> {
    let mut all = BTreeSet::new();
    let mut add = |program: &str, path: &Value| {
        all.insert((program.to_owned(), path.as_str().unwrap().to_owned()));
    };
    for overlay in overlays() {
        for pod in overlay.pods() {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                if pod.container[probe].is_object() {
                    add(pod.command()[0], &pod.container[probe]["httpGet"]["path"]);
                }
            }
        }
        for monitor in overlay.of_kind("ServiceMonitor") {
            // The services are called as the programs are.
            let program = &monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"];
            add(
                program.as_str().unwrap(),
                &monitor["spec"]["endpoints"][0]["path"],
            );
        }
    }
    for service in ["api", "worker"] {
        let file = compose();
        let test = texts(&file["services"][service]["healthcheck"]["test"]);
        let ["CMD", program, "probe", path] = test[..] else {
            panic!("{test:?}");
        };
        add(program, &path.into());
    }
    assert!(all.len() >= 6, "{all:?}");
    all
}

/// Names of metrics in rules and in what is scaled on.
fn metrics() -> BTreeSet<String> {
    let overlays = overlays();
    let kinds = ["PrometheusRule", "ScaledObject"];
    let documents = overlays.iter().flat_map(|overlay| {
        let documents = kinds.into_iter().flat_map(|kind| overlay.of_kind(kind));
        documents.map(ToString::to_string).collect::<Vec<_>>()
    });
    let word = |c: char| !(c.is_ascii_lowercase() || c == '_');
    let names = documents.flat_map(|text| {
        let words = text
            .split(word)
            .filter(|word| word.starts_with("millrace_"));
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

async fn probe(program: &str, listen: &str, path: &str) -> Result<(), String> {
    let output = Command::new(stack::program(program))
        .args(["probe", path])
        .env_clear()
        .env("MILLRACE__API__LISTEN", listen)
        .env("MILLRACE__WORKER__HEALTH_LISTEN", listen)
        .output()
        .await
        .unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

async fn text(listen: &str, path: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{listen}{path}")).send();
    answer.await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn every_path_and_metric_that_is_asked_for_is_there() {
    let (health, metered) = (
        format!("127.0.0.1:{}", free_port()),
        format!("127.0.0.1:{}", free_port()),
    );
    let mut app = TestApp::builder()
        .set("api.metrics_listen", &metered)
        .start()
        .await;
    app.spawn_worker(&[("worker.health_listen", &health)]);
    let api = app.origin().replace("http://", "");
    for (program, path) in paths() {
        let listen = match (&*program, &*path) {
            ("millrace-api", "/metrics") => &metered,
            ("millrace-api", _) => &api,
            _ => &health,
        };
        eventually(Duration::from_secs(20), async || {
            probe(&program, listen, &path).await
        })
        .await;
    }
    let refused = probe("millrace-api", &api, "/pulp/api/v3/nothing/").await;
    assert!(refused.unwrap_err().contains("404"));
    let shown = text(&metered, "/metrics").await + &text(&health, "/metrics").await;
    for metric in metrics() {
        let there = |line: &str| line.split([' ', '{']).next() == Some(&metric);
        assert!(shown.lines().any(there), "{metric}");
    }
    app.finish().await;
}
