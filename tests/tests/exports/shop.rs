//! A repository, and a directory that may be exported to.

use millrace_tests::TestApp;
use millrace_tests::app::Builder;
use millrace_tests::client::Answer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub const LIST: &str = "exporters/core/filesystem/";

pub struct Shop {
    pub app: TestApp,
    pub repository: Value,
    /// What lies beside the allowed directory must not be written.
    pub dir: tempfile::TempDir,
}

pub fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// The files below a directory by their paths, links followed.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = millrace_tests::app::files_below(dir);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Such a tree of texts.
pub fn texts(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
    files.iter().map(file).collect()
}

impl Shop {
    /// With so many workers.
    pub async fn open(workers: usize) -> Self {
        Self::with(TestApp::builder().workers(workers)).await
    }

    pub async fn with(builder: Builder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("x")).unwrap();
        let allowed = dir.path().join("x");
        let builder = builder.set("exports.allowed_paths", allowed.display());
        let app = builder.start().await;
        Self {
            repository: app.repository("zoo").await,
            app,
            dir,
        }
    }

    /// A path in the allowed directory.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("x").join(name)
    }

    /// Makes an exporter to a directory of this name; gives its address.
    pub async fn exporter(&self, name: &str, method: &str) -> String {
        let body = json!({"name": name, "path": self.at(name), "method": method});
        let made = self.app.post(LIST, &body).await.expect(201);
        href(&made).to_owned()
    }

    /// Adds files of these texts; gives the address of the new version.
    pub async fn add(&self, files: &[(&str, &str)]) -> String {
        let mut units = Vec::new();
        for (path, text) in files {
            units.push(self.app.unit(path, text).await);
        }
        let task = self.app.modify(&self.repository, &units, &[]).await;
        task["created_resources"][0].as_str().unwrap().to_owned()
    }

    /// Publishes a version; gives the address of the publication.
    pub async fn publish(&self, version: &str) -> String {
        let body = json!({"repository_version": version});
        let made = crate::publications::publish(&self.app, &body).await;
        href(&made).to_owned()
    }

    /// Asks for an export.
    pub async fn ask(&self, exporter: &str, body: &Value) -> Answer {
        self.app.post(&format!("{exporter}exports/"), body).await
    }

    /// Exports; gives the task.
    pub async fn export(&self, exporter: &str, body: &Value) -> Value {
        let task = self.ask(exporter, body).await.task();
        self.app.completed(&task).await
    }

    /// Exports in vain; gives what the client reads.
    pub async fn fails(&self, exporter: &str, body: &Value) -> String {
        let task = self.ask(exporter, body).await.task();
        self.failed(&task).await
    }

    /// Waits until a task has failed; gives what the client reads.
    pub async fn failed(&self, task: &str) -> String {
        let task = self.app.finished(task).await;
        assert_eq!(task["state"], "failed", "{task:#}");
        assert_eq!(task["created_resources"], json!([]));
        task["error"]["description"].as_str().unwrap().to_owned()
    }

    /// A new exporter of this name and method exports a version; gives the files.
    pub async fn exported(
        &self,
        name: &str,
        method: &str,
        body: &Value,
    ) -> BTreeMap<String, Vec<u8>> {
        let exporter = self.exporter(name, method).await;
        self.export(&exporter, body).await;
        tree(&self.at(name))
    }
}
