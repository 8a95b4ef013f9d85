//! `millrace-api fsck`: rows and files are held against each other.

mod detached;
mod elsewhere;
mod races;
mod rows;
mod stores;

use millrace_tests::TestApp;
use serde_json::{Value, json};
use std::path::PathBuf;
use uuid::Uuid;

/// What fsck says with these arguments: its exit code, its findings, and the summary.
pub async fn fsck(app: &TestApp, arguments: &[&str]) -> (i32, Vec<Value>, Value) {
    fsck_under(app, &[], arguments).await
}

/// The same under a command that becomes it in the end.
async fn fsck_under(
    app: &TestApp,
    command: &[&str],
    arguments: &[&str],
) -> (i32, Vec<Value>, Value) {
    let all: Vec<&str> = ["fsck", "--json"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let (code, text) = app.end_command_under(command, &all, &[]).await;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut lines: Vec<Value> = lines.collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{text}"));
    assert_eq!(summary["clean"], code == 0, "{text}");
    (code, lines, summary["summary"].clone())
}

/// Nothing is amiss, whatever its age.
pub async fn assert_clean(app: &TestApp) {
    let (code, findings, _) = fsck(app, &["--digests", "--min-age", "0"]).await;
    assert_eq!((code, findings), (0, Vec::new()));
}

/// Writes something into the store that no row names; gives its name.
pub fn without_row(app: &TestApp, end: &str) -> String {
    let id = Uuid::new_v4().to_string();
    let name = format!("artifact/{}/{id}{end}", &id[..2]);
    let path = app.media().join(&name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "left behind").unwrap();
    name
}

pub fn names(findings: &[Value], what: &str) -> Vec<String> {
    let of = findings.iter().filter(|finding| finding["what"] == what);
    let mut names: Vec<String> = of.map(|f| f["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Where the file of the only artifact with so many bytes lies.
pub async fn place(app: &TestApp, size: usize) -> PathBuf {
    let key = format!("SELECT storage_key FROM artifact WHERE size = {size}");
    app.media().join(app.sql.text(&key).await)
}

#[tokio::test]
async fn of_a_healthy_system_all_is_well() {
    let app = TestApp::with_workers(1).await;
    app.unit("a", "one").await;
    app.upload(vec![1; 3000]).await;
    let upload = app.post("uploads/", &json!({"size": 10})).await.expect(201);
    let part = reqwest::multipart::Part::bytes(vec![1; 4]).file_name("chunk");
    let form = reqwest::multipart::Form::new().part("file", part);
    let request = app
        .request(reqwest::Method::PUT, upload["pulp_href"].as_str().unwrap())
        .header("content-range", "bytes 0-3/10")
        .multipart(form);
    app.send(request).await.expect(200);
    app.sql
        .run(
            "INSERT INTO intent VALUES ('artifact/aa/written', gen_random_uuid()); \
             INSERT INTO tombstone (storage_key, not_before) VALUES ('artifact/aa/gone', 'infinity')",
        )
        .await;
    let (code, findings, summary) = fsck(&app, &["--digests", "--min-age", "0"]).await;
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    assert_eq!(summary["files"], 3);
    assert_eq!(summary["rows"], 3);
    let (code, text) = app.end_command(&["fsck"], &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("3 files, 3 rows, 0 units of a Pulp 2: all is well"),
        "{text}"
    );
}

#[tokio::test]
async fn files_without_a_row_are_told_and_removed_only_when_told_to_and_old() {
    let app = TestApp::start().await;
    app.upload(vec![1; 3000]).await;
    let mut files_without_row = vec![without_row(&app, ""), without_row(&app, "#1")];
    files_without_row.sort();
    let foreign = "artifact/ab/notes.txt";
    std::fs::create_dir_all(app.media().join("artifact/ab")).unwrap();
    std::fs::write(app.media().join(foreign), "mine").unwrap();

    // What was just written does not count.
    let (code, findings, _) = fsck(&app, &["--repair"]).await;
    assert_eq!((code, findings.len()), (1, 1), "{findings:#?}");
    assert_eq!(names(&findings, "foreign_file"), [foreign]);
    let (code, findings, summary) = fsck(&app, &["--min-age", "0"]).await;
    assert_eq!(code, 1);
    assert_eq!(names(&findings, "file_without_row"), files_without_row);
    assert_eq!(summary["repaired"], 0);
    assert!(
        files_without_row
            .iter()
            .all(|name| app.media().join(name).exists())
    );

    let (code, findings, summary) = fsck(&app, &["--min-age", "0", "--repair"]).await;
    assert_eq!(code, 1);
    assert_eq!(names(&findings, "file_without_row"), files_without_row);
    assert_eq!(summary["repaired"], 2);
    assert!(
        !files_without_row
            .iter()
            .any(|name| app.media().join(name).exists())
    );
    assert_eq!(app.sql.number("SELECT count(*) FROM tombstone").await, 0);
    let (_, findings, _) = fsck(&app, &["--min-age", "0", "--repair"]).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    std::fs::remove_file(app.media().join(foreign)).unwrap();
    assert_clean(&app).await;
}

#[tokio::test]
async fn with_the_database_of_another_store_nothing_is_removed_without_force() {
    let app = TestApp::start().await;
    let few = without_row(&app, "");
    let arguments = ["fsck", "--repair", "--min-age", "0"];
    let (code, text) = app.end_command(&arguments, &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(app.media().join(few).exists());
    let files_without_row: Vec<String> = (0..30).map(|_| without_row(&app, "")).collect();
    let there = || {
        files_without_row
            .iter()
            .filter(|name| app.media().join(name).exists())
            .count()
    };
    let (code, text) = app
        .end_command(&["fsck", "--repair", "--min-age", "0"], &[])
        .await;
    assert_eq!((code, there()), (2, 30), "{text}");
    assert!(text.contains("31 of 31 files are amiss"), "{text}");
    assert!(text.contains("--force"), "{text}");
    let (code, _, summary) = fsck(&app, &["--repair", "--force", "--min-age", "0"]).await;
    assert_eq!((code, there()), (1, 0));
    assert_eq!(summary["repaired"], 31);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_no_finding() {
    let app = TestApp::start().await;
    for (key, value) in [
        ("database.url", "postgres://u:hush@127.0.0.1:1/d"),
        ("storage.root", "/dev/null/media"),
        ("worker.slots.default", "many"),
    ] {
        let (code, text) = app.end_command(&["fsck"], &[(key, value)]).await;
        assert_eq!(code, 2, "{key}: {text}");
        assert!(!text.contains("hush"), "{text}");
    }
    let (code, _) = app.end_command(&["fsck", "--mend"], &[]).await;
    assert_eq!(code, 2);
}
