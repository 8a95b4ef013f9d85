//! Units that came from a Pulp 2: how they come in, and what is removed with them. Tests are named after the lines
//! of the checklist that they stand for (contract 2, 6).

mod definitions;
mod faults;
mod files;
mod import;
mod manager;
mod scale;

use millrace_tests::TestApp;
use millrace_tests::app::{Builder, files_below};
use millrace_tests::eventually;
use millrace_tests::eventually::holds;
use serde_json::{Value, json};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

const NAMES: &str = "pulp.server.managers.content.orphan.";

/// The system with the storage of a Pulp 2.
struct Pulp {
    app: TestApp,
}

impl Deref for Pulp {
    type Target = TestApp;
    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl Pulp {
    async fn start() -> Self {
        Self::with(TestApp::builder().workers(1)).await
    }

    async fn with(builder: Builder) -> Self {
        // What could not be removed is tried again soon. What nothing needs is counted at once, in both dialects.
        let builder = builder.set("worker.sweep_seconds", 2);
        let app = builder.set("tasks.orphan_protection_time", 0).start().await;
        std::fs::create_dir_all(app.pulp_storage().join("content")).unwrap();
        Self { app }
    }

    /// A path in its storage.
    fn at(&self, path: &str) -> PathBuf {
        self.pulp_storage().join(path)
    }

    fn is(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    fn text(&self, path: &str) -> String {
        self.at(path).to_str().unwrap().to_owned()
    }

    fn write(&self, path: &str) -> String {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), "bytes").unwrap();
        self.text(path)
    }

    fn files(&self) -> usize {
        files_below(&self.at("content")).len()
    }

    fn try_import(&self, type_id: &str, units: &[Value], more: &[&str]) -> Output {
        let lines: Vec<String> = units.iter().map(Value::to_string).collect();
        self.import_text(type_id, &lines.join("\n"), more)
    }

    fn import_text(&self, type_id: &str, text: &str, more: &[&str]) -> Output {
        let mut arguments = vec!["import-units", "--type", type_id, "-"];
        arguments.extend(more);
        self.run_command(&arguments, text)
    }

    #[track_caller]
    fn import(&self, type_id: &str, units: &[Value]) {
        let output = self.try_import(type_id, units, &[]);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Imports an erratum of this name that lies there; gives its id.
    #[track_caller]
    fn erratum(&self, name: &str, path: Option<&str>) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let unit = json!({"_id": id, "errata_id": name, "_storage_path": path});
        self.import("erratum", &[unit]);
        id
    }

    /// The orphans of a type, by the dialect of version 2.
    async fn orphans(&self, type_id: &str) -> Vec<Value> {
        let path = format!("/pulp/api/v2/content/orphans/{type_id}/");
        let listed = self.get(&path).await.expect(200);
        listed.as_array().unwrap().clone()
    }

    /// The numbers of orphans that are not zero.
    async fn counts(&self) -> Value {
        let answer = self.get("/pulp/api/v2/content/orphans/").await;
        let summary = answer.expect(200);
        let entries = summary.as_object().unwrap().iter();
        let counts = entries.map(|(id, entry)| (id.clone(), entry["count"].clone()));
        Value::Object(counts.filter(|(_, count)| *count != 0).collect())
    }

    async fn begin(&self, task: &str, arguments: Value) -> String {
        let call = json!({"name": format!("{NAMES}{task}"), "kwargs": arguments});
        self.dispatch(&call).await
    }

    /// Runs a removal; gives the task.
    async fn removed(&self, task: &str, arguments: Value) -> Value {
        let task = self.begin(task, arguments).await;
        self.completed(&task).await
    }

    /// Runs a removal; gives its result.
    async fn remove(&self, task: &str, arguments: Value) -> Value {
        self.removed(task, arguments).await["result"].clone()
    }

    async fn remove_all(&self) -> Value {
        self.remove("delete_all_orphans", json!({})).await
    }

    async fn units(&self) -> i64 {
        self.sql.number("SELECT count(*) FROM content").await
    }

    /// Waits until nothing is left to be removed.
    async fn until_removed(&self) {
        eventually(Duration::from_secs(90), async || {
            let left = "SELECT count(*) FROM unit_tombstone";
            let left = self.sql.number(left).await;
            holds(left == 0, || format!("{left} are left"))
        })
        .await;
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// A package, whose path may be anything.
fn rpm(name: &str, path: Option<&str>) -> Value {
    json!({"name": name, "epoch": "0", "version": "1", "release": "1", "arch": "noarch", "checksumtype": "sha256",
           "checksum": format!("of {name}"), "filename": format!("{name}.rpm"), "relativepath": format!("{name}.rpm"),
           "license": "MIT", "vendor": "", "buildhost": "localhost", "description": "A package", "_storage_path": path})
}

/// What a report of a task says is done.
fn done(task: &Value, code: &str) -> Option<i64> {
    let reports = task["progress_reports"].as_array().unwrap();
    let report = reports.iter().find(|report| report["code"] == code);
    report.map(|report| report["done"].as_i64().unwrap())
}
