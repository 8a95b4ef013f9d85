//! The unmodified `pulp-cli` with roles on objects.

use crate::cli::Cli;
use millrace_tests::TestApp;
use serde_json::json;

const GUEST: &str = "--username guest";

#[tokio::test]
async fn a_session_with_roles_on_objects_with_pulp_cli() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    app.person("guest").await;
    cli.run("file repository create --name zoo").await;
    cli.run("file remote create --name there --url http://localhost/PULP_MANIFEST")
        .await;
    cli.run("file distribution create --name served --base-path zoo --repository zoo")
        .await;
    for (kind, name) in [
        ("repository", "zoo"),
        ("remote", "there"),
        ("distribution", "served"),
    ] {
        let (none, _) = cli.run(&format!("{GUEST} file {kind} list")).await;
        assert_eq!(none, json!([]));
        cli.fails(&format!("{GUEST} file {kind} show --name {name}"))
            .await;
        let role = format!("file.file{kind}_viewer");
        let line = format!("file {kind} role add --name {name} --role {role} --user guest");
        cli.run(&line).await;
        let refused = cli.fails(&line).await;
        assert!(refused.contains("already assigned"), "{refused}");
        let (roles, _) = cli
            .run(&format!("file {kind} role list --name {name}"))
            .await;
        let viewer = json!({"role": role, "users": ["guest"], "groups": []});
        assert!(
            roles["roles"].as_array().unwrap().contains(&viewer),
            "{roles}"
        );
        let (mine, _) = cli
            .run(&format!(
                "{GUEST} file {kind} role my-permissions --name {name}"
            ))
            .await;
        assert_eq!(
            mine,
            json!({"permissions": [format!("file.view_file{kind}")]})
        );
        let (seen, _) = cli.run(&format!("{GUEST} file {kind} list")).await;
        assert_eq!(seen[0]["name"], name);
        let refused = cli
            .fails(&format!("{GUEST} file {kind} destroy --name {name}"))
            .await;
        assert!(refused.contains("is not authorized"), "{refused}");
        cli.run(&format!(
            "file {kind} role remove --name {name} --role {role} --user guest"
        ))
        .await;
        let (none, _) = cli.run(&format!("{GUEST} file {kind} list")).await;
        assert_eq!(none, json!([]));
    }
    let (roles, _) = cli.run("role list --name file.filerepository_owner").await;
    assert_eq!(roles[0]["locked"], true);
    app.finish().await;
}

#[tokio::test]
async fn a_guest_keeps_a_repository_of_his_own_with_pulp_cli() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    app.person("guest").await;
    let refused = cli
        .fails(&format!("{GUEST} file repository create --name zoo"))
        .await;
    assert!(refused.contains("is not authorized"), "{refused}");
    app.grant("guest", "file.filerepository_creator", None)
        .await;
    for line in [
        "file repository create --name zoo",
        "file repository update --name zoo --description mine",
        "file repository role list --name zoo",
        "file repository version list --repository zoo",
        "task list",
    ] {
        cli.run(&format!("{GUEST} {line}")).await;
    }
    let (tasks, _) = cli.run(&format!("{GUEST} task list")).await;
    assert_eq!(tasks.as_array().unwrap().len(), 1, "{tasks}");
    let task = tasks[0]["pulp_href"].as_str().unwrap();
    let (mine, _) = cli
        .run(&format!("{GUEST} task role my-permissions --href {task}"))
        .await;
    assert!(
        mine["permissions"]
            .as_array()
            .unwrap()
            .contains(&json!("core.delete_task"))
    );
    cli.run(&format!("{GUEST} file repository destroy --name zoo"))
        .await;
    app.finish().await;
}
