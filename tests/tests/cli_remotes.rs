//! The unmodified `pulp-cli` with remotes and synchronisation.

use crate::cli::Cli;
use millrace_tests::TestApp;
use millrace_tests::upstream::{Authority, Upstream};

#[tokio::test]
async fn a_session_with_remotes_and_a_sync_with_pulp_cli() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    let upstream = Upstream::start().await;
    upstream.publish("/pool", &[("a", "1"), ("b", "2")]);
    let url = upstream.url("/pool/PULP_MANIFEST");
    cli.file("ca.pem", &Authority::new().certificate());
    let (remote, _) = cli
        .run(&format!(
            "file remote create --name zoo --url {url} --ca-cert @ca.pem --policy on_demand \
             --proxy-url http://127.0.0.1:1 --proxy-username u --proxy-password hush"
        ))
        .await;
    assert_eq!(remote["policy"], "on_demand");
    assert!(
        remote["ca_cert"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN")
    );
    let (shown, _) = cli.run("file remote show --name zoo").await;
    assert_eq!(shown, remote);
    let (listed, _) = cli.run("file remote list --name-contains zo").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    cli.fails("file remote create --name bad --url http://u:p@h/")
        .await;
    let line = [
        "file",
        "remote",
        "update",
        "--name",
        "zoo",
        "--proxy-url",
        "",
        "--proxy-username",
        "",
        "--proxy-password",
        "",
        "--max-retries",
        "0",
    ];
    cli.run_words(&line).await;
    let (shown, _) = cli.run("file remote show --name zoo").await;
    assert_eq!(shown["proxy_url"], serde_json::Value::Null);
    assert_eq!(shown["max_retries"], 0);
    cli.run("file remote label set --remote zoo --key k --value v")
        .await;
    cli.run("file remote label unset --remote zoo --key k")
        .await;

    cli.run("file repository create --name zoo").await;
    cli.fails("file repository sync --repository zoo").await;
    let (_, messages) = cli
        .run("file repository sync --repository zoo --remote zoo")
        .await;
    assert!(messages.contains("Started background task"), "{messages}");
    let (units, _) = cli
        .run("file repository content list --repository zoo")
        .await;
    assert_eq!(units.as_array().unwrap().len(), 2);
    cli.run("file repository update --repository zoo --remote zoo")
        .await;
    cli.run("file repository sync --repository zoo --mirror")
        .await;
    cli.run("file remote destroy --name zoo").await;
    let (shown, _) = cli.run("file repository show --repository zoo").await;
    assert_eq!(shown["remote"], serde_json::Value::Null);
    app.finish().await;
}
