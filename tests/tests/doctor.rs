//! `millrace-api doctor`: nothing to say of a healthy system, and each fault by its name with its mend.

use millrace_tests::app::free_port;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually, stack};
use serde_json::Value;
use std::time::Duration;

/// What doctor says with these settings: its exit code and its findings.
async fn doctor(app: &TestApp, settings: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let management = stack::management_url();
    let mut all = vec![("broker.management_url", management.as_str())];
    all.extend(settings);
    let (code, text) = app.end_command(&["doctor", "--json"], &all).await;
    let line = text.lines().find(|line| line.starts_with('{'));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    let report: Value = serde_json::from_str(line).unwrap();
    assert_eq!(report["ok"], code == 0, "{text}");
    (code, report["checks"].as_array().unwrap().clone())
}

/// The names of the findings of a grade.
fn of(findings: &[Value], grade: &str) -> Vec<String> {
    let graded = findings.iter().filter(|finding| finding["grade"] == grade);
    graded
        .map(|finding| finding["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A system that is well, and known to be so by its broker.
async fn healthy() -> TestApp {
    let app = TestApp::with_workers(1).await;
    eventually(Duration::from_secs(60), async || {
        let queues = app.vhost.queues().await;
        holds(queues.len() == 4, || format!("{queues:?}"))
    })
    .await;
    app
}

#[tokio::test]
async fn of_a_healthy_system_every_check_is_well() {
    let app = healthy().await;
    // Consumers come a moment after their queues.
    eventually(Duration::from_secs(30), async || {
        let (code, findings) = doctor(&app, &[]).await;
        let mut warned = of(&findings, "warn");
        // That is the machine's.
        warned.retain(|name| name != "storage.room");
        holds(
            code == 0 && warned.is_empty() && findings.len() > 25,
            || format!("{findings:#?}"),
        )
    })
    .await;
    // For people: a line each, no secret among them, and nothing left in the store.
    let (code, text) = app.end_command(&["doctor"], &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("ok    database.version")),
        "{text}"
    );
    for url in [app.db.url(), app.vhost.url()] {
        let url = url::Url::parse(&url).unwrap();
        assert!(!text.contains(url.password().unwrap()), "{text}");
    }
    assert_eq!(millrace_tests::app::files_below(&app.media()).len(), 0);
}

#[tokio::test]
async fn each_fault_fails_its_own_check_and_says_how_to_mend_it() {
    let app = healthy().await;
    let mut broker = url::Url::parse(&app.vhost.url()).unwrap();
    broker.set_password(Some("hush-not-this")).unwrap();
    let nowhere = format!("postgres://u:hush-nor-this@127.0.0.1:{}/d", free_port());
    let unreachable = format!("http://u:hush@127.0.0.1:{}", free_port());
    for (key, value, failing) in [
        ("broker.url", broker.as_str(), "broker.connection"),
        ("broker.queue_type", "classic", "broker.queue_types"),
        (
            "broker.management_url",
            unreachable.as_str(),
            "broker.management",
        ),
        ("database.url", nowhere.as_str(), "database.connection"),
        ("database.pool_size", "5000", "database.sessions"),
        ("storage.root", "/dev/null/media", "storage.probe"),
        ("secrets.key_files", "/no/such/key", "secrets.keys"),
        ("worker.slots.defalt", "1", "settings.classes"),
    ] {
        let (code, findings) = doctor(&app, &[(key, value)]).await;
        assert_eq!(code, 1, "{key}: {findings:#?}");
        assert_eq!(of(&findings, "fail"), [failing], "{key}: {findings:#?}");
        let fault = findings.iter().find(|f| f["name"] == failing).unwrap();
        assert!(
            fault["mend"].as_str().is_some_and(|mend| mend.len() > 20),
            "{fault}"
        );
        assert!(!format!("{findings:?}").contains("hush"), "{findings:#?}");
    }
}

#[tokio::test]
async fn without_a_worker_or_with_an_old_schema_doctor_fails() {
    let app = TestApp::start().await;
    let (code, findings) = doctor(&app, &[]).await;
    assert_eq!(
        (code, of(&findings, "fail")),
        (1, vec!["fleet.workers".to_owned()])
    );
    assert!(
        of(&findings, "warn").contains(&"broker.consumers".to_owned()),
        "{findings:#?}"
    );
    app.sql
        .run("DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)")
        .await;
    let (code, findings) = doctor(&app, &[]).await;
    assert_eq!(
        (code, of(&findings, "fail")),
        (1, vec!["database.migrations".to_owned()])
    );
    let name = app.sql.text("SELECT current_database()::text").await;
    app.sql
        .run(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = off"
        ))
        .await;
    app.sql
        .run(&format!(
            "ALTER DATABASE {name} SET idle_session_timeout = '1h'"
        ))
        .await;
    let (_, findings) = doctor(&app, &[]).await;
    for check in ["database.durability", "database.timeouts"] {
        assert!(
            of(&findings, "fail").contains(&check.to_owned()),
            "{findings:#?}"
        );
    }
}
