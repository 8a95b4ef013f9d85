//! The unmodified `pulp-cli`: what people type.

use millrace_tests::{TestApp, stack};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The client with a home of its own.
pub(crate) struct Cli {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Cli {
    pub(crate) fn new(app: &TestApp) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "[cli]\nbase_url = \"{}\"\nusername = \"admin\"\npassword = \"test-password\"\nverify_ssl = false\nformat = \"json\"\n",
            app.origin()
        );
        std::fs::create_dir_all(home.path().join("pulp")).unwrap();
        std::fs::write(home.path().join("pulp/cli.toml"), config).unwrap();
        Self {
            program: stack::venv().join("bin/pulp"),
            home,
        }
    }

    async fn output(&self, words: &[&str]) -> Output {
        tokio::process::Command::new(&self.program)
            .args(words)
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("HOME", self.home.path())
            .env("NO_PROXY", "*")
            .current_dir(self.home.path())
            .output()
            .await
            .unwrap()
    }

    /// Runs a command; gives what it prints as JSON, and its messages.
    pub(crate) async fn run(&self, line: &str) -> (Value, String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run_words(&words).await
    }

    /// The same, word by word: one may be empty.
    pub(crate) async fn run_words(&self, words: &[&str]) -> (Value, String) {
        let output = self.output(words).await;
        let line = words.join(" ");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "pulp {line}\n{out}\n{err}");
        (
            serde_json::from_str(&out).unwrap_or(Value::Null),
            err.into_owned(),
        )
    }

    pub(crate) async fn fails(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = self.output(&words).await;
        assert!(!output.status.success(), "pulp {line} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> &Path {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self.home.path()
    }
}

#[tokio::test]
async fn a_first_session_with_pulp_cli() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    let (status, messages) = cli.run("status").await;
    assert_eq!(status["online_workers"].as_array().unwrap().len(), 1);
    assert!(!messages.contains("outdated"), "{messages}");

    cli.file("hello.txt", "hello");
    let (artifact, _) = cli.run("artifact upload --file hello.txt").await;
    let (artifacts, _) = cli.run("artifact list").await;
    assert_eq!(artifacts[0]["sha256"], artifact["sha256"]);
    let digest = artifact["sha256"].as_str().unwrap();

    let (unit, messages) = cli
        .run(&format!(
            "file content create --sha256 {digest} --relative-path hello.txt"
        ))
        .await;
    assert!(
        messages.contains("Started background task /pulp/api/v3/tasks/"),
        "{messages}"
    );
    assert_eq!(unit["relative_path"], "hello.txt");
    let href = unit["pulp_href"].as_str().unwrap();
    let (shown, _) = cli.run(&format!("file content show --href {href}")).await;
    assert_eq!(shown["sha256"], digest);
    assert_eq!(
        cli.run("file content list")
            .await
            .0
            .as_array()
            .unwrap()
            .len(),
        1
    );
    cli.file("second.txt", "second");
    let (second, _) = cli
        .run("file content upload --file second.txt --relative-path second.txt")
        .await;
    assert_eq!(second["relative_path"], "second.txt");

    a_session_with_a_repository(&app, &cli, digest).await;
    app.finish().await;
}

async fn a_session_with_a_repository(app: &TestApp, cli: &Cli, digest: &str) {
    let (repository, _) = cli.run("file repository create --name zoo").await;
    assert_eq!(
        repository["latest_version_href"],
        format!("{}versions/0/", repository["pulp_href"].as_str().unwrap())
    );
    cli.fails("file repository create --name zoo").await;
    cli.run("file repository update --name zoo --description animals --retain-repo-versions 5")
        .await;
    let (shown, _) = cli.run("file repository show --name zoo").await;
    assert_eq!(
        (&shown["description"], &shown["retain_repo_versions"]),
        (&"animals".into(), &5.into())
    );
    assert_eq!(
        cli.run("file repository list")
            .await
            .0
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let add = format!(
        r#"file repository content modify --repository zoo --add-content [{{"sha256":"{digest}","relative_path":"hello.txt"}}]"#
    );
    let (_, messages) = cli.run(&add).await;
    assert!(messages.contains("Started background task"), "{messages}");
    let (units, _) = cli
        .run("file repository content list --repository zoo")
        .await;
    assert_eq!(units.as_array().unwrap().len(), 1, "{units}");
    let (versions, _) = cli
        .run("file repository version list --repository zoo")
        .await;
    assert_eq!(versions.as_array().unwrap().len(), 2);
    let (version, _) = cli
        .run("file repository version show --repository zoo --version 1")
        .await;
    assert_eq!(
        version["content_summary"]["present"]["file.file"]["count"],
        1
    );

    cli.run("file repository destroy --name zoo").await;
    cli.run("orphan cleanup --protection-time 0").await;
    assert_eq!(cli.run("file content list").await.0, Value::Array(vec![]));
    assert_eq!(cli.run("artifact list").await.0, Value::Array(vec![]));
    app.quiet(std::time::Duration::from_secs(10)).await;
}

#[tokio::test]
async fn tasks_groups_and_workers_with_pulp_cli() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    let running = app.sleeper(60.0, &["a"]).await;
    app.in_state(&running, "running").await;
    let (shown, _) = cli.run(&format!("task show --href {running}")).await;
    assert_eq!(shown["state"], "running");
    let (list, _) = cli.run("task list --state running").await;
    assert_eq!(list[0]["pulp_href"], running);
    let (list, _) = cli
        .run("task list --name-contains sleep --state-in running --state-in waiting --limit 5")
        .await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    cli.run(&format!("task cancel --href {running}")).await;
    app.in_state(&running, "canceled").await;
    cli.run("task purge --finished-before 2100-01-01 --state canceled")
        .await;
    assert_eq!(app.get(&running).await.status, 404);

    assert_eq!(cli.run("task-group list").await.0, Value::Array(vec![]));
    let (workers, _) = cli.run("worker list").await;
    assert_eq!(workers.as_array().unwrap().len(), 1);
    assert_eq!(
        cli.run("worker list --online --name-contains worker")
            .await
            .0
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let cid = "0123456789abcdef0123456789abcdef";
    cli.run(&format!("--cid {cid} status")).await;
    cli.fails("--cid not-hexadecimal status").await;
    let failing = cli
        .fails("--username nobody --password wrong task list")
        .await;
    assert!(failing.contains("Authentication failed"), "{failing}");
    app.finish().await;
}
