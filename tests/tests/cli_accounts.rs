//! The unmodified `pulp-cli` with users, groups and roles.

use crate::cli::Cli;
use millrace_tests::TestApp;
use serde_json::{Value, json};

#[tokio::test]
async fn a_session_with_users_groups_and_roles_with_pulp_cli() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    let (user, _) = cli.run("user create --username jane --password Yeech6ba --first-name Jane --email j@example.org --staff").await;
    assert_eq!(
        (&user["username"], &user["is_staff"]),
        (&json!("jane"), &json!(true))
    );
    let (shown, _) = cli.run("user show --username jane").await;
    assert_eq!(shown, user);
    cli.run("user update --username jane --last-name Winter --no-staff --inactive")
        .await;
    let (shown, _) = cli.run("user show --username jane").await;
    assert_eq!(
        (&shown["last_name"], &shown["is_active"]),
        (&json!("Winter"), &json!(false))
    );
    cli.run_words(&[
        "user",
        "update",
        "--username",
        "jane",
        "--active",
        "--password",
        "",
    ])
    .await;
    let (shown, _) = cli.run("user show --username jane").await;
    assert_eq!(shown["hidden_fields"][0]["is_set"], false);
    assert_eq!(cli.run("user list").await.0.as_array().unwrap().len(), 2);
    let said = cli.fails("user create --username jane").await;
    assert!(said.contains("already exists"), "{said}");

    cli.run("group create --name zoo").await;
    cli.run("group user add --group zoo --username jane").await;
    let (members, _) = cli.run("group user list --group zoo").await;
    assert_eq!(members[0]["username"], "jane");
    let (shown, _) = cli.run("group show --name zoo").await;
    assert_eq!(shown["name"], "zoo");

    let (role, _) = cli.run("role create --name reader --description Reads --permission core.view_task --permission file.view_filerepository").await;
    assert_eq!(
        role["permissions"],
        json!(["core.view_task", "file.view_filerepository"])
    );
    cli.run("role update --name reader --no-permission").await;
    cli.run("role update --name reader --permission file.view_filerepository")
        .await;
    let (roles, _) = cli.run("role list --unlocked").await;
    assert_eq!(
        (&roles[0]["name"], roles.as_array().unwrap().len()),
        (&json!("reader"), 1)
    );
    let (roles, _) = cli
        .run("role list --name-startswith file.filerepository")
        .await;
    assert_eq!(roles.as_array().unwrap().len(), 3);
    let said = cli.fails("role destroy --name core.task_owner").await;
    assert!(said.contains("not authorized"), "{said}");

    cli.run("role destroy --name reader").await;
    cli.run("group user remove --group zoo --username jane")
        .await;
    cli.run("group destroy --name zoo").await;
    cli.run("user destroy --username jane").await;
    assert_eq!(cli.run("group list").await.0, Value::Array(vec![]));
    app.finish().await;
}

#[tokio::test]
async fn roles_of_users_and_groups_with_pulp_cli() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    for (list, body) in [
        ("users/", json!({"username": "jane"})),
        ("groups/", json!({"name": "zoo"})),
        (
            "roles/",
            json!({"name": "reader", "permissions": ["file.view_filerepository"]}),
        ),
    ] {
        app.post(list, &body).await.expect(201);
    }
    let repository = app.repository("zoo").await;
    let object = repository["pulp_href"].as_str().unwrap();
    for (noun, option, name) in [("user", "--username", "jane"), ("group", "--group", "zoo")] {
        let assignment = |verb| vec![noun, "role-assignment", verb, option, name];
        for object in ["", object] {
            let mut add = assignment("add");
            add.extend(["--role", "reader", "--object", object]);
            let (held, _) = cli.run_words(&add).await;
            assert_eq!(held["role"], "reader");
        }
        let mut list = assignment("list");
        let (held, _) = cli.run_words(&list).await;
        assert_eq!(held.as_array().unwrap().len(), 2, "{held}");
        list.extend([
            "--object",
            object,
            "--role-in",
            "reader",
            "--role-contains",
            "ead",
        ]);
        let (held, _) = cli.run_words(&list).await;
        assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
        for object in ["", object] {
            let mut remove = assignment("remove");
            remove.extend(["--role", "reader", "--object", object]);
            cli.run_words(&remove).await;
        }
        let (held, _) = cli.run_words(&assignment("list")).await;
        assert_eq!(held, Value::Array(vec![]));
    }
    app.finish().await;
}
