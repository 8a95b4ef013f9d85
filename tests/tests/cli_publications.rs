//! The unmodified `pulp-cli` publishes, distributes, and deletes versions.

use crate::cli::Cli;
use millrace_tests::TestApp;
use serde_json::{Value, json};

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

/// A repository whose version 1 holds a unit, and the client.
async fn zoo(app: &TestApp) -> Cli {
    let body = json!({"name": "zoo", "retain_repo_versions": 3});
    let repository = app.post("repositories/file/file/", &body).await.expect(201);
    let unit = app.unit("hello.txt", "hello").await;
    app.modify(&repository, &[unit], &[]).await;
    Cli::new(app)
}

#[tokio::test]
async fn pulp_cli_publishes_a_repository_and_distributes_it() {
    let app = TestApp::with_workers(1).await;
    let cli = zoo(&app).await;
    let line = "file publication create --repository zoo --version 0 --manifest LIST";
    let (one, messages) = cli.run(line).await;
    assert!(messages.contains("Started background task"), "{messages}");
    assert_eq!(one["manifest"], "LIST");
    let href = one["pulp_href"].as_str().unwrap();
    let (list, _) = cli.run("file publication list --repository zoo").await;
    assert_eq!(count(&list), 1);

    let line =
        format!("file distribution create --name d --base-path pub/zoo --publication {href}");
    let (made, _) = cli.run(&line).await;
    assert_eq!(made["publication"], href);
    cli.run("file distribution update --name d --base-path zoo --publication= --repository zoo")
        .await;
    cli.run("file distribution label set --distribution d --key k --value v")
        .await;
    let (shown, _) = cli.run("file distribution show --name d").await;
    assert_eq!(
        (&shown["base_path"], &shown["publication"]),
        (&json!("zoo"), &Value::Null)
    );
    assert!(shown["repository"].is_string());
    assert_eq!(shown["pulp_labels"], json!({"k": "v"}));
    let (list, _) = cli.run("file distribution list --base-path zoo").await;
    assert_eq!(count(&list), 1);

    cli.run("file distribution destroy --name d").await;
    cli.run(&format!("file publication destroy --href {href}"))
        .await;
    cli.fails(&format!("file publication show --href {href}"))
        .await;
    app.finish().await;
}

#[tokio::test]
async fn pulp_cli_deletes_and_repairs_versions() {
    let app = TestApp::with_workers(1).await;
    let cli = zoo(&app).await;
    let line = "file repository update --name zoo --retain-repo-versions 2";
    cli.run(line).await;
    cli.run("file distribution create --name d --base-path zoo --repository zoo")
        .await;
    let refused = cli
        .fails("file repository version destroy --repository zoo --version 1")
        .await;
    assert!(
        refused.contains("currently being used to distribute content"),
        "{refused}"
    );
    cli.run("file repository version repair --repository zoo --version 1")
        .await;
    cli.run("file repository version destroy --repository zoo --version 0")
        .await;
    let (versions, _) = cli
        .run("file repository version list --repository zoo")
        .await;
    assert_eq!(count(&versions), 1);
    assert_eq!(versions[0]["number"], 1);
    app.finish().await;
}
