//! The unmodified `pulp-cli` publishes, distributes, and deletes versions.

use crate::cli::Cli;
use millrace_tests::TestApp;
use serde_json::{Value, json};

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[tokio::test]
async fn pulp_cli_publishes_a_repository_and_distributes_it() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    cli.file("hello.txt", "hello");
    cli.run("file repository create --name zoo --retain-repo-versions 3")
        .await;
    cli.run("file content upload --file hello.txt --relative-path hello.txt --repository zoo")
        .await;

    let (one, messages) = cli.run("file publication create --repository zoo").await;
    assert!(messages.contains("Started background task"), "{messages}");
    assert_eq!(one["manifest"], "PULP_MANIFEST");
    let href = one["pulp_href"].as_str().unwrap();
    let (shown, _) = cli
        .run(&format!("file publication show --href {href}"))
        .await;
    assert_eq!(shown, one);
    let (two, _) = cli
        .run("file publication create --repository zoo --version 0 --manifest LIST")
        .await;
    assert_eq!(two["manifest"], "LIST");
    let (list, _) = cli.run("file publication list --repository zoo").await;
    assert_eq!(count(&list), 2);

    let line =
        format!("file distribution create --name d --base-path pub/zoo --publication {href}");
    let (made, _) = cli.run(&line).await;
    assert_eq!(made["publication"], href);
    let (shown, _) = cli.run("file distribution show --name d").await;
    assert_eq!(shown, made);
    cli.run("file distribution update --name d --base-path zoo --publication= --repository zoo")
        .await;
    let (shown, _) = cli.run("file distribution show --distribution d").await;
    assert_eq!(
        (&shown["base_path"], &shown["publication"]),
        (&json!("zoo"), &Value::Null)
    );
    assert!(shown["repository"].is_string());
    cli.run("file distribution label set --distribution d --key k --value v")
        .await;
    let (shown, _) = cli.run("file distribution show --name d").await;
    assert_eq!(shown["pulp_labels"], json!({"k": "v"}));
    cli.run("file distribution label unset --distribution d --key k")
        .await;
    let (list, _) = cli.run("file distribution list --base-path zoo").await;
    assert_eq!(count(&list), 1);

    let refused = cli
        .fails("file repository version destroy --repository zoo --version 1")
        .await;
    assert!(
        refused.contains("currently being used to distribute content"),
        "{refused}"
    );
    cli.run("file repository version destroy --repository zoo --version 0")
        .await;
    let (versions, _) = cli
        .run("file repository version list --repository zoo")
        .await;
    assert_eq!(count(&versions), 1);
    let (shown, _) = cli
        .run("file repository version show --repository zoo --version 1")
        .await;
    assert_eq!(shown["number"], 1);
    cli.run("file repository version repair --repository zoo --version 1")
        .await;

    cli.run("file distribution destroy --name d").await;
    cli.fails("file distribution show --name d").await;
    cli.run(&format!("file publication destroy --href {href}"))
        .await;
    assert_eq!(count(&cli.run("file publication list").await.0), 0);
    app.finish().await;
}
