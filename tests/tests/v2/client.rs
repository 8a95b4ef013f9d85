//! Old clients: what `pulp-admin orphan` did, by a script that makes its requests.

use super::{DELETE_ORPHANS, ORPHANS, file, get, package, sample};
use millrace_tests::TestApp;
use std::path::Path;
use std::process::Output;
use tokio::process::Command;

/// Runs it as somebody; gives its code and what it printed, errors behind all else.
async fn run_as(app: &TestApp, user: &str, words: &str) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/pulp_admin_orphan.sh");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(script)
        .args([app.origin(), &format!("{user}:test-password")])
        .args(words.split_whitespace())
        .output()
        .await
        .unwrap();
    let text = [stdout, stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    (status.code().unwrap(), text)
}

async fn run(app: &TestApp, words: &str) -> String {
    let (code, text) = run_as(app, "admin", words).await;
    assert_eq!(code, 0, "{words}: {text}");
    text
}

#[tokio::test]
async fn cli_lists_all_a_type_with_details_and_a_summary_with_its_total() {
    let app = TestApp::with_workers(1).await;
    assert_eq!(
        run(&app, "list").await,
        "drpm: 0\nerratum: 0\nfile: 0\nrpm: 0\nsrpm: 0\nTotal: 0\n"
    );
    assert_eq!(run(&app, "list --type rpm").await, "Total: 0\n");
    file(&app, "one").await;
    for recipe in &sample()[..2] {
        package(&app, &recipe.build()).await;
    }
    assert_eq!(
        run(&app, "list").await,
        "drpm: 0\nerratum: 0\nfile: 1\nrpm: 2\nsrpm: 0\nTotal: 3\n"
    );
    assert_eq!(run(&app, "list --type rpm").await, "rpm: 2\nTotal: 2\n");
    let details = run(&app, "list --type rpm --details").await;
    let lines: Vec<&str> = details.lines().collect();
    assert_eq!(lines.len(), 2);
    let path = app.media().canonicalize().unwrap();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words.len(), words[0]), (3, "rpm"));
        assert!(words[2].starts_with(path.to_str().unwrap()), "{line}");
    }
    let (code, text) = run_as(&app, "admin", "list --type nope").await;
    assert_eq!(
        (code, text.as_str()),
        (
            1,
            "404: PLP0009 Missing resource(s): content_type_id=nope\n"
        )
    );
    app.finish().await;
}

#[tokio::test]
async fn cli_removes_all_a_type_and_a_unit_and_follows_the_tasks() {
    let app = TestApp::with_workers(1).await;
    let (one, _) = (file(&app, "one").await, file(&app, "two").await);
    package(&app, &sample()[2].build()).await;
    let text = run(&app, &format!("remove --type file --unit-id {one}")).await;
    assert_eq!(text, "finished: {\"file\":1}\n");
    assert_eq!(
        run(&app, "remove --type rpm").await,
        "finished: {\"rpm\":1}\n"
    );
    assert_eq!(run(&app, "list --type file").await, "file: 1\nTotal: 1\n");
    assert_eq!(run(&app, "remove --all").await, "finished: {\"file\":1}\n");
    assert_eq!(run(&app, "remove --all").await, "finished: {}\n");
    let (code, text) = run_as(
        &app,
        "admin",
        &format!("remove --type file --unit-id {one}"),
    )
    .await;
    assert!(code == 1 && text.starts_with("404: PLP0009"), "{text}");
    app.finish().await;
}

#[tokio::test]
async fn cli_unit_without_type_and_no_option_are_usage_errors() {
    let app = TestApp::start().await;
    for words in [
        "remove",
        "remove --unit-id x",
        "remove --all --type rpm",
        "remove --type",
        "list --odd",
        "odd",
    ] {
        let (code, text) = run_as(&app, "admin", words).await;
        assert_eq!(code, 64, "{words}: {text}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
}

#[tokio::test]
async fn cli_says_why_somebody_may_not() {
    let app = TestApp::start().await;
    super::account(&app, "somebody").await;
    let (code, text) = run_as(&app, "somebody", "list").await;
    assert_eq!(
        (code, text.as_str()),
        (
            1,
            "401: PLP0026 Permission denied: user somebody cannot perform READ.\n"
        )
    );
    let (_, text) = run_as(&app, "nobody", "remove --all").await;
    assert!(text.starts_with("401: PLP0030"), "{text}");
}

#[tokio::test]
async fn paths_used_by_clients_are_there() {
    let app = TestApp::start().await;
    let unit = file(&app, "one").await;
    get(&app, ORPHANS).await.expect(200);
    get(&app, &format!("{ORPHANS}file/")).await.expect(200);
    get(&app, &format!("{ORPHANS}file/{unit}/"))
        .await
        .expect(200);
    super::post_text(&app, DELETE_ORPHANS, "").await.expect(202);
}
